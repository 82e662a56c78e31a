//! `sandbox rm TASK…`

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Context, completions};
use crate::apply::World;
use crate::error::{Error, Kind, Result};
use crate::plan::Observed;
use crate::plan::observed::Scope;
use crate::removal;
use crate::report;
use crate::resolve;
use crate::site::{Site, no_such};
use crate::task::TaskName;
use crate::world::Real;

/// Remove sandboxes whole.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tasks; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    tasks: Vec<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb. Every name is looked up before anything is removed, and one that is refused stops none of the others.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let mut tasks: Vec<TaskName> = args.tasks.iter().map(|task| TaskName::parse(task)).collect::<Result<_>>()?;
    if tasks.is_empty() {
        tasks.push(site.task(None)?);
    }
    let mut named = BTreeSet::new();
    tasks.retain(|task| named.insert(task.clone()));
    let engine = context.engine().await?;
    let world = Real { engine: &engine, site: &site };
    for task in &tasks {
        if world.observe(&Scope::of(&site.identity(task)?)).await?.is_nothing() {
            return Err(nothing_there(&site, task));
        }
    }
    if args.dry_run {
        return print_plans(&world, &tasks, context).await;
    }
    let (mut removed, mut failed): (Vec<Value>, Vec<Error>) = (Vec::new(), Vec::new());
    for task in &tasks {
        match remove(&world, task, context).await {
            Ok(proof) => removed.push(proof),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => failed.push(error),
        }
    }
    if context.globals.json && !removed.is_empty() {
        report::document("removed", &removed)?;
    }
    Error::all(failed)
}

async fn print_plans(world: &Real<'_>, tasks: &[TaskName], context: &Context) -> Result<()> {
    let mut plans = Vec::new();
    for task in tasks {
        let planned = removal::plan(world, &world.site.identity(task)?).await?;
        plans.extend(planned.map(|(plan, _)| plan));
    }
    context.dry_run(&plans)
}

/// Removes one, and proves it.
async fn remove(world: &Real<'_>, task: &TaskName, context: &Context) -> Result<Value> {
    let identity = world.site.identity(task)?;
    let lock = context.hold(world.site, world.engine, &identity, "rm").await?;
    let result = removal::remove(world, &identity, &context.events, &context.stop).await;
    if result.is_ok() {
        lock.remove();
    } else {
        lock.let_go(&result);
    }
    let before = result?.ok_or_else(|| nothing_there(world.site, task))?;
    if !context.globals.json {
        report::data(&format!("{task} is gone: {}\n", gone(&before)))?;
    }
    Ok(json!({
        "task": task,
        "containers": before.containers.len(),
        "networks": before.networks.len(),
        "volumes": before.volumes.len(),
        "worktree": before.worktree.map(|seen| seen.path),
        "branch": before.made_branch.filter(|made| made.at.is_some()).map(|made| made.name),
        "left": [],
    }))
}

/// The user's own branches are no sandboxes, which is more than that there is none.
fn nothing_there(site: &Site, task: &TaskName) -> Error {
    resolve::refuse_protected(site, task).err().unwrap_or_else(|| no_such(task, &site.repo))
}

fn gone(before: &Observed) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![
        count(before.containers.len(), "container"),
        count(before.networks.len(), "network"),
        count(before.volumes.len(), "volume"),
    ];
    let worktree = |missing| if missing { "what git knew of the worktree" } else { "worktree" };
    parts.extend(before.worktree.as_ref().map(|seen| worktree(seen.missing).to_owned()));
    parts.extend(before.made_branch.as_ref().filter(|made| made.at.is_some()).map(|_| "branch".to_owned()));
    parts.extend(before.claim.as_ref().map(|_| "claim".to_owned()));
    format!("{}; Docker and git have nothing of it left", parts.join(", "))
}
