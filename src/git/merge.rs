//! Merging a task's branch, with everything that the user's own `git merge` would heed: identity, signing, drivers, hooks.
//!
//! Where the target is checked out, git merges there; where it is not, the merge is made beside every worktree and the branch
//! moved in one step. What conflicts, or is refused by a hook, leaves everything as it was.

mod halves;

use std::fs;
use std::path::Path;

use super::program::{Output, Program};
use super::weigh::{changes, under_way};
use super::{CommitId, Repo, Spared};
use crate::error::{Error, Kind, Result};

/// Files that differ in whatever way.
const ANYHOW: &str = "ACDMRTUXB";

/// How a branch is to be merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeStyle {
    /// As the user has configured: by default a fast-forward where that is possible.
    #[default]
    Configured,
    /// A fast-forward or nothing.
    FastForwardOnly,
    /// A merge commit in any case.
    NoFastForward,
    /// One commit with all of it.
    Squash,
}

/// What is to be merged, where, and how.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The branch.
    pub branch: String,
    /// The branch that it goes into.
    pub into: String,
    /// How.
    pub style: MergeStyle,
    /// The message of a commit that is made; git's own where none is given.
    pub message: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It was all there.
    UpToDate,
    /// The target went forward to this commit.
    FastForward(CommitId),
    /// This commit was made.
    Commit(CommitId),
}

impl Repo {
    /// Merges a branch into another.
    ///
    /// Fails with [`Kind::Conflict`] where the two conflict, or a fast-forward was wanted and is not possible; with
    /// [`Kind::WouldLoseWork`] where the target is checked out with changes; with [`Kind::Git`] where a hook refuses. Nothing
    /// has changed then.
    pub async fn merge(&self, merge: &Merge) -> Result<Merged> {
        let tip = self.tip(&merge.branch)?;
        let here = self.tip(&merge.into)?;
        let store = self.store();
        if store.contains(&here, &tip) {
            return Ok(Merged::UpToDate);
        }
        let forward = store.contains(&tip, &here);
        drop(store);
        let style = match merge.style {
            MergeStyle::Configured => self.configured_style().await?,
            style => style,
        };
        if style == MergeStyle::FastForwardOnly && !forward {
            let Merge { branch, into, .. } = merge;
            return Err(Error::new(
                Kind::Conflict,
                format!("{into} has moved on, so it cannot be fast-forwarded to {branch}"),
            )
            .hint(format!("git rebase {into}, in the worktree; or leave --ff-only out")));
        }
        let place = self.checked_out_at(&merge.into)?;
        // Known beforehand, conflicts leave nothing to be taken back.
        let tree = self.merged_tree(merge, place.as_deref(), &tip, &here).await?;
        if style == MergeStyle::Squash && self.changed(here.as_str(), &tree, ANYHOW).await?.is_empty() {
            return Ok(Merged::UpToDate);
        }
        let moves = forward && matches!(style, MergeStyle::Configured | MergeStyle::FastForwardOnly);
        match place {
            Some(place) => {
                let is_half_done = style == MergeStyle::Squash && self.is_squashed(&place, &tip, &tree).await?;
                if !is_half_done {
                    self.refuse_changes(&merge.into, &place, &here, &tree).await?;
                    let ended = self.merge_there(merge, style, &place).await?;
                    self.settled(ended, merge, &place, [here.as_str(), &tree]).await?;
                }
                if style == MergeStyle::Squash {
                    let ended = self.commit_squashed(merge, &place).await?;
                    self.settled(ended, merge, &place, [here.as_str(), &tree]).await?;
                }
            }
            None if moves => self.advance(&merge.into, &tip, &here, "fast-forward").await?,
            None => self.merge_beside(merge, style, [&tip, &here], &tree).await?,
        }
        let at = self.tip(&merge.into)?;
        Ok(if at == tip { Merged::FastForward(at) } else { Merged::Commit(at) })
    }

    fn tip(&self, branch: &str) -> Result<CommitId> {
        self.branch(branch)?.ok_or_else(|| {
            Error::new(Kind::Git, format!("there is no branch {branch} here"))
                .hint(format!("git branch {branch} origin/{branch}, if the remote has it"))
        })
    }

    /// `merge.ff`, which git itself heeds where it merges.
    async fn configured_style(&self) -> Result<MergeStyle> {
        let asked = self.git().args(["config", "--get", "merge.ff"]).run().await?;
        Ok(match String::from_utf8_lossy(&asked.stdout).trim() {
            "only" => MergeStyle::FastForwardOnly,
            "false" | "no" | "off" => MergeStyle::NoFastForward,
            _ => MergeStyle::Configured,
        })
    }

    /// What the merge comes to; an error that names the files where it conflicts. Where the target is checked out its
    /// attributes are read there, as git itself will.
    async fn merged_tree(
        &self,
        merge: &Merge,
        place: Option<&Path>,
        tip: &CommitId,
        here: &CommitId,
    ) -> Result<String> {
        let git = match place {
            Some(place) if !place.is_dir() => {
                let what = format!("{} is checked out at {}, which is not there", merge.into, place.display());
                return Err(Error::new(Kind::Git, what).hint("git worktree prune, if that directory is gone for good"));
            }
            Some(place) => Program::within(place),
            None => self.git().env("GIT_ATTR_SOURCE", here.as_str()),
        };
        let git = git.args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"]);
        let merged = git.args([here.as_str(), tip.as_str()]).run().await?;
        let mut parts = names(&merged.stdout).into_iter();
        match parts.next().filter(|tree| CommitId::parse(tree).is_some()) {
            Some(tree) if merged.ok => Ok(tree),
            Some(_) => Err(conflict(merge, &parts.collect::<Vec<_>>())),
            None => {
                merged.or_error(format!("cannot merge {} into {}", merge.branch, merge.into)).map(|_| String::new())
            }
        }
    }

    /// The files that a tree has otherwise than a commit.
    async fn changed(&self, from: &str, to: &str, how: &str) -> Result<Vec<String>> {
        let diff = ["diff-tree", "-r", "-z", "--no-renames", "--name-only", &format!("--diff-filter={how}")];
        let git = self.git().args(diff).args([from, to]);
        git.stdout(format!("cannot tell what would change in {from}")).await.map(|list| names(&list))
    }

    /// Where the target is checked out its files and index move with it.
    async fn merge_there(&self, merge: &Merge, style: MergeStyle, place: &Path) -> Result<Output> {
        let Merge { branch, into, message, .. } = merge;
        let git = || Program::with_hooks(place);
        // What the settings say of this branch may be half of a merge.
        let whole = ["merge", "--no-edit", "--quiet", "--commit", "--no-squash"];
        let mut command = match style {
            MergeStyle::Configured => git().args(whole),
            MergeStyle::FastForwardOnly => git().args(whole).arg("--ff-only"),
            MergeStyle::NoFastForward => git().args(whole).arg("--no-ff"),
            MergeStyle::Squash => git().args(["-c", "merge.ff=true", "merge", "--no-edit", "--quiet", "--squash"]),
        };
        if style != MergeStyle::Squash {
            // By its full name a tag is not taken for it, and git's message would have that in it.
            let (tip, here) = (self.tip(branch)?, self.tip(into)?);
            let own = match message {
                Some(message) => message.clone(),
                None => self.merge_message(merge, style, &tip, &here).await?,
            };
            command = command.args(["-m", &own]);
        }
        command.arg(format!("refs/heads/{branch}")).run().await
    }

    /// What git squashed is in the index.
    async fn commit_squashed(&self, merge: &Merge, place: &Path) -> Result<Output> {
        let commit = Program::with_hooks(place).args(["commit", "--quiet", "--no-edit"]);
        let message = merge.message.iter().flat_map(|message| ["-m", message]);
        message.fold(commit, Program::arg).run().await
    }

    /// Whether the very merge was squashed in a checkout, and not committed: by a run that was killed.
    async fn is_squashed(&self, place: &Path, tip: &CommitId, tree: &str) -> Result<bool> {
        let Some(worktree) = self.worktree_at(place)? else { return Ok(false) };
        let message = fs::read_to_string(worktree.admin_dir.join("SQUASH_MSG")).unwrap_or_default();
        if !message.contains(tip.as_str()) {
            return Ok(false);
        }
        let clean = Program::within(place).args(["diff-files", "--quiet"]).run().await?.ok;
        let staged = Program::within(place).arg("write-tree").run().await?;
        Ok(clean && String::from_utf8_lossy(&staged.stdout).trim() == tree)
    }

    /// What failed leaves everything as it was.
    async fn settled(&self, ended: Output, merge: &Merge, place: &Path, [here, tree]: [&str; 2]) -> Result<()> {
        if !ended.ok {
            self.take_back(place).await?;
            self.take_back_halves(place, here, tree).await?;
        }
        ended.or_error(format!("cannot merge {} into {}", merge.branch, merge.into)).map(drop)
    }

    /// After a hook or a signature was refused. It was clean before, so what is there now is the merge's, or the hook's; where
    /// git refused before it began, nothing is.
    async fn take_back(&self, place: &Path) -> Result<()> {
        let git = || Program::with_hooks(place);
        let began =
            |name: &str| self.worktree_at(place).ok().flatten().is_some_and(|it| it.admin_dir.join(name).exists());
        let staged = !git().args(["diff-index", "--cached", "--quiet", "HEAD"]).run().await?.ok;
        if !(staged || began("MERGE_HEAD") || began("SQUASH_MSG")) {
            return Ok(());
        }
        if git().args(["reset", "--quiet", "--merge"]).run().await?.ok {
            return Ok(());
        }
        let what = format!("cannot take back the merge in {}", place.display());
        git().args(["reset", "--quiet", "--hard", "HEAD"]).stdout(what).await.map(drop)
    }

    /// Nothing of the user's may be in the way: changes, those that git was told to overlook too, and files that it does not
    /// know and would write over.
    async fn refuse_changes(&self, into: &str, place: &Path, here: &CommitId, tree: &str) -> Result<()> {
        let what = || format!("{into} is checked out at {} and has changes", place.display());
        let worktree = self.worktree_at(place)?;
        if let Some(operation) = worktree.as_ref().and_then(|worktree| under_way(&worktree.admin_dir)) {
            let why = format!("a {operation} that has not been finished");
            return Err(Error::new(Kind::WouldLoseWork, what())
                .because(why)
                .hint("finish or abort it, then try again"));
        }
        let mut in_the_way = match &worktree {
            Some(worktree) => changes(worktree, &Spared::default().and(["*".to_owned()])).await?.modified,
            None => Vec::new(),
        };
        for name in self.changed(here.as_str(), tree, "A").await? {
            if let Some(there) = self.in_the_way_of(&name, place, here).await? {
                in_the_way.push(there);
            }
        }
        if in_the_way.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::WouldLoseWork, what())
            .because(in_the_way.iter().take(10).cloned().collect::<Vec<_>>().join(", "))
            .hint("commit or stash them there, or move them away, then try again"))
    }

    /// What git does not know, at the place of a file that a merge adds, or in place of a directory that leads there. What it
    /// does know the merge itself takes away.
    async fn in_the_way_of(&self, name: &str, place: &Path, here: &CommitId) -> Result<Option<String>> {
        let store = self.store();
        for leading in Path::new(name).ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
            let Ok(metadata) = place.join(leading).symlink_metadata() else { return Ok(None) };
            let leading = leading.display().to_string();
            if leading == name && metadata.is_dir() {
                drop(store);
                let list = ["ls-files", "--others", "--directory", "--no-empty-directory", "-z", "--"];
                let git = Program::within(place).args(list).arg(format!(":(literal){name}"));
                let inside = git.stdout(format!("cannot list the files of {}", place.display())).await?;
                return Ok(names(&inside).into_iter().next());
            }
            if !metadata.is_dir() {
                return Ok((!store.has_path(here, &leading)?).then_some(leading));
            }
        }
        Ok(None)
    }

    /// The merge as objects, then the branch in one step.
    async fn merge_beside(
        &self,
        merge: &Merge,
        style: MergeStyle,
        [tip, here]: [&CommitId; 2],
        tree: &str,
    ) -> Result<()> {
        let what = format!("cannot merge {} into {}", merge.branch, merge.into);
        let failed = |e| Error::new(Kind::Files, what.clone()).because(e);
        let scratch = tempfile::NamedTempFile::new().map_err(failed)?;
        let message = match &merge.message {
            Some(message) => message.clone(),
            None => self.merge_message(merge, style, tip, here).await?,
        };
        fs::write(scratch.path(), message).map_err(failed)?;
        if style != MergeStyle::Squash {
            self.hook(&["pre-merge-commit"], &what).await?;
        }
        self.hook(&["commit-msg", "--", &scratch.path().display().to_string()], &what).await?;
        let signs = self.git().args(["config", "--type=bool", "--get", "commit.gpgSign"]).run().await?;
        let mut git = self.git().args(["commit-tree", "-p", here.as_str(), "-F"]).arg(scratch.path());
        if style != MergeStyle::Squash {
            git = git.args(["-p", tip.as_str()]);
        }
        if signs.stdout.trim_ascii() == b"true" {
            git = git.arg("-S");
        }
        let made = git.arg(tree).stdout(what.clone()).await?;
        let made = CommitId::parse(String::from_utf8_lossy(&made).trim())
            .ok_or_else(|| Error::new(Kind::Git, what).because("git named no commit"))?;
        self.advance(&merge.into, &made, here, &format!("merge {}", merge.branch)).await
    }

    /// What git itself would write.
    async fn merge_message(&self, merge: &Merge, style: MergeStyle, tip: &CommitId, here: &CommitId) -> Result<String> {
        let what = "cannot write the message of the merge";
        let text = if style == MergeStyle::Squash {
            let range = format!("{here}..{tip}");
            let log = self
                .git()
                .args(["log", "--no-merges", "--no-color", "--no-show-signature", &range])
                .stdout(what)
                .await?;
            [b"Squashed commit of the following:\n\n", &*log].concat()
        } else {
            let input = format!("{tip}\t\tbranch '{}' of .\n", merge.branch);
            self.git().args(["fmt-merge-msg", "--into-name", &merge.into]).input(input).stdout(what).await?
        };
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    async fn hook(&self, hook: &[&str], what: &str) -> Result<()> {
        let place = self.main_checkout().unwrap_or(self.common_dir());
        let run = Program::with_hooks(place).args(["hook", "run", "--ignore-missing"]).args(hook).run().await?;
        if run.ok {
            return Ok(());
        }
        Err(Error::new(Kind::Git, what).because(format!("the hook {} refused: {}", hook[0], run.complaint())))
    }

    async fn advance(&self, branch: &str, to: &CommitId, from: &CommitId, how: &str) -> Result<()> {
        let place = self.main_checkout().unwrap_or(self.common_dir());
        let update = ["update-ref", "-m", &format!("sandbox merge: {how}"), &format!("refs/heads/{branch}")];
        let git = Program::with_hooks(place).args(update).args([to.as_str(), from.as_str()]);
        git.stdout(format!("cannot move {branch} to {}", to.short())).await.map(drop)
    }
}

fn names(list: &[u8]) -> Vec<String> {
    let names = list.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

fn conflict(merge: &Merge, files: &[String]) -> Error {
    let Merge { branch, into, .. } = merge;
    Error::new(Kind::Conflict, format!("{branch} and {into} conflict")).because(files.join("\n")).hint(format!(
        "`sandbox exec {branch} -- git merge {into}`, resolve and commit there, then `sandbox merge {branch}` again"
    ))
}

#[cfg(test)]
mod tests;
