//! A disk that is full, or fills in the middle: what cannot be written is told, and nothing is lost by it.
//!
//! Files are kept from growing past a size, by the limit that a shell sets: at each size the program comes a little further.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::desk::Desk;

/// In blocks of 512 bytes: from nothing at all to more than any file needs that is written here.
const LIMITS: [u32; 7] = [0, 1, 2, 3, 4, 8, 64];

/// Runs the program where no file grows past so many blocks. Unheard, the limit's signal becomes an error.
fn cramped(desk: &Desk, blocks: u32, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell.env_clear().envs(desk.environment()).current_dir(desk.repo()).args(["-c", &line]);
    shell.arg(env!("CARGO_BIN_EXE_sandbox")).args(args).output().unwrap()
}

/// That it failed in order, and what it said.
#[track_caller]
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code > 1), "{:?}: {said}", output.status);
    assert!(said.contains("error: ") && !said.contains("panicked"), "{said}");
    said
}

/// A sandbox with a commit, a large file that is staged, and one that git does not know; and what git says of it.
fn with_work(desk: &Desk) -> (PathBuf, String) {
    let path = desk.made("fix").path;
    desk.commit(&path, "feature", "1\n");
    fs::write(path.join("staged"), "staged\n".repeat(9000)).unwrap();
    desk.git(&path, &["add", "staged"]);
    fs::write(path.join("notes"), "mine\n").unwrap();
    let status = desk.git(&path, &["status", "--porcelain=v2", "--branch"]);
    (path, status)
}

#[test]
fn a_removal_that_finds_no_room_leaves_the_work_where_it_is_or_in_the_trash() {
    for blocks in LIMITS {
        let desk = Desk::new();
        let _engine = desk.engine();
        let (path, before) = with_work(&desk);
        let output = cramped(&desk, blocks, &["rm", "--force", "fix"]);
        if path.exists() {
            complaint(&output);
        }
        // With room again: whatever had been done is gone on with, or was done.
        if path.exists() {
            assert_eq!(desk.git(&path, &["status", "--porcelain=v2", "--branch"]), before, "{blocks} blocks");
            desk.run(["rm", "--force", "fix"]).succeeds();
        }
        desk.run(["undo", "fix"]).succeeds();
        assert_eq!(desk.git(&path, &["status", "--porcelain=v2", "--branch"]), before, "{blocks} blocks");
        assert_eq!(fs::read_to_string(path.join("notes")).unwrap(), "mine\n");
        assert_eq!(fs::read_to_string(path.join("staged")).unwrap().len(), 7 * 9000);
    }
}

#[test]
fn an_undo_that_finds_no_room_is_completed_by_the_next() {
    for blocks in LIMITS {
        let desk = Desk::new();
        let _engine = desk.engine();
        let (path, before) = with_work(&desk);
        desk.run(["rm", "--force", "fix"]).succeeds();
        let output = cramped(&desk, blocks, &["undo"]);
        if !output.status.success() {
            complaint(&output);
        }
        if !path.join("notes").exists() {
            desk.run(["undo"]).succeeds();
        }
        assert_eq!(desk.git(&path, &["status", "--porcelain=v2", "--branch"]), before, "{blocks} blocks");
        assert_eq!(fs::read_to_string(path.join("notes")).unwrap(), "mine\n");
    }
}

#[test]
fn a_merge_that_finds_no_room_changes_nothing() {
    for (blocks, way) in LIMITS.into_iter().flat_map(|blocks| ["--no-ff", "--squash"].map(|way| (blocks, way))) {
        let desk = Desk::new();
        let path = desk.made("fix").path;
        desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
        desk.commit(&path, "feature", &"a line of many\n".repeat(900));
        desk.git(&desk.repo(), &["commit", "--quiet", "--allow-empty", "-m", "Moved on"]);
        let before = desk.git(&desk.repo(), &["rev-parse", "main"]);
        let output = cramped(&desk, blocks, &["merge", "fix", "--keep", way]);
        if output.status.success() {
            assert_eq!(desk.git(&desk.repo(), &["rev-parse", "main~1"]), before);
        } else {
            complaint(&output);
            assert_eq!(desk.git(&desk.repo(), &["rev-parse", "main"]), before, "{blocks} blocks");
            desk.run(["merge", "fix", "--keep", way]).succeeds();
        }
        assert_eq!(desk.git(&desk.repo(), &["status", "--porcelain"]), "", "{blocks} blocks");
    }
}
