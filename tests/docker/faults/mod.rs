//! Kill points: the program is killed at every one of its requests to the engine and of its git commands, before it and
//! after it. The next `up` converges in one go, the next `rm` leaves nothing, and what is not the sandbox's stays.

mod ground;
mod pool;
mod proxy;
mod request;
mod soak;
mod suite;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use ground::{Data, run_through};
use proxy::Proxy;
use serde_json::Value;
use suite::Case;

use crate::yard::{Yard, docker, eventually, finish, inside};

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
    let volumes = yard.has("volume", "b");
    cut_until(&yard, "b", &["reset", "b", "it"], 0, || pending(&yard, "b").is_object());
    assert_eq!(yard.has("volume", "b"), volumes);
    assert_eq!(yard.view("b")["mend"], "sandbox up b");
    yard.sandbox(&["rm", "a"]).ok();
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
    yard.up("b");
    yard.assert_note_is_kept("b");
    assert!(pending(&yard, "b").is_null());
    yard.assert_as_desired("b");
    assert_eq!(yard.has("volume", "b"), volumes);
}

#[test]
fn a_reset_that_fails_takes_nothing_from_one_that_was_cut_short() {
    let yard = Yard::new("reset-twice");
    yard.up("a");
    let filter = format!("label=com.docker.compose.project={}", yard.env("a")["COMPOSE_PROJECT_NAME"]);
    let serves = || {
        let replaced = pending(&yard, "a")["replace"].clone();
        let is_replaced = |name: &str| replaced.as_array().unwrap().iter().any(|it| it == name);
        let running = docker(&["ps", "--no-trunc", "--filter", &filter, "--format", "{{.Mounts}}"]);
        let volumes = yard.has("volume", "a");
        running.lines().count() == 2
            && !running.lines().flat_map(|names| names.split(',')).any(is_replaced)
            && replaced.as_array().unwrap().iter().all(|it| volumes.iter().any(|name| it == name))
    };
    // Cut short once the new ones serve, and before the old ones go.
    cut_until(&yard, "a", &["reset", "--fresh", "a"], 42, || pending(&yard, "a").is_object() && serves());
    let told = inside::redis_words("a", &["SET", "note", "kept"]);
    eventually("the new one answers", || yard.sandbox(&told).stdout.contains("OK").then_some(()));
    yard.sandbox(&["down", "a"]).ok();
    let port: u16 = yard.env("a")["APP_PORT"].parse().unwrap();
    let held = TcpListener::bind(("127.0.0.1", port)).unwrap();
    yard.sandbox(&["reset", "a"]).ends_with(14);
    drop(held);
    yard.up("a");
    assert_eq!(yard.redis("a", "GET note"), "kept");
    yard.assert_as_desired("a");
}

/// What the databases of a sandbox are about to begin with.
fn pending(yard: &Yard, task: &str) -> Value {
    let record = fs::read(yard.repo.join(format!(".git/worktrees/{task}/sandbox.json"))).unwrap();
    serde_json::from_slice::<Value>(&record).unwrap()["pending"].clone()
}

/// Cuts a command short in a sandbox that is up, each time one request later, until something is so.
fn cut_until(yard: &Yard, task: &str, words: &[&str], first: usize, is_so: impl Fn() -> bool) {
    let mut number = first;
    while !is_so() {
        number += 1;
        yard.up(task);
        let point = Point { door: Door::Engine, number, when: When::Before };
        let proxy = Proxy::open(yard.directory.join("engine.sock"), point);
        assert!(run_through(&proxy, yard.command(words)).at.is_some(), "it came to its end without that");
    }
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
