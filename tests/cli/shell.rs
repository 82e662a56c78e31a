//! `sandbox shell TASK`

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn the_users_own_shell_is_opened_in_the_worktree_with_its_environment() {
    let desk = Desk::new();
    let made = desk.made("fix");
    let shell = desk.write("run/shell", "#!/bin/sh\npwd\necho $REDIS_PORT\nexit 5\n");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = desk.call(["shell", "fix"]).env("SHELL", &shell).run();
    assert_eq!((ran.code, ran.stdout), (5, format!("{}\n16101\n", made.path.display())));
}

#[test]
fn a_shell_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.made("fix");
    let ran = desk.call(["shell", "fix"]).env("SHELL", "/no/such/shell").gets_refused(Kind::CommandNotFound);
    assert!(ran.stderr.contains("cannot run /no/such/shell"), "{}", ran.stderr);
}

#[test]
fn a_sandbox_that_is_not_there_has_no_shell() {
    Desk::new().call(["shell", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
}
