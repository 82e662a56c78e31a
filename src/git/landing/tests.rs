//! The table of what counts as arrived and what does not, each in a real repository.

use std::fs;
use std::path::Path;

use super::*;
use crate::git::fixture::{Scratch, commit, git};

/// A file of ten lines, so that changes have something around them.
const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

/// A repository with a file of ten lines, and a branch `task` that is checked out.
fn on_task() -> (Scratch, CommitId) {
    let scratch = Scratch::with_commit("myapp");
    let fork = commit(&scratch.main(), "file", LINES);
    git(&scratch.main(), &["switch", "--quiet", "--create", "task"]);
    (scratch, fork)
}

/// A commit that puts one line in the place of another.
fn edit(dir: &Path, file: &str, from: &str, to: &str) -> CommitId {
    let text = fs::read_to_string(dir.join(file)).unwrap();
    let changed = text.replacen(&format!("{from}\n"), to, 1);
    assert_ne!(text, changed, "{from} stands in {file}");
    commit(dir, file, &changed)
}

fn back_to_main(scratch: &Scratch) -> std::path::PathBuf {
    git(&scratch.main(), &["switch", "--quiet", "main"]);
    scratch.main()
}

async fn verdict(scratch: &Scratch, fork: &CommitId) -> Option<Landing> {
    let repo = scratch.repo();
    let tip = repo.branch("task").unwrap().unwrap();
    repo.landing(&tip, Some(fork)).await.unwrap().map(|landed| landed.how)
}

/// Two commits on the branch: one line changed, and a file added.
fn two_commits(scratch: &Scratch) -> [CommitId; 2] {
    [edit(&scratch.main(), "file", "5", "five\n"), commit(&scratch.main(), "new", "alpha\nb\nc\n")]
}

fn squash(dir: &Path) {
    git(dir, &["merge", "--quiet", "--squash", "task"]);
    git(dir, &["commit", "--quiet", "--message", "all of it"]);
}

#[tokio::test]
async fn a_fast_forward_counts_and_so_do_edits_that_follow() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    git(&main, &["merge", "--quiet", "--ff-only", "task"]);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Merged));
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Merged));
}

#[tokio::test]
async fn a_merge_commit_counts() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    edit(&main, "file", "1", "one\n");
    git(&main, &["merge", "--quiet", "--no-ff", "--no-edit", "task"]);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Merged));
}

#[tokio::test]
async fn a_squash_counts_also_when_the_same_lines_were_changed_since() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    edit(&main, "file", "3", "three\n");
    squash(&main);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Contained));
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
    commit(&main, "new", "a\nB\nc\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
}

#[tokio::test]
async fn a_squash_with_more_in_it_counts() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    git(&main, &["merge", "--quiet", "--squash", "task"]);
    commit(&main, "extra", "review\n");
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
}

#[tokio::test]
async fn a_rebase_counts_also_when_the_same_lines_were_changed_since() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    edit(&main, "file", "7", "seven\n");
    git(&main, &["checkout", "--quiet", "--detach", "task"]);
    git(&main, &["rebase", "--quiet", "main"]);
    git(&main, &["branch", "--force", "main", "HEAD"]);
    git(&main, &["switch", "--quiet", "main"]);
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Picked));
}

#[tokio::test]
async fn picking_every_commit_counts_in_any_order_and_picking_some_does_not() {
    let (scratch, fork) = on_task();
    let [first, second] = two_commits(&scratch);
    let main = back_to_main(&scratch);
    edit(&main, "file", "7", "seven\n");
    git(&main, &["cherry-pick", second.as_str()]);
    edit(&main, "new", "b", "B\n");
    assert_eq!(verdict(&scratch, &fork).await, None, "partly");
    git(&main, &["cherry-pick", first.as_str()]);
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Picked));
}

#[tokio::test]
async fn two_commits_that_look_alike_need_two_counterparts() {
    let (scratch, fork) = on_task();
    let first = commit(&scratch.main(), "file", &format!("x\n{LINES}"));
    commit(&scratch.main(), "file", &format!("x\n{LINES}x\n"));
    let main = back_to_main(&scratch);
    git(&main, &["cherry-pick", first.as_str()]);
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn a_branch_that_undid_something_of_its_own_counts_when_all_was_picked() {
    let (scratch, fork) = on_task();
    edit(&scratch.main(), "file", "5", "debug\n");
    edit(&scratch.main(), "file", "debug", "5\n");
    edit(&scratch.main(), "file", "8", "eight\n");
    let main = back_to_main(&scratch);
    edit(&main, "file", "1", "one\n");
    git(&main, &["cherry-pick", "main..task"]);
    edit(&main, "file", "eight", "VIII\n");
    // What it comes to is in no single commit's way: the last one alone.
    assert!(verdict(&scratch, &fork).await.is_some());
}

#[tokio::test]
async fn what_landed_on_the_remote_alone_counts() {
    let scratch = Scratch::cloned();
    let main = scratch.main();
    let fork = CommitId::parse(&git(&main, &["rev-parse", "HEAD"])).unwrap();
    git(&main, &["switch", "--quiet", "--create", "task"]);
    commit(&main, "new", "work\n");
    git(&scratch.origin(), &["fetch", "--quiet", main.to_str().unwrap(), "task"]);
    git(&scratch.origin(), &["merge", "--quiet", "--squash", "FETCH_HEAD"]);
    git(&scratch.origin(), &["commit", "--quiet", "--message", "work"]);
    assert_eq!(verdict(&scratch, &fork).await, None, "not fetched");
    git(&main, &["fetch", "--quiet"]);
    let landed = scratch.repo().landing(&scratch.repo().branch("task").unwrap().unwrap(), Some(&fork)).await.unwrap();
    assert_eq!(landed.unwrap().sentence(), "contained in origin/main");
    // The branch there is deleted after that, as a forge does it.
    git(&main, &["fetch", "--quiet", "--prune"]);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Contained));
}

#[tokio::test]
async fn what_was_reverted_does_not_count_however_it_had_come() {
    for way in ["ff", "no-ff", "squash", "pick"] {
        for then_edited in [false, true] {
            let (scratch, fork) = on_task();
            let [first, second] = two_commits(&scratch);
            let main = back_to_main(&scratch);
            if way != "ff" {
                edit(&main, "file", "1", "one\n");
            }
            match way {
                "ff" => drop(git(&main, &["merge", "--quiet", "--ff-only", "task"])),
                "no-ff" => drop(git(&main, &["merge", "--quiet", "--no-ff", "--no-edit", "task"])),
                "squash" => squash(&main),
                _ => drop(git(&main, &["cherry-pick", first.as_str(), second.as_str()])),
            }
            assert!(verdict(&scratch, &fork).await.is_some(), "{way}");
            match way {
                "no-ff" => drop(git(&main, &["revert", "--no-edit", "--mainline=1", "HEAD"])),
                "squash" => drop(git(&main, &["revert", "--no-edit", "HEAD"])),
                _ => drop(git(&main, &["revert", "--no-edit", "HEAD", "HEAD~1"])),
            }
            if then_edited {
                edit(&main, "file", "5", "V\n");
                commit(&main, "new", "something else\n");
            }
            assert_eq!(verdict(&scratch, &fork).await, None, "{way}, edited since: {then_edited}");
        }
    }
}

#[tokio::test]
async fn what_was_reverted_in_part_does_not_count() {
    let (scratch, fork) = on_task();
    let [first, _] = two_commits(&scratch);
    let main = back_to_main(&scratch);
    squash(&main);
    git(&main, &["revert", "--no-edit", first.as_str()]);
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn what_was_reverted_and_came_again_counts() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    squash(&main);
    git(&main, &["revert", "--no-edit", "HEAD"]);
    assert_eq!(verdict(&scratch, &fork).await, None);
    git(&main, &["revert", "--no-edit", "HEAD"]);
    edit(&main, "file", "five", "V\n");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
}

#[tokio::test]
async fn a_file_that_was_moved_since_is_not_taken_back() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    squash(&main);
    edit(&main, "file", "five", "V\n");
    git(&main, &["mv", "new", "newer"]);
    git(&main, &["commit", "--quiet", "--message", "another name"]);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
}

#[tokio::test]
async fn a_likeness_but_for_white_space_does_not_count() {
    let (scratch, fork) = on_task();
    edit(&scratch.main(), "file", "5", "if x { y }\n");
    let main = back_to_main(&scratch);
    edit(&main, "file", "5", "if  x {  y }\n");
    assert_eq!(verdict(&scratch, &fork).await, None);
    edit(&main, "file", "if  x {  y }", "if x { y }\r\n");
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn what_is_on_another_branch_alone_does_not_count() {
    let (scratch, fork) = on_task();
    two_commits(&scratch);
    let main = back_to_main(&scratch);
    git(&main, &["switch", "--quiet", "--create", "release"]);
    git(&main, &["merge", "--quiet", "--no-ff", "--no-edit", "task"]);
    git(&main, &["switch", "--quiet", "main"]);
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn a_branch_without_work_does_not_count() {
    let (scratch, fork) = on_task();
    assert_eq!(verdict(&scratch, &fork).await, None);
    let main = back_to_main(&scratch);
    edit(&main, "file", "1", "one\n");
    assert_eq!(verdict(&scratch, &fork).await, None, "the default branch has moved on");
    git(&main, &["switch", "--quiet", "task"]);
    git(&main, &["commit", "--quiet", "--allow-empty", "--message", "nothing"]);
    git(&main, &["switch", "--quiet", "main"]);
    assert_eq!(verdict(&scratch, &fork).await, None, "an empty commit");
}

#[tokio::test]
async fn attributes_that_keep_one_side_do_not_make_it_contained() {
    let (scratch, fork) = on_task();
    edit(&scratch.main(), "file", "5", "five\n");
    let main = back_to_main(&scratch);
    git(&main, &["config", "merge.ours.driver", "true"]);
    commit(&main, ".gitattributes", "file merge=ours\n");
    edit(&main, "file", "5", "fünf\n");
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn a_mode_a_binary_file_and_a_name_out_of_the_ordinary_are_recognised() {
    let (scratch, fork) = on_task();
    let dir = scratch.main();
    fs::write(dir.join("ä \"b\"\t"), b"\0\x01\xff").unwrap();
    git(&dir, &["add", "."]);
    git(&dir, &["update-index", "--chmod=+x", "file"]);
    git(&dir, &["commit", "--quiet", "--message", "odd"]);
    git(&dir, &["reset", "--quiet", "--hard"]);
    let main = back_to_main(&scratch);
    squash(&main);
    git(&main, &["update-index", "--chmod=-x", "file"]);
    git(&main, &["commit", "--quiet", "--message", "not executable"]);
    assert_eq!(verdict(&scratch, &fork).await, None, "the mode was taken back");
    git(&main, &["reset", "--quiet", "--hard", "HEAD~1"]);
    fs::write(main.join("ä \"b\"\t"), b"\0\x02\xff").unwrap();
    git(&main, &["commit", "--quiet", "--all", "--message", "other bytes"]);
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
}

#[tokio::test]
async fn the_same_lines_elsewhere_in_the_file_do_not_count() {
    let (scratch, since) = on_task();
    edit(&scratch.main(), "file", "2", "2\nretries: 3\n");
    let main = back_to_main(&scratch);
    edit(&main, "file", "9", "9\nretries: 3\n");
    assert_eq!(verdict(&scratch, &since).await, None);
    git(&main, &["switch", "--quiet", "task"]);
    edit(&main, "file", "5", "5\nlimit: 7\n");
    git(&main, &["switch", "--quiet", "main"]);
    edit(&main, "file", "8", "8\nlimit: 7\n");
    assert_eq!(verdict(&scratch, &since).await, None, "commit by commit");
}

#[tokio::test]
async fn what_was_taken_away_bit_by_bit_does_not_count() {
    let lines = "first line\nsecond line\nthird line\n";
    for edited in [false, true] {
        let (scratch, since) = on_task();
        edit(&scratch.main(), "file", "5", &format!("5\n{lines}"));
        let main = back_to_main(&scratch);
        edit(&main, "file", "1", "one\n");
        squash(&main);
        if edited {
            edit(&main, "file", "second line", "2nd line\n");
            assert_eq!(verdict(&scratch, &since).await, Some(Landing::Squashed));
            edit(&main, "file", "first line\n2nd line\nthird line", "");
        } else {
            edit(&main, "file", "first line", "");
            edit(&main, "file", "second line\nthird line", "");
        }
        edit(&main, "file", "9", "9\n9a\n");
        assert_eq!(verdict(&scratch, &since).await, None, "edited between: {edited}");
    }
}

#[tokio::test]
async fn what_a_merge_dropped_does_not_count() {
    let (scratch, since) = on_task();
    edit(&scratch.main(), "file", "5", "five and more\n");
    let main = back_to_main(&scratch);
    squash(&main);
    git(&main, &["switch", "--quiet", "--create", "side", "HEAD~1"]);
    edit(&main, "file", "9", "nine\n");
    git(&main, &["switch", "--quiet", "main"]);
    git(&main, &["merge", "--quiet", "--no-ff", "--no-commit", "side"]);
    fs::write(main.join("file"), LINES.replace("9\n", "nine\n")).unwrap();
    git(&main, &["commit", "--quiet", "--all", "--message", "an evil merge"]);
    assert_eq!(verdict(&scratch, &since).await, None);
}

/// Lines that the work had changed, put back in ways that no single commit tells.
#[tokio::test]
async fn lines_that_are_as_they_were_before_do_not_count_whatever_came_between() {
    for way in ["one of three", "edited, then back", "one by one"] {
        let (scratch, fork) = on_task();
        commit(&scratch.main(), "file", &LINES.replace("4\n5\n6\n", "four\nfive\nsix\n"));
        let main = back_to_main(&scratch);
        squash(&main);
        assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Contained));
        match way {
            "one of three" => drop(edit(&main, "file", "five", "5\n")),
            "edited, then back" => {
                edit(&main, "file", "five", "V\n");
                commit(&main, "file", LINES);
            }
            _ => {
                for (word, digit) in [("four", "4\n"), ("five", "5\n"), ("six", "6\n")] {
                    edit(&main, "file", word, digit);
                }
            }
        }
        assert_eq!(verdict(&scratch, &fork).await, None, "{way}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_text_and_as_it_was_before_does_not_count() {
    let scratch = Scratch::with_commit("myapp");
    let fork = commit(&scratch.main(), "image", "\0old");
    git(&scratch.main(), &["switch", "--quiet", "--create", "task"]);
    commit(&scratch.main(), "image", "\0new");
    let main = back_to_main(&scratch);
    squash(&main);
    commit(&main, "image", "\0newer");
    assert_eq!(verdict(&scratch, &fork).await, Some(Landing::Squashed));
    commit(&main, "image", "\0old");
    assert_eq!(verdict(&scratch, &fork).await, None);
}

#[tokio::test]
async fn an_empty_file_that_was_removed_again_does_not_count() {
    let (scratch, fork) = on_task();
    commit(&scratch.main(), "marker", "");
    let main = back_to_main(&scratch);
    squash(&main);
    git(&main, &["rm", "--quiet", "marker"]);
    commit(&main, "another", "text\n");
    assert_eq!(verdict(&scratch, &fork).await, None);
}
