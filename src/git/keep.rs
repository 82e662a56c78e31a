//! Git's own lock of a worktree: whoever removes or prunes worktrees leaves one that is locked.

use std::path::Path;

use super::lock::run_in_turn;
use super::{Repo, Worktree};
use crate::error::{Error, Kind, Result};

impl Worktree {
    /// The reason for which the user locked it, empty where none was given. That git is just making it is no such lock.
    #[must_use]
    pub fn locked_by_user(&self) -> Option<&str> {
        self.lock.as_deref().filter(|_| !self.is_half_made())
    }
}

impl Repo {
    /// Locks a worktree; the answer is the reason it is locked for. One that is locked keeps its reason.
    pub async fn lock_worktree(&self, worktree: &Path, reason: &str) -> Result<String> {
        let what = format!("cannot lock the worktree {}", worktree.display());
        let _turn = self.turn().await;
        if let Some(reason) = self.registered(worktree, &what)?.locked_by_user() {
            return Ok(reason.to_owned());
        }
        let lock = || self.git().args(["worktree", "lock", "--reason", reason, "--"]).arg(worktree);
        run_in_turn(lock).await?.or_error(what)?;
        Ok(reason.to_owned())
    }

    /// Unlocks a worktree; one that is not locked is left as it is.
    pub async fn unlock_worktree(&self, worktree: &Path) -> Result<()> {
        let what = format!("cannot unlock the worktree {}", worktree.display());
        let _turn = self.turn().await;
        if self.registered(worktree, &what)?.locked_by_user().is_none() {
            return Ok(());
        }
        run_in_turn(|| self.git().args(["worktree", "unlock", "--"]).arg(worktree)).await?.or_error(what).map(drop)
    }

    fn registered(&self, worktree: &Path, what: &str) -> Result<Worktree> {
        let registered = self.worktree_at(worktree)?;
        registered.ok_or_else(|| Error::new(Kind::Git, what).because("it is not a worktree of this repository"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Spared;
    use crate::git::fixture::{Scratch, git};

    #[tokio::test]
    async fn a_lock_is_gits_own_and_keeps_its_first_reason() {
        let scratch = Scratch::with_commit("myapp");
        let (repo, path) = (scratch.repo(), scratch.linked("x"));
        assert_eq!(repo.lock_worktree(&path, "demo").await.unwrap(), "demo");
        assert_eq!(repo.lock_worktree(&path, "other").await.unwrap(), "demo");
        assert!(git(&scratch.main(), &["worktree", "list", "--porcelain"]).contains("locked demo"));
        assert_eq!(
            repo.remove_worktree(&path, None, &Spared::default()).await.unwrap_err().kind(),
            Kind::WouldLoseWork
        );
        for _ in 0..2 {
            repo.unlock_worktree(&path).await.unwrap();
            assert_eq!(repo.worktree_at(&path).unwrap().unwrap().locked_by_user(), None);
        }
        repo.remove_worktree(&path, None, &Spared::default()).await.unwrap();
        assert_eq!(repo.lock_worktree(&path, "late").await.unwrap_err().kind(), Kind::Git);
    }
}
