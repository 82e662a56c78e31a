//! `sandbox lock` and `unlock`.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_sandbox_that_is_locked_is_shown_and_not_removed_until_it_is_unlocked() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    let ran = desk.call(["lock", "fix", "--reason", "demo"]).env("USER", "ada").run();
    assert_eq!(ran.succeeds(), "fix is locked: demo (ada)\n");
    assert!(desk.run(["ls"]).succeeds().contains("down, locked"));
    assert!(desk.run(["show", "fix"]).succeeds().contains("demo (ada) (`sandbox unlock fix`)"));
    let ran = desk.run(["rm", "fix"]);
    assert_eq!(ran.code, i32::from(Kind::WouldLoseWork.exit_code()));
    assert!(ran.stderr.contains("it is locked: demo (ada)"), "{}", ran.stderr);
    assert!(desk.git(&desk.repo(), &["worktree", "list"]).contains("locked"));
    assert_eq!(desk.call(["unlock"]).within(&made.path).run().succeeds(), "fix is not locked\n");
    desk.run(["rm", "fix"]).succeeds();
    assert!(engine.commands().is_empty());
}

#[test]
fn a_sandbox_that_is_not_there_cannot_be_locked() {
    let desk = Desk::new();
    for verb in ["lock", "unlock"] {
        desk.call([verb, "nowhere"]).gets_refused(Kind::NoSuchSandbox);
    }
}
