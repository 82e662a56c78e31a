//! `stop`, `start`, `down`: a stack that rests keeps its claims, its worktree, and its data.

use crate::yard::{KINDS, Yard};

fn counts(yard: &Yard, task: &str) -> [usize; 3] {
    KINDS.map(|kind| yard.has(kind, task).len())
}

#[test]
fn data_ports_and_worktree_survive_stop_and_start() {
    let yard = Yard::new("stop");
    yard.up("a");
    yard.leave_a_note("a");
    let (env, claims, containers) = (yard.env("a"), yard.claimed(), yard.has("container", "a"));
    yard.sandbox(&["stop", "a"]).ok();
    assert_eq!(yard.view("a")["state"], "stopped");
    assert_eq!(counts(&yard, "a"), [2, 1, 4]);
    yard.sandbox(&["stop", "a"]).ok();
    assert!(yard.worktree("a").join(".env.worktree").is_file());
    yard.sandbox(&["start", "a"]).ok();
    yard.assert_whole("a");
    yard.assert_note_is_kept("a");
    assert_eq!((yard.env("a"), yard.claimed(), yard.has("container", "a")), (env, claims, containers));
    yard.assert_as_desired("a");
}

#[test]
fn data_and_ports_survive_down_and_up() {
    let yard = Yard::new("down");
    yard.up("a");
    yard.leave_a_note("a");
    let (env, claims) = (yard.env("a"), yard.claimed());
    yard.sandbox(&["down", "a"]).ok();
    assert_eq!(counts(&yard, "a"), [0, 0, 4]);
    assert_eq!(yard.view("a")["state"], "down");
    assert!(yard.worktree("a").is_dir());
    yard.up("a");
    yard.assert_note_is_kept("a");
    assert_eq!((yard.env("a"), yard.claimed()), (env, claims));
    yard.assert_as_desired("a");
}

#[test]
fn down_with_volumes_takes_the_data_and_keeps_the_rest() {
    let yard = Yard::new("down-v");
    let up = yard.up("a");
    assert!(!up.stderr.contains("gone"), "{up}");
    yard.leave_a_note("a");
    let (env, claims) = (yard.env("a"), yard.claimed());
    yard.sandbox(&["down", "-v", "a"]).ok();
    assert_eq!(counts(&yard, "a"), [0, 0, 0]);
    assert!(yard.worktree("a").is_dir());
    let up = yard.sandbox(&["up", "a"]).ok();
    assert!(up.stderr.contains("the databases were gone: they are new"), "{up}");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM pg_tables WHERE tablename = 'notes'"), "0");
    assert_eq!(yard.redis("a", "GET note"), "");
    assert_eq!((yard.env("a"), yard.claimed()), (env, claims));
}
