//! `sandbox completions SHELL`, and the task names it completes.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::report;
use crate::settings::Surroundings;
use crate::site::Site;

/// The variable with which a shell asks us for completions.
pub const VARIABLE: &str = "SANDBOX_COMPLETE";

/// Print the shell code that completes commands and task names.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "bash: echo 'source <(sandbox completions bash)' >> ~/.bashrc\nzsh:  echo 'source <(sandbox completions zsh)' >> ~/.zshrc\nfish: echo 'sandbox completions fish | source' >> ~/.config/fish/config.fish"
)]
pub struct Args {
    /// bash, zsh, fish or elvish
    shell: String,
}

/// Runs the verb.
pub fn run(args: &Args, _context: &Context) -> Result<()> {
    let shells = Shells::builtins();
    let shell: &dyn EnvCompleter = shells.completer(&args.shell).ok_or_else(|| {
        let known: Vec<&str> = shells.names().collect();
        Error::new(Kind::Usage, format!("{} is no shell we know", args.shell))
            .hint(format!("shells: {}", known.join(", ")))
    })?;
    let mut code = Vec::new();
    let written = shell.write_registration(VARIABLE, "sandbox", "sandbox", "sandbox", &mut code);
    written.map_err(|cause| Error::new(Kind::Unexpected, "cannot write the completions").because(cause))?;
    report::bytes(&code)
}

/// Completes the task names of the repository that the shell stands in.
#[must_use]
pub fn tasks() -> ArgValueCompleter {
    completer(|site| Ok(site.sandboxes()?.iter().map(|sandbox| sandbox.task().to_string()).collect()))
}

/// Completes the names of the tasks that can be brought back.
#[must_use]
pub fn trashed() -> ArgValueCompleter {
    completer(|site| {
        let names: BTreeSet<String> = site.trash()?.into_iter().map(|entry| entry.key.name).collect();
        Ok(names.into_iter().collect())
    })
}

fn completer(names: impl Fn(&Site) -> Result<Vec<String>> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy().into_owned();
        let site = Surroundings::of_this_process(None).and_then(|surroundings| Site::open(&surroundings));
        // Nobody is told of an error in the middle of a command line.
        let names = site.and_then(|site| names(&site)).unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(&current)).map(CompletionCandidate::new).collect()
    })
}
