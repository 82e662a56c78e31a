//! What `rm` refuses to lose: one kind of work a test, told by what it says and by that nothing is touched. What it takes
//! with `--force` comes back with `undo`, byte for byte and mode for mode.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::error::Kind;

use crate::desk::{Desk, FakeEngine, Footprint};

/// Checks that `rm` refuses to remove a sandbox in whose worktree something was done, and says so; and that with `--force`
/// it can be brought back.
#[track_caller]
fn holds(work: impl FnOnce(&Desk, &Path), said: &str) {
    let (desk, engine, path) = refused(work, said);
    let (before, state) = (Footprint::of(&desk).below(&path), state(&desk, &path));
    let gone = desk.run(["rm", "--force", "fix"]).succeeds();
    assert!(gone.contains("`sandbox undo fix` brings it back"), "{gone}");
    assert!(!path.exists());
    desk.call(["show", "fix"]).gets_refused(Kind::NoSuchSandbox);
    desk.run(["undo"]).succeeds();
    assert_eq!(Footprint::of(&desk).below(&path).since(&before), Vec::<String>::new());
    assert_eq!(self::state(&desk, &path), state);
    assert_eq!(desk.git(&desk.repo(), &["for-each-ref", "refs/sandbox/trash"]), "");
    assert!(engine.commands().is_empty());
}

/// Checks that `rm` refuses also when it is forced.
#[track_caller]
fn holds_whatever(work: impl FnOnce(&Desk, &Path), said: &str) {
    let (desk, _engine, path) = refused(work, said);
    let before = Footprint::of(&desk).below(&path);
    let ran = desk.run(["rm", "--force", "fix"]);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    ran.fails(Kind::WouldLoseWork);
    assert_eq!(Footprint::of(&desk).below(&path).since(&before), Vec::<String>::new());
}

/// What git says of a worktree.
fn state(desk: &Desk, path: &Path) -> Vec<String> {
    let ask = |args: &[&str]| if path.join(".git").exists() { desk.git(path, args) } else { String::new() };
    vec![
        ask(&["status", "--porcelain=v2", "--branch", "--ignored"]),
        ask(&["ls-files", "--stage", "-v"]),
        ask(&["log", "--format=%H %s"]),
        desk.git(&desk.repo(), &["for-each-ref", "refs/heads", "refs/sandbox"]),
    ]
}

#[track_caller]
fn refused(work: impl FnOnce(&Desk, &Path), said: &str) -> (Desk, FakeEngine, PathBuf) {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.commit(&desk.repo(), "tracked", "1\n");
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    work(&desk, &made.path);
    let before = Footprint::of(&desk);
    let ran = desk.call(["rm", "--dry-run", "fix"]).run();
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    ran.fails(Kind::WouldLoseWork);
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    assert!(engine.commands().is_empty());
    (desk, engine, made.path)
}

/// Git, whatever comes of it: a conflict is an end other than a good one.
fn git(desk: &Desk, directory: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.env_clear().envs(desk.environment()).current_dir(directory).args(args).output().unwrap();
}

/// Makes the branch of the worktree and the default branch disagree about a file.
fn disagree(desk: &Desk, path: &Path) {
    desk.commit(path, "tracked", "theirs\n");
    desk.commit(&desk.repo(), "tracked", "ours\n");
}

#[test]
fn a_staged_file() {
    holds(
        |desk, path| {
            fs::write(path.join("new"), "1").unwrap();
            desk.git(path, &["add", "new"]);
        },
        "1 modified file: new",
    );
}

#[test]
fn a_staged_change_that_was_undone_in_the_file() {
    holds(
        |desk, path| {
            fs::write(path.join("tracked"), "2\n").unwrap();
            desk.git(path, &["add", "tracked"]);
            fs::write(path.join("tracked"), "1\n").unwrap();
        },
        "1 modified file: tracked",
    );
}

#[test]
fn an_unstaged_change() {
    holds(|_, path| fs::write(path.join("tracked"), "2\n").unwrap(), "1 modified file: tracked");
}

#[test]
fn a_deleted_file() {
    holds(|_, path| fs::remove_file(path.join("tracked")).unwrap(), "1 modified file: tracked");
}

#[test]
fn a_file_that_was_made_executable() {
    holds(
        |_, path| fs::set_permissions(path.join("tracked"), PermissionsExt::from_mode(0o755)).unwrap(),
        "1 modified file: tracked",
    );
}

#[test]
fn a_change_of_line_endings() {
    holds(|_, path| fs::write(path.join("tracked"), "1\r\n").unwrap(), "1 modified file: tracked");
}

#[test]
fn an_untracked_file() {
    holds(|_, path| fs::write(path.join("notes"), "").unwrap(), "1 untracked file: notes");
}

#[test]
fn an_untracked_link() {
    holds(|_, path| symlink("/nowhere", path.join("link")).unwrap(), "1 untracked file: link");
}

#[test]
fn an_untracked_file_whose_name_is_not_utf8() {
    holds(|_, path| fs::write(path.join(OsStr::from_bytes(b"caf\xe9")), "").unwrap(), "1 untracked file: caf\u{fffd}");
}

#[test]
fn a_repository_of_its_own_inside() {
    holds(
        |desk, path| {
            desk.git(path, &["init", "--quiet", "inner"]);
            desk.commit(&path.join("inner"), "work", "1");
        },
        "1 untracked file: inner/",
    );
}

#[test]
fn a_commit_that_is_nowhere_else() {
    holds(|desk, path| desk.commit(path, "work", "1"), "1 commit on no other branch and no remote: ");
}

#[test]
fn a_commit_on_a_detached_head() {
    holds(
        |desk, path| {
            desk.git(path, &["checkout", "--quiet", "--detach"]);
            desk.commit(path, "work", "1");
        },
        "1 commit on no other branch and no remote: ",
    );
}

#[test]
fn a_commit_on_the_branch_while_another_is_checked_out() {
    holds(
        |desk, path| {
            desk.commit(path, "work", "1");
            desk.git(path, &["checkout", "--quiet", "-b", "other", "main"]);
        },
        "1 commit on no other branch and no remote: ",
    );
}

#[test]
fn a_rebase_that_has_not_been_finished() {
    holds(
        |desk, path| {
            disagree(desk, path);
            git(desk, path, &["rebase", "--quiet", "main"]);
        },
        "a rebase that has not been finished",
    );
}

#[test]
fn a_merge_with_conflicts() {
    holds(
        |desk, path| {
            disagree(desk, path);
            git(desk, path, &["merge", "--quiet", "main"]);
        },
        "a merge that has not been finished",
    );
}

#[test]
fn a_cherry_pick_with_conflicts() {
    holds(
        |desk, path| {
            disagree(desk, path);
            git(desk, path, &["cherry-pick", "main"]);
        },
        "a cherry-pick that has not been finished",
    );
}

#[test]
fn a_worktree_whose_git_file_is_gone() {
    holds(|_, path| fs::remove_file(path.join(".git")).unwrap(), "its .git is gone");
}

#[test]
fn an_ignored_file() {
    holds(
        |desk, path| {
            desk.write("src/blog/.git/info/exclude", "/.env.worktree\n/.env\n");
            fs::write(path.join(".env"), "SECRET=1").unwrap();
            fs::set_permissions(path.join(".env"), PermissionsExt::from_mode(0o600)).unwrap();
        },
        "1 ignored file: .env",
    );
}

#[test]
fn an_empty_directory() {
    holds(|_, path| fs::create_dir_all(path.join("empty/inner")).unwrap(), "1 untracked file: empty/");
}

#[test]
fn a_file_of_mixed_line_endings() {
    holds(|_, path| fs::write(path.join("mixed"), "a\r\nb\nc\r\n").unwrap(), "1 untracked file: mixed");
}

#[test]
fn a_large_file() {
    holds(|_, path| fs::write(path.join("large"), vec![7; 200_000_000]).unwrap(), "1 untracked file: large");
}

#[test]
fn a_change_in_a_submodule() {
    let changes = [
        ("file", "1 modified file: lib"),
        ("commit", "1 commit of submodules on no remote: lib"),
        ("ignored", "1 ignored file: lib/.env"),
    ];
    for (change, said) in changes {
        holds(
            |desk, path| {
                let origin = desk.root().join("leaf");
                desk.git(desk.root(), &["init", "--quiet", "-b", "main", "leaf"]);
                desk.commit(&origin, "file", "leaf");
                let allow = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
                desk.git(path, &[&allow[..], &[origin.to_str().unwrap(), "lib"]].concat());
                desk.git(path, &["commit", "--quiet", "-m", "leaf"]);
                desk.git(&desk.repo(), &["merge", "--quiet", "fix"]);
                match change {
                    "file" => fs::write(path.join("lib/file"), "changed").unwrap(),
                    "ignored" => {
                        fs::write(desk.repo().join(".git/worktrees/fix/modules/lib/info/exclude"), ".env\n").unwrap();
                        fs::write(path.join("lib/.env"), "SECRET").unwrap();
                    }
                    _ => desk.commit(&path.join("lib"), "work", "1"),
                }
            },
            said,
        );
    }
}

#[test]
fn another_worktree_inside_of_it() {
    holds_whatever(
        |desk, path| {
            desk.write("src/blog/.git/info/exclude", "/.env.worktree\n/inner\n");
            desk.git(path, &["worktree", "add", "--quiet", "-b", "inner", "inner"]);
        },
        "1 other worktree inside of it: ",
    );
}

#[test]
fn a_branch_that_is_checked_out_elsewhere() {
    holds_whatever(
        |desk, path| {
            desk.git(path, &["checkout", "--quiet", "--detach"]);
            desk.git(&desk.repo(), &["worktree", "add", "--quiet", "../elsewhere", "fix"]);
        },
        "its branch is checked out at ",
    );
}
