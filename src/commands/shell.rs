//! `sandbox shell TASK`

use super::{Context, completions, exec, task_name};
use crate::error::Result;

/// Open a shell in a sandbox's worktree.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb: becomes the user's shell.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let sandbox = site.get(&site.task(named.as_ref())?)?;
    let shell = context.surroundings.var("SHELL").unwrap_or("/bin/sh");
    Err(exec::become_command(&sandbox, &[shell.into()]))
}
