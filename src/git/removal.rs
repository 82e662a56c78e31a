//! Taking a worktree away: directory and registration.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::run_in_turn;
use super::restore::restoring;
use super::{Keep, Objection, Presence, Repo, Spared, Worktree};
use crate::error::{Error, Kind, Result};

impl Repo {
    /// Removes a worktree, without its branch. Gone already is done. One whose directory is missing is taken off git's
    /// list; no other entry is touched. With `keep` what git has of it, or all of it, goes into the trash.
    ///
    /// Refuses, with [`Kind::WouldLoseWork`], what is locked or holds changes that would not be kept. The directory is first
    /// renamed, then deleted unless it is kept, then git forgets it: killed anywhere between, the next call goes on, or
    /// [`Repo::mend_trash`] goes back.
    pub async fn remove_worktree(&self, worktree: &Path, keep: Option<&Keep>, spared: &Spared) -> Result<()> {
        let what = format!("cannot remove the worktree {}", worktree.display());
        let remains = remains_of(worktree);
        let delete_all = async || {
            for left in [&remains, &restoring(worktree)] {
                delete(left.clone()).await.map_err(|(path, e)| {
                    Error::new(Kind::Files, what.clone())
                        .because(format!("{}: {e}", path.display()))
                        .hint(format!("what is left is in {}, and belongs to nothing", path.display()))
                })?;
            }
            Ok(())
        };
        if self.worktree_at(worktree)?.is_some() {
            let turn = self.turn().await;
            // Looked at while nobody else of ours changes the list.
            let Some(registered) = self.worktree_at(worktree)? else { return delete_all().await };
            self.refuse_losses(&registered, keep, spared, &what).await?;
            let failed = |e| Error::new(Kind::Files, what.clone()).because(e);
            let entry = match keep {
                Some(keep) => Some(self.open_entry(Some(&registered), keep).await?),
                None => None,
            };
            match (registered.presence, &entry) {
                (Presence::Here, Some(entry)) if entry.files => {
                    fs::rename(&registered.path, entry.kept_files()).map_err(failed)?;
                }
                (Presence::Here, _) => set_aside(&registered.path, &remains).map_err(failed)?,
                // It may have been emptied, not deleted.
                _ => drop(fs::remove_dir(&registered.path)),
            }
            drop(turn);
            // While files are left, the registration says where they are.
            delete_all().await?;
            let _turn = self.turn().await;
            match entry.and_then(|entry| entry.admin) {
                Some(admin) => fs::rename(&admin.was, &admin.kept).map_err(failed)?,
                None => self.unregister(&registered, &what).await?,
            }
        } else if worktree.symlink_metadata().is_ok() {
            return Err(Error::new(Kind::NotOurs, what).because("it is not a worktree of this repository"));
        }
        delete_all().await?;
        // Made by us, and gone only where nobody has put anything else.
        if worktree.parent() == Some(&*self.worktrees_root_default()) {
            let _ = fs::remove_dir(self.worktrees_root_default());
        }
        Ok(())
    }

    async fn unregister(&self, worktree: &Worktree, what: &str) -> Result<()> {
        // Twice overrides a lock, here the one that a killed `git worktree add` left.
        let force: &[&str] = if worktree.is_half_made() { &["--force", "--force"] } else { &["--force"] };
        let remove = || self.git().args(["worktree", "remove"]).args(force).arg("--").arg(&worktree.path);
        run_in_turn(remove).await?.or_error(what).map(drop)
    }

    async fn refuse_losses(&self, worktree: &Worktree, keep: Option<&Keep>, spared: &Spared, what: &str) -> Result<()> {
        if worktree.is_main {
            return Err(Error::new(Kind::Protected, what).because("it is the main checkout"));
        }
        let mut losses = self.objections_to_removal_alone(worktree, spared).await?;
        if keep.is_some_and(|keep| keep.files) {
            losses.retain(|objection| !objection.yields_to_force());
        }
        if losses.is_empty() {
            return Ok(());
        }
        let listed: Vec<String> = losses.iter().map(Objection::to_string).collect();
        Err(Error::new(Kind::WouldLoseWork, what).because(listed.join("; ")))
    }

    /// Whether something is left of a worktree whose removal, or restoring, was cut short. Git does not know of it.
    #[must_use]
    pub fn has_remains(&self, worktree: &Path) -> bool {
        !self.remains(worktree).is_empty()
    }

    /// Where that is.
    #[must_use]
    pub fn remains(&self, worktree: &Path) -> Vec<PathBuf> {
        let places = [remains_of(worktree), restoring(worktree)];
        places.into_iter().filter(|left| left.symlink_metadata().is_ok()).collect()
    }
}

/// Where a worktree waits for its deletion: beside it, so that it gets there by a rename.
fn remains_of(worktree: &Path) -> PathBuf {
    beside(worktree, ".removed")
}

/// A hidden place beside a worktree, named after it.
pub(super) fn beside(worktree: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(worktree.file_name().unwrap_or_default());
    name.push(suffix);
    worktree.with_file_name(name)
}

fn set_aside(worktree: &Path, remains: &Path) -> io::Result<()> {
    // Remains of an earlier removal that was cut short.
    remove_if_there(remains)?;
    fs::rename(worktree, remains)
}

/// Deletes a directory and all that is in it. Gone already is done.
pub(super) fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

async fn delete(remains: PathBuf) -> Result<(), (PathBuf, io::Error)> {
    let path = remains.clone();
    let deleted = tokio::task::spawn_blocking(move || remove_if_there(&remains)).await;
    deleted.map_err(io::Error::other).and_then(|result| result).map_err(|e| (path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, git};

    #[tokio::test]
    async fn removing_takes_directory_and_registration_and_gone_is_done() {
        let scratch = Scratch::with_commit("myapp");
        let (path, other) = (scratch.linked("x"), scratch.linked("other"));
        scratch.repo().exclude("ignored").unwrap();
        fs::write(path.join("ignored"), "").unwrap();
        fs::remove_dir_all(&other).unwrap();
        let spared = Spared::new(["ignored".to_owned()]).unwrap();
        for _ in 0..2 {
            scratch.repo().remove_worktree(&path, None, &spared).await.unwrap();
            assert!(!path.exists() && !remains_of(&path).exists());
            let left = scratch.repo().worktrees().unwrap();
            assert_eq!(left.iter().map(|worktree| &*worktree.path).collect::<Vec<_>>(), [&*scratch.main(), &other]);
        }
        scratch.repo().remove_worktree(&other, None, &Spared::default()).await.unwrap();
        assert_eq!(scratch.repo().worktrees().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_holds_work_stays() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.linked("x");
        fs::write(path.join("notes"), "mine").unwrap();
        let error = scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::WouldLoseWork);
        assert!(error.to_string().contains("notes"), "{error}");
        fs::remove_file(path.join("notes")).unwrap();
        git(&path, &["worktree", "lock", "."]);
        assert_eq!(
            scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap_err().kind(),
            Kind::WouldLoseWork
        );
        assert!(path.join("README").exists());
    }

    #[tokio::test]
    async fn what_a_killed_git_left_half_made_goes() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.path().join("x");
        git(&scratch.main(), &["worktree", "add", "--quiet", "--no-checkout", path.to_str().unwrap()]);
        fs::write(scratch.main().join(".git/worktrees/x/locked"), "initializing").unwrap();
        scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap();
        assert_eq!(scratch.repo().worktrees().unwrap().len(), 1);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_main_checkout_and_strangers_stay() {
        let scratch = Scratch::with_commit("myapp");
        let stranger = scratch.path().join("stranger");
        fs::create_dir(&stranger).unwrap();
        let repo = scratch.repo();
        assert_eq!(
            repo.remove_worktree(&scratch.main(), None, &Spared::default()).await.unwrap_err().kind(),
            Kind::Protected
        );
        assert_eq!(repo.remove_worktree(&stranger, None, &Spared::default()).await.unwrap_err().kind(), Kind::NotOurs);
        assert!(stranger.exists() && scratch.main().join("README").exists());
    }

    #[tokio::test]
    async fn a_removal_that_was_cut_short_is_completed() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.linked("x");
        fs::rename(&path, remains_of(&path)).unwrap();
        scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap();
        assert!(!remains_of(&path).exists());
        fs::create_dir(remains_of(&path)).unwrap();
        scratch.repo().remove_worktree(&path, None, &Spared::default()).await.unwrap();
        assert!(!remains_of(&path).exists());
        assert_eq!(scratch.repo().worktrees().unwrap().len(), 1);
    }
}
