//! A yard in which one task is made, killed and removed again and again, among things that are nobody's but look like it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::proxy::Proxy;
use super::{Door, Point, When};
use crate::prepared::{add_set_up, prepared};
use crate::saved::save_until_it_is_flat;
use crate::yard::{KINDS, Ran, Running, Yard, docker, labelled, source};

/// The one task. Nothing is left of it between two points.
const TASK: &str = "a";

/// What the worktree of nobody is called, beside that of the task.
const NOTES: &str = "a-notes";

/// What it is merged into, where it is.
const MERGED: &str = "a-merged";

/// What a snapshot of it is called.
const SAVED: &str = "saved";

/// The task whose snapshots others stand on, where these are many. As long as the other: its layers are as long to say.
const DEEP: &str = "d";

/// How the databases of the task come by their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// As anybody's.
    Usual,
    /// By copying it.
    Copies,
    /// Standing on so many snapshots that the next one flattens them.
    Deep,
    /// From a set-up, which is kept for others to begin with.
    SetUp,
}

/// Where the points of one worker are tried.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) yard: Yard,
    /// Names of the stack's resources begin with it.
    project: String,
    /// What the engine has under such names, and is not the stack's.
    look_alikes: InTheEngine,
    /// The snapshot that the task begins with.
    begins_with: Option<String>,
}

/// Ids and names of containers, networks and volumes.
type InTheEngine = [BTreeSet<String>; 3];

/// How a run went that was to be killed at a point.
pub(super) struct Cut {
    /// At which act it was killed; none where it came to its end without reaching it.
    pub(super) at: Option<String>,
    pub(super) ran: Ran,
}

impl Ground {
    pub(super) fn new(scenario: &str, data: Data) -> Ground {
        // A long name makes the options of a mount long.
        let scenario = if data == Data::Deep { &*format!("{scenario}-{}", "x".repeat(30)) } else { scenario };
        let yard = Yard::new(scenario);
        if data == Data::Copies {
            yard.set("storage: copy\n");
            yard.git(&["add", "."]);
            yard.git(&["commit", "-q", "-m", "Settings"]);
        }
        if data == Data::SetUp {
            add_set_up(&yard, "");
        }
        let name = yard.repo.file_name().unwrap().to_str().unwrap();
        let project = format!("{}_{TASK}", name.replace('-', "_"));
        let mut ground = Ground { yard, project, look_alikes: InTheEngine::default(), begins_with: None };
        ground.lay_out_what_is_nobodys();
        if data == Data::Deep {
            ground.begins_with = Some(save_until_it_is_flat(&ground.yard, DEEP));
        }
        ground.look_alikes = ground.in_the_engine();
        ground
    }

    fn lay_out_what_is_nobodys(&self) {
        let kept = self.yard.git(&["commit-tree", "-p", "HEAD", "-m", "Kept on a branch alone", "HEAD^{tree}"]);
        self.yard.git(&["branch", "a-kept", &kept]);
        let notes = self.yard.worktree(NOTES);
        fs::create_dir_all(&notes).unwrap();
        fs::write(notes.join("idea"), "nobody's\n").unwrap();
        let label = format!("--label={}", self.yard.stray_label());
        docker(&["network", "create", &label, &format!("{}_default_2", self.project)]);
        docker(&["volume", "create", &label, &format!("{}_redis_data_2", self.project)]);
    }

    /// A sandbox that is up, and whose work has arrived in the main checkout.
    pub(super) fn bring_up_with_merged_work(&self) {
        self.yard.up(TASK);
        let (worktree, subject) = (self.yard.worktree(TASK), "Work that was merged");
        self.yard.git_in(&worktree, &["commit", "-q", "--allow-empty", "-m", subject]);
        self.yard.git(&["merge", "-q", "--ff-only", TASK]);
    }

    /// A sandbox that is up, with work, and a branch that it is to be merged into.
    pub(super) fn bring_up_with_work_to_merge(&self) {
        self.yard.up(TASK);
        self.yard.git_in(&self.yard.worktree(TASK), &["commit", "-q", "--allow-empty", "-m", "Work of today"]);
        self.yard.git(&["branch", "-f", MERGED, "main"]);
    }

    /// Merges it, unless that was done, and nothing is left to be merged.
    pub(super) fn merge(&self, verb: &str) {
        let ran = self.yard.sandbox(&words(verb));
        assert!(matches!(ran.code, Some(0 | 7)), "merge should have ended with 0 or 7\n{ran}");
        assert_eq!(self.yard.git(&["log", "-1", "--format=%s", MERGED]), "Work of today");
    }

    /// A sandbox that is up, with something in all its databases.
    pub(super) fn bring_up_with_a_note(&self) {
        let source = self.begins_with.iter().flat_map(|snapshot| ["--snapshot", snapshot]);
        self.yard.sandbox(&["up", TASK].into_iter().chain(source).collect::<Vec<_>>()).ok();
        self.yard.leave_a_note(TASK);
    }

    /// All databases are as they were, or all are new.
    pub(super) fn assert_note_in_all_or_none(&self) {
        let tables = self.yard.sql(TASK, "SELECT count(*) FROM pg_class WHERE relname = 'notes'");
        assert_eq!(tables, self.yard.redis(TASK, "EXISTS note"), "Postgres and Redis are of two times");
    }

    /// How many volumes are there that the task wrote into once, and stands on.
    pub(super) fn frozen(&self) -> usize {
        self.yard.up(TASK);
        let clones = docker(&["volume", "ls", "--quiet", "--filter=label=sandbox.upper", &self.label()]);
        let layers = docker(
            &[
                &["volume", "inspect", "--format={{index .Labels \"sandbox.layers\"}}"][..],
                &clones.lines().collect::<Vec<_>>(),
            ]
            .concat(),
        );
        let own = labelled("volume", &self.yard.upper_labels(Some(TASK)));
        let layers: BTreeSet<&str> = layers.split([',', '\n']).collect();
        own.iter().filter(|upper| layers.contains(upper.as_str())).count()
    }

    fn label(&self) -> String {
        format!("--filter=label=sandbox.repo={}", self.yard.repo.join(".git").display())
    }

    /// Nothing of the data is gone, and the snapshot is there whole, or not at all.
    pub(super) fn assert_saved_or_not(&self) {
        self.yard.assert_note_is_kept(TASK);
        let listed = self.yard.sandbox(&["snapshot", "ls", "--json"]).ok().json();
        let all_whole = listed["snapshots"].as_array().unwrap().iter().all(|snapshot| snapshot["whole"] == true);
        assert!(all_whole, "{listed}");
    }

    /// The set-up has been run to its end, and what was kept of it is whole.
    pub(super) fn assert_set_up(&self) {
        assert_eq!(self.yard.sql(TASK, "SELECT name || number FROM migrations, at_1"), "11");
        let kept = prepared(&self.yard);
        assert!(kept.iter().all(|snapshot| snapshot["whole"] == true), "{kept:?}");
    }

    /// Removes what was kept of the set-up.
    pub(super) fn remove_prepared(&self) {
        for snapshot in prepared(&self.yard) {
            self.yard.sandbox(&["snapshot", "rm", snapshot["key"].as_str().unwrap()]).ok();
        }
    }

    /// Removes the snapshot, where there is one.
    pub(super) fn remove_saved(&self) {
        let ran = self.yard.sandbox(&["snapshot", "rm", SAVED]);
        assert!(matches!(ran.code, Some(0 | 18)), "snapshot rm should have ended with 0 or 18\n{ran}");
    }

    /// Work that is nowhere but in the worktree, and on its branch.
    pub(super) fn leave_notes(&self) {
        let worktree = self.yard.worktree(TASK);
        self.yard.git_in(&worktree, &["commit", "-q", "--allow-empty", "-m", "Work of today"]);
        fs::write(worktree.join("notes"), "mine\n").unwrap();
    }

    /// Removes what there is, wanted or not.
    pub(super) fn remove_by_force(&self) {
        let ran = self.yard.sandbox(&["rm", "--force", TASK]);
        assert!(matches!(ran.code, Some(0 | 7)), "rm --force should have ended with 0 or 7\n{ran}");
        assert!(!self.yard.worktree(TASK).exists());
    }

    /// One `undo` has all of it, whatever came between. Then the work is merged, so that it may go.
    pub(super) fn bring_notes_back(&self) {
        self.yard.sandbox(&["undo", TASK]).ok();
        let worktree = self.yard.worktree(TASK);
        assert_eq!(fs::read_to_string(worktree.join("notes")).unwrap(), "mine\n");
        assert_eq!(self.yard.git_in(&worktree, &["log", "-1", "--format=%s"]), "Work of today");
        fs::remove_file(worktree.join("notes")).unwrap();
        self.yard.git_in(&worktree, &["reset", "-q", "--hard", "HEAD~1"]);
    }

    /// Runs a verb up to a point.
    pub(super) fn run_up_to(&self, verb: &str, point: Point) -> Cut {
        match point.door {
            Door::Engine => self.run_up_to_request(verb, point),
            Door::Git => self.run_up_to_command(verb, point),
        }
    }

    fn run_up_to_request(&self, verb: &str, point: Point) -> Cut {
        let proxy = Proxy::open(self.yard.directory.join("engine.sock"), point);
        run_through(&proxy, self.yard.command(&words(verb)))
    }

    fn run_up_to_command(&self, verb: &str, point: Point) -> Cut {
        let counted = self.yard.directory.join("git-commands");
        let _ = fs::remove_dir_all(&counted);
        fs::create_dir(&counted).unwrap();
        let places = std::env::var_os("PATH").unwrap();
        let places = std::iter::once(source("tests/docker/faults/bin")).chain(std::env::split_paths(&places));
        let mut command = self.yard.command(&words(verb));
        command.env("PATH", std::env::join_paths(places).unwrap()).env("KILL_COUNT", &counted);
        command.env("KILL_AT", point.number.to_string());
        command.env("KILL_WHEN", if point.when == When::Before { "before" } else { "after" });
        cut(begin(&mut command), || {
            let words = fs::read_to_string(counted.join(point.number.to_string())).ok()?;
            Some(format!("git {}", words.trim_end()))
        })
    }

    /// Brings the task up, in one go and whole.
    pub(super) fn converge(&self, frozen: usize) {
        self.yard.up(TASK);
        self.yard.assert_whole_beside(TASK, frozen);
        self.yard.assert_as_desired(TASK);
    }

    /// Removes what there is, which after a kill may be nothing.
    pub(super) fn remove(&self) {
        let ran = self.yard.sandbox(&["rm", TASK]);
        assert!(matches!(ran.code, Some(0 | 7)), "rm should have ended with 0 or 7\n{ran}");
    }

    /// Checks that nothing is left of the task, under its labels or its names.
    pub(super) fn assert_nothing_leaked(&self, strays: &Strays) {
        self.yard.assert_no_trace(TASK);
        assert_eq!(self.yard.claimed(), Vec::<serde_json::Value>::new(), "claims");
        assert_none("left", &self.strays().0, &strays.0);
        self.in_the_engine().iter().zip(&self.look_alikes).for_each(|(now, before)| assert_none("left", now, before));
    }

    /// Checks that what is not the task's is as it was.
    pub(super) fn assert_nothing_lost(&self, strays: &Strays) {
        assert_none("gone", &strays.0, &self.strays().0);
        self.in_the_engine().iter().zip(&self.look_alikes).for_each(|(now, before)| assert_none("gone", before, now));
    }

    fn in_the_engine(&self) -> InTheEngine {
        let name = format!("--filter=name={}", self.project);
        KINDS.map(|kind| {
            lines(&match kind {
                "container" => docker(&["container", "ls", "--all", "--format={{.ID}} {{.Names}}", &name]),
                "network" => docker(&["network", "ls", "--format={{.ID}} {{.Name}}", &name]),
                _ => docker(&["volume", "ls", "--format={{.Name}}", &name]),
            })
        })
    }

    /// What git and the file system have that is not the task's. Its trash, too, is there to stay.
    pub(super) fn strays(&self) -> Strays {
        let mut strays = lines(&self.yard.git(&["for-each-ref"]));
        let its = |line: &String| [TASK, MERGED].iter().any(|name| line.ends_with(&format!("/{name}")));
        strays.retain(|line| !its(line) && !line.contains("\trefs/sandbox/trash/"));
        strays.extend(self.files());
        Strays(strays)
    }

    /// Beside the worktrees: what is there. In the main checkout: what it is at, and what has changed.
    fn files(&self) -> BTreeSet<String> {
        let notes = self.yard.worktree(NOTES);
        let beside = fs::read_dir(notes.parent().unwrap()).into_iter().flatten().flatten();
        let its = [TASK, ".trash"].map(|name| self.yard.worktree(name));
        let beside = beside.map(|entry| entry.path()).filter(|path| !its.contains(path));
        let mut files: BTreeSet<String> = beside.map(|path| path.display().to_string()).collect();
        files.extend(fs::read_to_string(notes.join("idea")));
        files.extend(fs::read_to_string(self.yard.repo.join("README")));
        files.insert(self.yard.git(&["status", "--porcelain", "--branch", "--untracked-files=all"]));
        files
    }
}

/// Runs a program whose requests go through a proxy, which may kill it.
pub(super) fn run_through(proxy: &Proxy, mut command: Command) -> Cut {
    command.env("DOCKER_HOST", format!("unix://{}", proxy.socket().display()));
    let program = begin(&mut command);
    proxy.aim_at(pidfd_open(Pid::from_child(&program.0), PidfdFlags::empty()).unwrap());
    cut(program, || proxy.sprung_at())
}

/// What must be there before and after.
pub(super) struct Strays(BTreeSet<String>);

/// A verb with its flags, and the task.
fn words(verb: &str) -> Vec<&str> {
    let name = (verb == "snapshot save").then_some(SAVED);
    verb.split(' ').chain([TASK]).chain(name).collect()
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_none(what: &str, of: &BTreeSet<String>, but: &BTreeSet<String>) {
    let found: Vec<_> = of.difference(but).collect();
    assert!(found.is_empty(), "{what}: {found:#?}");
}

fn begin(command: &mut Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits for the end. Only a signal ends a program without a code.
fn cut(program: Running, at: impl FnOnce() -> Option<String>) -> Cut {
    let ran = program.output();
    Cut { at: ran.code.is_none().then(at).flatten(), ran }
}
