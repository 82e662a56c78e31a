//! `sandbox ls`

use std::collections::BTreeMap;

use serde::Serialize;

use super::Context;
use crate::error::Result;
use crate::overview::{self, Condition, View};
use crate::report::{self, Table};
use crate::usage::{self, Usage};

/// List the sandboxes of this repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print task names only
    #[arg(short, long)]
    quiet: bool,
    /// Show what each uses: processors, memory, disk; takes some seconds
    #[arg(long, conflicts_with = "quiet")]
    usage: bool,
}

/// Runs the verb. Without an engine it lists what git knows, in state `unknown`.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let engine = context.engine_if_any().await;
    for (_, error) in site.survey()?.damaged {
        context.events.warn(error.to_string());
    }
    let views = overview::all(&site, engine.as_ref()).await?;
    let used = match &engine {
        Some(engine) if args.usage => Some(usage::of(&site, engine, &views).await?),
        _ => None,
    };
    if context.globals.json {
        let views: Vec<_> =
            views.iter().map(|view| Used { view, usage: used.as_ref().and_then(|it| it.get(&view.task)) }).collect();
        return report::document("sandboxes", &views);
    }
    if args.quiet {
        return report::data(&views.iter().flat_map(|view| [view.task.as_str(), "\n"]).collect::<String>());
    }
    if views.is_empty() {
        context.events.info(format!("{} has no sandboxes; `sandbox up TASK` makes one", site.repo.name()));
        return Ok(());
    }
    report::data(&used.map_or_else(|| table(&views), |used| table_of_usage(&views, &used)))
}

/// A sandbox, and what it uses where that was asked.
#[derive(Serialize)]
struct Used<'a> {
    #[serde(flatten)]
    view: &'a View,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

fn table_of_usage(views: &[View], used: &BTreeMap<String, Usage>) -> String {
    let mut table = Table::new(&["TASK", "STATE", "CPU", "MEMORY", "DISK", "SHARED DISK"]);
    for view in views {
        let usage = used.get(&view.task).cloned().unwrap_or_default();
        table.row(&[
            view.task.clone(),
            view.state.as_str().to_owned(),
            format!("{:.1}%", usage.cpu_percent),
            report::size(usage.memory_bytes),
            report::size(usage.disk_own_bytes),
            report::size(usage.disk_shared_bytes),
        ]);
    }
    table.text()
}

fn table(views: &[View]) -> String {
    // Where all is well nobody need be told what to do.
    let mends = views.iter().any(|view| view.mend.is_some());
    let head = ["TASK", "STATE", "SERVICES", "APP", "AGE", "WORKTREE", "MENDED BY"];
    let mut table = Table::new(if mends { &head } else { &head[..6] });
    for view in views {
        let running = match view.state {
            Condition::Unknown => "?".to_owned(),
            _ => view.services.iter().filter(|service| service.running).count().to_string(),
        };
        let mut cells = vec![
            view.task.clone(),
            format!("{}{}", view.state.as_str(), if view.locked.is_some() { ", locked" } else { "" }),
            format!("{running}/{}", view.services_wanted),
            view.app_url.clone().unwrap_or_default(),
            view.created.as_deref().map(report::age).unwrap_or_default(),
            view.worktree.clone(),
        ];
        cells.extend(view.mend.clone().or_else(|| mends.then(String::new)));
        table.row(&cells);
    }
    table.text()
}
