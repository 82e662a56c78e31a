//! References and commits, read in either of two ways.
//!
//! libgit2 answers in microseconds, but refuses repositories with extensions that it does not know (partial clones,
//! reftable). For those each question costs a run of the git program, a few milliseconds.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};

use super::program::{Output, Program};
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

/// A way to read; opened per call, since libgit2's is not `Sync`, and opening costs a third of a millisecond.
pub(super) enum Store {
    Library(Repository),
    Program(PathBuf),
}

impl Repo {
    pub(super) fn store(&self) -> Store {
        match Repository::open(self.common_dir()) {
            Ok(repository) => Store::Library(repository),
            Err(_) => Store::Program(self.common_dir().to_owned()),
        }
    }
}

impl Store {
    /// The commit that a reference, by its full name, leads to.
    pub(super) fn commit(&self, name: &str) -> Result<Option<CommitId>> {
        match self {
            Store::Library(repository) => {
                let commit = repository.find_reference(name).and_then(|found| found.peel_to_commit());
                found(commit, name).map(|commit| commit.map(|commit| id(commit.id())))
            }
            Store::Program(dir) => {
                let output = ask(dir, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])?;
                Ok(CommitId::parse(text(&output).trim()))
            }
        }
    }

    /// The reference that a symbolic one, by its full name, points to, whether or not that exists.
    pub(super) fn symbolic(&self, name: &str) -> Result<Option<String>> {
        match self {
            Store::Library(repository) => {
                let target = repository.find_reference(name);
                let target = found(target, name)?;
                Ok(target.and_then(|found| found.symbolic_target().ok().flatten().map(str::to_owned)))
            }
            Store::Program(dir) => {
                let output = ask(dir, &["symbolic-ref", "--quiet", name])?;
                Ok(Some(text(&output).trim().to_owned()).filter(|target| !target.is_empty()))
            }
        }
    }

    /// The oldest message in the log of a reference, by its full name; none where no log is kept.
    pub(super) fn first_message(&self, name: &str) -> Result<Option<String>> {
        match self {
            // Asked for a log that is not there, libgit2 makes one.
            Store::Library(repository) if !repository.reference_has_log(name).unwrap_or(false) => Ok(None),
            Store::Library(repository) => {
                let log = found(repository.reflog(name), name)?;
                let oldest = log.as_ref().and_then(|log| log.get(log.len().checked_sub(1)?));
                Ok(oldest.map(|entry| entry.message().ok().flatten().unwrap_or_default().to_owned()))
            }
            Store::Program(dir) => {
                let output = ask(dir, &["reflog", "show", "--format=%gs", name, "--"])?;
                Ok(text(&output).lines().last().map(str::to_owned))
            }
        }
    }

    /// The full names of the references under a prefix that ends in a slash.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let what = || format!("cannot list the references under {prefix}");
        match self {
            Store::Library(repository) => {
                let unreadable = |e| Error::new(Kind::Git, what()).because(e);
                let mut references = repository.references_glob(&format!("{prefix}*")).map_err(unreadable)?;
                Ok(references.names().filter_map(|name| name.ok().map(str::to_owned)).collect())
            }
            Store::Program(dir) => {
                let output = ask(dir, &["for-each-ref", "--format=%(refname)", prefix])?.or_error(what())?;
                Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
            }
        }
    }

    /// Whether one commit is another's ancestor, or the same. In doubt (a shallow clone's edge) it is not.
    pub(super) fn contains(&self, descendant: &CommitId, ancestor: &CommitId) -> bool {
        if descendant == ancestor {
            return true;
        }
        match self {
            Store::Library(repository) => {
                let (Ok(descendant), Ok(ancestor)) = (oid(descendant), oid(ancestor)) else { return false };
                repository.graph_descendant_of(descendant, ancestor).unwrap_or(false)
            }
            Store::Program(dir) => {
                ask(dir, &["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()]).is_ok_and(|o| o.ok)
            }
        }
    }

    /// Whether a commit's tree has a path.
    pub(super) fn has_path(&self, commit: &CommitId, path: &str) -> Result<bool> {
        let what = format!("cannot read the tree of commit {}", commit.short());
        match self {
            Store::Library(repository) => {
                let tree = oid(commit).and_then(|id| repository.find_commit(id)).and_then(|commit| commit.tree());
                let tree = tree.map_err(|e| Error::new(Kind::Git, what).because(e))?;
                found(tree.get_path(Path::new(path)), path).map(|entry| entry.is_some())
            }
            Store::Program(dir) => {
                let output = ask(dir, &["ls-tree", "--name-only", "--full-tree", commit.as_str(), "--", path])?;
                output.or_error(what).map(|names| !names.is_empty())
            }
        }
    }

    /// The names of the remotes.
    pub(super) fn remotes(&self) -> Result<Vec<String>> {
        let what = "cannot list the remotes";
        match self {
            Store::Library(repository) => {
                let remotes = repository.remotes().map_err(|e| Error::new(Kind::Git, what).because(e))?;
                Ok(remotes.iter().filter_map(|name| name.ok().flatten().map(str::to_owned)).collect())
            }
            Store::Program(dir) => {
                let output = ask(dir, &["remote"])?.or_error(what)?;
                Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
            }
        }
    }
}

/// In a partial clone a question must not turn into a download.
fn ask(dir: &Path, args: &[&str]) -> Result<Output> {
    Program::at(dir).args(args).env("GIT_NO_LAZY_FETCH", "1").run_blocking()
}

fn text(output: &Output) -> String {
    if output.ok { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() }
}

fn found<T>(result: Result<T, git2::Error>, name: &str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A name that git would not accept names nothing.
        Err(e) if matches!(e.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::UnbornBranch) => {
            Ok(None)
        }
        Err(e) => Err(Error::new(Kind::Git, format!("cannot read {name}")).because(e)),
    }
}

fn id(oid: Oid) -> CommitId {
    CommitId::full(oid.to_string())
}

fn oid(commit: &CommitId) -> Result<Oid, git2::Error> {
    Oid::from_str(commit.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    #[test]
    fn both_ways_give_the_same_answers() {
        let scratch = Scratch::cloned();
        let first = commit(&scratch.main(), "dir file", "1");
        let second = commit(&scratch.main(), "b", "2");
        let repo = scratch.repo();
        let library = repo.store();
        assert!(matches!(library, Store::Library(_)));
        let program = Store::Program(repo.common_dir().to_owned());
        for store in [library, program] {
            assert_eq!(store.commit("refs/heads/main").unwrap(), Some(second.clone()));
            assert_eq!(store.commit("refs/heads/none").unwrap(), None);
            assert_eq!(store.commit("refs/heads/a..b").unwrap(), None);
            assert_eq!(
                store.symbolic("refs/remotes/origin/HEAD").unwrap().as_deref(),
                Some("refs/remotes/origin/main")
            );
            assert_eq!(store.symbolic("refs/heads/main").unwrap(), None);
            assert_eq!(store.names("refs/heads/").unwrap(), ["refs/heads/main"]);
            let log = store.first_message("refs/heads/main").unwrap().unwrap();
            assert!(log.starts_with("clone: from "), "{log}");
            assert_eq!(store.first_message("refs/heads/none").unwrap(), None);
            assert!(store.contains(&second, &first) && !store.contains(&first, &second));
            assert!(store.has_path(&second, "b").unwrap() && !store.has_path(&first, "b").unwrap());
            assert!(store.has_path(&first, "dir file").unwrap());
            assert_eq!(store.remotes().unwrap(), ["origin"]);
        }
    }

    #[test]
    fn a_repository_with_reftable_is_read_by_the_program() {
        let scratch = Scratch::empty();
        git(scratch.path(), &["init", "--quiet", "--ref-format=reftable", "-b", "main", "x"]);
        let dir = scratch.path().join("x");
        let head = commit(&dir, "a", "1");
        let repo = Repo::discover(&dir).unwrap();
        assert!(matches!(repo.store(), Store::Program(_)));
        assert_eq!(repo.store().commit("refs/heads/main").unwrap(), Some(head));
    }
}
