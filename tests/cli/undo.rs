//! `sandbox rm --force` and `sandbox undo`, beside the table of losses.

use std::fs;

use sandbox::error::Kind;

use crate::desk::{Desk, Footprint, hiding};

/// A sandbox with an untracked file in it.
fn with_notes(desk: &Desk, task: &str, slot: u16) {
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    fs::write(desk.made_at(task, slot).path.join("notes"), "mine\n").unwrap();
}

#[test]
fn what_was_removed_is_listed_and_the_last_comes_back_first() {
    let desk = Desk::new();
    let _engine = desk.engine();
    for (task, slot) in [("a", 101), ("b", 102)] {
        with_notes(&desk, task, slot);
        desk.run(["rm", "-f", task]).succeeds();
    }
    let _time = hiding(r"\d{8}T\d{9}Z", "[TIME]");
    let _size = hiding(r"\d+\.\d kB|\d+ kB", "[SIZE]");
    let _age = hiding(r"\d+s ago", "0s ago");
    insta::assert_snapshot!(desk.run(["undo", "--list"]).succeeds(), @"
    TASK  REMOVED  TIME                 KEPT       SIZE     PLACE
    a     0s ago   [TIME]  all files  [SIZE]  [DESK]/src/blog-wt/.trash/a.[TIME]
    b     0s ago   [TIME]  all files  [SIZE]  [DESK]/src/blog-wt/.trash/b.[TIME]
    ");
    insta::assert_snapshot!(desk.run(["undo"]).succeeds(), @"b is back: in [DESK]/src/blog-wt/b; `sandbox up b` starts its stack");
    insta::assert_snapshot!(desk.run(["undo", "a", "--json"]).succeeds(), @r#"
    {
      "schema_version": 1,
      "undone": {
        "task": "a",
        "worktree": "[DESK]/src/blog-wt/a",
        "branch": "a",
        "moved_branch": null,
        "files": true,
        "up": false
      }
    }
    "#);
    desk.call(["undo"]).gets_refused(Kind::NoSuchSandbox);
    for task in ["a", "b"] {
        assert_eq!(fs::read_to_string(desk.worktrees().join(task).join("notes")).unwrap(), "mine\n");
    }
    assert!(!desk.worktrees().join(".trash").exists());
}

#[test]
fn a_removal_is_named_by_its_time_where_there_are_several() {
    let desk = Desk::new();
    let _engine = desk.engine();
    for text in ["first", "second"] {
        with_notes(&desk, "fix", 101);
        fs::write(desk.worktrees().join("fix/notes"), text).unwrap();
        desk.run(["rm", "--force", "fix"]).succeeds();
    }
    let list: serde_json::Value = serde_json::from_str(&desk.run(["undo", "--list", "--json"]).succeeds()).unwrap();
    let first = list["trash"][0]["time"].as_str().unwrap();
    desk.run(["undo", "fix", "--at", first]).succeeds();
    assert_eq!(fs::read_to_string(desk.worktrees().join("fix/notes")).unwrap(), "first");
    let ran = desk.run(["undo", "fix"]);
    assert!(ran.stderr.contains("there is a worktree at"), "{}", ran.stderr);
    ran.fails(Kind::NotOurs);
}

#[test]
fn nothing_in_the_trash_is_an_error_that_says_so() {
    let desk = Desk::new();
    for args in [&["undo"][..], &["undo", "nowhere"], &["undo", "--json"]] {
        desk.call(args).gets_refused(Kind::NoSuchSandbox);
    }
    insta::assert_snapshot!(desk.run(["undo", "--list"]).succeeds(), @"");
    desk.call(["undo", "a b"]).gets_refused(Kind::TaskName);
    desk.call(["undo", "--at", "now"]).gets_refused(Kind::Usage);
}

#[test]
fn of_a_sandbox_with_nothing_in_it_nothing_is_kept() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.run(["rm", "fix"]).succeeds();
    assert!(!desk.worktrees().exists());
    desk.call(["undo", "fix"]).gets_refused(Kind::NoSuchSandbox);
}

#[test]
fn work_that_was_squashed_into_the_default_branch_is_no_loss_and_comes_back() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "1\n");
    desk.run(["rm", "fix"]).fails(Kind::WouldLoseWork);
    desk.git(&desk.repo(), &["merge", "--quiet", "--squash", "fix"]);
    desk.git(&desk.repo(), &["commit", "--quiet", "-m", "The feature"]);
    let gone = desk.run(["rm", "fix"]).succeeds();
    assert!(gone.contains("its commits are kept; `sandbox undo fix` brings it back"), "{gone}");
    desk.run(["undo"]).succeeds();
    assert_eq!(fs::read_to_string(made.path.join("feature")).unwrap(), "1\n");
    assert_eq!(desk.git(&made.path, &["status", "--porcelain"]), "");
}

#[test]
fn a_branch_that_is_to_stay_is_the_users_from_then_on() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "1\n");
    let tip = desk.git(&made.path, &["rev-parse", "HEAD"]);
    let gone = desk.run(["rm", "--force", "--keep-branch", "fix"]).succeeds();
    assert!(gone.contains("kept, as asked: branch fix"), "{gone}");
    assert_eq!(desk.git(&desk.repo(), &["rev-parse", "fix"]), tip);
    assert_eq!(desk.git(&desk.repo(), &["for-each-ref", "refs/sandbox/made"]), "");
    desk.call(["rm", "fix"]).gets_refused(Kind::NoSuchSandbox);
}

#[test]
fn a_users_lock_is_stronger_than_force() {
    let desk = Desk::new();
    let _engine = desk.engine();
    with_notes(&desk, "fix", 101);
    desk.run(["lock", "fix", "--reason", "demo"]).succeeds();
    let before = Footprint::of(&desk).below(&desk.worktrees());
    let ran = desk.run(["rm", "--force", "fix"]);
    assert!(ran.stderr.contains("`sandbox unlock fix` unlocks it"), "{}", ran.stderr);
    ran.fails(Kind::WouldLoseWork);
    assert_eq!(Footprint::of(&desk).below(&desk.worktrees()).since(&before), Vec::<String>::new());
}

#[test]
fn all_are_removed_but_those_that_would_lose_work() {
    let desk = Desk::new();
    let _engine = desk.engine();
    for (task, slot) in [("a", 101), ("c", 103)] {
        desk.made_at(task, slot);
    }
    with_notes(&desk, "b", 102);
    let ran = desk.run(["rm", "--all"]);
    assert!(ran.stderr.contains("removing b would lose work"), "{}", ran.stderr);
    assert_eq!(ran.code, 8);
    assert_eq!(desk.run(["ls", "-q"]).succeeds(), "b\n");
    desk.run(["rm", "--all", "--force"]).succeeds();
    assert_eq!(desk.run(["ls", "-q"]).succeeds(), "");
    desk.call(["rm", "--all", "a"]).gets_refused(Kind::Usage);
}

#[test]
fn a_stash_is_mentioned_and_stays() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    fs::write(made.path.join("README"), "changed\n").unwrap();
    desk.git(&made.path, &["stash", "push", "--quiet"]);
    let ran = desk.run(["rm", "fix"]);
    assert!(ran.stderr.contains("stash@{0} was made on fix, and stays"), "{}", ran.stderr);
    ran.succeeds();
    assert_eq!(desk.git(&desk.repo(), &["stash", "list"]).lines().count(), 1);
}

#[test]
fn a_worktree_that_was_elsewhere_comes_back_there() {
    let desk = Desk::new();
    let _engine = desk.engine();
    for (task, slot) in [("feature-a", 101), ("feature-b", 102)] {
        with_notes(&desk, task, slot);
    }
    // The directory of a task need not be called after it.
    fs::create_dir(desk.worktrees().join("elsewhere")).unwrap();
    desk.git(&desk.repo(), &["worktree", "move", "../blog-wt/feature-b", "../blog-wt/elsewhere/b"]);
    desk.run(["rm", "--all", "--force"]).succeeds();
    desk.run(["undo", "feature-b"]).succeeds();
    desk.run(["undo", "feature-a"]).succeeds();
    assert!(desk.worktrees().join("elsewhere/b/notes").exists() && desk.worktrees().join("feature-a/notes").exists());
}

#[test]
fn what_was_staged_comes_back_as_often_as_it_goes() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    fs::write(made.path.join("new"), "staged\n").unwrap();
    desk.git(&made.path, &["add", "new"]);
    for _ in 0..3 {
        desk.run(["rm", "--force", "fix"]).succeeds();
        desk.run(["undo", "fix"]).succeeds();
        assert_eq!(desk.git(&made.path, &["status", "--porcelain"]), "A  new");
    }
    // Nothing of ours is left in git's part of it.
    assert!(!desk.repo().join(".git/worktrees/fix/sandbox-trash").exists());
}
