//! Files that sandbox writes and the repository has too.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_tracked_env_file_is_refused_with_the_setting_that_renames_ours() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.commit(&desk.repo(), ".env.worktree", "A=1\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    insta::assert_snapshot!(ran.stderr, @"
    error: the branch tracks a file .env.worktree, which sandbox writes itself
      hint: set `env_file` in .sandbox.yaml to another name, or `git rm --cached` the file
    ");
    desk.write("src/blog/.sandbox.yaml", "env_file: .env.sandbox\n");
    let plan = desk.run(["up", "--dry-run", "fix"]).succeeds();
    assert!(plan.contains("/.env.sandbox"), "{plan}");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_tracked_compose_file_of_our_name_gets_refused() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.commit(&desk.repo(), ".compose.worktree.yaml", "services: {}\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Config);
    insta::assert_snapshot!(ran.stderr, @"
    error: the branch tracks a file .compose.worktree.yaml, which sandbox writes itself
      hint: `git mv` the file to another name: this one cannot be set
    ");
    assert!(engine.commands().is_empty());
}
