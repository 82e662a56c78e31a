//! What goes into the trash comes out of it as it was, wherever the way there or back was cut short.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::git::fixture::{Scratch, commit, git};
use crate::git::program::Program;
use crate::git::{BranchDeletion, Spared};

/// A worktree on a branch of ours, with a commit of its own.
async fn made(scratch: &Scratch) -> PathBuf {
    let path = scratch.path().join("wt/x");
    let at = scratch.repo().base_for_new_branch().unwrap().commit;
    let branch = crate::git::BranchSource::New { name: "x".into(), at };
    let spec = crate::git::AddWorktree { path: path.clone(), branch };
    scratch.repo().add_worktree(&spec).await.unwrap();
    scratch.repo().checkout(&path).await.unwrap();
    commit(&path, "work", "a day's work\n");
    path
}

fn keep(path: &Path, files: bool) -> Keep {
    let key = TrashKey { name: "x".into(), time: "20300101T000000000Z".into() };
    let place = path.parent().unwrap().join(DIRECTORY).join("x.20300101T000000000Z");
    Keep { place, key, files, branch: true }
}

fn entries(scratch: &Scratch) -> Vec<TrashEntry> {
    scratch.repo().trash(&[scratch.path().join("wt").join(DIRECTORY)])
}

/// As a forced `rm` does it: worktree, then branch.
async fn remove(scratch: &Scratch, path: &Path, files: bool) -> TrashEntry {
    let repo = scratch.repo();
    let at = repo.branch("x").unwrap().unwrap();
    repo.remove_worktree(path, Some(&keep(path, files)), &Spared::default()).await.unwrap();
    assert_eq!(repo.delete_branch("x", &at).await.unwrap(), BranchDeletion::Deleted);
    assert!(!path.exists());
    assert_eq!(repo.worktrees().unwrap().len(), 1);
    assert_eq!(git(&scratch.main(), &["for-each-ref", "refs/heads/x", "refs/sandbox/made"]), "");
    // What git's collection would take after weeks it takes now.
    git(&scratch.main(), &["reflog", "expire", "--all", "--expire=now", "--expire-unreachable=now"]);
    git(&scratch.main(), &["gc", "--quiet", "--prune=now"]);
    let [entry] = entries(scratch).try_into().unwrap();
    assert_eq!(entry.place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!entry.is_cut_short() && entry.size_bytes() > 0);
    entry
}

/// Everything below a directory: kind, mode and content of each.
fn pictured(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut paths = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else if metadata.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        found.insert(path.strip_prefix(directory).unwrap().to_owned(), (metadata.permissions().mode(), content));
    }
    found
}

fn state(path: &Path) -> [String; 4] {
    [
        git(path, &["status", "--porcelain=v2", "--branch", "--ignored"]),
        git(path, &["ls-files", "--stage", "-v"]),
        git(path, &["log", "--format=%H %s", "HEAD"]),
        git(path, &["reflog", "--format=%H %gs", "HEAD"]),
    ]
}

#[tokio::test]
async fn every_kind_of_file_comes_back_byte_for_byte_and_mode_for_mode() {
    let scratch = Scratch::with_commit("myapp");
    scratch.repo().exclude("*.local").unwrap();
    let path = made(&scratch).await;
    fs::write(path.join("README"), "unstaged\n").unwrap();
    fs::write(path.join("staged"), "staged\n").unwrap();
    git(&path, &["add", "staged"]);
    fs::write(path.join("staged"), "and changed again\n").unwrap();
    fs::write(path.join("crlf"), "a\r\nb\nc\r\n").unwrap();
    fs::write(path.join("key.local"), "ignored").unwrap();
    fs::set_permissions(path.join("key.local"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path.join(OsStr::from_bytes(b"caf\xe9")), "no UTF-8").unwrap();
    symlink("nowhere/at all", path.join("link")).unwrap();
    fs::create_dir_all(path.join("empty/inner")).unwrap();
    git(&path, &["init", "--quiet", "nested"]);
    commit(&path.join("nested"), "inner", "nested");
    let (files, before) = (pictured(&path), state(&path));
    let entry = remove(&scratch, &path, true).await;
    let back = scratch.repo().bring_back(&entry).await.unwrap();
    assert_eq!(back.moved_branch, None);
    assert_eq!(pictured(&path), files);
    assert_eq!(state(&path), before);
    git(&path, &["fsck", "--strict"]);
    git(&path, &["checkout", "--quiet", "staged"]);
    assert_eq!(fs::read_to_string(path.join("staged")).unwrap(), "staged\n");
    assert!(entries(&scratch).is_empty() && !scratch.path().join("wt").join(DIRECTORY).exists());
    assert_eq!(git(&scratch.main(), &["for-each-ref", "refs/sandbox/trash"]), "");
    assert!(scratch.repo().made_at("x").unwrap().is_some());
}

#[tokio::test]
async fn operations_under_way_come_back_with_the_commits_that_only_they_know() {
    for operation in ["rebase", "merge", "cherry-pick", "detached", "bisect"] {
        let scratch = Scratch::with_commit("myapp");
        let path = made(&scratch).await;
        commit(&path, "README", "theirs\n");
        commit(&scratch.main(), "README", "ours\n");
        match operation {
            "detached" => {
                git(&path, &["checkout", "--quiet", "--detach"]);
                commit(&path, "more", "on no branch\n");
                git(&path, &["commit", "--quiet", "--amend", "--message", "amended"]);
            }
            "bisect" => drop(git(&path, &["bisect", "start", "HEAD", "HEAD~2"])),
            _ => {
                let conflict = Program::within(&path).args([operation, "main"]).run_blocking().unwrap();
                assert!(!conflict.ok, "the two conflict");
                assert!(!git(&path, &["ls-files", "--unmerged"]).is_empty());
            }
        }
        let (files, before) = (pictured(&path), state(&path));
        let entry = remove(&scratch, &path, true).await;
        scratch.repo().bring_back(&entry).await.unwrap();
        assert_eq!(pictured(&path), files, "{operation}");
        assert_eq!(state(&path), before, "{operation}");
        if operation != "detached" {
            git(&path, &[operation, if operation == "bisect" { "reset" } else { "--abort" }]);
            assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/x");
        }
    }
}

#[tokio::test]
async fn of_a_clean_worktree_the_commits_are_kept_and_its_files_come_again() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    git(&scratch.main(), &["config", "branch.x.description", "line one\nline two"]);
    let before = state(&path);
    let entry = remove(&scratch, &path, false).await;
    assert!(!entry.kept_files().exists());
    scratch.repo().bring_back(&entry).await.unwrap();
    assert_eq!(state(&path), before);
    assert_eq!(git(&scratch.main(), &["config", "branch.x.description"]), "line one\nline two");
}

#[tokio::test]
async fn a_submodule_with_work_of_its_own_comes_back() {
    let scratch = Scratch::with_commit("myapp");
    scratch.add_submodule();
    let path = made(&scratch).await;
    let head = commit(&path.join("lib/leaf"), "work", "1");
    fs::write(path.join("lib/leaf/new"), "untracked").unwrap();
    let (files, before) = (pictured(&path), state(&path));
    let entry = remove(&scratch, &path, true).await;
    scratch.repo().bring_back(&entry).await.unwrap();
    assert_eq!((pictured(&path), state(&path)), (files, before));
    assert_eq!(git(&path.join("lib/leaf"), &["rev-parse", "HEAD"]), head.as_str());
}

#[tokio::test]
async fn a_removal_or_a_return_that_was_cut_short_leaves_the_worktree_whole() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    fs::write(path.join("notes"), "mine").unwrap();
    let (files, before) = (pictured(&path), state(&path));
    let repo = scratch.repo();
    for files_moved in [false, true] {
        let worktree = repo.worktree_at(&path).unwrap().unwrap();
        repo.open_entry(Some(&worktree), &keep(&path, true)).await.unwrap();
        let [entry] = entries(&scratch).try_into().unwrap();
        if files_moved {
            fs::rename(&path, entry.kept_files()).unwrap();
        }
        assert!(entry.is_cut_short());
        // Somebody tidies up meanwhile.
        git(&scratch.main(), &["worktree", "prune", "--expire=now"]);
        repo.mend_trash(&entry).await.unwrap();
        assert_eq!((pictured(&path), state(&path)), (files.clone(), before.clone()));
        assert!(entries(&scratch).is_empty());
    }
    // A return that ends between its two renames.
    let entry = remove(&scratch, &path, true).await;
    repo.make_again(entry.made.as_ref().unwrap(), &entry.place).await.unwrap();
    let admin = entry.admin.clone().unwrap();
    fs::create_dir_all(admin.was.parent().unwrap()).unwrap();
    fs::rename(&admin.kept, &admin.was).unwrap();
    assert!(entry.is_cut_short());
    repo.mend_trash(&entry).await.unwrap();
    assert_eq!((pictured(&path), state(&path)), (files, before));
}

#[tokio::test]
async fn a_branch_comes_back_with_its_log_and_the_commits_that_only_that_knows() {
    for format in ["files", "reftable"] {
        let scratch = Scratch::empty();
        git(scratch.path(), &["init", "--quiet", "-b", "main", &format!("--ref-format={format}"), "myapp"]);
        let scratch = scratch.called("myapp");
        commit(&scratch.main(), "README", "read me\n");
        let path = made(&scratch).await;
        git(&path, &["commit", "--quiet", "--amend", "-m", "amended"]);
        git(&path, &["commit", "--quiet", "--amend", "-m", "and again"]);
        let log = || git(&scratch.main(), &["reflog", "--format=%H %gs", "x"]);
        let (before, amended) = (log(), git(&path, &["rev-parse", "HEAD@{1}"]));
        let entry = remove(&scratch, &path, false).await;
        scratch.repo().bring_back(&entry).await.unwrap();
        assert_eq!(git(&path, &["log", "-1", "--format=%s", &amended]), "amended", "{format}");
        if format == "files" {
            assert_eq!(log(), before);
        }
        assert_eq!(git(&path, &["worktree", "list"]).matches("locked").count(), 0);
    }
}

#[tokio::test]
async fn a_submodule_finds_its_repository_under_another_name() {
    let scratch = Scratch::with_commit("myapp");
    scratch.add_submodule();
    let path = made(&scratch).await;
    let head = commit(&path.join("lib/leaf"), "work", "1");
    let entry = remove(&scratch, &path, true).await;
    let other = scratch.path().join("x");
    git(&scratch.main(), &["worktree", "add", "--quiet", "-b", "y", other.to_str().unwrap()]);
    scratch.repo().bring_back(&entry).await.unwrap();
    assert_eq!(git(&path.join("lib/leaf"), &["rev-parse", "HEAD"]), head.as_str());
    assert_eq!(git(&path.join("lib/leaf"), &["rev-parse", "--show-toplevel"]), path.join("lib/leaf").to_str().unwrap());
    assert_eq!(git(&path, &["status", "--porcelain"]), "M lib/leaf");
}

#[tokio::test]
async fn a_repository_that_was_moved_still_has_its_trash() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    fs::write(path.join("notes"), "mine").unwrap();
    remove(&scratch, &path, true).await;
    let moved = scratch.path().join("moved");
    fs::create_dir(&moved).unwrap();
    for name in ["myapp", "wt"] {
        fs::rename(scratch.path().join(name), moved.join(name)).unwrap();
    }
    let repo = Repo::discover(&moved.join("myapp")).unwrap();
    let [entry] = repo.trash(&[moved.join("wt").join(DIRECTORY)]).try_into().unwrap();
    repo.bring_back(&entry).await.unwrap();
    let back = moved.join("wt/x");
    assert_eq!(fs::read_to_string(back.join("notes")).unwrap(), "mine");
    assert_eq!(git(&back, &["status", "--porcelain"]), "?? notes");
    assert_eq!(git(&back, &["symbolic-ref", "HEAD"]), "refs/heads/x");
    assert_eq!(repo.worktree_at(&back).unwrap().unwrap().presence, crate::git::Presence::Here);
    // A copy of a repository has the commits, and is not the one.
    let copy = scratch.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-r").args([moved.join("myapp"), copy.clone()]).status().unwrap();
    assert!(copied.success());
    assert_eq!(Repo::discover(&copy).unwrap().trash(&[moved.join("wt").join(DIRECTORY)]), []);
}

#[tokio::test]
async fn commits_whose_entry_somebody_took_away_are_let_go_of_and_what_is_not_understood_stays() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    let entry = remove(&scratch, &path, false).await;
    let directories = [scratch.path().join("wt").join(DIRECTORY)];
    let remains = || scratch.repo().trash_remains(&directories).unwrap();
    assert_eq!(remains(), []);
    fs::write(entry.place.join(MANIFEST), "{ \"schema_version\": 99 }").unwrap();
    assert_eq!(remains(), [], "a later version's");
    fs::remove_dir_all(&entry.place).unwrap();
    let [gone] = remains().try_into().unwrap();
    assert_eq!(gone.key, entry.key);
    scratch.repo().drop_trash(&gone).await.unwrap();
    assert_eq!((remains(), git(&scratch.main(), &["for-each-ref", "refs/sandbox/trash"])), (vec![], String::new()));
    assert!(!directories[0].exists());
}

#[tokio::test]
async fn a_place_or_a_branch_that_is_taken_stays_and_the_entry_too() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    let entry = remove(&scratch, &path, true).await;
    let repo = scratch.repo();
    let refused = async |part: &str| {
        let error = repo.bring_back(&entry).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotOurs);
        assert!(format!("{error}").contains(part), "{error}");
        assert_eq!(entries(&scratch).len(), 1);
    };
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("other"), "").unwrap();
    refused("something is at").await;
    fs::remove_dir_all(&path).unwrap();
    git(&scratch.main(), &["branch", "x"]);
    refused("there is a branch x already").await;
    git(&scratch.main(), &["branch", "--quiet", "-D", "x"]);
    let again = made(&scratch).await;
    refused("there is a").await;
    repo.remove_worktree(&again, None, &Spared::default()).await.unwrap();
    git(&scratch.main(), &["branch", "--quiet", "-D", "x"]);
    // Another worktree took the name of the admin directory.
    git(&scratch.main(), &["worktree", "add", "--quiet", "-b", "y", scratch.path().join("x").to_str().unwrap()]);
    repo.bring_back(&entry).await.unwrap();
    assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/x");
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_branch_without_a_worktree_is_kept_and_comes_back() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    let repo = scratch.repo();
    let at = repo.branch("x").unwrap().unwrap();
    git(&scratch.main(), &["worktree", "remove", path.to_str().unwrap()]);
    repo.trash_branch(&keep(&path, false)).await.unwrap();
    assert_eq!(repo.delete_branch("x", &at).await.unwrap(), BranchDeletion::Deleted);
    let [entry] = entries(&scratch).try_into().unwrap();
    assert!(!entry.has_worktree());
    repo.bring_back(&entry).await.unwrap();
    assert_eq!(repo.branch("x").unwrap(), Some(at));
    assert!(entries(&scratch).is_empty());
}

#[test]
fn a_time_is_told_as_others_tell_it() {
    let key = |time: &str| TrashKey { name: "x".into(), time: time.into() }.moment();
    assert_eq!(key("20300102T030405678Z").as_deref(), Some("2030-01-02T03:04:05.678Z"));
    assert_eq!(key("now"), None);
}

#[test]
fn an_entry_has_a_name_that_a_directory_can_have_whatever_the_task_is_called() {
    let directory = |name: String| TrashKey { name, time: "20300101T000000000Z".into() }.directory();
    assert_eq!(directory("feature/x".into()), "feature%2Fx.20300101T000000000Z");
    let long = directory("é/".repeat(66));
    assert!(long.len() < 240 && long.contains('~'), "{long}");
    assert_ne!(long, directory("é/".repeat(65)));
}

#[tokio::test]
async fn a_repository_that_somebody_made_of_the_worktree_comes_back_as_one() {
    let scratch = Scratch::with_commit("myapp");
    let path = made(&scratch).await;
    fs::remove_file(path.join(".git")).unwrap();
    git(&path, &["init", "--quiet", "."]);
    commit(&path, "own", "1");
    let entry = remove(&scratch, &path, true).await;
    scratch.repo().bring_back(&entry).await.unwrap();
    assert_eq!(git(&path, &["log", "--format=%s"]), "write own");
    assert!(entries(&scratch).is_empty());
}
