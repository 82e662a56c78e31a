//! Where a worktree is to be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_directory_with_files_of_someone_elses_is_left_alone() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog-wt/fix/precious", "mine\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NotOurs);
    insta::assert_snapshot!(ran.stderr, @"
    error: [DESK]/src/blog-wt/fix exists and is not a worktree of ours
      hint: move it away, or choose another name for the task
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_file_where_the_worktree_is_to_be_is_left_alone() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog-wt/fix", "mine\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NotOurs);
    assert!(ran.stderr.contains("/src/blog-wt/fix exists and is not a worktree of ours"), "{}", ran.stderr);
    assert!(engine.commands().is_empty());
}

#[test]
fn a_file_where_the_directory_of_worktrees_is_to_be_is_named() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog-wt", "mine\n");
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot make [DESK]/src/blog-wt/fix: [DESK]/src/blog-wt is no directory
      hint: set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory you may write to
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_parent_that_we_may_not_write_to_is_named_with_the_setting_that_moves_the_worktrees() {
    let desk = Desk::new().of_nobody();
    let engine = desk.engine();
    let parent = desk.root().join("src");
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o555)).unwrap();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::Files);
    insta::assert_snapshot!(ran.stderr, @"
    error: cannot make [DESK]/src/blog-wt/fix: [DESK]/src is not writable
      because: Permission denied (os error 13)
      hint: set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory you may write to
    ");
    assert!(engine.commands().is_empty());
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_is_refused_with_the_place() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.git(&desk.repo(), &["worktree", "add", "--quiet", "-b", "fix", "../elsewhere"]);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NotOurs);
    insta::assert_snapshot!(ran.stderr, @"
    error: the branch fix is checked out at [DESK]/src/elsewhere
      hint: that worktree was not made by sandbox; git has a branch in one place at most
      hint: `git worktree remove [DESK]/src/elsewhere` frees the branch
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_compose_project_of_someone_elses_is_left_alone() {
    let desk = Desk::new();
    let theirs = serde_json::json!([{
        "Id": "1", "Names": ["/blog_fix-web-1"], "State": "running",
        "Labels": { "com.docker.compose.project": "blog_fix" },
    }]);
    let engine = desk.engine().with_containers(theirs);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NotOurs);
    insta::assert_snapshot!(ran.stderr, @"
    error: there is a Compose project blog_fix that sandbox did not make
      hint: `docker compose -p blog_fix ps` shows it; `docker compose -p blog_fix down` takes it away
      hint: or choose another name for the task
    ");
    assert!(engine.commands().is_empty());
}
