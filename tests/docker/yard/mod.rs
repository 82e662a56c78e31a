//! A yard: a directory with a repository, a home and claims of its own, and nothing left of it when the scenario ends.

mod compose;
mod engine;
pub(crate) mod inside;
mod lane;
mod mounts;
mod not_root;
mod own_engine;
mod place;
mod ran;
mod registry;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub(crate) use compose::client as compose;
pub(crate) use engine::{KINDS, docker, inspect, labelled, sweep};
pub(crate) use lane::Lane;
pub(crate) use not_root::NotRoot;
pub(crate) use own_engine::OwnEngine;
use place::{ALIVE, empty, sweep_the_dead, temporary};
pub(crate) use ran::{LIMIT, Ran, Running, dawdle, eventually, variables};
pub(crate) use registry::{Manner, Registry, redis_image};

/// The program, as Cargo built it.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox");

/// The label that says whose a resource is.
const REPO_LABEL: &str = "sandbox.repo";

/// The label of what clones write into: the repository.
const UPPER_LABEL: &str = "sandbox.upper.repo";

/// The label that says to which yard a resource belongs that the program did not make.
const STRAY_LABEL: &str = "dt-yard";

/// Where a scenario plays.
#[derive(Debug)]
pub(crate) struct Yard {
    /// Everything is in here.
    pub(crate) directory: PathBuf,
    /// The main checkout.
    pub(crate) repo: PathBuf,
    pub(crate) lane: Lane,
    _alive: File,
}

impl Yard {
    /// An empty yard: no repository yet.
    pub(crate) fn empty(scenario: &str) -> Yard {
        engine::require();
        sweep_the_dead();
        let name = format!("dt-{scenario}-{}", std::process::id());
        let directory = temporary().join(&name);
        fs::create_dir(&directory).unwrap();
        // Locked before it has its name, so that nobody takes a yard that is being laid out for a dead one.
        let alive = File::create(directory.join("laid-out")).unwrap();
        alive.lock().unwrap();
        fs::rename(directory.join("laid-out"), directory.join(ALIVE)).unwrap();
        let yard = Yard { repo: directory.join(&name), directory, lane: Lane::take(), _alive: alive };
        for directory in ["home/.config/sandbox", "state"] {
            fs::create_dir_all(yard.directory.join(directory)).unwrap();
        }
        let identity = "[user]\n\tname = Developer\n\temail = developer@example.com\n";
        fs::write(yard.directory.join("home/.gitconfig"), identity).unwrap();
        fs::write(yard.directory.join("home/.config/sandbox/config.yaml"), yard.lane.settings()).unwrap();
        yard
    }

    /// A yard with a repository of one commit.
    pub(crate) fn new(scenario: &str) -> Yard {
        let yard = Yard::empty(scenario);
        yard.make_repository(&yard.repo);
        yard
    }

    /// A yard with the Rails application.
    pub(crate) fn rails(scenario: &str) -> Yard {
        let yard = Yard::empty(scenario);
        let tool = source("tests/tools/rails-repo");
        let made = yard.surround(Command::new(tool).arg(&yard.repo)).output().unwrap();
        Ran::of("rails-repo".into(), &made).ok();
        yard
    }

    /// A repository of one commit.
    pub(crate) fn make_repository(&self, path: &Path) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("README"), "A notebook\n").unwrap();
        for arguments in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "A notebook"]] {
            self.git_in(path, arguments);
        }
    }

    /// Gives a child nothing of this process but its path to programs and its engine.
    pub(crate) fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().current_dir(&self.directory).stdin(Stdio::null());
        for name in ["PATH", "DOCKER_HOST"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.directory.join("home"));
        command.env("XDG_STATE_HOME", self.directory.join("state"));
        command.env("LANG", "C.UTF-8")
    }

    /// The program, in the main checkout; anything may still be changed about it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        self.surround(&mut command).args(arguments);
        if self.repo.is_dir() {
            command.current_dir(&self.repo);
        }
        command
    }

    /// Runs the program in the main checkout.
    pub(crate) fn sandbox(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments))
    }

    /// Starts the program in the main checkout; what it says can be read from it.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        Running(self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs a verb of the program in a terminal, at which something is typed.
    pub(crate) fn in_a_terminal(&self, verb: &str, typed: &str) -> Ran {
        let mut command = Command::new("script");
        self.surround(&mut command).args(["-qec", &format!("{PROGRAM} {verb}"), "/dev/null"]);
        command.current_dir(&self.repo);
        finish_with(command, typed)
    }

    /// Brings a task up.
    #[track_caller]
    pub(crate) fn up(&self, task: &str) -> Ran {
        self.sandbox(&["up", task]).ok()
    }

    /// What `up --dry-run` prints.
    #[track_caller]
    pub(crate) fn plan(&self, task: &str) -> String {
        self.sandbox(&["up", "--dry-run", task]).ok().stdout
    }

    /// Checks that there is nothing to do.
    #[track_caller]
    pub(crate) fn assert_as_desired(&self, task: &str) {
        assert_eq!(self.plan(task), "nothing to do\n");
    }

    /// A line for a shell, in the worktree of a task, with its env file read as the README says.
    pub(crate) fn sourced_by(&self, shell: &str, task: &str, line: &str) -> Ran {
        let mut command = Command::new(shell);
        let line = format!("set -a; . ./.env.worktree; set +a; {line}");
        self.surround(&mut command).arg("-c").arg(line).current_dir(self.worktree(task));
        finish(command)
    }

    /// The same in bash.
    pub(crate) fn sourced(&self, task: &str, line: &str) -> Ran {
        self.sourced_by("bash", task, line)
    }

    /// The answer of a task's database.
    #[track_caller]
    pub(crate) fn sql(&self, task: &str, statement: &str) -> String {
        let line = format!("psql -X -q -A -t -v ON_ERROR_STOP=1 -d \"$DB_NAME\" -c \"{statement}\"");
        self.sourced(task, &line).ok().stdout.trim().to_owned()
    }

    /// The answer of a task's Redis.
    #[track_caller]
    pub(crate) fn redis(&self, task: &str, words: &str) -> String {
        self.sourced(task, &format!("redis-cli --no-auth-warning -u \"$REDIS_URL\" {words}")).ok().stdout.trim().into()
    }

    /// Puts a row and a key into a task's servers.
    pub(crate) fn leave_a_note(&self, task: &str) {
        self.sql(task, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
        assert_eq!(self.redis(task, "SET note kept"), "OK");
    }

    /// Checks that both are still there.
    #[track_caller]
    pub(crate) fn assert_note_is_kept(&self, task: &str) {
        assert_eq!(self.sql(task, "SELECT text FROM notes"), "kept");
        assert_eq!(self.redis(task, "GET note"), "kept");
    }

    /// A task's variables.
    #[track_caller]
    pub(crate) fn env(&self, task: &str) -> BTreeMap<String, String> {
        variables(&self.sandbox(&["env", task]).ok().stdout)
    }

    /// A task's view, as `show --json` has it.
    #[track_caller]
    pub(crate) fn view(&self, task: &str) -> Value {
        self.sandbox(&["show", "--json", task]).ok().json()["sandbox"].take()
    }

    /// Where a task's worktree is by default.
    pub(crate) fn worktree(&self, task: &str) -> PathBuf {
        let root = format!("{}-wt", self.repo.file_name().unwrap().to_str().unwrap());
        self.repo.with_file_name(root).join(task.replace('/', "-"))
    }

    /// Runs git in the main checkout.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.repo, arguments)
    }

    /// Runs git somewhere.
    #[track_caller]
    pub(crate) fn git_in(&self, directory: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        self.surround(&mut command).args(arguments).current_dir(directory);
        finish(command).ok().stdout.trim().to_owned()
    }

    /// The repository's own settings.
    pub(crate) fn set(&self, text: &str) {
        fs::write(self.repo.join(".sandbox.yaml"), text).unwrap();
    }

    /// The claims file.
    pub(crate) fn claims(&self) -> PathBuf {
        self.directory.join("state/sandbox/claims.json")
    }

    /// Who has claimed what.
    pub(crate) fn claimed(&self) -> Vec<Value> {
        let Ok(text) = fs::read_to_string(self.claims()) else { return Vec::new() };
        let file: Value = serde_json::from_str(&text).unwrap();
        file["claims"].as_array().unwrap().clone()
    }

    /// The labels of everything of the repository, or of one of its tasks.
    pub(crate) fn labels(&self, task: Option<&str>) -> Vec<String> {
        let mut labels = vec![format!("{REPO_LABEL}={}", self.common_dir())];
        labels.extend(task.map(|task| format!("sandbox.task={task}")));
        labels
    }

    /// The labels of what its clones write into.
    pub(crate) fn upper_labels(&self, task: Option<&str>) -> Vec<String> {
        let mut labels = vec![format!("{UPPER_LABEL}={}", self.common_dir())];
        labels.extend(task.map(|task| format!("sandbox.upper.task={task}")));
        labels
    }

    /// The label of what a scenario makes itself: it goes with the yard.
    pub(crate) fn stray_label(&self) -> String {
        format!("{STRAY_LABEL}={}", self.directory.display())
    }

    fn common_dir(&self) -> String {
        let git = self.repo.join(".git");
        if git.is_dir() { git } else { self.repo.clone() }.display().to_string()
    }

    /// What the engine has of a task: ids, of volumes names.
    pub(crate) fn has(&self, kind: &str, task: &str) -> Vec<String> {
        let mut ids = labelled(kind, &self.labels(Some(task)));
        if kind == "volume" {
            ids.extend(labelled(kind, &self.upper_labels(Some(task))));
        }
        ids.sort();
        ids
    }

    /// The id of the container of a service.
    #[track_caller]
    pub(crate) fn container(&self, task: &str, service: &str) -> String {
        let mut labels = self.labels(Some(task));
        labels.push(format!("sandbox.service={service}"));
        let found = labelled("container", &labels);
        assert_eq!(found.len(), 1, "containers of {service}: {found:?}");
        found.into_iter().next().unwrap()
    }

    /// Checks that a task is whole: one container a service, one network, four volumes.
    #[track_caller]
    pub(crate) fn assert_whole(&self, task: &str) {
        self.assert_whole_beside(task, 0);
    }

    /// The same where so many volumes are there that it wrote into once, and that are snapshots now.
    #[track_caller]
    pub(crate) fn assert_whole_beside(&self, task: &str, frozen: usize) {
        let counts = KINDS.map(|kind| self.has(kind, task).len());
        assert_eq!(counts, [2, 1, 4 + frozen], "containers, networks and volumes of {task}");
        assert_eq!(self.view(task)["state"], "running");
    }

    /// Checks that nothing at all is left of a task.
    #[track_caller]
    pub(crate) fn assert_no_trace(&self, task: &str) {
        for kind in KINDS {
            assert_eq!(self.has(kind, task), [""; 0], "{kind}s of {task}");
        }
        assert!(!self.worktree(task).exists(), "the worktree of {task} is still there");
        let worktrees = self.git(&["worktree", "list", "--porcelain"]);
        assert!(!worktrees.contains(self.worktree(task).to_str().unwrap()), "{worktrees}");
        let refs = self.git(&["for-each-ref", "--format=%(refname)"]);
        let left: Vec<&str> = refs.lines().filter(|name| name.ends_with(&format!("/{task}"))).collect();
        assert_eq!(left, [""; 0], "refs");
        let (claims, repo) = (self.claimed(), self.common_dir());
        let ours = |claim: &Value| claim["identity"]["task"] == task && claim["identity"]["repo"] == repo.as_str();
        assert!(!claims.iter().any(ours), "claims: {claims:?}");
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        empty(&self.directory);
    }
}

/// Runs a program to its end, or to the limit.
pub(crate) fn finish(command: Command) -> Ran {
    finish_with(command, "")
}

/// The same with something on its standard input.
pub(crate) fn finish_with(command: Command, stdin: &str) -> Ran {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let what = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = assert_cmd::Command::from_std(command).timeout(LIMIT).write_stdin(stdin).output().unwrap();
    Ran::of(what, &output)
}

/// A file of the source tree.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
