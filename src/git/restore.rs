//! Bringing back a worktree whose directory was deleted. Git's own administration of it is still there: the branch or
//! detached head, the index with what was staged, an operation under way. Only what was in files alone is lost.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use super::checkout::clear_index_lock;
use super::modules::is_repository;
use super::program::Program;
use super::removal::{beside, remove_if_there};
use super::submodule::submodules;
use super::{Presence, Repo};
use crate::error::{Error, Kind, Result};

impl Repo {
    /// Makes the directory of a worktree again, with the files that its index lists. There already is done.
    ///
    /// It is made beside its place and renamed: killed anywhere, the next call begins anew.
    pub async fn restore_worktree(&self, worktree: &Path) -> Result<()> {
        let what = format!("cannot bring back the worktree {}", worktree.display());
        let Some(registered) = self.worktree_at(worktree)? else {
            return Err(Error::new(Kind::Git, what).because("it is not a worktree of this repository"));
        };
        match registered.presence {
            Presence::Here => return Ok(()),
            Presence::Gone => {}
            Presence::Unknown => {
                return Err(
                    Error::new(Kind::Files, what).because("what it stood in is not there; is a disk not mounted?")
                );
            }
        }
        let failed = |e: io::Error| Error::new(Kind::Files, what.clone()).because(e);
        let fresh = restoring(&registered.path);
        remove_if_there(&fresh).map_err(failed)?;
        fs::create_dir_all(&fresh).map_err(failed)?;
        let ssh = self.ssh_command().await?;
        fill(&registered.admin_dir, &fresh, ssh.as_deref()).await?;
        fs::rename(&fresh, &registered.path).map_err(failed)?;
        // Those that had never come.
        if registered.is_checked_out() { self.update_submodules(&registered.path).await } else { Ok(()) }
    }
}

/// Fills a directory with the files that a git directory's index lists, and those of the submodules whose repositories
/// are in it: their heads and indexes stay as they are.
fn fill<'a>(
    git_dir: &'a Path,
    directory: &'a Path,
    ssh: Option<&'a str>,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        let what = format!("cannot bring back the files of {}", directory.display());
        let failed = |e: io::Error| Error::new(Kind::Files, what.clone()).because(e);
        fs::create_dir_all(directory).map_err(failed)?;
        let link = [b"gitdir: ", git_dir.as_os_str().as_bytes(), b"\n"].concat();
        fs::write(directory.join(".git"), link).map_err(failed)?;
        // Without an index no file had come yet: the checkout brings them.
        if !git_dir.join("index").exists() {
            return Ok(());
        }
        clear_index_lock(git_dir, directory)?;
        // A submodule's repository names the place of its files, which is another for now. Filters and partial clones
        // may fetch what is missing.
        let git = Program::at(git_dir).env("GIT_WORK_TREE", directory).ssh(ssh);
        git.args(["checkout-index", "--quiet", "--index", "--all", "--force"]).stdout(what.clone()).await?;
        for submodule in submodules(directory).await? {
            let repository = git_dir.join("modules").join(&submodule.name);
            if is_repository(&repository) {
                fill(&repository, &directory.join(&submodule.path), ssh).await?;
            }
        }
        Ok(())
    })
}

/// Where a worktree is made before it gets its place.
pub(super) fn restoring(worktree: &Path) -> PathBuf {
    beside(worktree, ".restoring")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Spared;
    use crate::git::fixture::{Scratch, commit, git};

    #[tokio::test]
    async fn head_index_and_a_rebase_under_way_come_back() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.linked("x");
        commit(&path, "README", "theirs");
        commit(&scratch.main(), "README", "ours");
        fs::write(path.join("staged"), "kept").unwrap();
        git(&path, &["checkout", "--quiet", "--detach"]);
        let rebase = Program::within(&path).args(["rebase", "--quiet", "main"]).run_blocking();
        assert!(!rebase.unwrap().ok, "the two conflict");
        git(&path, &["add", "staged"]);
        let head = git(&path, &["rev-parse", "HEAD"]);
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(restoring(&path)).unwrap();
        fs::write(scratch.main().join(".git/worktrees/x/index.lock"), "").unwrap();
        for _ in 0..2 {
            scratch.repo().restore_worktree(&path).await.unwrap();
            assert_eq!(git(&path, &["rev-parse", "HEAD"]), head);
            assert_eq!(fs::read_to_string(path.join("staged")).unwrap(), "kept");
            let status = git(&path, &["status"]);
            assert!(status.contains("rebase in progress"), "{status}");
            assert!(!restoring(&path).exists());
        }
        git(&path, &["rebase", "--abort"]);
        assert_eq!(fs::read_to_string(path.join("README")).unwrap(), "theirs");
    }

    #[tokio::test]
    async fn a_clean_worktree_is_clean_again_and_one_without_files_stays_without() {
        let scratch = Scratch::with_commit("myapp");
        let (path, bare) = (scratch.linked("x"), scratch.path().join("bare"));
        git(&scratch.main(), &["worktree", "add", "--quiet", "--no-checkout", bare.to_str().unwrap()]);
        for path in [&path, &bare] {
            fs::remove_dir_all(path).unwrap();
            scratch.repo().restore_worktree(path).await.unwrap();
        }
        assert_eq!(git(&path, &["status", "--porcelain"]), "");
        assert!(!bare.join("README").exists());
        scratch.repo().checkout(&bare).await.unwrap();
        assert_eq!(git(&bare, &["status", "--porcelain"]), "");
    }

    #[tokio::test]
    async fn what_was_done_in_a_submodule_comes_back() {
        let scratch = Scratch::with_commit("myapp");
        scratch.add_submodule();
        let path = scratch.linked("x");
        scratch.repo().checkout(&path).await.unwrap();
        let leaf = path.join("lib/leaf");
        let head = commit(&leaf, "work", "1");
        fs::write(leaf.join("staged"), "kept").unwrap();
        git(&leaf, &["add", "staged"]);
        fs::remove_dir_all(&path).unwrap();
        let said = scratch.repo().removal_objections(&path, "x", &Spared::default()).await.unwrap();
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        assert!(said[0].starts_with("1 commit of submodules on no remote: lib/leaf "), "{said:?}");
        assert_eq!(said[1], "1 modified file: lib/leaf/staged");
        scratch.repo().restore_worktree(&path).await.unwrap();
        assert_eq!(git(&leaf, &["rev-parse", "HEAD"]), head.as_str());
        assert_eq!(git(&leaf, &["status", "--porcelain"]), "A  staged");
        assert_eq!(fs::read_to_string(leaf.join("staged")).unwrap(), "kept");
    }

    #[tokio::test]
    async fn a_directory_that_was_emptied_counts_as_deleted() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.linked("x");
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        scratch.repo().restore_worktree(&path).await.unwrap();
        assert_eq!(git(&path, &["status", "--porcelain"]), "");
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap();
        assert!(!path.exists());
        assert_eq!(scratch.repo().worktrees().unwrap().len(), 1);
    }
}
