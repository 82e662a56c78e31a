//! `sandbox env TASK`

use clap::ValueEnum;

use super::{Context, completions, task_name};
use crate::env;
use crate::error::Result;
use crate::report;
use crate::resolve::COMPOSE_FILE;

/// Print a sandbox's environment.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The forms in which an environment is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `NAME=value`, as in the env file
    #[default]
    Dotenv,
    /// `export NAME=value`, to be evaluated by a shell
    Shell,
    /// A JSON object
    Json,
}

/// Runs the verb. Asks git alone; the engine need not run.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let sandbox = site.get(&site.task(named.as_ref())?)?;
    let variables = env::variables(&sandbox.record, &sandbox.worktree.path.join(COMPOSE_FILE));
    match args.format {
        _ if context.globals.json => report::document("env", &env::json(&variables)),
        Format::Json => report::data(&format!("{:#}\n", env::json(&variables))),
        Format::Dotenv => report::data(&env::dotenv(&variables)?),
        Format::Shell => report::data(&env::shell(&variables)?),
    }
}
