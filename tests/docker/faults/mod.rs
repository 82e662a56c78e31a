//! Kill points: the program is killed at every one of its requests to the engine and of its git commands, before it and
//! after it. The next `up` converges in one go, the next `rm` leaves nothing, and what is not the sandbox's stays.

mod ground;
mod pool;
mod proxy;
mod request;
mod soak;
mod suite;

use std::fs;
use std::time::Duration;

use ground::{Data, run_through};
use proxy::Proxy;
use serde_json::Value;
use suite::Case;

use crate::yard::{Yard, finish};

/// Whether all points are tried and everything is large, as `make test-faults` asks for.
fn all_are_wanted() -> bool {
    std::env::var("KILL_POINTS").is_ok_and(|wanted| wanted == "all")
}

/// What the program does, one act after another, when it is killed.
#[derive(Clone, Copy, Debug)]
enum Door {
    /// Asks the engine.
    Engine,
    /// Runs git.
    Git,
}

/// On which side of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// It is not done.
    Before,
    /// It is done, and the program does not hear of it.
    After,
}

/// Where the program is killed.
#[derive(Clone, Copy, Debug)]
struct Point {
    door: Door,
    /// Of the act, from one on.
    number: usize,
    when: When,
}

impl Point {
    /// The one that is tried as the nth: both sides of each act, or of every so manieth from the first on one side and then the other.
    fn nth(nth: usize, door: Door, first: usize, every: usize) -> Point {
        let number = if every == 1 { nth / 2 + 1 } else { first + every * nth };
        let when = if nth.is_multiple_of(2) { When::Before } else { When::After };
        Point { door, number, when }
    }
}

#[test]
fn an_up_killed_at_any_request_converges_in_one_go() {
    println!("{}", Case::new("up", Door::Engine, "up").try_all());
}

#[test]
fn an_up_killed_at_any_request_can_be_removed() {
    println!("{}", Case::new("up", Door::Engine, "rm").try_all());
}

#[test]
fn an_rm_killed_at_any_request_is_finished_by_the_next() {
    println!("{}", Case::new("rm", Door::Engine, "rm").try_all());
}

#[test]
fn an_rm_killed_at_any_request_can_be_brought_up_again() {
    println!("{}", Case::new("rm", Door::Engine, "up").try_all());
}

#[test]
fn an_up_killed_at_any_git_command_converges_in_one_go() {
    println!("{}", Case::new("up", Door::Git, "up").try_all());
}

#[test]
fn an_up_killed_at_any_git_command_can_be_removed() {
    println!("{}", Case::new("up", Door::Git, "rm").try_all());
}

#[test]
fn an_rm_killed_at_any_git_command_is_finished_by_the_next() {
    println!("{}", Case::new("rm", Door::Git, "rm").try_all());
}

#[test]
fn an_rm_killed_at_any_git_command_can_be_brought_up_again() {
    println!("{}", Case::new("rm", Door::Git, "up").try_all());
}

#[test]
fn an_rm_by_force_killed_at_any_request_loses_nothing() {
    println!("{}", Case::new("rm --force", Door::Engine, "rm").try_all());
}

#[test]
fn an_rm_by_force_killed_at_any_git_command_loses_nothing() {
    println!("{}", Case::new("rm --force", Door::Git, "rm").try_all());
}

#[test]
fn a_merge_killed_at_any_request_is_finished_by_the_next() {
    println!("{}", Case::new("merge --into a-merged", Door::Engine, "merge").try_all());
}

#[test]
fn a_merge_killed_at_any_git_command_is_finished_by_the_next() {
    println!("{}", Case::new("merge --into a-merged", Door::Git, "merge").try_all());
}

#[test]
fn a_reset_killed_at_any_request_has_the_old_data_or_the_new() {
    println!("{}", Case::new("reset", Door::Engine, "up").try_all());
}

#[test]
fn a_save_killed_at_any_request_keeps_all_data() {
    println!("{}", Case::new("snapshot save", Door::Engine, "up").try_all());
}

#[test]
fn where_clones_are_copies_a_killed_reset_has_the_old_data_or_the_new() {
    println!("{}", Case { data: Data::Copies, ..Case::new("reset", Door::Engine, "up") }.try_all());
}

#[test]
fn where_clones_are_copies_a_killed_save_keeps_all_data() {
    println!("{}", Case { data: Data::Copies, ..Case::new("snapshot save", Door::Engine, "up") }.try_all());
}

#[test]
fn a_save_that_flattens_killed_at_any_request_keeps_all_data() {
    println!("{}", Case { data: Data::Deep, ..Case::new("snapshot save", Door::Engine, "up") }.try_all());
}

#[test]
fn an_up_that_sets_up_killed_at_any_request_is_gone_on_with() {
    println!("{}", Case { data: Data::SetUp, ..Case::new("up", Door::Engine, "up") }.try_all());
}

#[test]
fn a_reset_that_had_not_begun_when_its_snapshot_went_has_never_been() {
    let yard = Yard::new("reset-void");
    yard.up("a");
    yard.sandbox(&["snapshot", "save", "a", "it"]).ok();
    yard.up("b");
    yard.leave_a_note("b");
    let record = yard.repo.join(".git/worktrees/b/sandbox.json");
    let is_pending = || serde_json::from_slice::<Value>(&fs::read(&record).unwrap()).unwrap()["pending"].is_object();
    let (volumes, mut number) = (yard.has("volume", "b"), 0);
    while !is_pending() {
        number += 1;
        let point = Point { door: Door::Engine, number, when: When::Before };
        let proxy = Proxy::open(yard.directory.join("engine.sock"), point);
        assert!(run_through(&proxy, yard.command(&["reset", "b", "it"])).at.is_some(), "it was not written down");
    }
    assert_eq!(yard.has("volume", "b"), volumes);
    yard.sandbox(&["rm", "a"]).ok();
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
    yard.up("b");
    // Redis need not have been left the time to write its own down.
    assert_eq!(yard.sql("b", "SELECT text FROM notes"), "kept");
    assert!(!is_pending());
    yard.assert_as_desired("b");
    assert_eq!(yard.has("volume", "b"), volumes);
}

#[test]
fn with_a_slow_engine_everything_takes_longer_and_ends_the_same() {
    let yard = Yard::new("slow-engine");
    let proxy = Proxy::slow(yard.directory.join("engine.sock"), Duration::from_millis(150));
    let slowly = |arguments: &[&str]| {
        let mut command = yard.command(arguments);
        command.env("DOCKER_HOST", format!("unix://{}", proxy.socket().display()));
        finish(command).ok()
    };
    slowly(&["up", "a"]);
    yard.assert_whole("a");
    assert_eq!(slowly(&["up", "--dry-run", "a"]).stdout, "nothing to do\n");
    slowly(&["rm", "a"]);
    yard.assert_no_trace("a");
}
