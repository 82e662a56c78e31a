//! `sandbox merge`

use std::fs;

use sandbox::error::Kind;

use crate::desk::{Desk, Footprint, hiding};

#[test]
fn a_task_is_merged_into_the_default_branch_and_removed() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "1\n");
    let _commit = hiding(r"\b[0-9a-f]{10}\b", "[COMMIT]");
    insta::assert_snapshot!(desk.run(["merge", "fix"]).succeeds(), @"
    main went forward to fix, at [COMMIT]
    fix is gone: 0 containers, 0 networks, 0 volumes, worktree, branch, claim; Docker and git have nothing of it left
      its commits are kept; `sandbox undo fix` brings it back
    ");
    assert_eq!(desk.git(&desk.repo(), &["log", "-1", "--format=%s"]), "write feature");
    assert_eq!(desk.git(&desk.repo(), &["status", "--porcelain"]), "");
    assert!(!made.path.exists());
    assert!(engine.commands().is_empty());
}

#[test]
fn a_task_that_is_kept_can_be_merged_again_and_into_any_branch() {
    let desk = Desk::new();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "1\n");
    desk.git(&desk.repo(), &["branch", "release"]);
    // No engine is needed.
    desk.run(["merge", "fix", "--keep", "--into", "release", "--squash", "-m", "The feature"]).succeeds();
    assert_eq!(desk.git(&desk.repo(), &["log", "-1", "--format=%s", "release"]), "The feature");
    let answer = desk.run(["merge", "fix", "--keep", "--no-ff", "--json"]).succeeds();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["merged"]["how"], &answer["merged"]["removed"]), (&"commit".into(), &serde_json::Value::Null));
    let again = desk.run(["merge", "--keep"].iter().chain(&["-C", made.path.to_str().unwrap()])).succeeds();
    assert_eq!(again, "main has all of fix already\n");
    assert!(made.path.exists());
}

#[test]
fn what_is_not_committed_stops_it_before_anything_is_merged() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n/.env\n");
    desk.commit(&made.path, "feature", "1\n");
    fs::write(made.path.join("notes"), "mine\n").unwrap();
    fs::write(made.path.join(".env"), "mine\n").unwrap();
    let before = desk.git(&desk.repo(), &["for-each-ref"]);
    let ran = desk.run(["merge", "fix"]);
    insta::assert_snapshot!(ran.stderr, @"
    error: fix is not ready to be merged
      because: 1 untracked file: notes
               1 ignored file: .env
      hint: commit what is worth keeping in [DESK]/src/blog-wt/fix, and clear away the rest
    ");
    ran.fails(Kind::WouldLoseWork);
    desk.run(["merge", "fix", "--keep"]).fails(Kind::WouldLoseWork);
    assert_eq!(desk.git(&desk.repo(), &["for-each-ref"]), before);
    fs::remove_file(made.path.join("notes")).unwrap();
    let ran = desk.run(["merge", "fix"]);
    assert!(ran.stderr.contains("--keep merges the commits alone"), "{}", ran.stderr);
    ran.fails(Kind::WouldLoseWork);
    desk.run(["merge", "fix", "--keep"]).succeeds();
}

#[test]
fn conflicts_are_named_and_nothing_happens() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "theirs\n");
    desk.commit(&desk.repo(), "feature", "ours\n");
    let before = Footprint::of(&desk).below(&made.path);
    let ran = desk.run(["merge", "fix"]);
    insta::assert_snapshot!(ran.stderr, @"
    error: fix and main conflict
      because: feature
      hint: `sandbox exec fix -- git merge main`, resolve and commit there, then `sandbox merge fix` again
    ");
    ran.fails(Kind::Conflict);
    assert_eq!(Footprint::of(&desk).below(&made.path).since(&before), Vec::<String>::new());
    assert_eq!(desk.git(&desk.repo(), &["status", "--porcelain"]), "");
    desk.run(["merge", "fix", "--ff-only"]).fails(Kind::Conflict);
}

#[test]
fn words_that_do_not_go_together_are_refused() {
    let desk = Desk::new();
    let _engine = desk.engine();
    desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.call(["merge", "nowhere"]).gets_refused(Kind::NoSuchSandbox);
    desk.call(["merge", "fix", "--into", "fix"]).gets_refused(Kind::Usage);
    desk.call(["merge", "fix", "--squash", "--no-ff"]).gets_refused(Kind::Usage);
    desk.run(["merge", "fix", "--into", "nowhere"]).fails(Kind::Git);
}
