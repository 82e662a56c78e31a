//! A worktree of many files: what git does with it, and what comes on top.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::{Bench, Result, Row, median, run, timed, written};

/// How many files, unless `BENCH_FILES` says another number.
const USUAL: usize = 50_000;

/// How many are in one directory.
const IN_ONE: usize = 100;

const ROUNDS: usize = 3;

fn wanted() -> usize {
    std::env::var("BENCH_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL)
}

impl Bench {
    /// Beside `git worktree add` and `git worktree remove`, which make no stack.
    pub(crate) fn large_worktree(&self) -> Result<Vec<Row>> {
        self.commit_files()?;
        let place = self.directory.join("plain");
        let mut times: [Vec<Duration>; 5] = Default::default();
        for round in 0..ROUNDS {
            let task = format!("files-{round}");
            times[0].push(timed(self.sandbox(&["up", &task]))?);
            times[1].push(timed(self.sandbox(&["up", &task]))?);
            written()?;
            times[2].push(timed(self.sandbox(&["rm", &task]))?);
            let place = place.display().to_string();
            times[3].push(timed(self.git(&["worktree", "add", "--quiet", "-b", "plain", &place]))?);
            written()?;
            times[4].push(timed(self.git(&["worktree", "remove", &place]))?);
            run(self.git(&["branch", "--quiet", "-D", "plain"]))?;
        }
        let [up, again, rm, add, remove] = times.map(median);
        let name = |what: &str| format!("{what}, worktree of {} files", wanted());
        Ok(vec![
            Row::new(name("`up`"), up).beside("git worktree add, no stack", add),
            Row::new(name("no-op `up`"), again),
            Row::new(name("`rm`"), rm).beside("git worktree remove, no stack", remove),
        ])
    }

    /// A commit of so many files, no two of them alike.
    fn commit_files(&self) -> Result<()> {
        let mut stream = String::from(
            "commit refs/heads/main\ncommitter bench <bench@localhost> 1700000000 +0000\ndata 5\nfiles\nfrom refs/heads/main^0\n",
        );
        for number in 0..wanted() {
            let text = format!("{number}\n").repeat(150);
            let (directory, length) = (number / IN_ONE, text.len());
            write!(stream, "M 644 inline src/{directory}/{number}.txt\ndata {length}\n{text}\n")?;
        }
        let mut import = self.git(&["fast-import", "--quiet"]);
        let mut importing = import.stdin(Stdio::piped()).spawn()?;
        importing.stdin.take().ok_or("no standard input")?.write_all(stream.as_bytes())?;
        if !importing.wait()?.success() {
            return Err("git fast-import failed".into());
        }
        run(self.git(&["reset", "--quiet", "--hard"])).map(drop)
    }
}
