//! Where a new branch begins.

use sandbox::error::Kind;

use crate::desk::Desk;

#[test]
fn a_repository_without_a_commit_names_the_flag_that_would_help() {
    let desk = Desk::unborn();
    let engine = desk.engine();
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NoBase);
    insta::assert_snapshot!(ran.stderr, @"
    error: blog has no commit yet to start a branch from
      hint: make a first commit, or name a commit with --from REF
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_repository_without_a_default_branch_names_the_flag_that_would_help() {
    let desk = Desk::new();
    let engine = desk.engine();
    let repo = desk.repo();
    desk.git(&repo, &["branch", "one"]);
    desk.git(&repo, &["branch", "two"]);
    desk.git(&repo, &["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    desk.git(&repo, &["branch", "--delete", "--force", "main"]);
    let ran = desk.call(["up", "fix"]).gets_refused(Kind::NoBase);
    insta::assert_snapshot!(ran.stderr, @"
    error: blog has no default branch to start a branch from
      hint: make a first commit, or name a commit with --from REF
    ");
    assert!(engine.commands().is_empty());
    let plan = desk.run(["up", "--dry-run", "fix", "--from", "one"]).succeeds();
    assert!(plan.contains("worktree"), "{plan}");
}

#[test]
fn a_base_that_is_no_commit_is_refused_by_its_name() {
    let desk = Desk::new();
    let engine = desk.engine();
    for from in ["nowhere", "origin/main", "HEAD~7", "v1.0", "--help", "HEAD:README"] {
        let ran = desk.call(["up", "fix", &format!("--from={from}")]).gets_refused(Kind::NoBase);
        assert!(ran.stderr.contains(&format!("error: {from} is no commit in this repository")), "{}", ran.stderr);
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn a_base_for_a_branch_that_exists_gets_refused() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.git(&desk.repo(), &["branch", "fix"]);
    let ran = desk.call(["up", "fix", "--from", "main"]).gets_refused(Kind::Usage);
    insta::assert_snapshot!(ran.stderr, @"
    error: the branch fix exists, so --from has nothing to begin
      hint: `sandbox up fix` without --from takes the branch as it is
    ");
    desk.made("here");
    desk.commit(&desk.repo(), "newer", "1\n");
    let ran = desk.run(["up", "here", "--from", "main"]).fails(Kind::Usage);
    insta::assert_snapshot!(ran.stderr, @"
    error: here exists already, so --from has nothing to begin
      hint: `sandbox up here` without --from
    ");
    assert!(engine.commands().is_empty());
    // Asked again for what was done it is no mistake.
    assert_eq!(desk.git(&desk.repo(), &["rev-parse", "main~1"]), desk.git(&desk.repo(), &["rev-parse", "here"]));
    desk.run(["up", "here", "--from", "main~1", "--dry-run"]).succeeds();
}

#[test]
fn a_detached_head_is_no_hindrance() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.git(&desk.repo(), &["checkout", "--quiet", "--detach"]);
    desk.run(["up", "--dry-run", "fix"]).succeeds();
    desk.git(&desk.repo(), &["branch", "--delete", "--force", "main"]);
    desk.run(["up", "--dry-run", "fix"]).succeeds();
}

#[test]
fn a_shallow_clone_is_no_hindrance() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.commit(&desk.repo(), "README", "second\n");
    let url = format!("file://{}", desk.repo().display());
    desk.git(desk.root(), &["clone", "--quiet", "--depth=1", &url, "src/shallow"]);
    let shallow = desk.root().join("src/shallow");
    assert!(shallow.join(".git/shallow").exists());
    let plan = desk.call(["up", "--dry-run", "fix"]).within(&shallow).run().succeeds();
    assert!(plan.contains("/src/shallow-wt/fix"), "{plan}");
}

#[test]
fn a_bare_repository_and_a_worktree_of_one_are_no_hindrance() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let bare = desk.root().join("src/shop/.bare");
    desk.git(desk.root(), &["clone", "--quiet", "--bare", "src/blog", bare.to_str().unwrap()]);
    desk.git(&bare, &["worktree", "add", "--quiet", "-b", "mine", "../mine"]);
    for place in [bare.clone(), desk.root().join("src/shop/mine")] {
        let plan = desk.call(["up", "--dry-run", "fix"]).within(&place).run().succeeds();
        assert!(plan.contains("/src/shop/shop-wt/fix") || plan.contains("/src/shop-wt/fix"), "{plan}");
    }
}

#[test]
fn a_branch_that_a_remote_has_is_taken_from_there() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.git(&desk.repo(), &["branch", "fix"]);
    desk.git(desk.root(), &["clone", "--quiet", "src/blog", "src/clone"]);
    let clone = desk.root().join("src/clone");
    let plan = desk.call(["up", "--dry-run", "fix"]).within(&clone).run().succeeds();
    assert!(plan.contains("add worktree") && plan.contains("/src/clone-wt/fix on fix"), "{plan}");
    let refs = desk.git(&clone, &["for-each-ref", "--format=%(refname)", "refs/heads"]);
    assert_eq!(refs, "refs/heads/main", "a dry run made a branch");
}

#[test]
fn a_dry_run_fetches_nothing() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.git(desk.root(), &["clone", "--quiet", "src/blog", "src/clone"]);
    let clone = desk.root().join("src/clone");
    let before = desk.git(&clone, &["rev-parse", "origin/main"]);
    desk.commit(&desk.repo(), "README", "later\n");
    desk.call(["up", "--dry-run", "fix"]).within(&clone).run().succeeds();
    assert_eq!(desk.git(&clone, &["rev-parse", "origin/main"]), before);
}

/// Intent: where the user has no branch at all, ours must not be taken for the default one.
#[test]
fn the_branch_of_a_task_is_never_the_default_branch() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let repo = desk.repo();
    desk.git(&repo, &["checkout", "--quiet", "--detach"]);
    desk.git(&repo, &["branch", "--quiet", "-D", "main"]);
    desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.run(["up", "fix", "--dry-run"]).succeeds();
    // The commit is that of the main checkout's head.
    desk.run(["rm", "fix"]).succeeds();
}
