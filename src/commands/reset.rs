//! `sandbox reset TASK`

use serde_json::json;

use super::{Context, completions, task_name, up};
use crate::apply::{World, apply};
use crate::error::{Kind, Result};
use crate::plan::observed::Scope;
use crate::plan::{Extent, teardown};
use crate::report;
use crate::resolve::Ask;
use crate::world::Real;

/// Begin with new databases; the worktree and all numbers stay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Print what would be removed, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb. Killed in the middle, the databases are the old ones or `up` makes new ones.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let task = site.task(named.as_ref())?;
    let identity = site.identity(&task)?;
    let engine = context.engine().await?;
    let lock = if args.dry_run { None } else { Some(context.hold(&site, &engine, &identity, "reset").await?) };
    // Under the lock: it may just have been removed.
    if let Err(error) = site.get(&task) {
        lock.into_iter().for_each(crate::locks::Lock::remove);
        return Err(error);
    }
    let world = Real { engine: &engine, site: &site };
    let observed = world.observe(&Scope::of(&identity)).await?;
    let plan = teardown(&identity, &observed, Extent::Data);
    if args.dry_run {
        return context.dry_run(&[plan]);
    }
    let ask = Ask::again(task);
    // What would keep it from coming up again keeps its databases; that these are not whole does not.
    if let Err(error) = Box::pin(up::check(&site, &engine, &ask, context)).await
        && error.kind() != Kind::Service
    {
        return Err(error);
    }
    let mut result = apply(&world, &plan, &context.events, context.stop.clone()).await.into_result();
    if result.is_ok() {
        result = Box::pin(up::bring_up(&site, &engine, &ask, context)).await.map(drop);
    }
    if let Some(lock) = lock {
        lock.let_go(&result);
    }
    result?;
    if context.globals.json {
        return report::document("reset", &json!({ "task": ask.task, "volumes": observed.volumes.len() }));
    }
    report::data(&format!("{} is up with new databases\n", ask.task))
}
