//! `sandbox show TASK`

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_sandbox_without_containers_is_down_and_the_command_that_mends_it_is_named() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.made("fix");
    insta::assert_snapshot!(desk.run(["show", "fix"]).succeeds(), @"
    fix
      state          down (`sandbox up fix`)
      worktree       [DESK]/src/blog-wt/fix
      branch         fix
      project        blog_fix
      app            http://fix.localhost:3101
      subnet         10.231.101.80/28
      created        2026-01-01T00:00:00Z
      APP_PORT       3101
      POSTGRES_PORT  15101
      REDIS_PORT     16101
      VITE_PORT      4101
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_sandbox_that_is_not_there_gets_refused() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.call(["show", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
}
