//! What a program that was run said, and how it ended.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long any one run may take, whatever it is.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What was run, for messages.
    pub(crate) what: String,
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(what: String, output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { what, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Ran {
        self.ends_with(0)
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Ran {
        assert!(self.code == Some(code), "{} should have ended with {code}\n{self}", self.what);
        self
    }

    /// Whether all of the texts are on stderr.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Ran {
        for text in texts {
            assert!(self.stderr.contains(text), "{} did not say {text:?}\n{self}", self.what);
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("{}: {cause}\n{self}", self.what))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code: {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A program that runs beside the scenario, and ends with it.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for its end, as long as any run may take.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        eventually("the program ends", || self.0.try_wait().unwrap())
    }

    /// Waits for its end, and takes what it said.
    pub(crate) fn output(mut self) -> Ran {
        let status = self.wait();
        let mut ran =
            Ran { what: "the program".into(), code: status.code(), stdout: String::new(), stderr: String::new() };
        let _ = self.0.stdout.take().map(|mut pipe| pipe.read_to_string(&mut ran.stdout));
        let _ = self.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut ran.stderr));
        ran
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // One that has ended has nothing to hear.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until there is something to see.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain until {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets time pass, where something is to be slow.
pub(crate) fn dawdle(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// A text of lines `NAME=value` as a map.
pub(crate) fn variables(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}
