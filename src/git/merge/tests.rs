//! Every way of merging, with the target checked out and not.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::git::fixture::{Scratch, commit, git};

/// A repository with a branch `task` of one commit, and `main` checked out or not.
fn scratch(checked_out: bool) -> Scratch {
    let scratch = Scratch::with_commit("myapp");
    let main = scratch.main();
    git(&main, &["switch", "--quiet", "--create", "task"]);
    commit(&main, "work", "1\n");
    git(&main, &["switch", "--quiet", if checked_out { "main" } else { "--detach" }]);
    scratch
}

/// A commit on `main`, wherever that is.
fn on_main(scratch: &Scratch, file: &str, text: &str) {
    let main = scratch.main();
    let was_out = scratch.repo().checked_out_at("main").unwrap().is_some();
    git(&main, &["switch", "--quiet", "main"]);
    commit(&main, file, text);
    if !was_out {
        git(&main, &["switch", "--quiet", "--detach"]);
    }
}

fn merge(style: MergeStyle) -> Merge {
    Merge { branch: "task".into(), into: "main".into(), style, message: None }
}

/// All that a merge may change.
fn state(scratch: &Scratch) -> [String; 3] {
    let ask = |args: &[&str]| git(&scratch.main(), args);
    [ask(&["for-each-ref"]), ask(&["status", "--porcelain=v2", "--branch"]), ask(&["ls-files", "--stage"])]
}

fn parents(scratch: &Scratch) -> usize {
    git(&scratch.main(), &["log", "-1", "--format=%P", "main"]).split_whitespace().count()
}

#[tokio::test]
async fn what_can_go_forward_does_and_again_there_is_nothing_to_do() {
    for checked_out in [true, false] {
        let scratch = scratch(checked_out);
        let repo = scratch.repo();
        let tip = repo.branch("task").unwrap().unwrap();
        assert_eq!(repo.merge(&merge(MergeStyle::Configured)).await.unwrap(), Merged::FastForward(tip.clone()));
        assert_eq!(repo.branch("main").unwrap(), Some(tip));
        assert_eq!(git(&scratch.main(), &["status", "--porcelain"]), "");
        assert_eq!(repo.merge(&merge(MergeStyle::Configured)).await.unwrap(), Merged::UpToDate);
    }
}

#[tokio::test]
async fn a_merge_commit_and_a_squash_carry_gits_message_or_the_users() {
    for checked_out in [true, false] {
        for (style, count, subject) in [
            (MergeStyle::NoFastForward, 2, "Merge branch 'task'"),
            (MergeStyle::Squash, 1, "Squashed commit of the following:"),
        ] {
            for message in [None, Some("Mine".to_owned())] {
                let scratch = scratch(checked_out);
                on_main(&scratch, "other", "1\n");
                let merge = Merge { message: message.clone(), ..merge(style) };
                assert!(matches!(scratch.repo().merge(&merge).await.unwrap(), Merged::Commit(_)));
                assert_eq!(parents(&scratch), count);
                let said = git(&scratch.main(), &["log", "-1", "--format=%s|%an", "main"]);
                assert_eq!(said, format!("{}|A", message.as_deref().unwrap_or(subject)), "checked out: {checked_out}");
                assert_eq!(git(&scratch.main(), &["ls-tree", "--name-only", "main"]), "README\nother\nwork");
                assert_eq!(git(&scratch.main(), &["status", "--porcelain"]), "");
            }
        }
    }
}

#[tokio::test]
async fn a_conflict_is_named_and_everything_stays_as_it_was() {
    for checked_out in [true, false] {
        for style in [MergeStyle::Configured, MergeStyle::NoFastForward, MergeStyle::Squash] {
            let scratch = scratch(checked_out);
            on_main(&scratch, "work", "2\n");
            let before = state(&scratch);
            let error = scratch.repo().merge(&merge(style)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict);
            assert!(format!("{error}").contains("work"), "{error}");
            assert_eq!(state(&scratch), before);
        }
        let scratch = scratch(checked_out);
        on_main(&scratch, "other", "1\n");
        let before = state(&scratch);
        let error = scratch.repo().merge(&merge(MergeStyle::FastForwardOnly)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(state(&scratch), before);
    }
}

#[tokio::test]
async fn a_target_with_changes_is_left_alone() {
    let scratch = scratch(true);
    let path = scratch.main().join("README");
    fs::write(&path, "mine\n").unwrap();
    let before = state(&scratch);
    let error = scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WouldLoseWork);
    assert_eq!(state(&scratch), before);
    git(&scratch.main(), &["checkout", "--quiet", "README"]);
    // A file that git does not know is in nobody's way, unless the merge brings one of its name.
    fs::write(scratch.main().join("notes"), "mine\n").unwrap();
    fs::write(scratch.main().join("work"), "mine\n").unwrap();
    let error = scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WouldLoseWork);
    assert_eq!(fs::read_to_string(scratch.main().join("work")).unwrap(), "mine\n");
    // Not even one that it ignores, or was told to overlook.
    scratch.repo().exclude("work").unwrap();
    assert_eq!(scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap_err().kind(), Kind::WouldLoseWork);
    git(&scratch.main(), &["update-index", "--assume-unchanged", "README"]);
    fs::write(&path, "mine\n").unwrap();
    assert_eq!(scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap_err().kind(), Kind::WouldLoseWork);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
    git(&scratch.main(), &["update-index", "--no-assume-unchanged", "README"]);
    git(&scratch.main(), &["checkout", "--quiet", "README"]);
    fs::remove_file(scratch.main().join("work")).unwrap();
    scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap();
    assert_eq!(fs::read_to_string(scratch.main().join("notes")).unwrap(), "mine\n");
}

#[tokio::test]
async fn a_hook_that_refuses_is_heeded_and_everything_stays_as_it_was() {
    for checked_out in [true, false] {
        for hook in ["pre-merge-commit", "commit-msg"] {
            let scratch = scratch(checked_out);
            on_main(&scratch, "other", "1\n");
            let path = scratch.main().join(".git/hooks").join(hook);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As those do that mend white space.
            let script = "#!/bin/sh\n[ -f work ] && echo mended >work\necho not on a Friday >&2\nexit 1\n";
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            let before = state(&scratch);
            let error = scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Git);
            assert!(format!("{error}").contains("not on a Friday"), "{error}");
            assert_eq!(state(&scratch), before, "{hook}, checked out: {checked_out}");
            fs::remove_file(&path).unwrap();
        }
    }
}

#[tokio::test]
async fn signing_drivers_and_settings_are_those_of_the_user() {
    for checked_out in [true, false] {
        let scratch = scratch(checked_out);
        on_main(&scratch, "work", "2\n");
        let main = scratch.main();
        fs::write(main.join(".git/info/attributes"), "work merge=ours\n").unwrap();
        git(&main, &["config", "merge.ours.driver", "true"]);
        git(&main, &["config", "commit.gpgSign", "true"]);
        git(&main, &["config", "gpg.program", "false"]);
        let before = state(&scratch);
        let error = scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap_err();
        assert!(format!("{error}").contains("sign"), "{error}");
        assert_eq!(state(&scratch), before, "checked out: {checked_out}");
        git(&main, &["config", "commit.gpgSign", "false"]);
        git(&main, &["config", "merge.ff", "only"]);
        assert_eq!(scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap_err().kind(), Kind::Conflict);
        git(&main, &["config", "--unset", "merge.ff"]);
        scratch.repo().merge(&merge(MergeStyle::Configured)).await.unwrap();
        assert_eq!(git(&main, &["show", "main:work"]), "2");
    }
}

#[tokio::test]
async fn a_squash_that_was_cut_short_before_its_commit_is_completed_by_the_next() {
    let scratch = scratch(true);
    on_main(&scratch, "other", "1\n");
    git(&scratch.main(), &["merge", "--quiet", "--squash", "task"]);
    let merged = scratch.repo().merge(&merge(MergeStyle::Squash)).await.unwrap();
    assert!(matches!(merged, Merged::Commit(_)));
    assert_eq!(git(&scratch.main(), &["log", "-1", "--format=%s"]), "Squashed commit of the following:");
    assert_eq!(git(&scratch.main(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn what_the_user_squashed_and_changed_is_left_alone() {
    let scratch = scratch(true);
    on_main(&scratch, "other", "1\n");
    git(&scratch.main(), &["merge", "--quiet", "--squash", "task"]);
    fs::write(scratch.main().join("work"), "changed\n").unwrap();
    let before = state(&scratch);
    assert_eq!(scratch.repo().merge(&merge(MergeStyle::Squash)).await.unwrap_err().kind(), Kind::WouldLoseWork);
    assert_eq!(state(&scratch), before);
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_that_the_merge_brings_stays_and_what_git_knows_is_in_nobodys_way() {
    let scratch = scratch(true);
    let main = scratch.main();
    git(&main, &["switch", "--quiet", "task"]);
    fs::create_dir(main.join("dir")).unwrap();
    commit(&main, "dir/new", "1\n");
    git(&main, &["switch", "--quiet", "main"]);
    scratch.repo().exclude("/dir").unwrap();
    fs::write(main.join("dir"), "mine\n").unwrap();
    let error = scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WouldLoseWork);
    assert_eq!(fs::read_to_string(main.join("dir")).unwrap(), "mine\n");
    fs::remove_file(main.join("dir")).unwrap();
    scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap();
    fs::write(main.join(".git/info/exclude"), "").unwrap();
    // A directory that becomes a file: all that is in it is git's to take away, unless somebody has put more there.
    git(&main, &["switch", "--quiet", "task"]);
    git(&main, &["rm", "--quiet", "-r", "dir"]);
    commit(&main, "dir", "a file now\n");
    git(&main, &["switch", "--quiet", "main"]);
    fs::write(main.join("dir/notes"), "mine\n").unwrap();
    let error = scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap_err();
    assert!(format!("{error}").contains("dir/notes"), "{error}");
    fs::remove_file(main.join("dir/notes")).unwrap();
    scratch.repo().merge(&merge(MergeStyle::NoFastForward)).await.unwrap();
    assert_eq!(fs::read_to_string(main.join("dir")).unwrap(), "a file now\n");
}
