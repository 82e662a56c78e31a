//! What goes wrong around the program while it is at work: a registry that breaks off, an engine that is slow, a disk that
//! is full. What was begun is gone on with or taken away by the next command, and the error says what it was.

use std::process::Command;

use rustix::process::Signal;

use crate::yard::{Manner, PROGRAM, Registry, Yard, eventually, finish, redis_image};

#[test]
fn a_pull_that_is_cut_off_or_killed_in_the_middle_begins_again() {
    let yard = Yard::new("pull");
    let registry = Registry::of(&redis_image());
    yard.set(&format!("variables: {{REDIS_IMAGE: '{}'}}\n", registry.image()));
    registry.hand_out(Manner::Stalled);
    let up = yard.begin(&["up", "a"]);
    eventually("the layer is being fetched", || (registry.asked() > 0).then_some(()));
    up.signal(Signal::KILL);
    assert_eq!(up.output().code, None);
    // The engine tries some times by itself, and then gives up.
    registry.hand_out(Manner::Cut);
    let cut = yard.sandbox(&["up", "a"]).ends_with(12);
    cut.says(&[&registry.image(), "EOF"]);
    registry.hand_out(Manner::Whole);
    yard.up("a");
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn an_up_that_finds_no_room_says_so_and_leaves_what_the_next_command_completes() {
    let yard = Yard::new("full-disk");
    for (number, blocks) in [0, 1, 2, 4, 8, 24].into_iter().enumerate() {
        let mut shell = Command::new("sh");
        let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        yard.surround(&mut shell).args(["-c", &line, PROGRAM, "up", "a"]).current_dir(&yard.repo);
        let ran = finish(shell);
        if ran.code != Some(0) {
            assert!(!matches!(ran.code, None | Some(1 | 70 | 101)), "{blocks} blocks: {ran}");
            assert!(ran.stderr.contains("error: "), "{blocks} blocks: {ran}");
        }
        if number % 2 == 0 {
            yard.up("a");
            yard.assert_as_desired("a");
        }
        let removed = yard.sandbox(&["rm", "a"]);
        assert!(matches!(removed.code, Some(0 | 7)), "{blocks} blocks: {removed}");
        yard.assert_no_trace("a");
        assert!(yard.claimed().is_empty(), "{blocks} blocks: {:?}", yard.claimed());
    }
}
