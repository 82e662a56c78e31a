//! The pool, whose making, attaching and removal are killed at their requests: the next command completes it, or takes it apart.

use super::ground::{Cut, run_through};
use super::proxy::Proxy;
use super::suite::{Verdict, stage};
use super::{Door, Point, When};
use crate::yard::{OwnEngine, Yard};

/// What is killed, and how it is then.
struct Case<'a> {
    words: &'a [&'a str],
    /// What there is before.
    begin: &'a dyn Fn(),
    /// What is checked afterwards, whether it was killed or not.
    check: &'a dyn Fn(),
}

impl Case<'_> {
    /// Tries the points, every so manieth unless all are wanted. How many there were.
    fn try_all(&self, yard: &Yard, engine: &OwnEngine<'_>) -> usize {
        let every = if super::all_are_wanted() { 1 } else { 6 };
        let mut tried = 0;
        for number in (1..).step_by(every) {
            for when in [When::Before, When::After] {
                (self.begin)();
                let point = Point { door: Door::Engine, number, when };
                let proxy = Proxy::to(engine.socket(), yard.directory.join("proxy.sock"), point);
                let Cut { at, ran } = run_through(&proxy, engine.program(self.words));
                drop(proxy);
                let Some(at) = at else {
                    ran.ok();
                    (self.check)();
                    return tried;
                };
                if let Err((_, why)) = stage(Verdict::Stuck, self.check) {
                    panic!("{} killed {when:?} {number} ({at}): {why}", self.words.join(" "));
                }
                tried += 1;
            }
        }
        tried
    }
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
    let made = Case { words: &create, begin: &|| {}, check: &made }.try_all(&yard, &engine);
    let there = || drop(engine.sandbox(&create).ok());
    let removed = Case { words: &["pool", "rm"], begin: &there, check: &nothing }.try_all(&yard, &engine);
    there();
    let attached = || drop(engine.sandbox(&["pool", "show"]).ok());
    let let_go = || engine.let_go_of_the_pool();
    let attached = Case { words: &["pool", "show"], begin: &let_go, check: &attached }.try_all(&yard, &engine);
    nothing();
    println!("kill points of pool create, rm and show: {made}, {removed} and {attached} tried, all converged");
    assert!(made > 2 && removed > 2 && attached > 2);
}
