//! Weighing what would be lost with a worktree and its branch.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use super::discover::path;
use super::modules::staged;
use super::objection::{Listing, Objection};
use super::program::Program;
use super::submodule::submodules;
use super::worktree::resolved;
use super::{Presence, Repo, Spared, Worktree, ignored, mounts};
use crate::error::{Error, Kind, Result};

/// What git leaves in an admin directory while an operation is under way; work lies there that is in no commit.
const UNDER_WAY: [(&str, &str); 7] = [
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_START", "bisection"),
    // Between two commits of several there is no head of it.
    ("sequencer", "cherry-pick"),
];

/// What holds commits, and stays.
const STAY: [&str; 2] = ["--branches", "--remotes"];

impl Repo {
    /// What would be lost if the worktree went, and with it the branch when we made that; empty when nothing would. A
    /// branch of the user's stays, and its commits with it.
    pub async fn removal_objections(&self, worktree: &Path, branch: &str, spared: &Spared) -> Result<Vec<Objection>> {
        let registered = self.worktree_at(worktree)?;
        let mut objections = match &registered {
            Some(registered) => self.objections_of_worktree(registered, spared).await?,
            None => Vec::new(),
        };
        objections.extend(self.objections_of_branch(registered.as_ref(), branch).await?);
        Ok(objections)
    }

    /// What would go with the directory and the admin directory, commits of the worktree's own repository left out.
    async fn objections_of_worktree(&self, worktree: &Worktree, spared: &Spared) -> Result<Vec<Objection>> {
        let mut objections = losses(worktree, spared).await?;
        let made_at = worktree.branch.as_deref().map(|branch| self.made_at(branch)).transpose()?.flatten();
        objections.extend(self.losses_in_modules(worktree, made_at.as_ref()).await?);
        objections.extend(self.worktrees_below(&worktree.path)?.map(|places| Objection::Worktrees { places }));
        let mounts = mounts::at_or_below(&resolved(&worktree.path));
        let mounts: Vec<String> = mounts.iter().map(|place| place.display().to_string()).collect();
        objections.extend(Listing::of(&mounts).map(|places| Objection::Mounted { places }));
        Ok(objections)
    }

    /// The same, and the commits of a head that is on no branch: all that can be lost when the worktree alone goes.
    pub(super) async fn objections_to_removal_alone(
        &self,
        worktree: &Worktree,
        spared: &Spared,
    ) -> Result<Vec<Objection>> {
        let mut objections = self.objections_of_worktree(worktree, spared).await?;
        if worktree.branch.is_none() {
            let commits = self.commits_at_stake(Some(worktree), "", false, &STAY).await?;
            objections.extend(Listing::of(&commits).map(|commits| Objection::Commits { commits, on_branch: false }));
        }
        Ok(objections)
    }

    /// The commits that are on a branch of ours and nowhere else, the trash included.
    pub(super) async fn commits_on_branch_alone(&self, branch: &str) -> Result<Vec<String>> {
        let trash = format!("--glob={}*", super::trash::REFS);
        self.commits_at_stake(None, branch, true, &[&STAY[..], &[&trash]].concat()).await
    }

    /// What other worktrees have checked out, on a branch or on none: it stays with them.
    fn other_heads(&self, worktree: Option<&Worktree>, branch: &str) -> Result<Vec<String>> {
        let stays = |it: &Worktree| {
            // One whose directory is gone may be forgotten by git any day, and its head with it.
            it.presence != Presence::Gone
                && worktree.is_none_or(|worktree| worktree.admin_dir != it.admin_dir)
                && it.branch.as_deref() != Some(branch)
        };
        Ok(self.worktrees()?.into_iter().filter(stays).filter_map(|it| it.head).map(String::from).collect())
    }

    /// The commits that only references of a worktree's own hold: they go with it.
    async fn refs_of_worktree(&self, worktree: Option<&Worktree>) -> Result<Vec<String>> {
        let Some(worktree) = worktree.filter(|it| !it.is_main) else { return Ok(Vec::new()) };
        let list = ["for-each-ref", "--format=%(objecttype) %(objectname)", "refs/worktree"];
        let what = format!("cannot list the references of {}", worktree.path.display());
        let listed = Program::at(&worktree.admin_dir).args(list).stdout(what).await?;
        let commits = lines(&listed).into_iter().filter_map(|line| Some(line.strip_prefix("commit ")?.to_owned()));
        Ok(commits.collect())
    }

    /// The branches that are but another name of one.
    async fn aliases(&self, branch: &str) -> Result<Vec<String>> {
        let list = ["for-each-ref", "--format=%(refname:lstrip=2) %(symref)", "refs/heads"];
        let listed = self.git().args(list).stdout("cannot list the branches").await?;
        let same = format!("refs/heads/{branch}");
        let named = lines(&listed).into_iter().filter_map(|line| {
            let (name, to) = line.rsplit_once(' ')?;
            (to == same).then(|| name.to_owned())
        });
        Ok(named.collect())
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
        let commits = self.commits_at_stake(registered, branch, goes, &STAY).await?;
        let apart = self.refs_of_worktree(registered).await?;
        let no_loss = commits.is_empty() || goes && apart.is_empty() && self.has_landed(registered, branch).await?;
        if !no_loss {
            let on_branch = apart.is_empty() && registered.is_none_or(|it| it.branch.as_deref() == Some(branch));
            objections.extend(Listing::of(&commits).map(|commits| Objection::Commits { commits, on_branch }));
        }
        let elsewhere = self
            .checked_out_at(branch)?
            .filter(|place| goes && registered.is_none_or(|registered| registered.path != *place));
        objections.extend(elsewhere.map(|place| Objection::CheckedOutElsewhere { place }));
        Ok(objections)
    }

    /// Whether all that is on a branch of ours, and checked out from it, has arrived on the default branch by its content.
    async fn has_landed(&self, worktree: Option<&Worktree>, branch: &str) -> Result<bool> {
        let Some(tip) = self.branch(branch)? else { return Ok(false) };
        if worktree.is_some_and(|there| there.branch.as_deref() != Some(branch)) {
            return Ok(false);
        }
        // Where that cannot be told (a partial clone without its remote) it has not.
        Ok(self.landing(&tip, self.made_at(branch)?.as_ref()).await.unwrap_or(None).is_some())
    }

    /// What hangs on the worktree's head, or on a branch that we made, and on nothing that stays.
    async fn commits_at_stake(
        &self,
        worktree: Option<&Worktree>,
        branch: &str,
        goes: bool,
        stay: &[&str],
    ) -> Result<Vec<String>> {
        let mut tips: Vec<String> =
            worktree.and_then(|there| there.head.clone()).map(String::from).into_iter().collect();
        if goes && let Some(tip) = self.branch(branch)? {
            tips.push(tip.into());
        }
        tips.extend(self.refs_of_worktree(worktree).await?);
        if tips.is_empty() {
            return Ok(Vec::new());
        }
        let aliases = if goes { self.aliases(branch).await? } else { Vec::new() };
        let mut git =
            self.git().args(["log", "--no-show-signature", "--no-color", "--format=%h %s"]).args(tips).arg("--not");
        if goes {
            git = aliases
                .iter()
                .fold(git.arg(format!("--exclude={branch}")), |git, alias| git.arg(format!("--exclude={alias}")));
        }
        let what = format!("cannot tell which commits are on {branch} alone");
        git.args(self.other_heads(worktree, branch)?).args(stay).stdout(what).await.map(|log| lines(&log))
    }
}

/// Which operation has not been finished.
pub(super) fn under_way(admin_dir: &Path) -> Option<&'static str> {
    UNDER_WAY.iter().find(|(file, _)| admin_dir.join(file).exists()).map(|(_, operation)| *operation)
}

/// What would go with the directory.
async fn losses(worktree: &Worktree, spared: &Spared) -> Result<Vec<Objection>> {
    let mut objections = Vec::new();
    objections.extend(worktree.locked_by_user().map(|reason| Objection::Locked { reason: reason.to_owned() }));
    objections.extend(under_way(&worktree.admin_dir).map(|operation| Objection::UnderWay { operation }));
    match worktree.presence {
        Presence::Here if !worktree.is_linked() => objections.push(Objection::Unlinked),
        Presence::Here => {
            let mut found = if worktree.is_checked_out() {
                changes(worktree, spared).await?
            } else {
                strangers(worktree, spared).await?
            };
            below(&worktree.path, spared, &mut found).await?;
            objections.extend(Listing::of(&found.modified).map(|files| Objection::Modified { files }));
            objections.extend(Listing::of(&found.untracked).map(|files| Objection::Untracked { files }));
            objections.extend(Listing::of(&found.ignored).map(|files| Objection::Ignored { files }));
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
async fn strangers(worktree: &Worktree, spared: &Spared) -> Result<Found> {
    let Some(head) = &worktree.head else {
        return Ok(Found { untracked: entries(&worktree.path), ..Found::default() });
    };
    let index = worktree.admin_dir.join("sandbox-index");
    let read = Program::within(&worktree.path).args(["read-tree", head.as_str()]).env("GIT_INDEX_FILE", &index);
    read.stdout(format!("cannot list the files of {}", head.short())).await?;
    let found = find(&worktree.path, spared, Some(&index)).await;
    // It goes with the admin directory, if not now.
    let _ = fs::remove_file(&index);
    found.map(|found| Found { modified: Vec::new(), ..found })
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != ".git").collect()
}

/// Modified and untracked paths. Files whose changes the user told git to overlook (`--skip-worktree`,
/// `--assume-unchanged`) would be lost like any other: where there are some, they are looked at in a copy of the index.
pub(super) async fn changes(worktree: &Worktree, spared: &Spared) -> Result<Found> {
    let overlooked = overlooked(&worktree.path).await?;
    if overlooked.is_empty() {
        return find(&worktree.path, spared, None).await;
    }
    let what = format!("cannot tell what has changed in {}", worktree.path.display());
    let index = worktree.admin_dir.join("sandbox-index");
    fs::copy(worktree.admin_dir.join("index"), &index).map_err(|e| Error::new(Kind::Files, what.clone()).because(e))?;
    for flag in ["--no-skip-worktree", "--no-assume-unchanged"] {
        let git = Program::within(&worktree.path).args(["update-index", flag, "-z", "--stdin"]);
        git.env("GIT_INDEX_FILE", &index).input(overlooked.clone()).stdout(what.clone()).await?;
    }
    let found = find(&worktree.path, spared, Some(&index)).await;
    // It goes with the admin directory, if not now.
    let _ = fs::remove_file(&index);
    found
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

/// Files that would go with a worktree's directory.
#[derive(Default)]
pub(super) struct Found {
    pub(super) modified: Vec<String>,
    untracked: Vec<String>,
    ignored: Vec<String>,
}

/// What git in the worktree does not see of its submodules, and theirs: ignored files, and files that the user told git to
/// overlook. Whether these differ is not asked.
fn below<'a>(
    checkout: &'a Path,
    spared: &'a Spared,
    found: &'a mut Found,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        if !checkout.join(".gitmodules").is_file() {
            return Ok(());
        }
        for submodule in submodules(checkout).await? {
            let place = checkout.join(&submodule.path);
            if !place.join(".git").exists() {
                continue;
            }
            let mut inner = Found { ignored: ignored::ignored(&place, spared, None).await?, ..Found::default() };
            let overlooked = overlooked(&place).await?;
            let flagged = overlooked.split(|&byte| byte == 0).filter(|name| !name.is_empty());
            inner.modified.extend(flagged.map(|name| String::from_utf8_lossy(name).into_owned()));
            below(&place, spared, &mut inner).await?;
            let whole = |name: &String| format!("{}/{name}", submodule.path.display());
            found.ignored.extend(inner.ignored.iter().map(whole));
            found.modified.extend(inner.modified.iter().map(whole));
        }
        Ok(())
    })
}

async fn find(worktree: &Path, spared: &Spared, index: Option<&Path>) -> Result<Found> {
    let ((modified, mut untracked), ignored, empty) = futures::try_join!(
        status(worktree, index),
        ignored::ignored(worktree, spared, index),
        ignored::empty_directories(worktree, spared, index)
    )?;
    untracked.extend(empty);
    Ok(Found { modified, untracked, ignored })
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
mod tests;
