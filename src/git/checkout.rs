//! The files of a new worktree, as `git worktree add` itself would bring them: through filters, LFS and sparse checkout.

use std::fs;
use std::path::Path;

use super::Repo;
use super::program::Program;
use crate::error::{Error, Kind, Result};

impl Repo {
    /// Brings a new worktree's files, then its submodules'. Where they came before nothing is touched, so that no work
    /// is lost. A run that was killed half-way is completed; one still at work is [`Kind::Busy`].
    pub async fn checkout(&self, worktree: &Path) -> Result<()> {
        let what = format!("cannot check out the files of {}", worktree.display());
        let Some(registered) = self.worktree_at(worktree)? else {
            return Err(Error::new(Kind::Git, what).because("it is not a worktree of this repository"));
        };
        if !registered.is_linked() {
            return Err(Error::new(Kind::Git, what)
                .because("its .git is gone, or another's")
                .hint(format!("git worktree repair {}", worktree.display())));
        }
        // Where files have come they may have been changed since.
        if !registered.is_checked_out() {
            clear_index_lock(&registered.admin_dir, &registered.path)?;
            // Zero workers: as many as there are processors.
            let settings = ["-c", "checkout.workers=0"];
            let reset = ["reset", "--quiet", "--hard", "--no-recurse-submodules"];
            // Filters and partial clones may fetch what is missing.
            let git = Program::within(worktree).ssh(self.ssh_command().await?.as_deref());
            git.args(settings).args(reset).stdout(what).await?;
        }
        self.update_submodules(worktree).await
    }
}

/// Takes away the lock of a checkout that was killed. Its git may have outlived whoever started it.
pub(super) fn clear_index_lock(git_dir: &Path, directory: &Path) -> Result<()> {
    let lock = git_dir.join("index.lock");
    if !lock.exists() {
        return Ok(());
    }
    if git_is_at_work_in(directory) {
        let what = format!("git is still checking out the files of {}", directory.display());
        return Err(Error::new(Kind::Busy, what).hint("try again in a moment"));
    }
    fs::remove_file(&lock)
        .map_err(|e| Error::new(Kind::Files, format!("cannot remove the stale {}", lock.display())).because(e))
}

fn git_is_at_work_in(dir: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().map(|process| process.path()).any(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("git"))
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::git::fixture::{Scratch, commit, git};
    use crate::git::{AddWorktree, BranchSource};

    async fn checked_out(scratch: &Scratch) -> PathBuf {
        let (repo, path) = (scratch.repo(), scratch.path().join("wt"));
        let at = repo.base_for_new_branch().unwrap().commit;
        let branch = BranchSource::New { name: "x".into(), at };
        repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
        repo.checkout(&path).await.unwrap();
        path
    }

    #[tokio::test]
    async fn the_files_come_through_filters_and_no_hook_is_run() {
        let scratch = Scratch::with_commit("myapp");
        commit(&scratch.main(), ".gitattributes", "*.up filter=up\n");
        commit(&scratch.main(), "a.up", "loud\n");
        git(&scratch.main(), &["config", "filter.up.smudge", "tr a-z A-Z"]);
        let hook = scratch.main().join(".git/hooks/post-checkout");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\ntouch hooked\n").unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = checked_out(&scratch).await;
        assert_eq!(fs::read_to_string(path.join("a.up")).unwrap(), "LOUD\n");
        assert!(!path.join("hooked").exists());
    }

    #[tokio::test]
    async fn a_sparse_checkout_stays_sparse() {
        let scratch = Scratch::with_commit("myapp");
        fs::create_dir(scratch.main().join("in")).unwrap();
        fs::create_dir(scratch.main().join("out")).unwrap();
        commit(&scratch.main(), "in/a", "1");
        commit(&scratch.main(), "out/b", "1");
        git(&scratch.main(), &["sparse-checkout", "set", "--cone", "in"]);
        let path = checked_out(&scratch).await;
        assert!(path.join("in/a").exists());
        assert!(!path.join("out").exists());
    }

    #[tokio::test]
    async fn checking_out_again_touches_no_work() {
        let scratch = Scratch::with_commit("myapp");
        let path = checked_out(&scratch).await;
        fs::write(path.join("README"), "changed").unwrap();
        scratch.repo().checkout(&path).await.unwrap();
        assert_eq!(fs::read_to_string(path.join("README")).unwrap(), "changed");
    }

    #[tokio::test]
    async fn a_checkout_that_was_killed_is_completed() {
        let scratch = Scratch::with_commit("myapp");
        let path = checked_out(&scratch).await;
        let admin_dir = scratch.main().join(".git/worktrees/wt");
        fs::rename(admin_dir.join("index"), admin_dir.join("index.lock")).unwrap();
        fs::remove_file(path.join("README")).unwrap();
        scratch.repo().checkout(&path).await.unwrap();
        assert_eq!(git(&path, &["status", "--porcelain"]), "");
    }

    #[tokio::test]
    async fn a_partial_clone_fetches_the_files_it_lacks() {
        let scratch = Scratch::with_commit("origin");
        commit(&scratch.main(), "a", "old");
        git(&scratch.main(), &["config", "uploadpack.allowFilter", "true"]);
        let url = format!("file://{}", scratch.main().display());
        git(scratch.path(), &["clone", "--quiet", "--filter=blob:none", &url, "partial"]);
        commit(&scratch.main(), "a", "new");
        let repo = Repo::discover(&scratch.path().join("partial")).unwrap();
        let fetched = repo.fetch_default(std::time::Duration::from_secs(20)).await;
        assert_eq!(fetched, crate::git::Fetched::Fetched { tracking: "origin/main".into(), moved: true });
        let base = repo.base_for_new_branch().unwrap();
        assert_eq!(base.from, "origin/main");
        let path = scratch.path().join("wt");
        let branch = BranchSource::New { name: "x".into(), at: base.commit };
        repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
        repo.checkout(&path).await.unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "new");
        assert!(repo.removal_objections(&path, "x", &crate::git::Spared::default()).await.unwrap().is_empty());
        repo.remove_worktree(&path, None, &crate::git::Spared::default()).await.unwrap();
    }

    #[tokio::test]
    async fn a_filter_that_fails_is_reported_in_its_own_words() {
        let scratch = Scratch::with_commit("myapp");
        commit(&scratch.main(), ".gitattributes", "*.bad filter=bad\n");
        commit(&scratch.main(), "a.bad", "1");
        git(&scratch.main(), &["config", "filter.bad.smudge", "echo no such key >&2; false"]);
        git(&scratch.main(), &["config", "filter.bad.required", "true"]);
        let (repo, path) = (scratch.repo(), scratch.path().join("wt"));
        let branch = BranchSource::New { name: "x".into(), at: repo.base_for_new_branch().unwrap().commit };
        repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
        let error = repo.checkout(&path).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Git);
        assert!(error.to_string().contains("no such key"), "{error}");
    }
}
