//! `sandbox down TASK`

use super::{Context, completions, task_name};
use crate::apply::{World, apply};
use crate::error::Result;
use crate::plan::observed::Scope;
use crate::plan::{Extent, Observed, teardown};
use crate::report;
use crate::site::no_such;
use crate::world::Real;

/// Remove containers and network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Remove the volumes too: the databases are gone then
    #[arg(short, long)]
    volumes: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let extent = if args.volumes { Extent::StackAndVolumes } else { Extent::Stack };
    take_down(args.task.as_deref(), extent, args.dry_run, context).await
}

/// Takes a stack down as far as asked: also what `stop` does.
pub async fn take_down(task: Option<&str>, extent: Extent<'_>, dry_run: bool, context: &Context) -> Result<()> {
    let named = task_name(task)?;
    let site = context.site_anyway()?;
    let identity = site.identity(&site.task(named.as_ref())?)?;
    let engine = context.engine().await?;
    let verb = if extent == Extent::Stop { "stop" } else { "down" };
    let lock = if dry_run { None } else { Some(context.hold(&site, &engine, &identity, verb).await?) };
    let world = Real { engine: &engine, site: &site };
    let observed = world.observe(&Scope::of(&identity)).await?;
    if observed.is_nothing() {
        lock.into_iter().for_each(crate::locks::Lock::remove);
        return Err(no_such(&identity.task, &site.repo));
    }
    let plan = teardown(&identity, &observed, extent);
    if dry_run {
        return context.dry_run(&[plan]);
    }
    let result = apply(&world, &plan, &context.events, context.stop.clone()).await.into_result();
    if let Some(lock) = lock {
        lock.let_go(&result);
    }
    result?;
    if extent == Extent::StackAndVolumes {
        // It may have been the last that stood on what others had written. What cannot go yet goes with another.
        let _ = world.tidy_layers().await;
    }
    report(&identity.task.to_string(), extent, &observed, context)
}

fn report(task: &str, extent: Extent, before: &Observed, context: &Context) -> Result<()> {
    let kept = match extent {
        _ if before.volumes.is_empty() => "",
        Extent::StackAndVolumes => "; its databases are gone",
        _ => "; its databases are kept",
    };
    let (word, text) = match extent {
        Extent::Stop => ("stopped", format!("{task} is stopped{kept}\n")),
        _ => ("down", format!("{task} is down{kept}\n")),
    };
    if context.globals.json {
        report::document(word, &serde_json::json!({ "task": task, "containers": before.containers.len() }))
    } else {
        report::data(&text)
    }
}
