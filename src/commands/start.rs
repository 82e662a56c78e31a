//! `sandbox start TASK`

use super::{Context, completions, task_name, up};
use crate::error::Result;
use crate::report;
use crate::resolve::Ask;

/// Start what was stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb: `up` for a sandbox that exists.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let task = site.task(named.as_ref())?;
    let engine = context.engine().await?;
    let lock = context.hold(&site, &engine, &site.identity(&task)?, "start").await?;
    // Under the lock: it may just have been removed.
    if let Err(error) = site.get(&task) {
        lock.remove();
        return Err(error);
    }
    let ask = Ask::again(task);
    let result = up::bring_up(&site, &engine, &ask, context).await;
    lock.let_go(&result);
    let converged = result?;
    if context.globals.json {
        report::document("started", &serde_json::json!({ "task": ask.task, "steps": converged.steps }))
    } else {
        report::data(&format!("{} runs\n", ask.task))
    }
}
