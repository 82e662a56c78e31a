//! The one place that starts the git program.
//!
//! Owns how a child of ours runs: in which repository, with which variables, in a process group of its own, never with a
//! prompt. Knows no git command; callers name those.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::error::{Error, Kind, Result};
use crate::processes::Held;

/// What `git rev-parse --local-env-vars` lists, by all versions we support. In a hook, an alias or a rebase these name
/// the repository that git was at work on, which need not be the one we were asked about; they win over the directory.
pub const LOCAL_VARIABLES: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_QUARANTINE_PATH",
];

/// What changes the meaning of a command line, or the form of an answer.
const ALTERING_VARIABLES: [&str; 6] = [
    "GIT_DIFF_OPTS",
    "GIT_EXTERNAL_DIFF",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];

/// Settings of every child. A file system monitor is a program that the repository's configuration names, and runs only
/// with consent, as hooks do; it or a background `gc` would outlive the child besides, and hold its pipes open.
const SETTINGS: [&str; 4] = ["core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false", "submodule.recurse=false"];

/// Variables of every child: messages in the language that we read, and nobody asked for a password.
const VARIABLES: [(&str, &str); 5] = [
    ("LC_ALL", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // Set to nothing it wins over core.askPass and SSH_ASKPASS, and starts no program.
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GCM_INTERACTIVE", "never"),
];

/// The mark of every child and of all that it starts (filters, ssh): those of a run that was killed are told by it.
pub const CHILD_MARK: (&str, &str) = ("SANDBOX_CHILD", "git");

/// Whoever inherits the child's pipes and lives on (an ssh master) does not keep us waiting for longer.
const PIPES_GRACE: Duration = Duration::from_millis(250);

/// A git command about to be run.
pub(super) struct Program {
    command: Command,
    input: Option<Vec<u8>>,
}

/// How it ended.
pub(super) struct Output {
    pub(super) ok: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Program {
    /// Git in the repository that is found from a directory upwards.
    pub(super) fn within(dir: &Path) -> Program {
        let program = Program::with_hooks(dir);
        program.args(["-c", "core.hooksPath=/dev/null"])
    }

    /// The same with the hooks that the user has configured, for what the user could have typed.
    pub(super) fn with_hooks(dir: &Path) -> Program {
        let mut command = Command::new("git");
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        for name in LOCAL_VARIABLES.iter().chain(&ALTERING_VARIABLES) {
            command.env_remove(name);
        }
        command.envs(VARIABLES).env(CHILD_MARK.0, CHILD_MARK.1);
        #[cfg(test)]
        command.envs(super::fixture::HERMETIC);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        Program { command, input: None }
    }

    /// Git in the repository at a git directory, whatever encloses it.
    pub(super) fn at(git_dir: &Path) -> Program {
        let mut program = Program::within(git_dir);
        let mut option = std::ffi::OsString::from("--git-dir=");
        option.push(git_dir);
        program.command.arg(option);
        program
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.command.arg(arg);
        self
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Program {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// With the ssh command that does not ask, where there is one.
    pub(super) fn ssh(self, command: Option<&str>) -> Program {
        match command {
            Some(command) => self.env("GIT_SSH_COMMAND", command),
            None => self,
        }
    }

    /// What the child reads; a few kilobytes at most, since it is written before anything is read.
    pub(super) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Runs it to its end. Fails only when it cannot be run. Dropped half-way, it ends the child and its children.
    pub(super) async fn run(self) -> Result<Output> {
        let (mut child, group) = self.start().await?;
        let output = collect(&mut child).await;
        group.release();
        output
    }

    /// As `run`, and what it printed. An end other than a good one becomes an error about `what`.
    pub(super) async fn stdout(self, what: impl Into<String>) -> Result<Vec<u8>> {
        self.run().await?.or_error(what)
    }

    /// As `run`, for no longer than `cap`: then child and children are ended, and it is `None`.
    pub(super) async fn run_within(self, cap: Duration) -> Result<Option<Output>> {
        let (mut child, group) = self.start().await?;
        if let Ok(output) = tokio::time::timeout(cap, collect(&mut child)).await {
            group.release();
            return output.map(Some);
        }
        group.end().await;
        let _ = child.wait().await;
        group.release();
        Ok(None)
    }

    /// As `run`, for short reads in a caller that does not wait.
    pub(super) fn run_blocking(mut self) -> Result<Output> {
        let output = self.command.as_std_mut().output().map_err(not_run)?;
        Ok(Output {
            ok: output.status.success(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn start(mut self) -> Result<(Child, Held)> {
        let mut child = self.command.spawn().map_err(not_run)?;
        let group = Held::led_by(child.id());
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // A child that ends without reading says why by itself.
            let _ = stdin.write_all(&bytes).await;
        }
        Ok((child, group))
    }
}

impl Output {
    /// What it printed, or an error about `what` with what git said as its cause.
    pub(super) fn or_error(self, what: impl Into<String>) -> Result<Vec<u8>> {
        if self.ok { Ok(self.stdout) } else { Err(Error::new(Kind::Git, what).because(self.complaint())) }
    }

    /// What git said on stderr, without its advice, as one line.
    pub(super) fn complaint(&self) -> String {
        let said = |line: &&str| !line.is_empty() && !line.starts_with("hint:");
        let lines: Vec<&str> = self.stderr.lines().map(str::trim).filter(said).map(without_prefix).collect();
        if lines.is_empty() { "git failed without a word".into() } else { lines.join("; ") }
    }
}

fn without_prefix(line: &str) -> &str {
    ["fatal: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line)
}

async fn collect(child: &mut Child) -> Result<Output> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading = futures::future::join(drain(out, &mut stdout), drain(err, &mut stderr));
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await,
            status = child.wait() => {
                let _ = tokio::time::timeout(PIPES_GRACE, reading).await;
                status
            }
        }
    };
    let status = status.map_err(not_run)?;
    Ok(Output { ok: status.success(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

async fn drain(pipe: Option<impl AsyncReadExt + Unpin>, into: &mut Vec<u8>) {
    if let Some(mut pipe) = pipe {
        // What was read before a failure is all there is.
        let _ = pipe.read_to_end(into).await;
    }
}

fn not_run(cause: std::io::Error) -> Error {
    Error::new(Kind::Git, "cannot run the git program").because(cause).hint("install git 2.38 or newer, on the PATH")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_child_does_not_see_the_repository_of_the_hook_it_runs_in() {
        let all = Program::within(Path::new("/")).args(["rev-parse", "--local-env-vars"]).run().await.unwrap();
        for name in String::from_utf8(all.stdout).unwrap().lines() {
            // Our own `-c` settings travel to git's children in this one.
            assert!(LOCAL_VARIABLES.contains(&name), "{name} is not removed");
        }
    }

    #[tokio::test]
    async fn a_child_over_its_time_is_ended_with_its_children() {
        let marker = "86399.71";
        let slow = Program::within(Path::new("/")).args(["-c", &format!("alias.nap=!sleep {marker}; true"), "nap"]);
        let start = Instant::now();
        assert!(slow.run_within(Duration::from_millis(100)).await.unwrap().is_none());
        assert!(start.elapsed() < Duration::from_secs(5));
        // Killed is killed, but the kernel takes its time over each.
        while sleeping(marker) {
            assert!(start.elapsed() < Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_grandchild_that_keeps_the_pipes_does_not_keep_us() {
        let start = Instant::now();
        let program = Program::within(Path::new("/")).args(["-c", "alias.nap=!sleep 20 & true", "nap"]);
        assert!(program.run().await.unwrap().ok);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    fn sleeping(marker: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| line.starts_with(b"sleep\0") && String::from_utf8_lossy(&line).contains(marker))
        })
    }
}
