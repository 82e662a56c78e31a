//! Weighing what would be lost with a worktree and its branch.

use std::fs;
use std::path::Path;

use super::discover::path;
use super::modules::staged;
use super::objection::{Listing, Objection};
use super::program::Program;
use super::worktree::resolved;
use super::{Presence, Repo, Worktree};
use crate::error::{Error, Kind, Result};

/// What git leaves in an admin directory while an operation is under way; work lies there that is in no commit.
const UNDER_WAY: [(&str, &str); 6] = [
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_START", "bisection"),
];

impl Repo {
    /// What would be lost if the worktree went, and with it the branch when we made that; empty when nothing would. A
    /// branch of the user's stays, and its commits with it.
    pub async fn removal_objections(&self, worktree: &Path, branch: &str) -> Result<Vec<Objection>> {
        let registered = self.worktree_at(worktree)?;
        let mut objections = match &registered {
            Some(registered) => self.objections_of_worktree(registered).await?,
            None => Vec::new(),
        };
        objections.extend(self.objections_of_branch(registered.as_ref(), branch).await?);
        Ok(objections)
    }

    /// What would go with the directory and the admin directory, commits of the worktree's own repository left out.
    async fn objections_of_worktree(&self, worktree: &Worktree) -> Result<Vec<Objection>> {
        let mut objections = losses(worktree).await?;
        let made_at = worktree.branch.as_deref().map(|branch| self.made_at(branch)).transpose()?.flatten();
        objections.extend(self.losses_in_modules(worktree, made_at.as_ref()).await?);
        objections.extend(self.worktrees_below(&worktree.path)?.map(|places| Objection::Worktrees { places }));
        Ok(objections)
    }

    /// The same, and the commits of a head that is on no branch: all that can be lost when the worktree alone goes.
    pub(super) async fn objections_to_removal_alone(&self, worktree: &Worktree) -> Result<Vec<Objection>> {
        let mut objections = self.objections_of_worktree(worktree).await?;
        if worktree.branch.is_none() {
            let commits = self.commits_at_stake(Some(worktree), "", false).await?;
            objections.extend(Listing::of(&commits).map(|commits| Objection::Commits { commits }));
        }
        Ok(objections)
    }

    /// The commits that are on a branch of ours and nowhere else.
    pub(super) async fn commits_on_branch_alone(&self, branch: &str) -> Result<Vec<String>> {
        self.commits_at_stake(None, branch, true).await
    }

    /// What other worktrees have checked out, on a branch or on none: it stays with them.
    fn other_heads(&self, worktree: Option<&Worktree>, branch: &str) -> Result<Vec<String>> {
        let stays = |it: &Worktree| {
            worktree.is_none_or(|worktree| worktree.admin_dir != it.admin_dir) && it.branch.as_deref() != Some(branch)
        };
        Ok(self.worktrees()?.into_iter().filter(stays).filter_map(|it| it.head).map(String::from).collect())
    }

    /// The repository's other worktrees inside of one: to git a directory that may be ignored.
    fn worktrees_below(&self, worktree: &Path) -> Result<Option<Listing>> {
        let outer = resolved(worktree);
        let all = self.worktrees()?.into_iter().filter(|it| it.presence == Presence::Here).map(|it| resolved(&it.path));
        let below: Vec<String> =
            all.filter(|it| *it != outer && it.starts_with(&outer)).map(|it| it.display().to_string()).collect();
        Ok(Listing::of(&below))
    }

    /// What would be lost if a branch that we made went, where there is no worktree.
    pub async fn branch_objections(&self, branch: &str) -> Result<Vec<Objection>> {
        self.objections_of_branch(None, branch).await
    }

    async fn objections_of_branch(&self, registered: Option<&Worktree>, branch: &str) -> Result<Vec<Objection>> {
        let mut objections = Vec::new();
        let goes = self.made_at(branch)?.is_some();
        let commits = self.commits_at_stake(registered, branch, goes).await?;
        objections.extend(Listing::of(&commits).map(|commits| Objection::Commits { commits }));
        let elsewhere = self
            .checked_out_at(branch)?
            .filter(|place| goes && registered.is_none_or(|registered| registered.path != *place));
        objections.extend(elsewhere.map(|place| Objection::CheckedOutElsewhere { place }));
        Ok(objections)
    }

    /// What hangs on the worktree's head, or on a branch that we made, and on nothing that stays.
    async fn commits_at_stake(&self, worktree: Option<&Worktree>, branch: &str, goes: bool) -> Result<Vec<String>> {
        let mut tips: Vec<String> =
            worktree.and_then(|there| there.head.clone()).map(String::from).into_iter().collect();
        if goes && let Some(tip) = self.branch(branch)? {
            tips.push(tip.into());
        }
        if tips.is_empty() {
            return Ok(Vec::new());
        }
        let mut git =
            self.git().args(["log", "--no-show-signature", "--no-color", "--format=%h %s"]).args(tips).arg("--not");
        if goes {
            git = git.arg(format!("--exclude={branch}"));
        }
        let what = format!("cannot tell which commits are on {branch} alone");
        git.args(self.other_heads(worktree, branch)?)
            .args(["--branches", "--remotes"])
            .stdout(what)
            .await
            .map(|log| lines(&log))
    }
}

/// What would go with the directory.
async fn losses(worktree: &Worktree) -> Result<Vec<Objection>> {
    let mut objections = Vec::new();
    objections.extend(worktree.locked_by_user().map(|reason| Objection::Locked { reason: reason.to_owned() }));
    let under_way = UNDER_WAY.iter().find(|(file, _)| worktree.admin_dir.join(file).exists());
    objections.extend(under_way.map(|(_, operation)| Objection::UnderWay { operation }));
    match worktree.presence {
        Presence::Here if !worktree.is_linked() => objections.push(Objection::Unlinked),
        Presence::Here => {
            let (modified, untracked) =
                if worktree.is_checked_out() { changes(worktree).await? } else { strangers(worktree).await? };
            objections.extend(Listing::of(&modified).map(|files| Objection::Modified { files }));
            objections.extend(Listing::of(&untracked).map(|files| Objection::Untracked { files }));
        }
        Presence::Gone => objections.extend(only_in_admin_dir(worktree).await?),
        Presence::Unknown => objections.push(Objection::OutOfSight),
    }
    Ok(objections)
}

/// What is left of a worktree whose directory was deleted: what was staged.
async fn only_in_admin_dir(worktree: &Worktree) -> Result<Option<Objection>> {
    if !worktree.is_checked_out() || worktree.head.is_none() {
        return Ok(None);
    }
    let what = format!("cannot tell what was staged in {}", worktree.path.display());
    let files = staged(Program::at(&worktree.admin_dir), &what).await?;
    Ok(Listing::of(&files).map(|files| Objection::Modified { files }))
}

/// As `changes`, in a worktree whose checkout was killed. There is no index yet, so one of the head's files stands in for
/// it: those that are missing or cut short are the checkout's doing, those that the head does not have are somebody's.
async fn strangers(worktree: &Worktree) -> Result<(Vec<String>, Vec<String>)> {
    let Some(head) = &worktree.head else { return Ok((Vec::new(), entries(&worktree.path))) };
    let index = worktree.admin_dir.join("sandbox-index");
    let read = Program::within(&worktree.path).args(["read-tree", head.as_str()]).env("GIT_INDEX_FILE", &index);
    read.stdout(format!("cannot list the files of {}", head.short())).await?;
    let status = status(&worktree.path, Some(&index)).await;
    // It goes with the admin directory, if not now.
    let _ = fs::remove_file(&index);
    status.map(|(_, untracked)| (Vec::new(), untracked))
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != ".git").collect()
}

/// Modified and untracked paths. Files whose changes the user told git to overlook (`--skip-worktree`,
/// `--assume-unchanged`) would be lost like any other: where there are some, they are looked at in a copy of the index.
async fn changes(worktree: &Worktree) -> Result<(Vec<String>, Vec<String>)> {
    let overlooked = overlooked(&worktree.path).await?;
    if overlooked.is_empty() {
        return status(&worktree.path, None).await;
    }
    let what = format!("cannot tell what has changed in {}", worktree.path.display());
    let index = worktree.admin_dir.join("sandbox-index");
    fs::copy(worktree.admin_dir.join("index"), &index).map_err(|e| Error::new(Kind::Files, what.clone()).because(e))?;
    for flag in ["--no-skip-worktree", "--no-assume-unchanged"] {
        let git = Program::within(&worktree.path).args(["update-index", flag, "-z", "--stdin"]);
        git.env("GIT_INDEX_FILE", &index).input(overlooked.clone()).stdout(what.clone()).await?;
    }
    let status = status(&worktree.path, Some(&index)).await;
    // It goes with the admin directory, if not now.
    let _ = fs::remove_file(&index);
    status
}

/// The tracked files that are there and that git does not look at, each with a zero after it. Those that a sparse
/// checkout leaves out are not there.
async fn overlooked(worktree: &Path) -> Result<Vec<u8>> {
    let what = format!("cannot list the files of {}", worktree.display());
    let listed = Program::within(worktree).args(["ls-files", "-v", "-z"]).stdout(what).await?;
    let flagged = listed.split(|&b| b == 0).filter_map(|entry| match entry {
        [tag, b' ', name @ ..] if *tag == b'S' || tag.is_ascii_lowercase() => Some(name),
        _ => None,
    });
    let there = flagged.filter(|name| worktree.join(path(name)).symlink_metadata().is_ok());
    Ok(there.flat_map(|name| [name, b"\0"].concat()).collect())
}

/// What `git status` says, with options that win over settings that would hide some.
async fn status(worktree: &Path, index: Option<&Path>) -> Result<(Vec<String>, Vec<String>)> {
    let status =
        ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=none"];
    let mut git = Program::within(worktree).args(status).env("GIT_OPTIONAL_LOCKS", "0");
    if let Some(index) = index {
        git = git.env("GIT_INDEX_FILE", index);
    }
    let output = git.stdout(format!("cannot tell what has changed in {}", worktree.display())).await?;
    let (mut modified, mut untracked) = (Vec::new(), Vec::new());
    for entry in output.split(|&b| b == 0).filter(|entry| entry.len() > 3) {
        let name = String::from_utf8_lossy(&entry[3..]).into_owned();
        if entry.starts_with(b"??") { untracked.push(name) } else { modified.push(name) }
    }
    Ok((modified, untracked))
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    async fn said(scratch: &Scratch, branch: &str) -> Vec<String> {
        let path = scratch.path().join(branch);
        let objections = scratch.repo().removal_objections(&path, branch).await.unwrap();
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
    async fn changed_and_untracked_files_are_named_and_ignored_ones_are_not() {
        let scratch = Scratch::with_commit("myapp");
        let path = made(&scratch, "x");
        git(&path, &["config", "status.showUntrackedFiles", "no"]);
        scratch.repo().exclude("ignored").unwrap();
        fs::write(path.join("README"), "changed").unwrap();
        fs::write(path.join("ignored"), "").unwrap();
        for n in 0..12 {
            fs::write(path.join(format!("new {n:02}")), "").unwrap();
        }
        let said = said(&scratch, "x").await;
        assert_eq!(said[0], "1 modified file: README");
        assert!(said[1].starts_with("12 untracked files: new 00, new 01"), "{said:?}");
        assert!(said[1].ends_with("new 09 and 2 more"), "{said:?}");
        assert_eq!(said.len(), 2);
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
        assert_eq!(scratch.repo().removal_objections(&path, "x").await.unwrap(), [Objection::Unlinked]);
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
        assert_eq!(said(&scratch, "x").await, [expected]);
        assert_eq!(scratch.repo().remove_worktree(&path).await.unwrap_err().kind(), Kind::WouldLoseWork);
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
        let objections = scratch.repo().removal_objections(Path::new("/nowhere/mounted/x"), "x").await.unwrap();
        assert_eq!(objections, [Objection::OutOfSight]);
        fs::write(&gitdir, format!("{}/gone/too/.git\n", path.display())).unwrap();
        fs::remove_dir_all(&path).unwrap();
        let objections = scratch.repo().removal_objections(&path.join("gone/too"), "x").await.unwrap();
        assert_eq!(objections, []);
    }

    #[tokio::test]
    async fn a_branch_of_ours_that_is_checked_out_elsewhere_is_an_objection() {
        let scratch = Scratch::with_commit("myapp");
        let path = made(&scratch, "x");
        git(&path, &["checkout", "--quiet", "--detach"]);
        git(&scratch.main(), &["checkout", "--quiet", "x"]);
        assert_eq!(
            said(&scratch, "x").await,
            [format!("its branch is checked out at {} too", scratch.main().display())]
        );
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
}
