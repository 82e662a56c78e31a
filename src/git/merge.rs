//! Merging a task's branch, with everything that the user's own `git merge` would heed: identity, signing, drivers, hooks.
//!
//! Where the target is checked out, git merges there; where it is not, the merge is made beside every worktree and the branch
//! moved in one step. What conflicts, or is refused by a hook, leaves everything as it was.

use std::fs;
use std::path::Path;

use super::program::Program;
use super::weigh::{status, under_way};
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

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
        let moves = forward && matches!(style, MergeStyle::Configured | MergeStyle::FastForwardOnly);
        match self.checked_out_at(&merge.into)? {
            Some(place) => self.merge_there(merge, style, &place).await?,
            None if moves => self.advance(&merge.into, &tip, &here, "fast-forward").await?,
            None => self.merge_beside(merge, style, &tip, &here).await?,
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

    /// Where the target is checked out its files and index move with it.
    async fn merge_there(&self, merge: &Merge, style: MergeStyle, place: &Path) -> Result<()> {
        let Merge { branch, into, message, .. } = merge;
        self.refuse_changes(into, place).await?;
        let git = || Program::with_hooks(place);
        let mut command = git().args(["merge", "--no-edit", "--quiet"]);
        command = match style {
            MergeStyle::Configured => command,
            MergeStyle::FastForwardOnly => command.arg("--ff-only"),
            MergeStyle::NoFastForward => command.arg("--no-ff"),
            MergeStyle::Squash => command.arg("--squash"),
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
        let mut ended = command.arg(format!("refs/heads/{branch}")).run().await?;
        if ended.ok && style == MergeStyle::Squash {
            let commit = git().args(["commit", "--quiet", "--no-edit"]);
            ended = match message {
                Some(message) => commit.args(["-m", message]).run().await?,
                None => commit.run().await?,
            };
        }
        if ended.ok {
            return Ok(());
        }
        let unmerged =
            git().args(["diff", "--name-only", "--diff-filter=U", "-z"]).stdout("cannot list conflicts").await?;
        // It was clean before: what is there now is the merge's.
        git()
            .args(["reset", "--quiet", "--merge"])
            .stdout(format!("cannot take back the merge in {}", place.display()))
            .await?;
        let conflicts = names(&unmerged);
        if conflicts.is_empty() {
            return ended.or_error(format!("cannot merge {branch} into {into}")).map(drop);
        }
        Err(conflict(merge, &conflicts))
    }

    async fn refuse_changes(&self, into: &str, place: &Path) -> Result<()> {
        let what = || format!("{into} is checked out at {} and has changes", place.display());
        let worktree = self.worktree_at(place)?;
        if let Some(operation) = worktree.as_ref().and_then(|worktree| under_way(&worktree.admin_dir)) {
            let why = format!("a {operation} that has not been finished");
            return Err(Error::new(Kind::WouldLoseWork, what())
                .because(why)
                .hint("finish or abort it, then try again"));
        }
        let (modified, _) = status(place, None).await?;
        if modified.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::WouldLoseWork, what())
            .because(modified.iter().take(10).cloned().collect::<Vec<_>>().join(", "))
            .hint("commit or stash them there, then try again"))
    }

    /// The merge as objects, then the branch in one step.
    async fn merge_beside(&self, merge: &Merge, style: MergeStyle, tip: &CommitId, here: &CommitId) -> Result<()> {
        let what = format!("cannot merge {} into {}", merge.branch, merge.into);
        let git = self.git().args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"]);
        let merged = git.args([here.as_str(), tip.as_str()]).run().await?;
        let mut parts = merged.stdout.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let Some(tree) = parts.next().filter(|tree| CommitId::parse(tree).is_some()) else {
            return merged.or_error(what).map(drop);
        };
        if !merged.ok {
            let conflicts: Vec<String> = parts.take_while(|name| !name.is_empty()).collect();
            return Err(conflict(merge, &conflicts));
        }
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
        let made = git.arg(&tree).stdout(what.clone()).await?;
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
