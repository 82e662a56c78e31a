//! Making a worktree: the branch, then git's registration of it. Its files come with `checkout`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::Access;

use super::lock::run_in_turn;
use super::program::Program;
use super::{CommitId, Repo, Worktree};
use crate::error::{Error, Kind, Result};

/// A worktree to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddWorktree {
    /// Where, absolute. Missing parents are made.
    pub path: PathBuf,
    /// On which branch.
    pub branch: BranchSource,
}

/// Where the branch of a worktree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchSource {
    /// A new one, which follows no remote branch.
    New {
        /// Its name.
        name: String,
        /// The commit it starts at.
        at: CommitId,
    },
    /// One that is here already; it stays whose it was.
    Local {
        /// Its name.
        name: String,
    },
    /// A new one that follows a remote's branch of the same name.
    Remote {
        /// Its name.
        name: String,
        /// The remote.
        remote: String,
    },
}

impl BranchSource {
    /// The branch's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            BranchSource::New { name, .. } | BranchSource::Local { name } | BranchSource::Remote { name, .. } => name,
        }
    }
}

impl Repo {
    /// Makes the branch where needed and registers the worktree, without its files; gives its admin directory. What a
    /// killed run left half-made is completed.
    ///
    /// Fails with [`Kind::NotOurs`] when the directory, the branch's name or the branch is in use by something else, with
    /// [`Kind::Files`] when the parent directory cannot be made.
    pub async fn add_worktree(&self, spec: &AddWorktree) -> Result<PathBuf> {
        let name = spec.branch.name();
        // From the first look on: what another process of ours is just making looks like the remains of a killed one.
        let _turn = self.turn().await;
        if let Some(there) = self.usable(spec)? {
            return Ok(there.admin_dir);
        }
        self.refuse_checked_out(name)?;
        make_parent(&spec.path)?;
        self.ensure_branch(&spec.branch).await?;
        if let Err(error) = self.register(&spec.path, name).await {
            if !matches!(spec.branch, BranchSource::Local { .. }) {
                self.undo_branch(name).await;
            }
            return Err(error);
        }
        let registered = self.worktree_at(&spec.path)?;
        registered.map(|worktree| worktree.admin_dir).ok_or_else(|| {
            Error::new(Kind::Git, format!("git made no worktree at {}, though it said so", spec.path.display()))
        })
    }

    /// What is registered at the path, when that is what was asked for. Remains of a killed run are cleared away.
    fn usable(&self, spec: &AddWorktree) -> Result<Option<Worktree>> {
        let what = || format!("cannot make a worktree at {}", spec.path.display());
        let Some(there) = self.worktree_at(&spec.path)? else {
            return refuse_occupied(&spec.path, what).map(|()| None);
        };
        if there.is_linked() && !there.is_half_made() && there.branch.as_deref() == Some(spec.branch.name()) {
            return Ok(Some(there));
        }
        // A detached head may be all that holds its commits, an index all that holds what was staged.
        let forgettable = there.branch.is_some() && !there.is_checked_out() || there.is_half_made();
        let remains = there.is_gone() && forgettable || there.is_half_made() && holds_at_most(&there.path, ".git");
        if there.is_main || !remains {
            let branch = there.branch.as_deref().unwrap_or("a detached HEAD");
            return Err(Error::new(Kind::NotOurs, what()).because(format!("there is one already, on {branch}")));
        }
        if there.locked_by_user().is_some() {
            return Err(Error::new(Kind::NotOurs, what())
                .because("one that is locked is registered there, and its directory is gone")
                .hint(format!("git worktree unlock {}", spec.path.display())));
        }
        clear(&there).map_err(|e| Error::new(Kind::Files, what()).because(e))?;
        Ok(None)
    }

    fn refuse_checked_out(&self, name: &str) -> Result<()> {
        let Some(place) = self.checked_out_at(name)? else { return Ok(()) };
        Err(Error::new(Kind::NotOurs, format!("the branch {name} is checked out at {}", place.display()))
            .hint("work there, or switch that worktree to another branch")
            .hint("git worktree prune, if that directory is gone for good"))
    }

    async fn ensure_branch(&self, source: &BranchSource) -> Result<()> {
        match source {
            BranchSource::New { name, at } => self.make_branch(name, at).await,
            BranchSource::Local { name } => match self.branch(name)? {
                Some(_) => Ok(()),
                None => Err(Error::new(Kind::Git, format!("there is no branch {name}"))),
            },
            BranchSource::Remote { name, remote } => {
                let tracking = format!("refs/remotes/{remote}/{name}");
                let Some(at) = self.store().commit(&tracking)? else {
                    return Err(Error::new(Kind::Git, format!("there is no branch {name} on {remote}"))
                        .hint(format!("git fetch {remote}")));
                };
                if self.branch(name)?.is_some() {
                    return self.make_branch(name, &at).await;
                }
                // First, so that a branch which exists always has its upstream.
                self.set_upstream(name, remote).await?;
                let made = self.make_branch(name, &at).await;
                if made.is_err() {
                    // Why there is no branch is the failure to report.
                    let _ = self.forget_branch_settings(name).await;
                }
                made
            }
        }
    }

    /// Takes back a branch that we made and that nothing has happened on, so that a failure leaves nothing half-made.
    async fn undo_branch(&self, name: &str) {
        if let (Ok(Some(here)), Ok(Some(made))) = (self.branch(name), self.made_at(name))
            && here == made
        {
            // The failure that led here is the one to report.
            let _ = self.delete_branch_in_turn(name, &here).await;
        }
    }

    /// `--no-checkout`: the stack need not wait for the files. `--no-guess-remote`: with `worktree.guessRemote` git would
    /// look for a branch of another name.
    async fn register(&self, path: &Path, branch: &str) -> Result<()> {
        let what = format!("cannot make a worktree at {}", path.display());
        let add = ["worktree", "add", "--quiet", "--no-checkout", "--no-guess-remote", "--"];
        let added = run_in_turn(|| self.git().args(add).arg(path).arg(branch)).await?;
        added.or_error(what.clone())?;
        if self.main_checkout().is_none() { self.unbare(path, what).await } else { Ok(()) }
    }

    /// With `extensions.worktreeConfig`, `core.bare` of a bare repository holds in its worktrees too, and git refuses to
    /// work in them. The worktree's own configuration overrules it.
    async fn unbare(&self, path: &Path, what: String) -> Result<()> {
        let asked = Program::within(path).args(["rev-parse", "--is-bare-repository"]).stdout(what.clone()).await?;
        if asked.trim_ascii() != b"true" {
            return Ok(());
        }
        let settle = ["config", "--worktree", "core.bare", "false"];
        Program::within(path).args(settle).stdout(what).await.map(|_| ())
    }
}

/// Makes the parent directory, and proves that something can be made in it before a branch is.
fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let writable = || rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from);
    fs::create_dir_all(parent).and_then(|()| writable()).map_err(|e| {
        Error::new(Kind::Files, format!("cannot make a worktree at {}", path.display()))
            .because(e)
            .hint(format!("make {} writable, or configure another place for worktrees", parent.display()))
    })
}

/// A directory with anything in it is somebody's.
fn refuse_occupied(path: &Path, what: impl Fn() -> String) -> Result<()> {
    let free = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !path.exists() && path.symlink_metadata().is_err(),
    };
    if free {
        return Ok(());
    }
    let why = if path.is_dir() { "the directory has files in it" } else { "something of that name is there" };
    Err(Error::new(Kind::NotOurs, what()).because(why).hint("move it away, or choose another name"))
}

fn holds_at_most(dir: &Path, name: &str) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == name))
}

/// Takes away a registration whose directory is gone, or holds nothing but the link to it.
fn clear(worktree: &Worktree) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    gone(fs::remove_file(worktree.path.join(".git")))?;
    gone(fs::remove_dir_all(&worktree.admin_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, git};

    fn new(scratch: &Scratch, name: &str) -> AddWorktree {
        let at = scratch.repo().base_for_new_branch().unwrap().commit;
        let path = scratch.path().join("wt").join(name.replace('/', "-"));
        AddWorktree { path, branch: BranchSource::New { name: name.into(), at } }
    }

    async fn added(scratch: &Scratch, name: &str) -> (PathBuf, PathBuf) {
        let spec = new(scratch, name);
        let admin_dir = scratch.repo().add_worktree(&spec).await.unwrap();
        (spec.path, admin_dir)
    }

    #[tokio::test]
    async fn a_worktree_is_made_on_a_new_branch_and_again_is_the_same() {
        let scratch = Scratch::with_commit("myapp");
        for _ in 0..2 {
            let (path, admin_dir) = added(&scratch, "feature/auth").await;
            assert_eq!(admin_dir, scratch.main().join(".git/worktrees/feature-auth"));
            assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/feature/auth");
            assert!(scratch.repo().made_at("feature/auth").unwrap().is_some());
        }
        assert_eq!(scratch.repo().worktrees().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_users_settings_for_worktrees_do_not_disturb_it() {
        let scratch = Scratch::cloned();
        git(&scratch.origin(), &["branch", "x"]);
        git(&scratch.main(), &["fetch", "--quiet"]);
        let settings = [
            ("worktree.guessRemote", "true"),
            ("checkout.defaultRemote", "nowhere"),
            ("core.fsmonitor", "true"),
            ("core.repositoryFormatVersion", "1"),
            ("extensions.worktreeConfig", "true"),
            ("worktree.useRelativePaths", "true"),
            ("branch.autoSetupMerge", "always"),
            ("core.bare", "true"),
            ("safe.bareRepository", "explicit"),
        ];
        for (number, (key, value)) in settings.into_iter().enumerate() {
            git(&scratch.main(), &["config", key, value]);
            let repo = Repo::discover(&scratch.main()).unwrap();
            let at = repo.base_for_new_branch().unwrap().commit;
            let name = format!("b{number}");
            let path = scratch.path().join(&name);
            let branch = BranchSource::New { name: name.clone(), at };
            repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
            repo.checkout(&path).await.unwrap();
            assert_eq!(git(&path, &["status", "--porcelain", "--branch"]), format!("## {name}"), "with {key}");
        }
    }

    #[tokio::test]
    async fn a_remotes_branch_is_followed() {
        let scratch = Scratch::cloned();
        git(&scratch.origin(), &["branch", "theirs"]);
        git(&scratch.main(), &["fetch", "--quiet"]);
        let branch = BranchSource::Remote { name: "theirs".into(), remote: "origin".into() };
        let spec = AddWorktree { path: scratch.path().join("wt"), branch };
        scratch.repo().add_worktree(&spec).await.unwrap();
        assert_eq!(git(&spec.path, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/theirs");
        assert!(scratch.repo().made_at("theirs").unwrap().is_some());
    }

    #[tokio::test]
    async fn a_branch_that_was_here_stays_the_users() {
        let scratch = Scratch::with_commit("myapp");
        git(&scratch.main(), &["branch", "mine"]);
        git(&scratch.main(), &["tag", "mine"]);
        let spec = AddWorktree { path: scratch.path().join("wt"), branch: BranchSource::Local { name: "mine".into() } };
        scratch.repo().add_worktree(&spec).await.unwrap();
        assert_eq!(git(&spec.path, &["symbolic-ref", "HEAD"]), "refs/heads/mine");
        assert_eq!(scratch.repo().made_at("mine").unwrap(), None);
    }

    #[tokio::test]
    async fn a_branch_checked_out_elsewhere_is_refused_with_the_place() {
        let scratch = Scratch::with_commit("myapp");
        let spec = AddWorktree { path: scratch.path().join("wt"), branch: BranchSource::Local { name: "main".into() } };
        let error = scratch.repo().add_worktree(&spec).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotOurs);
        assert!(error.what().contains(scratch.main().to_str().unwrap()));
        assert!(!spec.path.exists());
    }

    #[tokio::test]
    async fn a_directory_with_someone_elses_files_is_refused_before_a_branch_is_made() {
        let scratch = Scratch::with_commit("myapp");
        let spec = new(&scratch, "x");
        fs::create_dir_all(&spec.path).unwrap();
        fs::write(spec.path.join("notes"), "mine").unwrap();
        let error = scratch.repo().add_worktree(&spec).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotOurs);
        assert_eq!(scratch.repo().branch("x").unwrap(), None);
        assert_eq!(fs::read(spec.path.join("notes")).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_parent_that_is_a_file_is_an_error_about_files() {
        let scratch = Scratch::with_commit("myapp");
        let spec = new(&scratch, "x");
        fs::write(scratch.path().join("wt"), "").unwrap();
        assert_eq!(scratch.repo().add_worktree(&spec).await.unwrap_err().kind(), Kind::Files);
        assert_eq!(scratch.repo().branch("x").unwrap(), None);
    }

    #[tokio::test]
    async fn a_failure_of_gits_leaves_no_branch() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.path().join("x".repeat(300));
        let error = scratch.repo().add_worktree(&AddWorktree { path, ..new(&scratch, "x") }).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Git);
        assert_eq!(scratch.repo().branch("x").unwrap(), None);
        assert_eq!(scratch.repo().made_at("x").unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_completed() {
        let scratch = Scratch::with_commit("myapp");
        let (path, admin_dir) = added(&scratch, "x").await;
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(added(&scratch, "x").await.0, path);
        fs::write(admin_dir.join("locked"), "initializing").unwrap();
        fs::remove_file(admin_dir.join("HEAD")).unwrap();
        added(&scratch, "x").await;
        assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/x");
        assert!(!admin_dir.join("locked").exists());
    }

    #[tokio::test]
    async fn twenty_worktrees_are_made_at_once() {
        let scratch = Scratch::with_commit("myapp");
        let repo = scratch.repo();
        let all = (0..20).map(|n| {
            let (repo, spec) = (repo.clone(), new(&scratch, &format!("w{n}")));
            async move {
                repo.add_worktree(&spec).await.unwrap();
                repo.checkout(&spec.path).await.unwrap();
            }
        });
        futures::future::join_all(all).await;
        assert_eq!(repo.worktrees().unwrap().len(), 21);
    }
}
