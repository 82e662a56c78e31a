//! A Docker Engine of a scenario's own, to be killed and started again; the machine's is never touched.
//!
//! In a network namespace of its own, since two daemons in one fight over `docker0`. Not by `ip netns exec`, which hides the
//! cgroup mounts. With a containerd beside it, as a system's own has: one that the daemon starts dies with it, and the next
//! does not answer while containers of the first still run. Root alone can have one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    PROGRAM, Ran, Running, Yard, docker, eventually, finish, inside,
    mounts::{detach, mount_xfs, run, unmount},
    place::{ENGINE_ALIVE, on_disk},
};

/// What is shown of the daemon's log where it ends.
const LAST_LINES: usize = 40;

/// See the module.
pub(crate) struct OwnEngine<'a> {
    yard: &'a Yard,
    directory: PathBuf,
    namespace: String,
    containerd: Child,
    daemon: Option<Child>,
    _alive: fs::File,
}

impl OwnEngine<'_> {
    /// One with the images that a sandbox runs.
    pub(crate) fn start(yard: &Yard) -> OwnEngine<'_> {
        let directory = on_disk(&yard.directory);
        fs::create_dir_all(&directory).unwrap();
        let (one, other) = (directory.join("one"), directory.join("other"));
        fs::write(&one, "block").unwrap();
        let shared =
            Command::new("cp").arg("--reflink=always").args([one, other]).stderr(Stdio::null()).status().unwrap();
        // Where the machine has reflinks itself it would be another engine than elsewhere.
        if shared.success() { OwnEngine::start_on_xfs(yard, false) } else { OwnEngine::start_there(yard) }
    }

    /// The same whose data is on XFS, which has reflinks unless it is made without.
    pub(crate) fn start_on_xfs(yard: &Yard, has_reflinks: bool) -> OwnEngine<'_> {
        mount_xfs(&on_disk(&yard.directory), "data", has_reflinks);
        OwnEngine::start_there(yard)
    }

    /// The same that cannot mount overlays over its volumes: these are on one already, which hands reflinks on that are of no use.
    pub(crate) fn start_without_overlays(yard: &Yard) -> OwnEngine<'_> {
        let place = |name: &str| on_disk(&yard.directory).join(name);
        mount_xfs(&on_disk(&yard.directory), "below", true);
        for name in ["data/volumes", "below/lower", "below/upper", "below/work"] {
            fs::create_dir_all(place(name)).unwrap();
        }
        let [lower, upper, work] =
            ["lower", "upper", "work"].map(|name| place("below").join(name).display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        // The daemon would do so itself, without what is mounted below.
        let data = place("data");
        run(Command::new("mount").args(["--bind", "--make-shared"]).args([&data, &data]));
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(place("data/volumes")));
        OwnEngine::start_there(yard)
    }

    /// The bytes that are used where its data is.
    pub(crate) fn used_bytes(&self) -> u64 {
        run(&mut Command::new("sync"));
        let free = rustix::fs::statvfs(self.directory.join("data")).unwrap();
        (free.f_blocks - free.f_bfree) * free.f_frsize
    }

    /// Leaves no room where its data is, but for some megabytes.
    pub(crate) fn fill_the_disk(&self, but_mb: u64) {
        run(&mut Command::new("sync"));
        let free = rustix::fs::statvfs(self.directory.join("data")).unwrap();
        let room = (free.f_bavail * free.f_frsize).saturating_sub(but_mb << 20);
        run(Command::new("fallocate").args(["-l", &room.to_string()]).arg(self.filler()));
    }

    /// Gives that room back.
    pub(crate) fn empty_the_disk(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("data/filler")
    }

    fn start_there(yard: &Yard) -> OwnEngine<'_> {
        let directory = on_disk(&yard.directory);
        let alive = fs::File::create(directory.join(ENGINE_ALIVE)).unwrap();
        alive.lock().unwrap();
        fs::write(directory.join("empty.json"), "{}").unwrap();
        let namespace = format!("sandbox-test-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        run(Command::new("ip").args(["-n", &namespace, "link", "set", "lo", "up"]));
        let place = |name: &str| directory.join(name).display().to_string();
        let mut command = inside(&namespace, "containerd");
        command.args(["--root", &place("root"), "--state", &place("state"), "--address", &place("c.sock")]);
        let log = fs::File::create(directory.join("containerd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let containerd = command.spawn().unwrap();
        let mut engine = OwnEngine { yard, directory, namespace, containerd, daemon: None, _alive: alive };
        engine.begin_with_images();
        engine.again();
        engine
    }

    /// The images of the machine's engine, which are loaded once: each further engine has a copy of how the first keeps them.
    fn begin_with_images(&mut self) {
        let ids = docker(&["image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
        let wanted = ["sandbox-postgres:", "sandbox-redis:", "postgres:17 ", "redis:8 ", "sandbox-pool:"];
        let mut images: Vec<&str> = ids.lines().filter(|line| wanted.iter().any(|it| line.starts_with(it))).collect();
        assert!(images.len() >= 2, "these scenarios need the images of a sandbox: make images");
        images.sort_unstable();
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-images");
        // Another version may keep them in another way.
        let of = docker(&["version", "--format", "{{.Server.Version}}"]) + &images.join("\n");
        fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let lock = fs::File::create(kept.with_extension("lock")).unwrap();
        let is_there = || fs::read_to_string(kept.join("of")).is_ok_and(|there| there == of);
        lock.lock_shared().unwrap();
        if !is_there() {
            lock.unlock().unwrap();
            lock.lock().unwrap();
        }
        // Another may have been faster.
        if is_there() {
            return Self::copy_images(&kept, &self.directory.join("data"));
        }
        // Made and removed by the one who has the lock, and by nobody else.
        if kept.exists() {
            fs::remove_dir_all(&kept).unwrap();
        }
        fs::create_dir(&kept).unwrap();
        self.again();
        self.load(images.iter().filter_map(|line| line.split(' ').next()));
        self.end_daemon();
        Self::copy_images(&self.directory.join("data"), &kept);
        // Last, so that what is there is whole.
        fs::write(kept.join("of"), of).unwrap();
    }

    /// Nobody writes into layers of images, so these are shared where that goes.
    fn copy_images(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        run(Command::new("cp").arg("--archive").arg(from.join("image")).arg(to));
        let copy = || {
            let mut copy = Command::new("cp");
            copy.arg("--archive").arg(from.join("overlay2")).arg(to);
            copy
        };
        let linked = copy().arg("--link").stderr(Stdio::null()).status().unwrap();
        if !linked.success() {
            let _ = fs::remove_dir_all(to.join("overlay2"));
            run(&mut copy());
        }
    }

    /// Has the daemon end in its own way.
    fn end_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
            let _ = daemon.wait();
        }
    }

    /// Starts the daemon, and waits until it answers.
    pub(crate) fn again(&mut self) {
        let (directory, host) = (self.directory.clone(), self.host());
        let place = |name: &str| directory.join(name).display().to_string();
        // A daemon that was killed has left it.
        let _ = fs::remove_file(self.directory.join("pid"));
        let mut command = self.inside("dockerd");
        command.args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")]);
        command.args([
            "--containerd",
            &place("c.sock"),
            "-H",
            &host,
            "--storage-driver",
            "overlay2",
            "--config-file",
            &place("empty.json"),
        ]);
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let daemon = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let daemon = self.daemon.insert(daemon);
        let up = eventually("the engine answers", || match daemon.try_wait().unwrap() {
            Some(status) => Some(Err(status)),
            None => asked(&host, &["version"]).status.success().then_some(Ok(())),
        });
        let Err(status) = up else { return };
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        panic!("the engine ended with {status}; its last lines, the last first:\n{}", last.join("\n"));
    }

    /// Ends the daemon as a crash does: its containers run on.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Ends everything of it as a reboot does: no process goes on, nothing stays mounted, no loop device attached.
    pub(crate) fn power_off(&mut self) {
        let running = self.docker(&["ps", "--quiet"]);
        let running: Vec<&str> = running.lines().collect();
        self.docker(&[&["kill"][..], &running].concat());
        self.kill();
        unmount(&self.directory.join("data/volumes"));
        detach(&self.pool_file());
    }

    /// The file of its pool.
    pub(crate) fn pool_file(&self) -> PathBuf {
        self.directory.join("data/volumes/sandbox_pool_image/_data/pool.img")
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Whether the file of its pool is attached, or a file that was removed still is.
    pub(crate) fn has_loop_device(&self) -> bool {
        let said = Command::new("losetup").args(["--list", "--noheadings", "--output", "BACK-FILE"]).output().unwrap();
        let ours = self.directory.display().to_string();
        String::from_utf8_lossy(&said.stdout).lines().any(|file| file.starts_with(&ours))
    }

    /// Has its pool be as after a reboot: not mounted, and attached to nothing.
    pub(crate) fn let_go_of_the_pool(&self) {
        self.docker(&["rm", "--force", "sandbox_pool"]);
        detach(&self.pool_file());
    }

    /// Runs the program beside it.
    pub(crate) fn sandbox(&self, arguments: &[&str]) -> Ran {
        finish(self.program(arguments))
    }

    /// What a task's Postgres answers.
    #[track_caller]
    pub(crate) fn sql(&self, task: &str, statement: &str) -> String {
        inside::sql(|words| self.sandbox(words), task, statement)
    }

    /// Puts a row and a key into a task's servers.
    #[track_caller]
    pub(crate) fn leave_a_note(&self, task: &str) {
        self.sql(task, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
        inside::redis(|words| self.sandbox(words), task, &["SET", "note", "kept"]);
    }

    /// How many of the two are there.
    #[track_caller]
    pub(crate) fn notes(&self, task: &str) -> usize {
        let tables = self.sql(task, "SELECT count(*) FROM pg_class WHERE relname = 'notes'");
        let row = tables == "1" && self.sql(task, "SELECT text FROM notes") == "kept";
        let key = inside::redis(|words| self.sandbox(words), task, &["GET", "note"]) == "kept";
        usize::from(row) + usize::from(key)
    }

    /// Starts the program beside it.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        Running(self.program(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// What it has of the yard's repository: containers, networks and volumes.
    pub(crate) fn has(&self, task: Option<&str>) -> Vec<String> {
        let list = |(kind, labels): (&[&str], Vec<String>)| {
            let mut words: Vec<String> = kind.iter().map(|&word| word.to_owned()).collect();
            words.extend(labels.iter().map(|label| format!("--filter=label={label}")));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.docker(&words).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let (own, uppers) = (self.yard.labels(task), self.yard.upper_labels(task));
        let volumes: &[&str] = &["volume", "ls", "-q"];
        let all = [
            (&["ps", "-aq"][..], own.clone()),
            (&["network", "ls", "-q"], own.clone()),
            (volumes, own),
            (volumes, uppers),
        ];
        all.into_iter().flat_map(list).collect()
    }

    /// Runs Docker's own client on it.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let said = self.asked(words);
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    /// Whether it refuses to do something.
    pub(crate) fn refuses(&self, words: &[&str]) -> bool {
        !self.asked(words).status.success()
    }

    /// The program beside it; anything may still be changed about it.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.inside(PROGRAM);
        self.yard.surround(&mut command).args(arguments).current_dir(&self.yard.repo);
        command.env("DOCKER_HOST", self.host());
        command
    }

    /// Images go from one engine to the other.
    fn load<'i>(&self, images: impl Iterator<Item = &'i str>) {
        let mut save = Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().unwrap();
        let mut load = Command::new("docker");
        run(load
            .args(["-H", &self.host(), "load", "--quiet"])
            .stdin(save.stdout.take().unwrap())
            .stdout(Stdio::null()));
        assert!(save.wait().unwrap().success());
    }

    fn asked(&self, words: &[&str]) -> std::process::Output {
        asked(&self.host(), words)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A command in its network.
    fn inside(&self, program: &str) -> Command {
        inside(&self.namespace, program)
    }
}

fn asked(host: &str, words: &[&str]) -> std::process::Output {
    Command::new("docker").args(["-H", host]).args(words).stdin(Stdio::null()).output().unwrap()
}

/// A command in a network namespace.
fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{namespace}")).arg(program);
    command
}

impl Drop for OwnEngine<'_> {
    /// Never panics: it runs while a scenario is failing. Where it was killed last it is started once more, to end its
    /// containers.
    fn drop(&mut self) {
        if self.daemon.is_none() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.again()));
        }
        let all = self.asked(&["ps", "-aq"]).stdout;
        for container in String::from_utf8_lossy(&all).lines() {
            self.asked(&["rm", "-f", container]);
        }
        // A pool that a scenario has left: found by its file, as long as that is to be seen.
        let file = self.pool_file();
        detach(&file);
        // Asked, they end their own children too, and let go of their mounts.
        self.end_daemon();
        let _ = kill_process(Pid::from_child(&self.containerd), Signal::TERM);
        let _ = self.containerd.wait();
        unmount(&self.directory);
        detach(&file);
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}
