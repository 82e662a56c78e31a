//! Running a command of the set-up. What it writes goes into a file beside the sandbox's record: all of it, and nowhere else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::Real;
use crate::env;
use crate::error::{Error, Kind, Result};
use crate::record::Record;
use crate::resolve::COMPOSE_FILE;

/// What it has written, in the worktree's admin directory.
const LOG: &str = "sandbox-setup.log";

/// How many of its last lines an error shows.
const LAST_LINES: usize = 20;

pub(super) async fn run(world: &Real<'_>, command: &str, worktree: &Path, record: &Record) -> Result<()> {
    let (log, place) = open_log(world, worktree)?;
    let begun = log.metadata().map(|it| it.len()).unwrap_or_default();
    let failed = |cause: std::io::Error| Error::new(Kind::Setup, format!("cannot run `{command}`")).because(cause);
    let mut program = Command::new("sh");
    let variables = env::variables(record, &worktree.join(COMPOSE_FILE));
    for name in env::foreign(&variables, |name| std::env::var_os(name)) {
        program.env_remove(name);
    }
    program.args(["-c", command]).current_dir(worktree).envs(variables).env("PWD", worktree).stdin(Stdio::null());
    program.stdout(log.try_clone().map_err(failed)?).stderr(log);
    // Dropped, it is not wanted any more.
    let mut child = tokio::process::Command::from(program).kill_on_drop(true).spawn().map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(&place).map_err(failed)?;
    let own = text.get(usize::try_from(begun).unwrap_or_default()..).unwrap_or_default();
    let text = String::from_utf8_lossy(own).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    Err(Error::new(Kind::Setup, format!("`{command}` {}", how(status)))
        .because(if last.is_empty() { "it wrote nothing".to_owned() } else { last })
        .hint(format!("all that it wrote: {}", place.display())))
}

/// Appended to: the commands of one set-up write one after another.
fn open_log(world: &Real<'_>, worktree: &Path) -> Result<(File, PathBuf)> {
    let admin_dir = world.site.repo.worktree_at(worktree)?.map(|it| it.admin_dir).ok_or_else(|| {
        Error::new(Kind::Git, format!("git lists no worktree at {} any more", worktree.display())).hint("try again")
    })?;
    let place = admin_dir.join(LOG);
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&place);
    let opened =
        opened.map_err(|cause| Error::new(Kind::Files, format!("cannot write {}", place.display())).because(cause));
    opened.map(|file| (file, place))
}

fn how(status: ExitStatus) -> String {
    status.code().map_or_else(|| "was killed".to_owned(), |code| format!("ended with exit code {code}"))
}
