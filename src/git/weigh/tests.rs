//! Each kind of work that would be lost, and what is none.

use super::*;
use crate::git::fixture::{Scratch, commit, git};

async fn said(scratch: &Scratch, branch: &str) -> Vec<String> {
    let path = scratch.path().join(branch);
    let objections = scratch.repo().removal_objections(&path, branch, &Spared::default()).await.unwrap();
    objections.iter().map(Objection::to_string).collect()
}

fn made(scratch: &Scratch, branch: &str) -> std::path::PathBuf {
    let path = scratch.path().join(branch);
    for name in [format!("refs/heads/{branch}"), format!("refs/sandbox/made/{branch}")] {
        git(&scratch.main(), &["update-ref", &name, "HEAD"]);
    }
    git(&scratch.main(), &["worktree", "add", "--quiet", path.to_str().unwrap(), branch]);
    path
}

#[tokio::test]
async fn a_worktree_without_work_may_go() {
    let scratch = Scratch::with_commit("myapp");
    made(&scratch, "x");
    assert!(said(&scratch, "x").await.is_empty());
    fs::remove_dir_all(scratch.path().join("x")).unwrap();
    assert!(said(&scratch, "x").await.is_empty());
    assert!(said(&scratch, "never-was").await.is_empty());
}

#[tokio::test]
async fn changed_untracked_and_ignored_files_are_named_and_spared_ones_are_not() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&path, &["config", "status.showUntrackedFiles", "no"]);
    scratch.repo().exclude("ignored").unwrap();
    fs::write(path.join("README"), "changed").unwrap();
    fs::write(path.join("ignored"), "").unwrap();
    fs::create_dir(path.join("hollow")).unwrap();
    for n in 0..12 {
        fs::write(path.join(format!("new {n:02}")), "").unwrap();
    }
    let said = said(&scratch, "x").await;
    assert_eq!(said[0], "1 modified file: README");
    assert!(said[1].starts_with("13 untracked files: new 00, new 01"), "{said:?}");
    assert!(said[1].ends_with("new 09 and 3 more"), "{said:?}");
    assert_eq!(said[2..], ["1 ignored file: ignored"]);
    let spared = Spared::new(["ignored".into(), "hollow/".into()]).unwrap();
    let objections = scratch.repo().removal_objections(&path, "x", &spared).await.unwrap();
    assert!(objections[1].to_string().starts_with("12 untracked files"), "{objections:?}");
    assert_eq!(objections.len(), 2);
}

#[tokio::test]
async fn commits_count_until_another_branch_or_a_remote_has_them() {
    let scratch = Scratch::cloned();
    let path = made(&scratch, "x");
    commit(&path, "a", "1");
    let objections = said(&scratch, "x").await;
    assert!(objections[0].starts_with("1 commit on no other branch and no remote: "), "{objections:?}");
    assert!(objections[0].ends_with(" write a"));
    git(&path, &["push", "--quiet", "origin", "x"]);
    assert!(said(&scratch, "x").await.is_empty());
    commit(&path, "b", "1");
    assert_eq!(said(&scratch, "x").await.len(), 1);
    git(&path, &["branch", "x-too"]);
    assert!(said(&scratch, "x").await.is_empty());
}

#[tokio::test]
async fn commits_on_a_detached_head_count_and_those_on_the_users_branch_do_not() {
    let scratch = Scratch::with_commit("myapp");
    let path = scratch.linked("mine");
    commit(&path, "a", "1");
    assert!(said(&scratch, "mine").await.is_empty());
    git(&path, &["checkout", "--quiet", "--detach"]);
    commit(&path, "b", "1");
    assert_eq!(said(&scratch, "mine").await.len(), 1);
}

#[tokio::test]
async fn files_that_git_cannot_judge_are_an_objection() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    fs::remove_file(path.join(".git")).unwrap();
    assert_eq!(scratch.repo().removal_objections(&path, "x", &Spared::default()).await.unwrap(), [Objection::Unlinked]);
    fs::remove_file(path.join("README")).unwrap();
    assert!(said(&scratch, "x").await.is_empty());
}

#[tokio::test]
async fn changes_that_git_was_told_to_overlook_count() {
    let scratch = Scratch::with_commit("myapp");
    commit(&scratch.main(), "local", "1");
    let path = made(&scratch, "x");
    git(&path, &["update-index", "--skip-worktree", "local"]);
    git(&path, &["update-index", "--assume-unchanged", "README"]);
    assert!(said(&scratch, "x").await.is_empty());
    fs::write(path.join("local"), "mine").unwrap();
    assert_eq!(said(&scratch, "x").await, ["1 modified file: local"]);
    fs::write(path.join("README"), "mine").unwrap();
    assert_eq!(said(&scratch, "x").await, ["2 modified files: README, local"]);
    assert!(git(&path, &["ls-files", "-v"]).contains("S local"), "the index is left as it was");
}

#[tokio::test]
async fn a_worktree_inside_of_another_holds_it() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    scratch.repo().exclude("inner").unwrap();
    git(&path, &["worktree", "add", "--quiet", "-b", "y", "inner"]);
    let expected = format!("1 other worktree inside of it: {}", path.join("inner").display());
    assert_eq!(said(&scratch, "x").await, ["1 ignored file: inner/", &expected]);
    assert_eq!(
        scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap_err().kind(),
        Kind::WouldLoseWork
    );
    assert!(path.join("inner/README").exists());
}

#[tokio::test]
async fn of_a_directory_that_was_deleted_what_was_staged_and_committed_still_counts() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&path, &["checkout", "--quiet", "--detach"]);
    commit(&path, "a", "1");
    fs::write(path.join("b"), "1").unwrap();
    git(&path, &["add", "b"]);
    fs::remove_dir_all(&path).unwrap();
    let said = said(&scratch, "x").await;
    assert_eq!(said[0], "1 modified file: b");
    assert!(said[1].starts_with("1 commit on no other branch"), "{said:?}");
    assert_eq!(said.len(), 2);
}

#[tokio::test]
async fn a_directory_on_a_disk_that_is_not_there_is_not_gone() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    let gitdir = scratch.main().join(".git/worktrees/x/gitdir");
    fs::write(&gitdir, "/nowhere/mounted/x/.git\n").unwrap();
    let objections =
        scratch.repo().removal_objections(Path::new("/nowhere/mounted/x"), "x", &Spared::default()).await.unwrap();
    assert_eq!(objections, [Objection::OutOfSight]);
    fs::write(&gitdir, format!("{}/gone/too/.git\n", path.display())).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let objections = scratch.repo().removal_objections(&path.join("gone/too"), "x", &Spared::default()).await.unwrap();
    assert_eq!(objections, []);
}

#[tokio::test]
async fn a_branch_of_ours_that_is_checked_out_elsewhere_is_an_objection() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&path, &["checkout", "--quiet", "--detach"]);
    git(&scratch.main(), &["checkout", "--quiet", "x"]);
    assert_eq!(said(&scratch, "x").await, [format!("its branch is checked out at {} too", scratch.main().display())]);
}

#[tokio::test]
async fn after_a_checkout_that_was_killed_only_strangers_files_count() {
    let scratch = Scratch::with_commit("myapp");
    commit(&scratch.main(), "other", "1");
    let path = made(&scratch, "x");
    fs::remove_file(scratch.main().join(".git/worktrees/x/index")).unwrap();
    fs::remove_file(path.join("other")).unwrap();
    fs::write(path.join("README"), "re").unwrap();
    assert!(said(&scratch, "x").await.is_empty());
    fs::write(path.join("notes"), "mine").unwrap();
    assert_eq!(said(&scratch, "x").await, ["1 untracked file: notes"]);
    assert!(!scratch.main().join(".git/worktrees/x/sandbox-index").exists());
}

#[tokio::test]
async fn a_lock_and_a_bisection_are_objections() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&path, &["bisect", "start"]);
    git(&path, &["worktree", "lock", "--reason", "demo", "."]);
    assert_eq!(said(&scratch, "x").await, ["it is locked: demo", "a bisection that has not been finished"]);
}

#[tokio::test]
async fn a_repository_in_the_tree_that_is_recorded_as_a_commit_counts_with_all_its_commits() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&path, &["init", "--quiet", "inner"]);
    commit(&path.join("inner"), "work", "1");
    git(&path, &["add", "inner"]);
    git(&path, &["commit", "--quiet", "--message", "link"]);
    git(&scratch.main(), &["merge", "--quiet", "--ff-only", "x"]);
    let said = said(&scratch, "x").await;
    assert!(said[0].starts_with("1 commit of submodules on no remote: inner "), "{said:?}");
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn commits_under_references_of_the_worktrees_own_count() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    commit(&path, "work", "1");
    git(&path, &["update-ref", "refs/worktree/wip", "HEAD"]);
    git(&path, &["reset", "--quiet", "--hard", "HEAD~1"]);
    let said = said(&scratch, "x").await;
    assert!(said[0].ends_with("write work"), "{said:?}");
}

#[tokio::test]
async fn another_name_of_the_branch_is_no_other_branch_and_a_forgotten_head_holds_nothing() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    commit(&path, "work", "1");
    git(&scratch.main(), &["symbolic-ref", "refs/heads/alias", "refs/heads/x"]);
    let gone = scratch.path().join("gone");
    git(&scratch.main(), &["worktree", "add", "--quiet", "--detach", gone.to_str().unwrap(), "x"]);
    assert!(said(&scratch, "x").await.is_empty(), "checked out elsewhere");
    fs::remove_dir_all(&gone).unwrap();
    assert_eq!(said(&scratch, "x").await.len(), 1);
}

#[tokio::test]
async fn picks_that_are_between_two_commits_are_under_way() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    git(&scratch.main(), &["switch", "--quiet", "--create", "other"]);
    let picked = ["1", "2"].map(|text| commit(&scratch.main(), "README", text));
    commit(&path, "README", "mine");
    let pick = Program::within(&path).args(["cherry-pick", picked[0].as_str(), picked[1].as_str()]).run_blocking();
    assert!(!pick.unwrap().ok, "it conflicts");
    fs::write(path.join("README"), "1").unwrap();
    git(&path, &["commit", "--quiet", "--all", "--message", "resolved"]);
    let said = said(&scratch, "x").await;
    assert!(said.contains(&"a cherry-pick that has not been finished".to_owned()), "{said:?}");
}

#[tokio::test]
async fn only_what_was_made_here_and_is_still_there_is_work() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch, "x");
    let worked = async || {
        let worktree = scratch.repo().worktree_at(&path).unwrap().unwrap();
        scratch.repo().has_work_in(&worktree, worktree.head.as_ref().unwrap()).await.unwrap()
    };
    commit(&scratch.main(), "a", "1");
    git(&path, &["rebase", "--quiet", "main"]);
    assert!(!worked().await, "it only followed");
    commit(&path, "work", "1");
    assert!(worked().await);
    git(&path, &["reset", "--quiet", "--hard", "HEAD~1"]);
    assert!(!worked().await, "it was thrown away");
}
