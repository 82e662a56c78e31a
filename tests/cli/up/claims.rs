//! The machine-wide claims file, and the place where it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_damaged_claims_file_is_named_and_left_as_it_is() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("home/state/sandbox/claims.json", "{\"schema_version\": 1, \"claims\": [{");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: the claims file [DESK]/home/state/sandbox/claims.json is damaged
      because: EOF while parsing an object at line 1 column 34
      hint: move it away: mv [DESK]/home/state/sandbox/claims.json [DESK]/home/state/sandbox/claims.json.damaged; the next `up` in each repository registers it again
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn an_empty_claims_file_is_a_damaged_one() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.write("home/state/sandbox/claims.json", "");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    assert!(ran.stderr.contains("claims.json is damaged"), "{}", ran.stderr);
}

#[test]
fn a_claims_file_of_a_newer_sandbox_is_named_and_left_as_it_is() {
    let desk = Desk::new();
    let engine = desk.engine();
    let newer = "{\"schema_version\": 7, \"holdings\": {\"of\": \"another shape\"}}";
    desk.write("home/state/sandbox/claims.json", newer);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: the claims file [DESK]/home/state/sandbox/claims.json was written by a newer sandbox
      hint: use that version, or remove the sandboxes it made first
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_claims_file_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    desk.write("home/state/sandbox/claims.json", "{}");
    let desk = desk.of_nobody();
    let engine = desk.engine();
    let file = desk.state().join("claims.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot read [DESK]/home/state/sandbox/claims.json
      because: Permission denied (os error 13)
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn without_a_home_there_is_no_place_for_claims() {
    let desk = Desk::new();
    let engine = desk.engine();
    let ran = desk.call(["up", "fix"]).without("HOME").without("XDG_STATE_HOME").gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: neither HOME nor XDG_STATE_HOME is set, so there is no place for the claims file
      hint: set HOME, or XDG_STATE_HOME to a directory you may write to
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn without_a_home_a_place_for_state_is_enough() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.call(["up", "--dry-run", "fix"]).without("HOME").without("XDG_CONFIG_HOME").run().succeeds();
}

#[test]
fn a_relative_place_for_state_is_ignored() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("home/.local/state/sandbox/claims.json", "damaged");
    fs::create_dir(desk.root().join("home/.local/state/sandbox/locks")).unwrap();
    let ran = desk.call(["up", "fix"]).env("XDG_STATE_HOME", "state").gets_refused(Kind::Files);
    assert!(ran.stderr.contains("/home/.local/state/sandbox/claims.json is damaged"), "{}", ran.stderr);
    assert!(engine.commands().is_empty());
}

#[test]
fn a_file_where_state_is_to_be_is_named_with_the_variable_that_moves_it() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("home/state", "not a directory\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot open the lock file [DESK]/home/state/sandbox/locks/[HASH].lock
      because: Not a directory (os error 20)
      hint: set XDG_STATE_HOME to a directory you may write to
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_place_for_state_that_we_may_not_write_to_is_named_with_the_variable_that_moves_it() {
    let desk = Desk::new();
    fs::create_dir(desk.root().join("home/state")).unwrap();
    let desk = desk.of_nobody();
    let engine = desk.engine();
    let state = desk.root().join("home/state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).unwrap();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot open the lock file [DESK]/home/state/sandbox/locks/[HASH].lock
      because: Permission denied (os error 13)
      hint: set XDG_STATE_HOME to a directory you may write to
    ");
    assert!(engine.commands().is_empty());
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
}
