//! What a large database costs: begun with, asked, saved and reset, as a plain overlay and in a pool, beside what copies it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::plot::{Line, Plot};
use crate::{Bench, Result, Row, median, run, timed, written};

/// Copying the files of a database.
const PLAIN: &str = "plain copy";

/// The size of the database, unless `BENCH_DATABASE_MB` says another.
const USUAL_MB: u64 = 2048;

/// Rounds of what takes seconds each.
const ROUNDS: usize = 3;

/// What part of the size it is looked at on the way.
const PARTS: [u64; 4] = [16, 4, 2, 1];

/// What a `pool create` says that would be of no use.
const HAS_REFLINKS: &str = "the engine's own storage has reflinks";

/// How many snapshots stand on one another.
const DEPTH: usize = 12;

/// The rows of the table: a kilobyte each.
pub(crate) fn megabytes() -> u64 {
    std::env::var("BENCH_DATABASE_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL_MB)
}

impl Bench {
    /// All of it. `empty` is what an `up` with empty databases takes.
    pub(crate) fn large(&self, empty: Duration) -> Result<(Vec<Row>, Plot)> {
        let mut rows = Vec::new();
        let mut lines = self.fill("big", "overlay")?;
        let copies = self.copies()?;
        rows.extend(self.on_storage("overlay", empty, &copies)?);
        rows.extend(self.deep()?);
        self.empty("overlay")?;
        let made = run(self.sandbox(&["pool", "create", "--size", "16g"]));
        // Where the storage has reflinks itself no pool is made, and `overlay` stands on these.
        if !made.as_ref().is_err_and(|why| why.to_string().contains(HAS_REFLINKS)) {
            made?;
            lines.extend(self.fill("big", "pool")?);
            rows.extend(self.on_storage("pool", empty, &copies)?);
            self.empty("pool")?;
            run(self.sandbox(&["pool", "rm"]))?;
        }
        let title = "What a database costs that a sandbox begins with".to_owned();
        Ok((rows, Plot { name: "bench-by-size", title, x: "MB of the table", lines }))
    }

    /// A sandbox with the large table, which grows; and what it costs at some of its sizes to begin with it.
    fn fill(&self, task: &str, storage: &str) -> Result<Vec<Line>> {
        run(self.sandbox(&["up", task]))?;
        self.sql(task, "CREATE TABLE large (id bigint PRIMARY KEY, number int, text text)")?;
        let mut lines = [
            format!("`up --snapshot`, {storage}"),
            format!("the same and the first indexed SELECT, {storage}"),
            "plain copy".to_owned(),
        ]
        .map(|what| Line { what, points: Vec::new() });
        let mut filled = 0;
        for part in PARTS {
            let rows = megabytes() * 1024 / part;
            self.sql(
                task,
                &format!(
                    "SET synchronous_commit = off; INSERT INTO large SELECT n, n, repeat('x', 900) \
                     FROM generate_series({filled} + 1, {rows}) n; CHECKPOINT"
                ),
            )?;
            filled = rows;
            let times = self.grown(task, &format!("{storage}-{part}"))?;
            let size = u32::try_from(rows / 1024)?;
            for (line, time) in lines.iter_mut().zip(times) {
                line.points.push((size, time));
            }
        }
        let [up, select, copy] = lines;
        Ok(if storage == "overlay" { vec![copy, up, select] } else { vec![up, select] })
    }

    /// Removes what was filled, and what was saved of it on the way.
    fn empty(&self, storage: &str) -> Result<()> {
        run(self.sandbox(&["rm", "big"]))?;
        for part in PARTS {
            run(self.sandbox(&["snapshot", "rm", &format!("{storage}-{part}")]))?;
        }
        Ok(())
    }

    /// What it costs now to begin with a task's database, to ask it something, and to copy it plainly.
    fn grown(&self, task: &str, name: &str) -> Result<[Duration; 3]> {
        let copy = self.plain_copy(task)?;
        run(self.sandbox(&["snapshot", "save", task, name]))?;
        let mut times: [Vec<Duration>; 2] = Default::default();
        for round in 0..ROUNDS {
            let new = format!("{name}-{round}");
            let up = timed(self.sandbox(&["up", &new, "--snapshot", name]))?;
            let select = self.sql(&new, "SELECT number FROM large WHERE id = 7777")?;
            times[0].push(up);
            times[1].push(up + select);
            run(self.sandbox(&["rm", &new]))?;
        }
        let [up, select] = times.map(median);
        Ok([up, select, copy])
    }

    /// How long it takes to copy the files of a task's database.
    fn plain_copy(&self, task: &str) -> Result<Duration> {
        let shell = |line: &str| self.sandbox(&["exec", task, "--service", "postgres", "--", "sh", "-c", line]);
        let copied =
            timed(shell("mkdir /tmp/copy && cp -a /var/lib/postgresql/data/base /tmp/copy/ && sync /tmp/copy"))?;
        run(shell("rm -rf /tmp/copy"))?;
        Ok(copied)
    }

    fn on_storage(
        &self,
        storage: &'static str,
        empty: Duration,
        copies: &[(&'static str, Duration)],
    ) -> Result<Vec<Row>> {
        let name = |what: &str| format!("{} MB, {storage}: {what}", megabytes());
        run(self.sandbox(&["snapshot", "save", "big", storage]))?;
        let mut times: [Vec<Duration>; 6] = Default::default();
        let mut disk = Vec::new();
        for round in 0..ROUNDS {
            let [read, scan, write] = ["read", "scanned", "written"].map(|it| format!("{storage}-{it}-{round}"));
            let before = self.used_mb(storage, &read)?;
            times[0].push(timed(self.sandbox(&["up", &read, "--snapshot", storage]))?);
            times[1].push(self.sql(&read, "SELECT number FROM large WHERE id = 77777")?);
            disk.push(self.used_mb(storage, &read)?.saturating_sub(before));
            for task in [&scan, &write] {
                run(self.sandbox(&["up", task, "--snapshot", storage]))?;
            }
            times[2].push(self.sql(&scan, "SELECT count(number) FROM large")?);
            let update = "UPDATE large SET number = 0 WHERE id = 77777";
            times[3].push(self.sql(&write, update)?);
            written()?;
            times[4].push(timed(self.sandbox(&["reset", &write]))?);
            self.sql(&write, update)?;
            written()?;
            times[5].push(timed(self.sandbox(&["snapshot", "save", &write, &write]))?);
            run(self.sandbox(&["rm", &read, &scan, &write]))?;
            run(self.sandbox(&["snapshot", "rm", &write]))?;
        }
        run(self.sandbox(&["rm", "big"]))?;
        run(self.sandbox(&["snapshot", "rm", storage]))?;
        run(self.sandbox(&["up", "big"]))?;
        let [up, select, scan, update, reset, saved] = times.map(median);
        disk.sort_unstable();
        let first = Row::new(name("first indexed SELECT"), select).using(&[("disk", disk[disk.len() / 2])]);
        let mut rows = vec![
            Row::new(name("`up --snapshot`"), up).beside("`up` with empty databases", empty).faster_by(1.0 / 1.5),
            if storage == "pool" { first.within(200) } else { first },
            Row::new(name("first UPDATE"), update),
            Row::new(name("first scan of every table"), scan),
            Row::new(name("`reset`"), reset).within(1500),
            Row::new(name("`snapshot save`"), saved).within(1500),
        ];
        rows.extend(copies.iter().map(|&(what, time)| {
            let row = Row::new(name("`up --snapshot`"), up).beside(what, time);
            if what == PLAIN { row.faster_by(10.0) } else { row }
        }));
        Ok(rows)
    }

    /// What copies a database of that size.
    fn copies(&self) -> Result<Vec<(&'static str, Duration)>> {
        let shell = |line: &str| self.sandbox(&["exec", "big", "--service", "postgres", "--", "sh", "-c", line]);
        let database =
            "$(psql -U postgres -XAtc \"SELECT datname FROM pg_database WHERE datname LIKE '%_development'\")";
        let dump =
            "createdb -U postgres restored && pg_dump -U postgres -Fc -Z0 \"$d\" | pg_restore -U postgres -d restored";
        let restored = timed(shell(&format!("d={database}; {dump}")))?;
        run(shell("dropdb -U postgres restored"))?;
        let template = timed(shell(&format!("d={database}; createdb -U postgres -T \"$d\" copied")))?;
        run(shell("dropdb -U postgres copied"))?;
        Ok(vec![
            (PLAIN, self.plain_copy("big")?),
            ("pg_dump | pg_restore", restored),
            ("CREATE DATABASE … TEMPLATE", template),
        ])
    }

    /// Snapshots that stand on one another.
    fn deep(&self) -> Result<Vec<Row>> {
        run(self.sandbox(&["up", "deep"]))?;
        let up = |name: &str| -> Result<Duration> {
            let mut times = Vec::new();
            for round in 0..ROUNDS {
                let task = format!("{name}-{round}");
                times.push(timed(self.sandbox(&["up", &task, "--snapshot", name]))?);
                run(self.sandbox(&["rm", &task]))?;
            }
            Ok(median(times))
        };
        let name = |depth: usize| format!("depth-{depth}");
        for depth in 1..=DEPTH {
            self.sql("deep", &format!("CREATE TABLE at_{depth} AS SELECT {depth} AS depth"))?;
            run(self.sandbox(&["snapshot", "save", "deep", &name(depth)]))?;
        }
        let (one, twelve) = (up(&name(1))?, up(&name(DEPTH))?);
        run(self.sandbox(&["rm", "deep"]))?;
        for depth in 1..=DEPTH {
            run(self.sandbox(&["snapshot", "rm", &name(depth)]))?;
        }
        Ok(vec![Row::new(format!("`up` on {DEPTH} snapshots"), twelve).beside("`up` on one", one).faster_by(1.0 / 1.3)])
    }

    /// Asks the database of a task from the host, and says how long the answer took.
    pub(crate) fn sql(&self, task: &str, statement: &str) -> Result<Duration> {
        self.with_env(
            task,
            &format!("exec psql -X -q -v ON_ERROR_STOP=1 -d \"$DB_NAME\" -o /dev/null -c \"{statement}\""),
        )
    }

    /// How long a line of shell takes with a task's variables.
    pub(crate) fn with_env(&self, task: &str, line: &str) -> Result<Duration> {
        let environment = run(self.sandbox(&["env", task, "--format", "json"]))?;
        let environment: serde_json::Value = serde_json::from_slice(&environment.stdout)?;
        let variables = environment.as_object().ok_or("`env` says no variables")?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        command.envs(variables.iter().filter_map(|(name, value)| Some((name, value.as_str()?))));
        let begun = Instant::now();
        run(command)?;
        Ok(begun.elapsed())
    }

    /// What is used: in the pool, or by what a task has written.
    fn used_mb(&self, storage: &str, task: &str) -> Result<u64> {
        if storage == "pool" {
            let shown = run(self.sandbox(&["pool", "show", "--json"]))?;
            let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
            return Ok(shown["pool"]["used_bytes"].as_u64().unwrap_or_default() >> 20);
        }
        let mut list = Command::new("docker");
        list.args(["volume", "ls", "--quiet", "--filter", &format!("label=sandbox.upper.task={task}")]);
        let listed = String::from_utf8(run(list)?.stdout)?;
        let mut total = 0;
        for volume in listed.lines() {
            let mut inspect = Command::new("docker");
            inspect.args(["volume", "inspect", "--format", "{{.Mountpoint}}", volume]);
            let place = String::from_utf8(run(inspect)?.stdout)?;
            let mut du = Command::new("du");
            du.args(["-sm", place.trim()]);
            let said = String::from_utf8(run(du)?.stdout)?;
            total += said.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(total)
    }
}
