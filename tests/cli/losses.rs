//! What `rm` refuses to lose: one kind of work a test, told by what it says and by that nothing is touched.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use sandbox::error::Kind;

use crate::desk::{Desk, Footprint};

/// Checks that `rm` refuses to remove a sandbox in whose worktree something was done, and says so.
#[track_caller]
fn holds(work: impl FnOnce(&Desk, &Path), said: &str) {
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
fn another_worktree_inside_of_it() {
    holds(
        |desk, path| {
            desk.write("src/blog/.git/info/exclude", "/.env.worktree\n/inner\n");
            desk.git(path, &["worktree", "add", "--quiet", "-b", "inner", "inner"]);
        },
        "1 other worktree inside of it: ",
    );
}

#[test]
fn a_branch_that_is_checked_out_elsewhere() {
    holds(
        |desk, path| {
            desk.git(path, &["checkout", "--quiet", "--detach"]);
            desk.git(&desk.repo(), &["worktree", "add", "--quiet", "../elsewhere", "fix"]);
        },
        "its branch is checked out at ",
    );
}
