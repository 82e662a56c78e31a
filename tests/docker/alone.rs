//! Where the program stands, and where the repository does.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::yard::{PROGRAM, Yard, finish};

/// Intent: the binary brings its templates and recipes along.
#[test]
fn the_program_works_alone_in_an_empty_directory() {
    let yard = Yard::new("alone");
    let elsewhere = yard.directory.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(PROGRAM, elsewhere.join("sandbox")).unwrap();
    let run = |words: &[&str]| {
        // The source tree is hidden from it, and from nobody else.
        let hidden = format!("mount -t tmpfs none '{}' && exec \"$@\"", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("unshare");
        yard.surround(&mut command).args(namespace("--mount")).args(["sh", "-c", &hidden, "sh"]);
        command.arg(elsewhere.join("sandbox")).args(words).current_dir(&yard.repo);
        finish(command)
    };
    run(&["up", "a"]).ok();
    yard.assert_whole("a");
    let env = yard.env("a");
    assert!(env["DATABASE_URL"].ends_with(&format!("/{}", env["DB_NAME"])), "no Rails, so the URL is full");
    let answer = yard.sourced("a", "psql -X -A -t \"$DATABASE_URL\" -c 'SELECT current_database()'").ok();
    assert_eq!(answer.stdout.trim(), env["DB_NAME"]);
    assert!(run(&["images", "ls"]).ok().stdout.contains("sandbox-postgres"));
    run(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

/// The options that give a child a namespace of its own, whoever we are.
pub(crate) fn namespace(kind: &str) -> Vec<&str> {
    let root = rustix::process::geteuid().is_root();
    let mut options = vec![kind];
    options.extend((!root).then_some("--map-root-user"));
    options
}

#[test]
fn a_bare_repository_and_its_worktrees_carry_sandboxes() {
    let mut yard = Yard::new("bare");
    let bare = yard.directory.join("notes.git");
    yard.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    yard.git_in(&bare, &["worktree", "add", "-q", "../own", "-b", "own"]);
    yard.repo.clone_from(&bare);
    yard.up("a");
    yard.assert_whole("a");
    let worktree = yard.view("a")["worktree"].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&worktree), yard.directory.join("notes-wt/a"));
    assert!(yard.env("a")["COMPOSE_PROJECT_NAME"].starts_with("notes_a"));
    let own = yard.directory.join("own");
    // From any of its worktrees it is the same repository.
    let own = own.to_str().unwrap();
    assert_eq!(yard.sandbox(&["-C", own, "up", "--dry-run", "a"]).ok().stdout, "nothing to do\n");
    yard.sandbox(&["-C", own, "rm", "a"]).ok();
    yard.assert_no_trace("a");
    assert!(!fs::exists(worktree).unwrap());
    let listed = yard.git_in(Path::new(own), &["worktree", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
}

#[test]
fn a_detached_head_is_left_where_it_is() {
    let yard = Yard::new("detached");
    yard.git(&["checkout", "-q", "--detach"]);
    let status = || yard.git(&["status", "--branch", "--porcelain=v2"]);
    let before = status();
    yard.up("a");
    yard.assert_whole("a");
    assert_eq!(status(), before);
    assert_eq!(yard.git(&["rev-parse", "a"]), yard.git(&["rev-parse", "main"]));
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
    assert_eq!(status(), before);
}
