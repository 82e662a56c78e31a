//! Branches: which is the default one, where a new one starts, and look-ups.

use super::program::Program;
use super::store::Store;
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

/// Names tried, in this order, where neither the remote nor the configuration names the default branch.
const CUSTOMARY: [&str; 4] = ["main", "master", "trunk", "develop"];

/// The branch that finished work goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultBranch {
    /// Its local name: `main`. The local branch may not exist.
    pub name: String,
    /// The remote-tracking reference, in full: `refs/remotes/origin/main`; `None` where there is none.
    pub tracking: Option<String>,
}

/// Where a new branch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The commit.
    pub commit: CommitId,
    /// The name it was found by: `main`, `origin/main`, `HEAD`.
    pub from: String,
}

impl Repo {
    /// The default branch: the remote's, else the first of `init.defaultBranch`, `main`, `master`, `trunk` and `develop`
    /// that exists here or there, else the one that the main checkout is on, else the only one.
    pub fn default_branch(&self) -> Result<Option<DefaultBranch>> {
        let store = self.store();
        let remote = self.default_remote()?;
        let name = match remote_head(&store, remote.as_deref())? {
            Some(name) => Some(name),
            None => self.customary_branch(&store, remote.as_deref())?,
        };
        let Some(name) = name else { return Ok(None) };
        let tracking = remote.map(|remote| format!("refs/remotes/{remote}/{name}"));
        let tracking = match tracking {
            Some(tracking) if store.commit(&tracking)?.is_some() => Some(tracking),
            _ => None,
        };
        Ok(Some(DefaultBranch { name, tracking }))
    }

    /// The commit a local branch is at.
    pub fn branch(&self, name: &str) -> Result<Option<CommitId>> {
        self.store().commit(&format!("refs/heads/{name}"))
    }

    /// The remotes that were seen to have a branch of a name, and where it was then.
    pub fn remote_branches_named(&self, name: &str) -> Result<Vec<(String, CommitId)>> {
        let store = self.store();
        let mut found = Vec::new();
        for remote in store.remotes()? {
            if let Some(commit) = store.commit(&format!("refs/remotes/{remote}/{name}"))? {
                found.push((remote, commit));
            }
        }
        Ok(found)
    }

    /// The stashes that were made on a branch, as `stash@{0}`. All worktrees share them.
    pub async fn stashes_on(&self, branch: &str) -> Result<Vec<String>> {
        let list = self.git().args(["stash", "list", "--format=%gd%x00%gs"]).run().await?;
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        let is_on = |subject: &str| ["WIP on ", "On "].iter().any(|on| subject.starts_with(&format!("{on}{branch}: ")));
        let found = text.lines().filter_map(|line| line.split_once('\0')).filter(|(_, subject)| is_on(subject));
        Ok(found.map(|(name, _)| name.to_owned()).collect())
    }

    /// The commit that a revision names, as git itself reads it where the caller stands; `None` when it names none.
    pub fn resolve(&self, rev: &str) -> Result<Option<CommitId>> {
        let object = self.rev_parse(rev)?;
        // Peeled apart, since what is appended to `:/TEXT` would be text.
        object.map_or(Ok(None), |object| self.rev_parse(&format!("{object}^{{commit}}")))
    }

    /// Whether a commit's tree has a path, relative to its top.
    pub fn tracks(&self, commit: &CommitId, path: &str) -> Result<bool> {
        self.store().has_path(commit, path)
    }

    /// Where a new branch starts: the local default branch when it contains the remote's, else the remote's. Without a
    /// default branch a detached `HEAD` will do. Fails with [`Kind::NoBase`].
    pub fn base_for_new_branch(&self) -> Result<Base> {
        let store = self.store();
        let base = match self.default_branch()? {
            Some(default) => default.base(&store)?,
            None => store.commit("HEAD")?.map(|commit| Base { commit, from: "HEAD".into() }),
        };
        if let Some(base) = base {
            return Ok(base);
        }
        let what = if store.names("refs/heads/")?.is_empty() && store.names("refs/remotes/")?.is_empty() {
            format!("{} has no commit yet to start a branch from", self.name())
        } else {
            format!("{} has no default branch to start a branch from", self.name())
        };
        Err(Error::new(Kind::NoBase, what).hint("make a first commit, or name a commit with --from REF"))
    }

    fn rev_parse(&self, rev: &str) -> Result<Option<CommitId>> {
        let git = self.current_worktree().map_or_else(|| self.git(), Program::within);
        let output = git.args(["rev-parse", "--verify", "--quiet", "--end-of-options", rev]).run_blocking()?;
        // Git repeats the option that ended the others.
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(if output.ok { said.split_whitespace().last().and_then(CommitId::parse) } else { None })
    }

    /// The remote that counts: `origin`, or the only one.
    pub(super) fn default_remote(&self) -> Result<Option<String>> {
        let mut remotes = self.store().remotes()?;
        Ok(match remotes.iter().position(|name| name == "origin") {
            Some(origin) => Some(remotes.swap_remove(origin)),
            None if remotes.len() == 1 => remotes.pop(),
            None => None,
        })
    }

    fn customary_branch(&self, store: &Store, remote: Option<&str>) -> Result<Option<String>> {
        let configured = self.configured_branch()?;
        for name in std::iter::once(configured).chain(CUSTOMARY).filter(|name| !name.is_empty()) {
            let here = if self.made_at(name)?.is_none() { store.commit(&format!("refs/heads/{name}"))? } else { None };
            let there = remote.map(|remote| store.commit(&format!("refs/remotes/{remote}/{name}"))).transpose()?;
            if here.or(there.flatten()).is_some() {
                return Ok(Some(name.to_owned()));
            }
        }
        if let Some(head) = store.symbolic("HEAD")?
            && store.commit(&head)?.is_some()
        {
            return Ok(head.strip_prefix("refs/heads/").map(str::to_owned));
        }
        // A branch that we made for a task is no place where finished work goes.
        let mut others = Vec::new();
        for name in store.names("refs/heads/")? {
            let name = name.trim_start_matches("refs/heads/").to_owned();
            if self.made_at(&name)?.is_none() {
                others.push(name);
            }
        }
        Ok(if let [only] = &*others { Some(only.clone()) } else { None })
    }
}

impl DefaultBranch {
    fn base(&self, store: &Store) -> Result<Option<Base>> {
        let local = store.commit(&format!("refs/heads/{}", self.name))?;
        let local = local.map(|commit| Base { commit, from: self.name.clone() });
        let Some(tracking) = &self.tracking else { return Ok(local) };
        let remote = store.commit(tracking)?;
        let from = tracking.trim_start_matches("refs/remotes/").to_owned();
        Ok(match (local, remote) {
            (Some(local), Some(remote)) if store.contains(&local.commit, &remote) => Some(local),
            (_, Some(commit)) => Some(Base { commit, from }),
            (local, None) => local,
        })
    }
}

/// What `origin/HEAD` points to, when that is still there: the note is as old as the clone.
fn remote_head(store: &Store, remote: Option<&str>) -> Result<Option<String>> {
    let Some(remote) = remote else { return Ok(None) };
    let prefix = format!("refs/remotes/{remote}/");
    let Some(target) = store.symbolic(&format!("{prefix}HEAD"))? else { return Ok(None) };
    Ok(match store.commit(&target)? {
        Some(_) => target.strip_prefix(&prefix).map(str::to_owned),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    fn default(scratch: &Scratch) -> Option<String> {
        scratch.repo().default_branch().unwrap().map(|default| default.name)
    }

    #[test]
    fn the_remotes_head_decides_which_branch_is_the_default_one() {
        let scratch = Scratch::cloned();
        git(&scratch.origin(), &["branch", "production"]);
        git(&scratch.main(), &["fetch", "--quiet"]);
        git(&scratch.main(), &["remote", "set-head", "origin", "production"]);
        let expected =
            DefaultBranch { name: "production".into(), tracking: Some("refs/remotes/origin/production".into()) };
        assert_eq!(scratch.repo().default_branch().unwrap(), Some(expected));
    }

    #[test]
    fn without_a_remote_custom_decides_then_the_checkout_then_what_is_left() {
        let scratch = Scratch::with_commit("myapp");
        git(&scratch.main(), &["checkout", "--quiet", "-b", "next"]);
        assert_eq!(default(&scratch).as_deref(), Some("main"));
        git(&scratch.main(), &["config", "init.defaultBranch", "next"]);
        assert_eq!(default(&scratch).as_deref(), Some("next"));
        git(&scratch.main(), &["config", "init.defaultBranch", "gone"]);
        git(&scratch.main(), &["branch", "-m", "main", "other"]);
        assert_eq!(default(&scratch).as_deref(), Some("next"));
        git(&scratch.main(), &["checkout", "--quiet", "--detach"]);
        assert_eq!(default(&scratch), None);
        git(&scratch.main(), &["branch", "-D", "next"]);
        assert_eq!(default(&scratch).as_deref(), Some("other"));
    }

    #[test]
    fn a_branch_starts_at_the_local_default_when_that_contains_the_remotes() {
        let scratch = Scratch::cloned();
        let ahead = commit(&scratch.main(), "a", "1");
        let base = scratch.repo().base_for_new_branch().unwrap();
        assert_eq!(base, Base { commit: ahead, from: "main".into() });
    }

    #[test]
    fn a_branch_starts_at_the_remotes_default_when_the_local_one_is_behind_or_apart() {
        let scratch = Scratch::cloned();
        let newer = commit(&scratch.origin(), "a", "1");
        git(&scratch.main(), &["fetch", "--quiet"]);
        let expected = Base { commit: newer, from: "origin/main".into() };
        assert_eq!(scratch.repo().base_for_new_branch().unwrap(), expected);
        commit(&scratch.main(), "b", "1");
        assert_eq!(scratch.repo().base_for_new_branch().unwrap(), expected);
    }

    #[test]
    fn a_repository_without_a_commit_has_no_base() {
        let error = Scratch::unborn("myapp").repo().base_for_new_branch().unwrap_err();
        assert_eq!(error.kind(), Kind::NoBase);
        assert!(error.what().contains("no commit yet") && error.hints()[0].contains("--from"));
    }

    #[test]
    fn a_detached_head_in_a_shallow_clone_is_base_enough() {
        let scratch = Scratch::with_commit("origin");
        let head = commit(&scratch.main(), "a", "1");
        let url = format!("file://{}", scratch.main().display());
        git(scratch.path(), &["clone", "--quiet", "--depth=1", &url, "shallow"]);
        let shallow = scratch.path().join("shallow");
        git(&shallow, &["checkout", "--quiet", "--detach"]);
        git(&shallow, &["branch", "-D", "main"]);
        let base = Repo::discover(&shallow).unwrap().base_for_new_branch().unwrap();
        assert_eq!(base, Base { commit: head.clone(), from: "origin/main".into() });
        git(&shallow, &["remote", "remove", "origin"]);
        let base = Repo::discover(&shallow).unwrap().base_for_new_branch().unwrap();
        assert_eq!(base, Base { commit: head, from: "HEAD".into() });
    }

    #[test]
    fn a_revision_is_read_where_the_caller_stands() {
        let scratch = Scratch::with_commit("myapp");
        let linked = scratch.linked("feature");
        let there = commit(&linked, "a", "1");
        let repo = Repo::discover(&linked).unwrap();
        assert_eq!(repo.resolve("HEAD").unwrap(), Some(there.clone()));
        assert_eq!(repo.resolve(":/write a").unwrap(), Some(there.clone()));
        assert_eq!(repo.resolve("--all").unwrap(), None);
        assert_ne!(scratch.repo().resolve("HEAD").unwrap(), Some(there.clone()));
        assert!(repo.tracks(&there, "a").unwrap());
        assert!(!repo.tracks(&there, ".env.worktree").unwrap());
    }

    #[test]
    fn remote_branches_are_found_by_name_on_every_remote() {
        let scratch = Scratch::cloned();
        let there = git(&scratch.origin(), &["rev-parse", "HEAD"]);
        git(&scratch.origin(), &["branch", "feature/x"]);
        git(&scratch.main(), &["remote", "add", "team/b", "../origin"]);
        git(&scratch.main(), &["fetch", "--quiet", "--all"]);
        let found = scratch.repo().remote_branches_named("feature/x").unwrap();
        let found: Vec<_> = found.iter().map(|(remote, commit)| (&**remote, commit.as_str())).collect();
        assert_eq!(found, [("origin", &*there), ("team/b", &*there)]);
    }
}
