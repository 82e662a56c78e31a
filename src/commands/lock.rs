//! `sandbox lock TASK` and `sandbox unlock TASK`

use super::{Context, completions, task_name};
use crate::error::Result;
use crate::report;
use crate::site::Sandbox;

/// Keep a sandbox from being removed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Why; shown to whoever tries to remove it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Let a sandbox be removed again.
#[derive(Debug, clap::Args)]
pub struct UnlockArgs {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb `lock`. It is git's own lock of a worktree, so `git worktree` heeds it too. Locked already is done; the
/// reason stays what it was.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let (sandbox, site) = found(args.task.as_deref(), context)?;
    let owner = context.surroundings.var("USER").unwrap_or("an unknown user");
    let reason = match &args.reason {
        Some(reason) => format!("{reason} ({owner})"),
        None => format!("by {owner}"),
    };
    let reason = site.repo.lock_worktree(&sandbox.worktree.path, &reason).await?;
    answer(&sandbox, Some(reason), context)
}

/// Runs the verb `unlock`. Not locked is done.
pub async fn run_unlock(args: &UnlockArgs, context: &Context) -> Result<()> {
    let (sandbox, site) = found(args.task.as_deref(), context)?;
    site.repo.unlock_worktree(&sandbox.worktree.path).await?;
    answer(&sandbox, None, context)
}

fn found(task: Option<&str>, context: &Context) -> Result<(Sandbox, crate::site::Site)> {
    let named = task_name(task)?;
    let site = context.site()?;
    Ok((site.get(&site.task(named.as_ref())?)?, site))
}

fn answer(sandbox: &Sandbox, reason: Option<String>, context: &Context) -> Result<()> {
    let task = sandbox.task();
    if context.globals.json {
        return report::document("locked", &serde_json::json!({ "task": task, "reason": reason }));
    }
    report::data(&match reason {
        Some(reason) if reason.is_empty() => format!("{task} is locked\n"),
        Some(reason) => format!("{task} is locked: {reason}\n"),
        None => format!("{task} is not locked\n"),
    })
}
