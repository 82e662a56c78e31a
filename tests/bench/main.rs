//! `make bench`: what a command costs, beside what a user would run instead, in one run on one machine.
//!
//! Rounds alternate, so that whatever else the machine does falls on both sides. Medians and ratios go to stdout as a
//! table and to `target/bench.json`; what it costs to grow is drawn beside that. Needs an engine, the images, and a Docker Compose v2 client, whose path is in
//! `COMPOSE`; `make bench` sees to all three.
#![expect(clippy::print_stdout, reason = "a table on stdout is what it is for")]

mod large;
mod many;
mod plot;
mod worktree;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use plot::Plot;

const ROUNDS: usize = 7;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let bench = Bench::new()?;
    let measured = bench.measure();
    bench.sweep();
    let (rows, plots) = measured?;
    print(&rows);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let path = target.join("bench.json");
    std::fs::write(&path, serde_json::to_string_pretty(&rows.iter().map(Row::json).collect::<Vec<_>>())?)?;
    println!("\nwritten to {}", path.display());
    for plot in plots {
        println!("drawn in {}", plot.write(&target)?.display());
    }
    Ok(())
}

/// What was measured: ours, what it is compared with, and what it may cost.
struct Row {
    what: String,
    ours: Duration,
    other: Option<(&'static str, Duration)>,
    budget: Option<Duration>,
    /// How many times what it is compared with it is to be faster.
    wanted: Option<f64>,
    /// Megabytes that are used meanwhile, by what they are of.
    used: Vec<(&'static str, u64)>,
}

impl Row {
    fn new(what: impl Into<String>, ours: Duration) -> Row {
        Row { what: what.into(), ours, other: None, budget: None, wanted: None, used: Vec::new() }
    }

    fn beside(self, what: &'static str, time: Duration) -> Row {
        Row { other: Some((what, time)), ..self }
    }

    fn within(self, ms: u64) -> Row {
        Row { budget: Some(Duration::from_millis(ms)), ..self }
    }

    fn faster_by(self, ratio: f64) -> Row {
        Row { wanted: Some(ratio), ..self }
    }

    /// Whether it costs more than it may.
    fn is_missed(&self) -> bool {
        let is_slow = self.budget.is_some_and(|budget| self.ours > budget);
        is_slow || self.ratio().zip(self.wanted).is_some_and(|(ratio, wanted)| ratio < wanted)
    }

    fn using(self, used: &[(&'static str, u64)]) -> Row {
        Row { used: used.to_vec(), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.other.map(|(_, other)| other.as_secs_f64() / self.ours.as_secs_f64())
    }

    fn json(&self) -> serde_json::Value {
        let mut row = serde_json::json!({
            "what": self.what,
            "sandbox_ms": self.ours.as_secs_f64() * 1000.0,
            "other": self.other.map(|(name, _)| name),
            "other_ms": self.other.map(|(_, other)| other.as_secs_f64() * 1000.0),
            "ratio": self.ratio(),
            "budget_ms": self.budget.map(|budget| budget.as_secs_f64() * 1000.0),
            "wanted_ratio": self.wanted,
            "missed": self.is_missed(),
        });
        for (what, mb) in &self.used {
            row[format!("{what}_mb")] = (*mb).into();
        }
        row
    }
}

fn print(rows: &[Row]) {
    println!(
        "{:<46} {:>10}   {:<44} {:>8} {:>16}",
        "median of several rounds", "sandbox", "instead", "ratio", "target"
    );
    for row in rows {
        let other = row.other.map(|(name, other)| format!("{} {name}", show(other))).unwrap_or_default();
        let ratio = row.ratio().map(|ratio| format!("{ratio:.1}x")).unwrap_or_default();
        let wanted = row.wanted.map(|ratio| format!("{ratio:.1}x"));
        let targets: Vec<String> = row.budget.map(show).into_iter().chain(wanted).collect();
        let targets = targets.join(", ");
        let used: Vec<String> = row.used.iter().map(|(what, mb)| format!("  {mb} MB of {what}")).collect();
        let used = used.concat();
        let missed = if row.is_missed() { "  missed" } else { "" };
        println!("{:<46} {:>10}   {other:<44} {ratio:>8} {targets:>16}{used}{missed}", row.what, show(row.ours));
    }
    let with_target = rows.iter().filter(|row| row.budget.is_some() || row.wanted.is_some());
    println!("\n{} of {} targets missed", rows.iter().filter(|row| row.is_missed()).count(), with_target.count());
}

fn show(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// A repository, a state directory and the programs.
struct Bench {
    directory: PathBuf,
    sandbox: PathBuf,
    compose: PathBuf,
    template: PathBuf,
}

impl Bench {
    fn new() -> Result<Bench> {
        let directory = std::env::temp_dir().join(format!("sandbox-bench-{}", std::process::id()));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bench = Bench {
            sandbox: PathBuf::from(env!("CARGO_BIN_EXE_sandbox")),
            compose: std::env::var_os("COMPOSE")
                .map_or_else(|| root.join("target/tools/docker-compose"), PathBuf::from),
            template: root.join("compose-templates/postgres-redis.yaml"),
            directory,
        };
        std::fs::create_dir_all(bench.repository())?;
        run(bench.git(&["init", "--quiet", "--initial-branch", "main"]))?;
        run(bench.git(&["commit", "--quiet", "--allow-empty", "--message", "first"]))?;
        std::fs::write(bench.repository().join(".sandbox.yaml"), "subnet_pool: 10.233.0.0/16\n")?;
        Ok(bench)
    }

    fn repository(&self) -> PathBuf {
        self.directory.join("bench")
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.current_dir(self.repository()).args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"]);
        git.args(arguments);
        git
    }

    fn sandbox(&self, arguments: &[&str]) -> Command {
        let mut sandbox = Command::new(&self.sandbox);
        sandbox.current_dir(self.repository()).env("XDG_STATE_HOME", self.directory.join("state"));
        sandbox.env_remove("SANDBOX_WORKTREES").arg("--progress=quiet").args(arguments);
        sandbox
    }

    /// The same template and images, ready when its health checks say so, asked every second from the start.
    fn compose(&self, project: &str, images: &[(String, String)], arguments: &[&str]) -> Command {
        let mut compose = Command::new(&self.compose);
        compose.current_dir(&self.directory).arg("--file").arg(&self.template).args(["--project-name", project]);
        compose.envs([
            ("HEALTH_INTERVAL", "1s"),
            ("HEALTH_START_PERIOD", "0s"),
            ("POSTGRES_PORT", "25432"),
            ("REDIS_PORT", "26379"),
        ]);
        compose.envs(images.iter().cloned()).args(arguments);
        compose
    }

    fn measure(&self) -> Result<(Vec<Row>, Vec<Plot>)> {
        let images = self.images()?;
        let mut rows = self.life_of_a_stack(&images)?;
        rows.push(Row::new("`--help`", self.median(&["--help"])?).within(10));
        let (many, by_count) = self.many()?;
        rows.extend(many);
        let mut plots = vec![by_count];
        if large::megabytes() > 0 {
            let (large, by_size) = self.large(rows[0].ours)?;
            rows.extend(large);
            plots.push(by_size);
        }
        rows.extend(self.large_worktree()?);
        Ok((rows, plots))
    }

    fn life_of_a_stack(&self, images: &[(String, String)]) -> Result<Vec<Row>> {
        let mut times: [Vec<Duration>; 5] = Default::default();
        for round in 0..ROUNDS {
            let task = format!("round-{round}");
            times[0].push(timed(self.sandbox(&["up", &task]))?);
            times[1].push(timed(self.sandbox(&["rm", &task]))?);
            times[2].push(timed(self.compose("sandboxbench", images, &["up", "--detach", "--wait", "--quiet-pull"]))?);
            times[3].push(timed(self.compose("sandboxbench", images, &["down", "--volumes"]))?);
            times[4].push(Self::docker_alone(images)?);
        }
        let [up, rm, compose_up, compose_down, docker] = times.map(median);
        Ok(vec![
            Row::new("first `up`: worktree, Postgres, Redis", up)
                .beside("docker compose up -d --wait", compose_up)
                .within(700)
                .faster_by(5.0),
            Row::new("of that Docker: a network, two containers", docker),
            Row::new("`rm`: all of it", rm).beside("docker compose down -v", compose_down),
        ])
    }

    /// What nothing that uses Docker can do without: a network, and a container for each image that publishes a port, started at the
    /// same time. Nothing in them is awaited.
    fn docker_alone(images: &[(String, String)]) -> Result<Duration> {
        let docker = |words: &[&str]| {
            let mut docker = Command::new("docker");
            docker.args(words).stdin(Stdio::null()).stdout(Stdio::null());
            docker
        };
        let names: Vec<String> = (0..images.len()).map(|number| format!("sandboxbench-{number}")).collect();
        let begun = Instant::now();
        let started = || -> Result<Duration> {
            run(docker(&["network", "create", "sandboxbench"]))?;
            let start = |(name, (_, image)): (&String, &(String, String))| {
                docker(&[
                    "run",
                    "--detach",
                    "--name",
                    name,
                    "--network",
                    "sandboxbench",
                    "--publish",
                    "127.0.0.1::1234",
                ])
                .args(["--entrypoint", "sleep", image, "infinity"])
                .spawn()
            };
            for starting in names.iter().zip(images).map(start).collect::<Vec<_>>() {
                if !starting?.wait()?.success() {
                    return Err("a container does not start".into());
                }
            }
            Ok(begun.elapsed())
        };
        let started = started();
        let remove: Vec<&str> =
            ["rm", "--force", "--volumes"].into_iter().chain(names.iter().map(String::as_str)).collect();
        run(docker(&remove))?;
        run(docker(&["network", "rm", "sandboxbench"]))?;
        started
    }

    /// The images that a sandbox runs here, as the template's variables.
    fn images(&self) -> Result<Vec<(String, String)>> {
        run(self.sandbox(&["up", "images"]))?;
        let answer = run(self.sandbox(&["show", "images", "--json"]))?;
        run(self.sandbox(&["rm", "images"]))?;
        let shown: serde_json::Value = serde_json::from_slice(&answer.stdout)?;
        let services = shown["sandbox"]["services"].as_array().cloned().unwrap_or_default();
        let variable = |service: &serde_json::Value| {
            let name = service["service"].as_str()?.to_uppercase();
            Some((format!("{name}_IMAGE"), service["image"].as_str()?.to_owned()))
        };
        Ok(services.iter().filter_map(variable).collect())
    }

    fn median(&self, arguments: &[&str]) -> Result<Duration> {
        let times: Result<Vec<Duration>> = (0..4 * ROUNDS).map(|_| timed(self.sandbox(arguments))).collect();
        Ok(median(times?))
    }

    /// Removes whatever the run made, however it ended.
    fn sweep(&self) {
        let tasks = run(self.sandbox(&["ls", "--quiet"])).map(|output| output.stdout).unwrap_or_default();
        for task in String::from_utf8_lossy(&tasks).lines() {
            let _ = run(self.sandbox(&["rm", task]));
        }
        let saved = run(self.sandbox(&["snapshot", "ls", "--quiet"])).map(|output| output.stdout).unwrap_or_default();
        for name in String::from_utf8_lossy(&saved).lines() {
            let _ = run(self.sandbox(&["snapshot", "rm", name]));
        }
        let _ = run(self.compose("sandboxbench", &[], &["down", "--volumes"]));
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn timed(command: Command) -> Result<Duration> {
    let begun = Instant::now();
    run(command)?;
    Ok(begun.elapsed())
}

fn run(mut command: Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().map_err(|cause| format!("{command:?}: {cause}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// What was written before comes to the disk: otherwise what is measured next would wait for that, or remove what never came there.
fn written() -> Result<()> {
    run(Command::new("sync")).map(drop)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
