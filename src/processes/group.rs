//! Ending a process group, so that a git in it leaves no lock file behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Stat, all};

/// What a group gets to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the killed may take: the kernel frees their memory first.
const KILLED_PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at who is still there.
const POLL: Duration = Duration::from_millis(10);

/// How long a stopped process may take to be at rest, in the middle of a slow write.
const REST: Duration = Duration::from_millis(50);

/// Between two looks at whether a stopped process is at rest.
const REST_POLL: Duration = Duration::from_micros(200);

/// What a process gets to put away, or to register, the lock file that it has just made.
const STEP: Duration = Duration::from_millis(20);

/// Tries to find a group without a new lock file.
const TRIES: u32 = 10;

/// A process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group(Pid);

impl Group {
    /// The one that a process leads.
    #[must_use]
    pub fn led_by(pid: u32) -> Option<Group> {
        Pid::from_raw(i32::try_from(pid).ok()?).map(Group)
    }

    /// The one that a process is in; none where it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Group> {
        Group::led_by(Stat::of(pid)?.group)
    }

    /// Asks all in it to end. Git removes its lock files then, but for one that it has just made and not yet registered:
    /// so all are stopped, looked at, and let go on until none holds a lock file that it did not hold a step before.
    pub fn terminate(self) {
        let mut registered = BTreeSet::new();
        for _ in 0..TRIES {
            self.signal(Signal::STOP);
            let held: BTreeSet<(u32, PathBuf)> = self.at_rest().into_iter().flat_map(lock_files).collect();
            if held.is_subset(&registered) {
                break;
            }
            registered = held;
            self.signal(Signal::CONT);
            thread::sleep(STEP);
        }
        // Pending before they go on: none takes another step.
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Ends all in it by force.
    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Ends all in it: politely, and after a while by force. Returns when none is left.
    pub async fn end(self) {
        self.terminate();
        if !self.is_gone_within(PATIENCE).await {
            self.kill();
            self.is_gone_within(KILLED_PATIENCE).await;
        }
    }

    async fn is_gone_within(self, patience: Duration) -> bool {
        let begun = Instant::now();
        while self.members().next().is_some() {
            if begun.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    fn signal(self, signal: Signal) {
        // Gone is what is wanted.
        let _ = kill_process_group(self.0, signal);
    }

    /// Those in it that have not ended.
    fn members(self) -> impl Iterator<Item = (u32, Stat)> {
        let stats = all().filter_map(|pid| Some((pid, Stat::of(pid)?)));
        stats.filter(move |(_, stat)| Group::led_by(stat.group) == Some(self) && !stat.has_ended())
    }

    /// Those in it, each stopped unless it takes too long.
    fn at_rest(self) -> Vec<u32> {
        let begun = Instant::now();
        loop {
            let (pids, stats): (Vec<u32>, Vec<Stat>) = self.members().unzip();
            if stats.iter().all(Stat::is_stopped) || begun.elapsed() > REST {
                return pids;
            }
            thread::sleep(REST_POLL);
        }
    }
}

/// The lock files that a process has open, by git's naming.
fn lock_files(pid: u32) -> impl Iterator<Item = (u32, PathBuf)> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let files = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    files.filter(|file| file.extension().is_some_and(|it| it == "lock")).map(move |file| (pid, file))
}

/// The process group of a child that leads one; ended when whoever waits for it stops waiting, so that nothing it has started is
/// left behind.
#[derive(Debug)]
pub struct Held(Option<Group>);

impl Held {
    /// That of a child, by its number, where it has not ended yet.
    #[must_use]
    pub fn led_by(child: Option<u32>) -> Held {
        Held(child.and_then(Group::led_by))
    }

    /// Ends all in it.
    pub async fn end(&self) {
        if let Some(group) = self.0 {
            group.end().await;
        }
    }

    /// The child has ended: its number may soon be another's.
    pub fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.terminate();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// Intent: as git, which makes a lock file and only then sees to it that a signal removes it.
    #[tokio::test]
    async fn a_lock_file_that_was_just_made_is_registered_first() {
        let directory = tempfile::tempdir().unwrap();
        let script = "exec 9>x.lock; echo; read -t 0.002 <&8; trap 'rm x.lock; exit' TERM; sleep 86399.72 & wait";
        let mut command = Command::new("bash");
        command.args(["-c", &format!("exec 8<>pipe; {script}")]).current_dir(&directory);
        command.process_group(0).stdout(Stdio::piped());
        assert!(Command::new("mkfifo").arg(directory.path().join("pipe")).status().unwrap().success());
        let mut child = command.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let group = Group::of(child.id()).unwrap();
        assert_eq!(Group::led_by(child.id()), Some(group));
        group.end().await;
        assert!(child.wait().unwrap().success() && !directory.path().join("x.lock").exists());
    }

    #[tokio::test]
    async fn who_does_not_heed_is_ended_by_force() {
        let mut command = Command::new("bash");
        command.args(["-c", "trap '' TERM; echo; sleep 86399.73"]).process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Group::of(child.id()).unwrap().end().await;
        assert!(!child.wait().unwrap().success());
        assert_eq!(Group::of(child.id()), None);
    }
}
