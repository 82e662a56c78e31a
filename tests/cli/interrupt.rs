//! Ctrl-C while a command waits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use sandbox::error::Kind;
use sandbox::task::{Identity, TaskName};

use crate::desk::{Desk, Footprint};

#[test]
fn a_command_that_only_waits_ends_at_the_first_interrupt_and_leaves_nothing() {
    let desk = Desk::new();
    let _engine = desk.engine().hanging();
    let before = Footprint::of(&desk);
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = desk.spawn(&["up", "fix"]);
        while !catches(&child, signal) {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
            thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(i32::from(Kind::Interrupted.exit_code())));
    }
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
}

#[test]
fn a_removal_that_waits_for_another_command_ends_at_the_first_interrupt() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made_at("fix", 101);
    let repo = desk.repo().join(".git").display().to_string();
    let identity = Identity { repo, task: TaskName::parse("fix").unwrap() };
    let lock = desk.write(format!("home/state/sandbox/locks/{:016x}.lock", identity.spread()), "sandbox up fix\n");
    let lock = fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    let mut child = desk.spawn_heard(&["rm", "fix"]);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("waiting for")), "it does not wait");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(Kind::Interrupted.exit_code())));
    assert!(desk.worktrees().join("fix").exists());
}

/// Whether a process has a handler of its own for a signal, as the kernel tells it.
fn catches(child: &Child, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

impl Desk {
    /// A run of the binary in the repository that is not waited for.
    fn spawn(&self, args: &[&str]) -> Child {
        self.begun(args).stderr(Stdio::null()).spawn().unwrap()
    }

    /// One whose notes are read.
    fn spawn_heard(&self, args: &[&str]) -> Child {
        self.begun(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn begun(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.env_clear().envs(self.environment()).args(args).current_dir(self.repo());
        command
    }
}
