//! What it costs to have many sandboxes: time, memory and disk, and `ls` of them.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::plot::{Line, Plot};
use crate::{Bench, Result, Row, median, run, timed};

/// Asks a task's Redis.
const REDIS: &str = "redis-cli --no-auth-warning -u \"$REDIS_URL\"";

/// How many at most, unless `BENCH_SANDBOXES` says another number.
const USUAL: usize = 200;

/// At how many it is looked how much they use.
const STATIONS: [usize; 4] = [1, 20, 100, 200];

/// How many are brought up at one time.
const WORKERS: usize = 2;

/// The median of so many is a point.
const TOGETHER: usize = 10;

fn wanted() -> usize {
    std::env::var("BENCH_SANDBOXES").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL)
}

impl Bench {
    /// All of them at one time, each with data of its own; then none.
    pub(crate) fn many(&self) -> Result<(Vec<Row>, Plot)> {
        let mut rows = Vec::new();
        let ups = Mutex::new(Vec::new());
        let mut listings = Vec::new();
        let before = available_mb()?;
        let (mut up, mut there) = (std::time::Duration::ZERO, 0);
        for station in STATIONS.into_iter().filter(|station| *station <= wanted()) {
            let begun = Instant::now();
            self.each(there..station, |bench, task| {
                let time = timed(bench.sandbox(&["up", task]))?;
                ups.lock().map_err(|_| "a worker panicked")?.push(time);
                Ok(())
            })?;
            up += begun.elapsed();
            there = station;
            let memory = before.saturating_sub(available_mb()?) / there as u64;
            let disk = self.written_mb()? / there as u64;
            let ls = Row::new(format!("`ls` with {there}"), self.median(&["ls"])?);
            listings.push((u32::try_from(there)?, ls.ours));
            let ls = if there == 20 { ls.within(50) } else { ls };
            rows.push(ls.using(&[("memory", memory), ("disk", disk)]));
            if there == 20 {
                rows.push(Row::new("no-op `up`", self.median(&["up", "many-0"])?).within(150));
                rows.push(Row::new("`env`", self.median(&["env", "many-0"])?));
            }
        }
        rows.push(Row::new(format!("`up` of {there}, {WORKERS} at a time"), up));
        let begun = Instant::now();
        self.each(0..there, |bench, task| {
            bench.sql(task, &format!("CREATE TABLE own AS SELECT '{task}' AS name"))?;
            bench.with_env(task, &format!("{REDIS} SET own {task} >/dev/null")).map(drop)
        })?;
        // Of all, once all have written.
        self.each(0..there, |bench, task| {
            bench.sql(task, &format!("SELECT 1 / (name = '{task}')::int FROM own"))?;
            bench.with_env(task, &format!("[ \"$({REDIS} GET own)\" = {task} ]")).map(drop)
        })?;
        rows.push(Row::new(format!("data of its own in each of {there}"), begun.elapsed()));
        let removed = timed(self.sandbox(&["rm", "--all", "--force"]))?;
        rows.push(Row::new(format!("`rm --all` of {there}"), removed));
        for label in ["sandbox.repo", "sandbox.upper.repo"] {
            let filter = format!("label={label}={}", self.repository().join(".git").display());
            for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
                let mut left = Command::new("docker");
                left.args(list).args(["--quiet", "--filter", &filter]);
                if !run(left)?.stdout.is_empty() {
                    return Err(format!("`docker {}` shows something that is left of them", list.join(" ")).into());
                }
            }
        }
        if !run(self.sandbox(&["ls", "--quiet"]))?.stdout.is_empty() {
            return Err("worktrees or claims are left of them".into());
        }
        let ups = ups.into_inner().map_err(|_| "a worker panicked")?;
        let ups = ups.chunks(TOGETHER).scan(0, |up, some| {
            *up += u32::try_from(some.len()).ok()?;
            Some((*up, median(some.to_vec())))
        });
        let lines = vec![
            Line { what: format!("`up` of one more, {WORKERS} at a time"), points: ups.collect() },
            Line { what: "`ls` of all".to_owned(), points: listings },
        ];
        let title = "What one more sandbox costs".to_owned();
        Ok((rows, Plot { name: "bench-by-count", title, x: "sandboxes that are up", lines }))
    }

    /// Does something with each, some at one time.
    fn each(&self, tasks: std::ops::Range<usize>, act: impl Fn(&Bench, &str) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicUsize::new(tasks.start);
        let work = || -> std::result::Result<(), String> {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= tasks.end {
                    return Ok(());
                }
                act(self, &format!("many-{number}")).map_err(|error| error.to_string())?;
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            let ended = workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker panicked".to_owned()));
            ended.collect::<Vec<_>>().into_iter().try_for_each(|end| end.and_then(|end| end))
        })?;
        Ok(())
    }

    /// What all of them have written.
    fn written_mb(&self) -> Result<u64> {
        let listed = run(self.sandbox(&["ls", "--usage", "--json"]))?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
        let sandboxes = listed["sandboxes"].as_array().cloned().unwrap_or_default();
        let own = |sandbox: &serde_json::Value| sandbox["usage"]["disk_own_bytes"].as_u64().unwrap_or_default();
        Ok(sandboxes.iter().map(own).sum::<u64>() >> 20)
    }
}

/// The memory that the machine could hand out.
fn available_mb() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).ok_or("no MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
