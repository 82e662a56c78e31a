//! An engine that is killed in the middle, and started again. These scenarios start one, which root alone may: for anybody
//! else `tests/tools/run-tests` leaves them out, and says so.

use std::fs;

use crate::yard::{OwnEngine, Yard, eventually};

/// Two containers, a network, and two volumes with what each writes.
const WHOLE: usize = 7;

#[test]
fn an_engine_that_is_gone_is_never_taken_for_a_clean_one() {
    let yard = Yard::new("engine-gone");
    let mut engine = OwnEngine::start(&yard);
    engine.sandbox(&["up", "a"]).ok();
    let before = engine.has(Some("a"));
    assert_eq!(before.len(), WHOLE);
    engine.kill();
    let refs = yard.git(&["for-each-ref"]);
    for command in
        [&["rm", "a"][..], &["rm", "--force", "a"], &["down", "a"], &["gc", "--yes"], &["up", "a"], &["merge", "a"]]
    {
        engine.sandbox(command).ends_with(10);
    }
    let list = engine.sandbox(&["ls"]).ok();
    assert!(list.stdout.contains("unknown"), "{list}");
    assert!(yard.worktree("a").join("README").exists());
    assert_eq!((yard.git(&["for-each-ref"]), yard.claimed().len()), (refs, 1));
    engine.again();
    assert_eq!(engine.has(Some("a")), before);
    engine.sandbox(&["up", "a"]).ok();
    engine.sandbox(&["rm", "a"]).ok();
    assert!(engine.has(None).is_empty() && yard.claimed().is_empty());
}

#[test]
fn an_engine_that_is_killed_in_the_middle_leaves_what_the_next_command_completes() {
    let yard = Yard::new("engine-killed");
    let mut engine = OwnEngine::start(&yard);
    for (task, then) in [("a", "up"), ("b", "rm")] {
        let mut up = engine.begin(&["up", task]);
        // Not while it makes a network: killed then, Docker Engine 20.10 cannot read what it has of it, and ends at once.
        let label = format!("label=sandbox.task={task}");
        let of_service = ["ps", "-aq", "--filter", &label, "--filter", "label=com.docker.compose.service"];
        eventually("a server is there", || (!engine.docker(&of_service).is_empty()).then_some(()));
        engine.kill();
        assert!(!up.wait().success());
        engine.again();
        if then == "up" {
            engine.sandbox(&["up", task]).ok();
            assert_eq!(engine.has(Some(task)).len(), WHOLE);
            assert_eq!(engine.sandbox(&["up", "--dry-run", task]).ok().stdout, "nothing to do\n");
        }
        engine.sandbox(&["rm", task]).ok();
        assert_eq!(engine.has(None), [""; 0]);
    }
    engine.sandbox(&["up", "c"]).ok();
    fs::write(yard.worktree("c").join("notes"), "mine\n").unwrap();
    let mut rm = engine.begin(&["rm", "--force", "c"]);
    // First of all the worktree is moved, last of all the network goes: in between the engine is killed.
    eventually("its worktree is gone", || (!yard.worktree("c").exists()).then_some(()));
    engine.kill();
    rm.wait();
    engine.again();
    let again = engine.sandbox(&["rm", "--force", "c"]);
    assert!(matches!(again.code, Some(0 | 7)), "{again}");
    assert_eq!(engine.has(None), [""; 0]);
    engine.sandbox(&["undo"]).ok();
    assert_eq!(fs::read_to_string(yard.worktree("c").join("notes")).unwrap(), "mine\n");
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "--force", "c"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

#[test]
fn what_a_sandbox_stands_on_survives_whoever_prunes_and_a_reboot() {
    let yard = Yard::new("prune");
    let mut engine = OwnEngine::start(&yard);
    engine.sandbox(&["up", "a"]).ok();
    engine.sandbox(&["up", "b"]).ok();
    engine.leave_a_note("a");
    engine.docker(&["system", "prune", "--force", "--volumes"]);
    engine.sandbox(&["stop", "b"]).ok();
    // A container that is stopped holds its volumes too, as long as it is there.
    engine.docker(&["volume", "prune", "--force"]);
    for layer in engine.docker(&["volume", "ls", "--quiet", "--filter", "label=sandbox.layer"]).lines() {
        assert!(engine.refuses(&["volume", "rm", layer]), "{layer} could be removed");
    }
    assert_eq!(engine.notes("a"), 2);
    engine.sandbox(&["start", "b"]).ok();
    engine.sandbox(&["rm", "b"]).ok();
    engine.sandbox(&["stop", "a"]).ok();
    engine.sandbox(&["start", "a"]).ok();
    assert_eq!(engine.notes("a"), 2);
    engine.sandbox(&["snapshot", "save", "a", "it"]).ok();
    engine.sandbox(&["up", "d", "--snapshot", "it"]).ok();
    engine.sandbox(&["stop", "d"]).ok();
    // What Redis has not written down by then, a loss of power takes.
    engine.power_off();
    engine.again();
    for task in ["a", "d"] {
        engine.sandbox(&["up", task]).ok();
        assert_eq!(engine.notes(task), 2);
    }
    // The base snapshot may be gone: the next sandbox makes another.
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "--all", "--force"]).ok();
    engine.sandbox(&["snapshot", "rm", "it"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}
