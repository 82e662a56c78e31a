//! `rm`: everything goes, unless work would go with it.

use std::fs;

use crate::yard::{Yard, inspect, labelled};

/// When each container of a task was made and started.
fn containers(yard: &Yard, task: &str) -> Vec<String> {
    let all = inspect("container", &yard.has("container", task));
    all.iter().map(|it| format!("{} {} {}", it["Id"], it["State"]["StartedAt"], it["State"]["Running"])).collect()
}

fn commit(yard: &Yard, task: &str, subject: &str) {
    let worktree = yard.worktree(task);
    fs::write(worktree.join("work"), subject).unwrap();
    yard.git_in(&worktree, &["add", "work"]);
    yard.git_in(&worktree, &["commit", "-q", "-m", subject]);
}

/// Checks that `rm` refuses, names the text and touches nothing.
#[track_caller]
fn assert_refused(yard: &Yard, task: &str, texts: &[&str]) {
    let before = (containers(yard, task), yard.claimed(), yard.git(&["for-each-ref"]));
    yard.sandbox(&["rm", task]).ends_with(8).says(texts);
    yard.sandbox(&["rm", "--dry-run", task]).ends_with(8);
    assert_eq!((containers(yard, task), yard.claimed(), yard.git(&["for-each-ref"])), before);
    yard.assert_whole(task);
}

#[test]
fn rm_lists_what_would_be_lost_and_touches_nothing() {
    let yard = Yard::new("losses");
    yard.up("a");
    commit(&yard, "a", "A day's work");
    fs::write(yard.worktree("a").join("README"), "changed\n").unwrap();
    fs::write(yard.worktree("a").join("idea"), "new\n").unwrap();
    assert_refused(
        &yard,
        "a",
        &[
            "1 modified file: README",
            "1 untracked file: idea",
            "1 commit on no other branch and no remote",
            "A day's work",
        ],
    );
    let text = fs::read_to_string(yard.worktree("a").join("README")).unwrap();
    assert_eq!(text, "changed\n");
}

#[test]
fn rm_works_once_the_work_is_merged_or_pushed() {
    let yard = Yard::new("merged");
    yard.make_repository(&yard.directory.join("origin"));
    for task in ["a", "b"] {
        yard.up(task);
        commit(&yard, task, "Work");
        assert_refused(&yard, task, &["Work"]);
    }
    yard.git(&["merge", "-q", "a"]);
    let origin = yard.directory.join("origin");
    yard.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    yard.git(&["push", "-q", "origin", "b"]);
    yard.sandbox(&["rm", "a", "b"]).ok();
    yard.assert_no_trace("a");
    for kind in crate::yard::KINDS {
        assert_eq!(yard.has(kind, "b"), [""; 0]);
    }
    assert_eq!(yard.git(&["branch", "--list", "--format=%(refname:short)"]), "main");
    assert_eq!(yard.git(&["for-each-ref", "refs/sandbox/made"]), "");
    assert!(yard.claimed().is_empty());
    // Nothing was at stake, and the branches can be had again all the same.
    yard.sandbox(&["undo", "a", "--up"]).ok();
    yard.assert_whole("a");
    yard.assert_as_desired("a");
}

#[test]
fn a_forced_removal_says_what_it_cannot_keep_and_undo_brings_back_the_rest() {
    let yard = Yard::new("forced");
    yard.up("a");
    yard.leave_a_note("a");
    commit(&yard, "a", "A day's work");
    fs::write(yard.worktree("a").join("idea"), "new\n").unwrap();
    let slot = yard.view("a")["slot"].clone();
    yard.sandbox(&["rm", "--force", "a"]).ok().says(&["the databases go for good"]);
    yard.assert_no_trace("a");
    // Somebody else may take the numbers meanwhile.
    yard.sandbox(&["undo", "--up"]).ok();
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    assert_eq!(yard.view("a")["slot"], slot);
    assert_eq!(fs::read_to_string(yard.worktree("a").join("idea")).unwrap(), "new\n");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM pg_tables WHERE tablename = 'notes'"), "0");
}

#[test]
fn volumes_that_are_to_stay_keep_the_data_for_the_next_sandbox_of_that_name() {
    let yard = Yard::new("keep-volumes");
    yard.up("a");
    yard.leave_a_note("a");
    yard.sandbox(&["rm", "--keep-volumes", "a"]).ok();
    assert_eq!(yard.has("volume", "a").len(), 4);
    assert!(yard.has("container", "a").is_empty() && yard.has("network", "a").is_empty());
    yard.up("a");
    yard.assert_note_is_kept("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn a_branch_that_the_user_made_stays() {
    let yard = Yard::new("own-branch");
    yard.git(&["branch", "mine"]);
    yard.up("mine");
    commit(&yard, "mine", "Work on a branch of my own");
    let head = yard.git_in(&yard.worktree("mine"), &["rev-parse", "HEAD"]);
    yard.sandbox(&["rm", "mine"]).ok();
    assert_eq!(yard.git(&["rev-parse", "mine"]), head);
    assert!(!yard.worktree("mine").exists());
    assert_eq!(yard.git(&["for-each-ref", "refs/sandbox"]), "");
    assert!(yard.claimed().is_empty());
}

#[test]
fn rm_needs_no_name_inside_the_worktree_and_says_when_there_is_nothing() {
    let yard = Yard::new("nameless");
    yard.up("a");
    let worktree = yard.worktree("a");
    yard.sandbox(&["-C", worktree.to_str().unwrap(), "rm"]).ok();
    yard.assert_no_trace("a");
    yard.sandbox(&["rm", "a"]).ends_with(7);
    yard.sandbox(&["down", "a"]).ends_with(7);
}

#[test]
fn rm_takes_what_is_left_of_a_sandbox_that_was_half_deleted_by_hand() {
    let yard = Yard::new("half-deleted");
    yard.up("a");
    fs::remove_dir_all(yard.worktree("a")).unwrap();
    crate::yard::docker(&["rm", "-f", &yard.container("a", "redis")]);
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

/// Intent: the directory is renamed before it is deleted, and what is left under that name belongs to nothing.
#[test]
fn an_rm_that_was_killed_while_it_deleted_files_leaves_none_to_the_next() {
    let yard = Yard::new("killed-deleting");
    yard.up("a");
    let (worktree, left) = (yard.worktree("a"), yard.worktree("a").with_file_name(".a.removed"));
    yard.git(&["config", "core.excludesFile", yard.directory.join("ignored").to_str().unwrap()]);
    fs::write(yard.directory.join("ignored"), "node_modules/\n").unwrap();
    fs::create_dir(worktree.join("node_modules")).unwrap();
    (0..20_000).for_each(|number| fs::write(worktree.join(format!("node_modules/{number}")), "").unwrap());
    let mut rm = yard.begin(&["rm", "a"]);
    crate::yard::eventually("the directory is renamed", || left.exists().then_some(()));
    rm.signal(rustix::process::Signal::KILL);
    rm.wait();
    assert!(left.exists(), "it was killed in time");
    yard.sandbox(&["rm", "a"]).ok();
    assert!(!left.exists());
    yard.assert_no_trace("a");
}

/// Intent: nobody is asked for more rights than the use of the engine.
#[test]
fn files_that_a_container_wrote_as_root_are_removed_without_being_root() {
    let yard = Yard::new("root-owned");
    let user = crate::yard::NotRoot::of(&yard);
    user.sandbox(&["up", "a"]).ok();
    fs::write(yard.directory.join("home/ignored"), "tmp/\n").unwrap();
    yard.git(&["config", "core.excludesFile", yard.directory.join("home/ignored").to_str().unwrap()]);
    let image = inspect("container", &[yard.container("a", "redis")])[0]["Image"].as_str().unwrap().to_owned();
    let mount = format!("{}:/w", yard.worktree("a").display());
    let write =
        "mkdir -p /w/tmp/deep && echo x > /w/tmp/deep/file && chmod -R go-w /w/tmp && ln -s /etc/passwd /w/tmp/link";
    crate::yard::docker(&["run", "--rm", "-u", "0", "-v", &mount, "--entrypoint", "sh", &image, "-c", write]);
    let owner = |path: &std::path::Path| std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap());
    assert_ne!(owner(&yard.worktree("a").join("tmp/deep")), owner(&yard.worktree("a")));
    user.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
    assert!(!yard.worktree("a").with_file_name(".a.removed").exists());
}

#[test]
fn a_branch_that_the_user_made_after_deleting_ours_stays() {
    let yard = Yard::new("second-branch");
    yard.up("a");
    yard.git(&["worktree", "remove", "--force", yard.worktree("a").to_str().unwrap()]);
    yard.git(&["branch", "-D", "a"]);
    yard.git(&["branch", "a"]);
    yard.sandbox(&["rm", "a"]).ok();
    assert_eq!(yard.git(&["branch", "--list", "--format=%(refname:short)"]), "a\nmain");
    yard.git(&["branch", "-D", "a"]);
    yard.assert_no_trace("a");
}

#[test]
fn a_sandbox_of_a_repository_that_was_moved_is_known_and_removed() {
    let mut yard = Yard::new("moved");
    yard.up("a");
    yard.leave_a_note("a");
    let labels = yard.labels(Some("a"));
    let (old, new) = (yard.repo.clone(), yard.directory.join("elsewhere/app"));
    let root = yard.worktree("a").parent().unwrap().to_owned();
    fs::create_dir(new.parent().unwrap()).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::rename(&root, new.with_file_name("app-wt")).unwrap();
    std::os::unix::fs::symlink(&new, &old).unwrap();
    yard.repo = new;
    yard.git(&["worktree", "repair", yard.worktree("a").to_str().unwrap()]);
    assert_eq!(yard.view("a")["state"], "running");
    yard.up("a");
    assert_eq!(labelled("container", &labels).len(), 2);
    yard.assert_note_is_kept("a");
    yard.sandbox(&["rm", "a"]).ok();
    for kind in crate::yard::KINDS {
        assert_eq!(labelled(kind, &labels), [""; 0], "{kind}s");
    }
    yard.assert_no_trace("a");
    assert!(yard.claimed().is_empty());
}

/// Intent: each looks at the other's branch before that is gone.
#[test]
fn of_two_tasks_that_alone_hold_a_commit_one_keeps_it_or_the_trash_does() {
    let yard = Yard::new("stacked");
    yard.up("a");
    commit(&yard, "a", "Work");
    let work = yard.git(&["rev-parse", "a"]);
    yard.sandbox(&["up", "b", "--from", "a"]).ok();
    let ended = [yard.begin(&["rm", "a"]), yard.begin(&["rm", "b"])].map(crate::yard::Running::output);
    let codes = ended.map(|ran| ran.code);
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 8))), "{codes:?}");
    assert_eq!(yard.git(&["rev-list", "--branches", "--glob=refs/sandbox/trash", "--not", "main"]), work);
}
