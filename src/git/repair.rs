//! A worktree that was moved by hand: git lists it where it was, and the directory still says which one it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::lock::run_in_turn;
use super::worktree::{link_of, links_to};
use super::{Repo, Worktree, resolved};
use crate::error::Result;

impl Repo {
    /// Where a worktree whose directory is gone went, if it is still near: where it was, or where worktrees are by default.
    #[must_use]
    pub fn moved_to(&self, worktree: &Worktree) -> Option<PathBuf> {
        if !worktree.is_gone() {
            return None;
        }
        let places = [worktree.path.parent().map(Path::to_owned), Some(resolved(&self.worktrees_root_default()))];
        let entries = places.into_iter().flatten().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
        // Hidden ones are on their way to or from somewhere, and ours.
        let shown = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        shown
            .map(|entry| entry.path())
            .find(|path| links_to(path, &worktree.admin_dir) || moved_with_all(path, worktree))
    }

    /// Tells git where a worktree is by now.
    pub async fn repair_worktree(&self, moved: &Path) -> Result<()> {
        let _turn = self.turn().await;
        let repair = || self.git().args(["worktree", "repair", "--"]).arg(moved);
        run_in_turn(repair).await?.or_error(format!("cannot tell git of the worktree at {}", moved.display())).map(drop)
    }
}

/// Whether a directory is the worktree of a repository that was moved together with it: it is called as before, and its link
/// leads to an admin directory of that name which is nowhere any more.
fn moved_with_all(directory: &Path, worktree: &Worktree) -> bool {
    let Some(target) = link_of(directory) else { return false };
    directory.file_name() == worktree.path.file_name()
        && target.file_name() == worktree.admin_dir.file_name()
        && target.is_absolute()
        && !target.ancestors().nth(2).is_some_and(Path::exists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, git};

    #[tokio::test]
    async fn a_worktree_that_was_moved_is_found_and_known_again() {
        let scratch = Scratch::with_commit("myapp");
        let (repo, path, to) = (scratch.repo(), scratch.linked("x"), scratch.path().join("y"));
        let there = || repo.worktrees().unwrap().into_iter().find(|it| it.branch.as_deref() == Some("x")).unwrap();
        assert_eq!(repo.moved_to(&there()), None);
        fs::write(path.join("notes"), "mine").unwrap();
        fs::rename(&path, &to).unwrap();
        assert_eq!(repo.moved_to(&there()), Some(to.clone()));
        repo.repair_worktree(&to).await.unwrap();
        assert_eq!((there().path.clone(), repo.moved_to(&there())), (to.clone(), None));
        assert_eq!(git(&to, &["status", "--porcelain"]), "?? notes");
        fs::remove_dir_all(&to).unwrap();
        assert_eq!(repo.moved_to(&there()), None);
    }

    #[tokio::test]
    async fn a_worktree_that_was_moved_with_its_repository_is_found_and_known_again() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.path().join("myapp-wt/x");
        git(&scratch.main(), &["worktree", "add", "--quiet", "-b", "x", path.to_str().unwrap()]);
        fs::write(path.join("notes"), "mine").unwrap();
        let moved = scratch.path().join("moved");
        fs::create_dir(&moved).unwrap();
        for name in ["myapp", "myapp-wt"] {
            fs::rename(scratch.path().join(name), moved.join(name)).unwrap();
        }
        let repo = Repo::discover(&moved.join("myapp")).unwrap();
        let there = || repo.worktrees().unwrap().into_iter().find(|it| it.branch.as_deref() == Some("x")).unwrap();
        let to = moved.join("myapp-wt/x");
        assert_eq!(repo.moved_to(&there()), Some(to.clone()));
        repo.repair_worktree(&to).await.unwrap();
        assert_eq!((there().path.clone(), repo.moved_to(&there())), (to.clone(), None));
        assert_eq!(git(&to, &["status", "--porcelain"]), "?? notes");
    }
}
