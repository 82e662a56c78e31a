//! `sandbox stop TASK`

use super::{Context, completions, down};
use crate::error::Result;
use crate::plan::Extent;

/// Stop the containers, keep everything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    down::take_down(args.task.as_deref(), Extent::Stop, false, context).await
}
