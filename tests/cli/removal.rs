//! `sandbox rm` and `sandbox down`, as far as they go without an engine that obeys.

use std::fs;
use std::process::Command;

use sandbox::error::Kind;
use serde_json::json;

use crate::desk::{Desk, Footprint, hiding};

#[test]
fn a_sandbox_that_is_not_there_cannot_be_removed() {
    let desk = Desk::new();
    let engine = desk.engine();
    for args in [&["rm", "nowhere"][..], &["rm", "--dry-run", "nowhere"], &["down", "nowhere"], &["stop", "nowhere"]] {
        desk.call(args).gets_refused(Kind::NoSuchSandbox);
    }
    assert!(engine.commands().is_empty());
}

#[test]
fn a_network_to_which_what_is_gone_is_still_attached_is_removed() {
    let desk = Desk::new();
    desk.made("fix");
    let repo = desk.repo().join(".git").display().to_string();
    let labels = json!({ "sandbox.repo": repo, "sandbox.task": "fix" });
    let network = json!([{ "Id": "b00c", "Name": "blog_fix_default", "Driver": "bridge", "Labels": labels }]);
    let engine = desk.engine().with_networks(network).with_attached("blog_fix-redis-1");
    desk.call(["down", "fix"]).run().succeeds();
    let asked: Vec<String> = engine.commands().iter().map(|it| it.replace(" HTTP/1.1", "")).collect();
    let done: Vec<&str> = asked.iter().map(|it| it.rsplit('/').next().unwrap()).collect();
    assert_eq!(done, ["b00c", "disconnect", "b00c"], "{asked:?}");
}

#[test]
fn the_default_branch_and_a_branch_of_the_users_cannot_be_removed() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.git(&desk.repo(), &["worktree", "add", "--quiet", "-b", "mine", "../mine"]);
    desk.call(["rm", "main"]).gets_refused(Kind::Protected);
    desk.call(["rm", "mine"]).gets_refused(Kind::NoSuchSandbox);
    assert!(engine.commands().is_empty());
}

#[test]
fn work_that_would_be_lost_is_listed_and_everything_stays() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.commit(&made.path, "feature", "1\n");
    fs::write(made.path.join("README"), "changed\n").unwrap();
    fs::write(made.path.join("notes"), "mine\n").unwrap();
    let ran = desk.call(["rm", "--dry-run", "fix"]).gets_refused(Kind::WouldLoseWork);
    let _commit = hiding(r"\b[0-9a-f]{7} ", "[COMMIT] ");
    insta::assert_snapshot!(ran.stderr, @"
    error: removing fix would lose work
      because: 1 modified file: README
               1 untracked file: notes
               1 commit on no other branch and no remote: [COMMIT] write feature
      hint: commit what is worth keeping in [DESK]/src/blog-wt/fix, then `sandbox merge fix`
      hint: `sandbox rm --force fix` moves it into the trash; `sandbox undo fix` brings it back
    ");
    let before = Footprint::of(&desk);
    desk.run(["rm", "fix"]).fails(Kind::WouldLoseWork);
    let locks = desk.state().join("locks");
    let other: Vec<String> = Footprint::of(&desk)
        .since(&before)
        .into_iter()
        .filter(|line| !line.contains(locks.to_str().unwrap()))
        .collect();
    assert_eq!(other, Vec::<String>::new());
    assert!(engine.commands().is_empty());
}

#[test]
fn a_dry_run_of_a_removal_prints_the_plan_and_removes_nothing() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    let before = Footprint::of(&desk);
    insta::assert_snapshot!(desk.run(["rm", "--dry-run", "fix"]).succeeds(), @"
    1. remove worktree [DESK]/src/blog-wt/fix (asked for)
    2. delete branch fix (asked for) after 1
    3. release the claim (asked for) after 1, 2
    ");
    insta::assert_snapshot!(desk.run(["down", "--dry-run", "fix"]).succeeds(), @"nothing to do");
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    assert!(engine.commands().is_empty());
}

#[test]
fn a_sandbox_without_containers_is_removed_whole() {
    let desk = Desk::new();
    let engine = desk.engine();
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.git(&desk.repo(), &["status"]);
    let before = Footprint::of(&desk);
    let made = desk.made("fix");
    let ran = desk.run(["rm", "fix"]);
    insta::assert_snapshot!(ran.succeeds(), @"fix is gone: 0 containers, 0 networks, 0 volumes, worktree, branch, claim; Docker and git have nothing of it left");
    assert!(!made.path.exists());
    assert_eq!(desk.git(&desk.repo(), &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
    assert_eq!(desk.git(&desk.repo(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    let claims = fs::read_to_string(desk.state().join("claims.json")).unwrap();
    assert!(!claims.contains("fix"), "{claims}");
    let left: Vec<String> = Footprint::of(&desk).since(&before).into_iter().filter(|line| !is_gits_own(line)).collect();
    insta::assert_snapshot!(left.join("\n"), @"
    new: [DESK]/home/state/sandbox/claims.json
    new: [DESK]/home/state/sandbox/claims.lock
    ");
    assert!(engine.commands().is_empty());
}

#[test]
fn a_process_that_works_in_the_worktree_holds_it_and_is_named() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    let mut at_work = Command::new("sleep").arg("600").current_dir(&made.path).spawn().unwrap();
    let ran = desk.call(["rm", "--dry-run", "fix"]).gets_refused(Kind::WouldLoseWork);
    let named = format!("at work in it: sleep 600 (pid {})", at_work.id());
    assert!(ran.stderr.contains(&named), "{}", ran.stderr);
    at_work.kill().unwrap();
    at_work.wait().unwrap();
    // We, and whoever started us, may stand there.
    desk.call(["rm"]).within(&made.path).run().succeeds();
    assert!(engine.commands().is_empty());
}

/// Git keeps the objects of a branch that is gone, and the directories of references and logs.
fn is_gits_own(line: &str) -> bool {
    ["/.git/objects", "/.git/logs", "/.git/refs", "/.git/worktrees"].iter().any(|place| line.contains(place))
}

#[test]
fn what_was_merged_at_the_remote_meanwhile_is_not_lost_with_the_sandbox() {
    let desk = Desk::new();
    let engine = desk.engine();
    let made = desk.made("fix");
    desk.write("src/blog/.git/info/exclude", "/.env.worktree\n");
    desk.git(&desk.repo(), &["clone", "--quiet", "--bare", ".", "../origin.git"]);
    desk.git(&desk.repo(), &["remote", "add", "origin", "../origin.git"]);
    desk.git(&desk.repo(), &["fetch", "--quiet"]);
    desk.commit(&made.path, "feature", "1\n");
    desk.run(["rm", "fix"]).fails(Kind::WouldLoseWork);
    // As a forge does it: the same content in a commit of its own, and the branch was never pushed from here.
    desk.git(&desk.repo(), &["clone", "--quiet", "../origin.git", "../elsewhere"]);
    let elsewhere = desk.root().join("src/elsewhere");
    desk.commit(&elsewhere, "feature", "1\n");
    desk.git(&elsewhere, &["push", "--quiet"]);
    desk.run(["rm", "fix"]).succeeds();
    assert!(!made.path.exists() && engine.commands().is_empty());
}
