//! `sandbox config [TASK]`

use super::{Context, completions, task_name};
use crate::compose;
use crate::error::Result;
use crate::report;
use crate::resolve;

/// Print the resolved Compose file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; without one, inside no worktree, the template with its defaults
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let project = match (named.is_some(), site.task(named.as_ref())) {
        (false, Err(_)) => resolve::raw(&site)?,
        (_, task) => {
            let sandbox = site.get(&task?)?;
            resolve::rendered(&site, &context.engine().await?, &sandbox).await?
        }
    };
    if context.globals.json { report::document("project", &project) } else { report::data(&compose::render(&project)) }
}
