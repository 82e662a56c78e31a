//! `sandbox logs TASK`

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_sandbox_that_is_not_there_has_no_logs() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.call(["logs", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
    assert!(engine.commands().is_empty());
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.made("fix");
    let ran = desk.run(["logs", "fix", "mysql"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("mysql"), "{}", ran.stderr);
    assert!(engine.commands().is_empty());
}
