//! Running a command of the set-up. What it writes goes into a file beside the sandbox's record, and its last lines into an error.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use super::Real;
use crate::env;
use crate::error::{Error, Kind, Result};
use crate::git::CHILD_MARK;
use crate::processes::Held;
use crate::record::Record;
use crate::resolve::COMPOSE_FILE;

/// What it has written, in the worktree's admin directory.
const LOG: &str = "sandbox-setup.log";

/// How many of its last lines an error shows.
const LAST_LINES: usize = 20;

pub(super) async fn run(
    world: &Real<'_>,
    command: &str,
    worktree: &Path,
    record: &Record,
    is_first: bool,
) -> Result<()> {
    let (log, place) = open_log(world, worktree, is_first)?;
    let begun = log.metadata().map(|it| it.len()).unwrap_or_default();
    let failed = |cause: std::io::Error| Error::new(Kind::Setup, format!("cannot run `{command}`")).because(cause);
    let variables = env::variables(record, &worktree.join(COMPOSE_FILE));
    let mut program = tokio::process::Command::new("sh");
    for name in env::foreign(&variables, |name| std::env::var_os(name)) {
        program.env_remove(name);
    }
    program.args(["-c", command]).current_dir(worktree).envs(variables).env("PWD", worktree);
    // Whoever says stop in the terminal speaks to us; and what we leave, if we are killed, is told by the mark.
    program.process_group(0).env(CHILD_MARK.0, CHILD_MARK.1);
    program.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    let mut child = program.spawn().map_err(failed)?;
    let group = Held::led_by(child.id());
    let status = child.wait().await.map_err(failed)?;
    group.release();
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(&place).map_err(failed)?;
    let own = text.get(usize::try_from(begun).unwrap_or_default()..).unwrap_or_default();
    Err(Error::new(Kind::Setup, format!("`{command}` {}", how(status)))
        .because(last_lines(&String::from_utf8_lossy(own), &record.password))
        .hint(format!("all that it wrote: {}", place.display())))
}

/// Fit to be shown: without the sandbox's password, and without what a terminal would obey.
fn last_lines(text: &str, password: &str) -> String {
    let shown = |line: &str| line.replace(password, "…").replace(|c: char| c.is_control() && c != '\t', "");
    let lines: Vec<String> = text.lines().map(shown).collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => "it wrote nothing".to_owned(),
        last => last.join("\n"),
    }
}

/// The commands of one set-up write one after another.
fn open_log(world: &Real<'_>, worktree: &Path, is_first: bool) -> Result<(File, PathBuf)> {
    let admin_dir = world.site.repo.worktree_at(worktree)?.map(|it| it.admin_dir).ok_or_else(|| {
        Error::new(Kind::Git, format!("git lists no worktree at {} any more", worktree.display())).hint("try again")
    })?;
    let place = admin_dir.join(LOG);
    let failed = |cause| Error::new(Kind::Files, format!("cannot write {}", place.display())).because(cause);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&place).map_err(failed)?;
    if is_first {
        log.set_len(0).map_err(failed)?;
    }
    Ok((log, place))
}

fn how(status: ExitStatus) -> String {
    status.code().map_or_else(|| "was killed".to_owned(), |code| format!("ended with exit code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_password_and_no_escapes() {
        let text = "first\npostgres://postgres:s3cret@127.0.0.1\u{1b}[2J\n";
        assert_eq!(last_lines(text, "s3cret"), "first\npostgres://postgres:…@127.0.0.1[2J");
        assert_eq!(last_lines("", "s3cret"), "it wrote nothing");
        assert_eq!(last_lines(&"x\n".repeat(100), "s3cret").lines().count(), LAST_LINES);
    }
}
