//! What was typed. Nothing is resolved here: task names are still text, and files have not been looked at.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    completions, config, doctor, down, env, exec, gc, images, lock, logs, ls, man, merge, pool, reset, rm, shell, show,
    snapshot, start, stop, trust, undo, up,
};
use crate::report::Mode;

/// One command from a task name to a running, isolated stack; one command back to nothing.
///
/// `sandbox up fix-login` gives a task its own git worktree and branch, its own Postgres and Redis, its own host ports,
/// database names and env file. `sandbox rm fix-login` takes all of it away again, and refuses to lose work.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// Work in this directory instead of the current one
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// How to show progress
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        env = "SANDBOX_PROGRESS",
        hide_env_values = true,
        global = true
    )]
    pub progress: Mode,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a task's sandbox up: worktree, stack, env file, set-up; again: converge
    Up(up::Args),
    /// List the sandboxes of this repository
    Ls(ls::Args),
    /// Show one sandbox
    Show(show::Args),
    /// Print a sandbox's environment
    Env(env::Args),
    /// Run a command in a sandbox's worktree, or inside a service
    Exec(exec::Args),
    /// Open a shell in a sandbox's worktree, with its environment
    Shell(shell::Args),
    /// Show what the services have written
    Logs(logs::Args),
    /// Stop the containers, keep everything
    Stop(stop::Args),
    /// Start what was stopped
    Start(start::Args),
    /// Remove containers and network, keep worktree and claims
    Down(down::Args),
    /// Save the databases of a sandbox, for others to begin with
    Snapshot(snapshot::Args),
    /// Keep databases in a file system with reflinks
    Pool(pool::Args),
    /// Give a sandbox the databases that it stands on, or those of a snapshot
    Reset(reset::Args),
    /// Remove sandboxes whole; refuses to lose work
    Rm(rm::Args),
    /// Merge a task's branch, then remove the sandbox
    Merge(merge::Args),
    /// Bring back what `rm` took
    Undo(undo::Args),
    /// Remove what is merged, expired or orphaned
    Gc(gc::Args),
    /// Keep a sandbox from being removed
    Lock(lock::Args),
    /// Let a sandbox be removed again
    Unlock(lock::UnlockArgs),
    /// Allow the set-up that the settings ask for, or withdraw that
    Trust(trust::Args),
    /// Print the resolved Compose file
    Config(config::Args),
    /// List and build the images that sandboxes run
    Images(images::Args),
    /// Check that everything a sandbox needs is here
    Doctor(doctor::Args),
    /// Print the shell code that completes commands and task names
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(man::Args),
}

/// Whether JSON was asked for on a command line that could not be understood. What follows `--` is a command's own.
pub fn wants_json(words: impl IntoIterator<Item = OsString>) -> bool {
    words.into_iter().take_while(|word| word != "--").any(|word| word == "--json")
}

const EXIT_CODES: &str = "\
Exit codes:
   0 done                      13 a service failed
   1 unexpected                14 ports, subnets
   2 wrong usage               15 another process is at work
   3 not a task name           16 a file could not be read or written
   4 settings or Compose file  17 conflicts to be resolved first
   5 repository, no base       18 no such snapshot, no pool
   6 git failed or too old     19 there is one already
   7 no such sandbox           20 sandboxes stand on it
   8 would lose work           21 set-up that nobody has allowed
   9 protected, or not ours    22 the set-up failed
  10 engine gone or too old   126 `exec`: not executable
  11 engine of another host   127 `exec`: no such command
  12 image not to be had      130 interrupted
`exec` passes the command's own exit code through.";
