//! `sandbox logs TASK`

use std::ops::ControlFlow;

use futures::StreamExt;
use futures::stream::select_all;

use super::{Context, completions};
use crate::engine::{Container, LogLine, LogOptions, labels};
use crate::error::{Error, Kind, Result};
use crate::report;
use crate::site::Site;
use crate::task::{Identity, TaskName};

/// Show what the services have written.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end of each service
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<u64>,
    /// Begin each line with the time it was written
    #[arg(short, long)]
    timestamps: bool,
}

/// Runs the verb. Lines of several services are told apart by a prefix and come as they are written.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site()?;
    let (named, services) = task_and_services(args, &site)?;
    let task = site.task(named.as_ref())?;
    let identity = site.identity(&task)?;
    let engine = context.engine().await?;
    let found = engine.containers(&labels::of(&identity)).await?;
    if found.is_empty() {
        site.get(&task)?;
    }
    let containers = chosen(found, &services, &identity)?;
    let options = LogOptions { follow: args.follow, tail: args.tail, timestamps: args.timestamps, since: None };
    let width = containers.iter().map(|(service, _)| service.len()).max().unwrap_or(0);
    let several = containers.len() > 1;
    let mut lines = select_all(containers.iter().map(|(service, container)| {
        let prefix = if several { format!("{service:width$} | ") } else { String::new() };
        engine.logs(&container.id, &options).map(move |line| (prefix.clone(), line)).boxed()
    }));
    while let Some((prefix, line)) = lines.next().await {
        if show(&prefix, &line?)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Inside a worktree the task may be left out before services too: a first word that is no sandbox is a service then.
fn task_and_services(args: &Args, site: &Site) -> Result<(Option<TaskName>, Vec<String>)> {
    let Some(first) = &args.task else { return Ok((None, args.services.clone())) };
    let task = TaskName::parse(first);
    let is_sandbox = task.as_ref().is_ok_and(|task| site.find(task).is_ok_and(|found| found.is_some()));
    if !is_sandbox && site.task(None).is_ok() {
        return Ok((None, [first].into_iter().chain(&args.services).cloned().collect()));
    }
    Ok((Some(task?), args.services.clone()))
}

fn chosen(all: Vec<Container>, wanted: &[String], identity: &Identity) -> Result<Vec<(String, Container)>> {
    let named =
        all.into_iter().filter_map(|container| Some((container.labels.get(labels::SERVICE)?.clone(), container)));
    let mut containers: Vec<(String, Container)> = named.collect();
    containers.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(missing) = wanted.iter().find(|service| !containers.iter().any(|(name, _)| name == *service)) {
        return Err(Error::new(Kind::Service, format!("the service {missing} of {} has no container", identity.task))
            .hint(format!("`sandbox show {}` lists the services", identity.task)));
    }
    if containers.is_empty() {
        return Err(Error::new(Kind::Service, format!("{} has no containers", identity.task))
            .hint(format!("`sandbox start {}` makes them", identity.task)));
    }
    containers.retain(|(name, _)| wanted.is_empty() || wanted.contains(name));
    Ok(containers)
}

/// Both streams of a container are what was asked for: data.
fn show(prefix: &str, line: &LogLine) -> Result<ControlFlow<()>> {
    let mut bytes = prefix.as_bytes().to_vec();
    bytes.extend_from_slice(&line.line);
    bytes.push(b'\n');
    report::stream(&bytes)
}
