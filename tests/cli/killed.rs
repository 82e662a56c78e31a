//! `undo` and `merge`, killed at each of their git commands, before it and after it: the next one completes it, and no work
//! is lost. They need no engine; what needs one is killed among the scenarios of the real engine.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::desk::Desk;

/// The git that kills whoever starts it.
fn killer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/faults/bin")
}

/// A sandbox with a commit.
fn with_work() -> (Desk, PathBuf) {
    let desk = Desk::new();
    let path = desk.made("fix").path;
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&path, "feature", "1\n");
    (desk, path)
}

/// Runs a command that is killed at a git command. Whether it came so far.
fn killed(desk: &Desk, args: &[&str], number: usize, when: &str) -> bool {
    let counted = desk.root().join("run/git-commands");
    let _ = fs::remove_dir_all(&counted);
    fs::create_dir(&counted).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.env_clear().envs(desk.environment()).current_dir(desk.repo()).args(args);
    let environment = desk.environment();
    let path = environment.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path).unwrap();
    command.env("PATH", format!("{}:{path}", killer().display()));
    command.env("KILL_COUNT", &counted).env("KILL_AT", number.to_string()).env("KILL_WHEN", when);
    let output = command.output().unwrap();
    assert!(
        output.status.success() || output.status.signal() == Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    !output.status.success()
}

/// Tries every point, each on a desk of its own; beyond the first two of each command one side, then the other, unless all are wanted.
fn at_each_point(try_one: impl Fn(usize, &str) -> bool) {
    let all = std::env::var("KILL_POINTS").is_ok_and(|wanted| wanted == "all");
    let sides = |number: usize| match number % 2 {
        _ if all || number < 3 => &["before", "after"][..],
        0 => &["after"],
        _ => &["before"],
    };
    let tried = (1..).flat_map(|number| sides(number).iter().map(move |when| (number, *when)));
    let points = tried.take_while(|(number, when)| try_one(*number, when)).count();
    assert!(points > 2, "only {points} points were reached");
}

#[test]
fn an_undo_killed_at_any_git_command_is_completed_by_the_next() {
    at_each_point(|number, when| {
        let (desk, path) = with_work();
        let engine = desk.engine();
        fs::write(path.join("staged"), "staged\n").unwrap();
        desk.git(&path, &["add", "staged"]);
        fs::write(path.join("README"), "changed\n").unwrap();
        fs::write(path.join("notes"), "mine\n").unwrap();
        let state = |desk: &Desk| {
            ["status --porcelain=v2 --branch", "ls-files --stage", "log --format=%H"]
                .map(|ask| desk.git(&path, &ask.split(' ').collect::<Vec<_>>()))
        };
        let before = state(&desk);
        desk.run(["rm", "--force", "fix"]).succeeds();
        let was_killed = killed(&desk, &["undo"], number, when);
        if was_killed && !path.join("notes").exists() {
            desk.run(["undo"]).succeeds();
        }
        assert_eq!(state(&desk), before, "killed {when} {number}");
        assert_eq!(fs::read_to_string(path.join("notes")).unwrap(), "mine\n");
        // What the killed one had left of the entry goes with the next that is at work on the task.
        desk.run(["lock", "fix"]).succeeds();
        assert!(engine.commands().is_empty());
        was_killed
    });
}

/// Each way of merging into a branch, killed everywhere: the next one has it merged once, and nothing else has changed.
fn merges_killed_everywhere_are_completed(ways: &[&[&str]], into: &str) {
    for way in ways {
        at_each_point(|number, when| {
            let (desk, path) = with_work();
            desk.git(&desk.repo(), &["branch", "release"]);
            desk.git(&desk.repo(), &["commit", "--quiet", "--allow-empty", "-m", "Moved on"]);
            let words = [&["merge", "fix", "--keep", "--into", into][..], way].concat();
            let was_killed = killed(&desk, &words, number, when);
            desk.run(words).succeeds();
            let at = format!("{way:?} killed {when} {number}");
            assert_eq!(desk.git(&desk.repo(), &["show", &format!("{into}:feature")]), "1", "{at}");
            let since = format!("{}..{into}", if into == "main" { "main^{/Moved on}" } else { "fix~1" });
            let own = desk.git(&desk.repo(), &["rev-list", "--count", "--first-parent", &since]);
            assert_eq!(own, "1", "{at}");
            for place in [&path, &desk.repo()] {
                assert_eq!(desk.git(place, &["status", "--porcelain"]), "", "{at}");
            }
            was_killed
        });
    }
}

#[test]
fn a_merge_killed_at_any_git_command_is_completed_by_the_next() {
    merges_killed_everywhere_are_completed(&[&[], &["--no-ff"], &["--squash"]], "release");
}

#[test]
fn a_merge_into_a_branch_that_is_checked_out_killed_at_any_git_command_is_completed_by_the_next() {
    merges_killed_everywhere_are_completed(&[&["--no-ff"], &["--squash"]], "main");
}
