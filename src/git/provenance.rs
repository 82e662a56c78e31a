//! The branches that we made, and the note of where we made them.
//!
//! `refs/sandbox/made/BRANCH` is written in one reference transaction with the branch, and deleted with it. A branch
//! without that note is the user's, and never deleted here. So is one that the user made after deleting ours, by hand and
//! without a word to us: the note is still there then, and the branch's own log tells.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::store::Store;
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

/// The namespace of the notes.
const MADE: &str = "refs/sandbox/made/";

/// Tries at the configuration's lock, which git itself does not wait for.
const CONFIG_TRIES: u32 = 40;

/// Time between two tries.
const CONFIG_PAUSE: Duration = Duration::from_millis(25);

/// How git begins the log of a branch that the user makes: by `git branch` and its like, or by fetching into it.
const MADE_BY_GIT: [&str; 3] = ["branch: Created from", ": storing head", "clone: from"];

/// What there is of a branch that we made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is there.
    Branch {
        /// Where it is by now.
        at: CommitId,
        /// Where we made it.
        made_at: CommitId,
    },
    /// Our note alone: the user deleted the branch, or has another of that name since.
    Note,
}

/// What came of deleting a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchDeletion {
    /// It is gone, or was already.
    Deleted,
    /// It is no longer at the commit that was looked at, and stays.
    Moved,
    /// We did not make it, so it stays.
    NotOurs,
    /// It is checked out at this place, and stays.
    CheckedOut(PathBuf),
    /// It alone holds these commits by now, and stays.
    LastHolder(Vec<String>),
}

impl Repo {
    /// The commit at which we made a branch; `None` when we did not make it.
    pub fn made_at(&self, branch: &str) -> Result<Option<CommitId>> {
        let store = self.store();
        let Some(made) = store.commit(&format!("{MADE}{branch}"))? else { return Ok(None) };
        if store.commit(&format!("refs/heads/{branch}"))?.is_none() {
            return Ok(Some(made));
        }
        // We keep a log of every branch we make, also where the repository keeps none by itself.
        let first = store.first_message(&format!("refs/heads/{branch}"))?;
        let is_ours = first.is_some_and(|first| !MADE_BY_GIT.iter().any(|it| first.contains(it)));
        Ok(is_ours.then_some(made))
    }

    /// What there is of a branch that we made.
    pub fn made(&self, branch: &str) -> Result<Option<Made>> {
        if self.store().commit(&format!("{MADE}{branch}"))?.is_none() {
            return Ok(None);
        }
        let (Some(made_at), Some(at)) = (self.made_at(branch)?, self.branch(branch)?) else {
            return Ok(Some(Made::Note));
        };
        Ok(Some(Made::Branch { at, made_at }))
    }

    /// Forgets that we made a branch: it is no longer there, or is the user's from now on.
    pub async fn forget_made(&self, name: &str) -> Result<()> {
        if self.made(name)?.is_none() {
            return Ok(());
        }
        self.update_refs(format!("delete {MADE}{name}\0\0"), &format!("cannot forget the branch {name}")).await
    }

    /// Deletes a branch that we made, if it still is at `expected`, with its note and its section of the configuration.
    pub async fn delete_branch(&self, name: &str, expected: &CommitId) -> Result<BranchDeletion> {
        // One at a time: of two branches that hold the same commits, the second is seen to be the last.
        let _turn = self.turn().await;
        self.delete_branch_in_turn(name, expected).await
    }

    /// The same for a caller that holds the turn.
    pub(super) async fn delete_branch_in_turn(&self, name: &str, expected: &CommitId) -> Result<BranchDeletion> {
        let what = format!("cannot delete the branch {name}");
        let Some(made) = self.made_at(name)? else { return Ok(BranchDeletion::NotOurs) };
        if let Some(path) = self.checked_out_at(name)? {
            return Ok(BranchDeletion::CheckedOut(path));
        }
        let alone = self.commits_on_branch_alone(name).await?;
        if !alone.is_empty() {
            return Ok(BranchDeletion::LastHolder(alone));
        }
        let note = format!("delete {MADE}{name}\0{made}\0");
        let transaction = match self.branch(name)? {
            Some(here) if here != *expected => return Ok(BranchDeletion::Moved),
            Some(_) => format!("delete refs/heads/{name}\0{expected}\0{note}"),
            None => note,
        };
        if let Err(error) = self.update_refs(transaction, &what).await {
            let moved = self.branch(name)?.is_some_and(|here| here != *expected);
            return if moved { Ok(BranchDeletion::Moved) } else { Err(error) };
        }
        self.forget_branch_settings(name).await?;
        Ok(BranchDeletion::Deleted)
    }

    /// Creates a branch and its note at a commit, both or neither. Done already by a run that was killed is done.
    pub(super) async fn make_branch(&self, name: &str, at: &CommitId) -> Result<()> {
        let here = self.branch(name)?;
        let made = if here.is_some() { self.made_at(name)? } else { self.store().commit(&format!("{MADE}{name}"))? };
        if let Some(here) = &here {
            if here == at && made.as_ref() == Some(at) {
                return Ok(());
            }
            return Err(Error::new(Kind::NotOurs, format!("there is a branch {name} already, at {}", here.short()))
                .hint(format!("work on it as it is, or rename it: git branch -m {name} NEW-NAME")));
        }
        self.forget_stale_notes(name).await?;
        // A note without its branch: the user deleted the branch, so the name is free again.
        let note = match made {
            Some(stale) => format!("update {MADE}{name}\0{at}\0{stale}\0"),
            None => format!("create {MADE}{name}\0{at}\0"),
        };
        let what = format!("cannot create the branch {name}");
        self.update_refs(format!("create refs/heads/{name}\0{at}\0{note}"), &what).await
    }

    /// Makes a branch follow a remote's. Written without asking the remote's refspec, which a bare clone lacks.
    pub(super) async fn set_upstream(&self, name: &str, remote: &str) -> Result<()> {
        let merge = format!("refs/heads/{name}");
        self.configure(&[&format!("branch.{name}.remote"), remote]).await?;
        self.configure(&[&format!("branch.{name}.merge"), &merge]).await
    }

    /// Notes whose branch the user deleted would stand in the way of `NAME/…`, or of a prefix of `NAME`.
    async fn forget_stale_notes(&self, name: &str) -> Result<()> {
        let transaction = stale_notes(&self.store(), name)?;
        if transaction.is_empty() {
            return Ok(());
        }
        self.update_refs(transaction, &format!("cannot make room for the branch {name}")).await
    }

    /// A branch's part of the configuration: what follows its name in each key, and the value.
    pub(super) async fn branch_settings(&self, name: &str) -> Result<Vec<(String, String)>> {
        let key = format!("^branch\\.{}\\.", name.replace(['.', '+', '$', '(', ')', '{', '}', '|'], "."));
        let present = self.git().args(["config", "--local", "-z", "--get-regexp", &key]).run().await?;
        let prefix = format!("branch.{name}.");
        let entry = |entry: &str| {
            let (key, value) = entry.split_once('\n')?;
            Some((key.strip_prefix(&prefix)?.to_owned(), value.to_owned()))
        };
        Ok(String::from_utf8_lossy(&present.stdout).split('\0').filter_map(entry).collect())
    }

    pub(super) async fn forget_branch_settings(&self, name: &str) -> Result<()> {
        if self.branch_settings(name).await?.is_empty() {
            return Ok(());
        }
        self.configure(&["--remove-section", &format!("branch.{name}")]).await
    }

    pub(super) async fn update_refs(&self, transaction: String, what: &str) -> Result<()> {
        let git = self.git().args(["update-ref", "--create-reflog", "--stdin", "-z", "-m", "sandbox"]);
        git.input(transaction).stdout(what).await.map(|_| ())
    }

    /// `git config`, with patience: it gives up at once when another process holds the file's lock.
    pub(super) async fn configure(&self, args: &[&str]) -> Result<()> {
        for _ in 1..CONFIG_TRIES {
            let output = self.git().args(["config", "--local"]).args(args).run().await?;
            if output.ok || !output.stderr.contains("could not lock config file") {
                return output.or_error("cannot write the repository's configuration").map(|_| ());
            }
            tokio::time::sleep(CONFIG_PAUSE).await;
        }
        let output = self.git().args(["config", "--local"]).args(args).run().await?;
        output.or_error("cannot write the repository's configuration").map(|_| ())
    }
}

fn stale_notes(store: &Store, name: &str) -> Result<String> {
    let mut transaction = String::new();
    for note in store.names(MADE)? {
        let branch = &note[MADE.len()..];
        let in_the_way = name.starts_with(&format!("{branch}/")) || branch.starts_with(&format!("{name}/"));
        if in_the_way && store.commit(&format!("refs/heads/{branch}"))?.is_none() {
            let _ = write!(transaction, "delete {note}\0\0");
        }
    }
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    #[tokio::test]
    async fn a_branch_is_made_with_its_note_and_making_it_again_changes_nothing() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        for _ in 0..2 {
            repo.make_branch("feature/x", &at).await.unwrap();
            assert_eq!(repo.branch("feature/x").unwrap(), Some(at.clone()));
            assert_eq!(repo.made_at("feature/x").unwrap(), Some(at.clone()));
        }
    }

    #[tokio::test]
    async fn a_branch_of_the_users_is_neither_taken_over_nor_deleted() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        git(&scratch.main(), &["branch", "mine"]);
        assert_eq!(repo.make_branch("mine", &at).await.unwrap_err().kind(), Kind::NotOurs);
        assert_eq!(repo.delete_branch("mine", &at).await.unwrap(), BranchDeletion::NotOurs);
        assert_eq!(repo.branch("mine").unwrap(), Some(at));
        assert_eq!(repo.made_at("mine").unwrap(), None);
    }

    #[tokio::test]
    async fn a_branch_that_the_user_made_after_deleting_ours_is_the_users() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        repo.make_branch("x", &at).await.unwrap();
        assert_eq!(repo.made("x").unwrap(), Some(Made::Branch { at: at.clone(), made_at: at.clone() }));
        git(&scratch.main(), &["branch", "-D", "x"]);
        assert_eq!(repo.made("x").unwrap(), Some(Made::Note));
        git(&scratch.main(), &["branch", "x"]);
        assert_eq!(repo.made_at("x").unwrap(), None);
        assert_eq!(repo.delete_branch("x", &at).await.unwrap(), BranchDeletion::NotOurs);
        repo.forget_made("x").await.unwrap();
        assert_eq!(repo.made("x").unwrap(), None);
        assert_eq!(repo.branch("x").unwrap(), Some(at));
    }

    #[tokio::test]
    async fn of_two_branches_that_alone_hold_a_commit_the_second_stays() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        git(&scratch.main(), &["checkout", "--quiet", "--detach"]);
        let work = commit(&scratch.main(), "work", "1");
        git(&scratch.main(), &["checkout", "--quiet", "main"]);
        for name in ["a", "b"] {
            repo.make_branch(name, &work).await.unwrap();
        }
        let (a, b) = tokio::join!(repo.delete_branch("a", &work), repo.delete_branch("b", &work));
        let outcomes = [a.unwrap(), b.unwrap()];
        assert!(outcomes.contains(&BranchDeletion::Deleted), "{outcomes:?}");
        assert!(outcomes.iter().any(|it| matches!(it, BranchDeletion::LastHolder(_))), "{outcomes:?}");
    }

    #[tokio::test]
    async fn where_git_keeps_no_logs_the_users_branch_is_still_told_from_ours() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        git(&scratch.main(), &["config", "core.logAllRefUpdates", "false"]);
        repo.make_branch("x", &at).await.unwrap();
        assert_eq!(repo.made_at("x").unwrap(), Some(at.clone()));
        git(&scratch.main(), &["branch", "-D", "x"]);
        git(&scratch.main(), &["branch", "x"]);
        assert_eq!(repo.made_at("x").unwrap(), None);
    }

    #[tokio::test]
    async fn a_note_whose_branch_is_gone_stands_in_nobodys_way() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        for name in ["x", "x/y", "x/y/z", "x"] {
            repo.make_branch(name, &at).await.unwrap();
            git(&scratch.main(), &["branch", "-D", name]);
        }
        let newer = commit(&scratch.main(), "a", "1");
        repo.make_branch("x", &newer).await.unwrap();
        assert_eq!(repo.made_at("x").unwrap(), Some(newer));
    }

    #[tokio::test]
    async fn deleting_takes_branch_note_and_settings_and_may_be_done_twice() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        repo.make_branch("v1.2+x", &at).await.unwrap();
        repo.set_upstream("v1.2+x", "origin").await.unwrap();
        repo.set_upstream("v1.2+xy", "origin").await.unwrap();
        assert_eq!(repo.delete_branch("v1.2+x", &at).await.unwrap(), BranchDeletion::Deleted);
        assert_eq!(repo.branch("v1.2+x").unwrap(), None);
        assert_eq!(repo.made_at("v1.2+x").unwrap(), None);
        let settings = git(&scratch.main(), &["config", "--name-only", "--get-regexp", "^branch"]);
        assert_eq!(settings, "branch.v1.2+xy.remote\nbranch.v1.2+xy.merge");
        assert_eq!(repo.delete_branch("v1.2+x", &at).await.unwrap(), BranchDeletion::NotOurs);
    }

    #[tokio::test]
    async fn a_branch_that_moved_or_is_checked_out_stays() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        repo.make_branch("x", &at).await.unwrap();
        let newer = commit(&scratch.main(), "a", "1");
        git(&scratch.main(), &["branch", "--force", "x", newer.as_str()]);
        assert_eq!(repo.delete_branch("x", &at).await.unwrap(), BranchDeletion::Moved);
        let path = scratch.path().join("x");
        git(&scratch.main(), &["worktree", "add", "--quiet", path.to_str().unwrap(), "x"]);
        assert_eq!(repo.delete_branch("x", &newer).await.unwrap(), BranchDeletion::CheckedOut(path));
        assert!(repo.made_at("x").unwrap().is_some());
    }

    #[tokio::test]
    async fn twenty_branches_are_made_and_configured_at_once() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let at = repo.branch("main").unwrap().unwrap();
        let names: Vec<String> = (0..20).map(|n| format!("b{n}")).collect();
        let all = names.iter().map(|name| async {
            repo.make_branch(name, &at).await.unwrap();
            repo.set_upstream(name, "origin").await.unwrap();
        });
        futures::future::join_all(all).await;
        let settings = git(&scratch.main(), &["config", "--name-only", "--get-regexp", "^branch"]);
        assert_eq!(settings.lines().count(), 40);
    }
}
