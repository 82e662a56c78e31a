//! The pool, whose making, attaching and removal are killed at their requests: the next command completes it, or takes it apart.

use super::ground::{Cut, run_through};
use super::proxy::Proxy;
use super::suite::{Verdict, stage};
use super::{Door, Point};
use crate::yard::{OwnEngine, Yard};

/// What is killed, and how it is then.
struct Case<'a> {
    words: &'a [&'a str],
    /// What there is before.
    begin: &'a dyn Fn(),
    /// What is checked afterwards, whether it was killed or not.
    check: &'a dyn Fn(),
    /// Every so manieth request is one, unless all are wanted.
    every: usize,
}

impl Case<'_> {
    /// Tries the points. How many there were.
    fn try_all(&self, yard: &Yard, engine: &OwnEngine<'_>) -> usize {
        let every = if super::all_are_wanted() { 1 } else { self.every };
        for tried in 0.. {
            (self.begin)();
            let point = Point::nth(tried, Door::Engine, 1, every);
            let proxy = Proxy::to(engine.socket(), yard.directory.join("proxy.sock"), point);
            let Cut { at, ran } = run_through(&proxy, engine.program(self.words));
            drop(proxy);
            let Some(at) = at else {
                ran.ok();
                (self.check)();
                return tried;
            };
            if let Err((_, why)) = stage(Verdict::Stuck, self.check) {
                panic!("{} killed {point:?} ({at}): {why}", self.words.join(" "));
            }
        }
        unreachable!("a run ends")
    }
}

#[test]
fn snapshots_on_their_way_into_the_pool_are_in_it_or_where_they_were() {
    let yard = Yard::new("pool-moving");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["up", "a"]).ok();
    engine.leave_a_note("a");
    let create = ["pool", "create", "--size", "1g"];
    let begin = || drop(engine.sandbox(&["snapshot", "save", "a", "it"]).ok());
    let listed = || engine.sandbox(&["snapshot", "ls", "--json"]).ok().json()["snapshots"].clone();
    let check = || {
        let [snapshot] = &*listed().as_array().unwrap().clone() else { panic!("{}", listed()) };
        assert_eq!((&snapshot["name"], &snapshot["whole"]), (&"it".into(), &true.into()));
        let ran = engine.sandbox(&create);
        assert!(matches!(ran.code, Some(0 | 19)), "{ran}");
        engine.sandbox(&["up", "b", "--snapshot", "it"]).ok();
        assert_eq!(engine.notes("b"), 2);
        engine.sandbox(&["rm", "b"]).ok();
        engine.sandbox(&["reset", "--fresh", "a"]).ok();
        engine.leave_a_note("a");
        engine.sandbox(&["snapshot", "rm", "it"]).ok();
        assert_eq!(listed(), serde_json::json!([]));
        let volumes = engine.docker(&["volume", "ls", "--quiet"]);
        let left: Vec<&str> = volumes.lines().filter(|it| it.contains("_copy") || it.contains("_view")).collect();
        assert_eq!(left, [""; 0]);
        engine.sandbox(&["down", "-v", "a"]).ok();
        engine.sandbox(&["pool", "rm"]).ok();
        engine.sandbox(&["up", "a"]).ok();
        engine.leave_a_note("a");
    };
    let tried = Case { words: &create, begin: &begin, check: &check, every: 40 }.try_all(&yard, &engine);
    println!("kill points of snapshots being put into a pool: {tried} tried, all converged");
    assert!(tried > 1);
}

#[test]
fn a_pool_that_is_cut_short_is_completed_or_taken_apart() {
    let yard = Yard::new("pool-killed");
    let engine = OwnEngine::start(&yard);
    let create = ["pool", "create", "--size", "1g"];
    let ends = |words: &[&str], codes: [i32; 2]| {
        let ran = engine.sandbox(words);
        assert!(ran.code.is_some_and(|code| codes.contains(&code)), "{ran}");
    };
    let remains = || engine.docker(&["volume", "ls", "--quiet"]) + &engine.docker(&["ps", "--all", "--quiet"]);
    let nothing = || {
        ends(&["pool", "rm"], [0, 18]);
        assert_eq!(remains(), "");
        assert!(!engine.has_loop_device());
    };
    let made = || {
        ends(&["pool", "show"], [0, 18]);
        ends(&create, [0, 19]);
        engine.sandbox(&["pool", "show"]).ok();
        nothing();
    };
    let made = Case { words: &create, begin: &|| {}, check: &made, every: 9 }.try_all(&yard, &engine);
    let there = || drop(engine.sandbox(&create).ok());
    let removed = Case { words: &["pool", "rm"], begin: &there, check: &nothing, every: 9 }.try_all(&yard, &engine);
    there();
    let attached = || drop(engine.sandbox(&["pool", "show"]).ok());
    let let_go = || engine.let_go_of_the_pool();
    let attached =
        Case { words: &["pool", "show"], begin: &let_go, check: &attached, every: 9 }.try_all(&yard, &engine);
    nothing();
    println!("kill points of pool create, rm and show: {made}, {removed} and {attached} tried, all converged");
    assert!(made > 1 && removed > 1 && attached > 1);
}

#[test]
fn in_a_pool_a_save_or_a_reset_that_is_killed_keeps_all_data_and_leaves_nothing() {
    let yard = Yard::new("pool-data");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "create", "--size", "2g"]).ok();
    let volumes = || engine.docker(&["volume", "ls", "--quiet"]);
    let with_a_note = |task: &str| {
        engine.sandbox(&["up", task]).ok();
        engine.leave_a_note(task);
    };
    let save = ["snapshot", "save", "a", "it"];
    with_a_note("a");
    engine.sandbox(&["rm", "a"]).ok();
    let bases = volumes();
    let check = || {
        engine.sandbox(&["up", "a"]).ok();
        assert_eq!(engine.notes("a"), 2);
        // It was kept, or never was.
        if engine.sandbox(&["snapshot", "ls", "--quiet"]).ok().stdout.contains("it") {
            engine.sandbox(&["up", "b", "--snapshot", "it"]).ok();
            assert_eq!(engine.notes("b"), 2);
            engine.sandbox(&["rm", "a", "b"]).ok();
            engine.sandbox(&["snapshot", "rm", "it"]).ok();
        } else {
            engine.sandbox(&["rm", "a"]).ok();
        }
        assert_eq!(volumes(), bases);
    };
    let to_save = Case { words: &save, begin: &|| with_a_note("a"), check: &check, every: 30 };
    let saves = to_save.try_all(&yard, &engine);
    with_a_note("a");
    engine.sandbox(&save).ok();
    engine.sandbox(&["rm", "a"]).ok();
    let kept = volumes();
    let is_reset = || {
        engine.sandbox(&["up", "b"]).ok();
        // Never one of the servers alone.
        assert!(matches!(engine.notes("b"), 0 | 2));
        engine.sandbox(&["rm", "b"]).ok();
        assert_eq!(volumes(), kept);
    };
    let begin = || drop(engine.sandbox(&["up", "b"]).ok());
    let to_reset = Case { words: &["reset", "b", "it"], begin: &begin, check: &is_reset, every: 30 };
    let resets = to_reset.try_all(&yard, &engine);
    println!("kill points of a save and a reset in a pool: {saves} and {resets} tried, all converged");
    assert!(saves > 1 && resets > 1);
}
