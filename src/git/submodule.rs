//! The submodules of a new worktree.
//!
//! Git gives each worktree submodules of its own. What the main checkout's already have is borrowed, not fetched; the
//! remote is still asked which branches it has.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use super::Repo;
use super::discover::path;
use super::program::Program;
use super::worktree::link_of;
use crate::error::Result;

/// A submodule as `.gitmodules` names it.
pub(super) struct Submodule {
    pub(super) name: PathBuf,
    pub(super) path: PathBuf,
}

impl Repo {
    pub(super) async fn update_submodules(&self, worktree: &Path) -> Result<()> {
        if !worktree.join(".gitmodules").is_file() {
            return Ok(());
        }
        update(worktree.to_owned(), self.common_dir().join("modules"), self.ssh_command().await?).await
    }
}

/// Brings the submodules of one checkout, then theirs: each borrows from its own counterpart under `modules`.
fn update(
    checkout: PathBuf,
    modules: PathBuf,
    ssh: Option<String>,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
    Box::pin(async move {
        for submodule in submodules(&checkout).await? {
            let counterpart = modules.join(&submodule.name);
            let nested = update(checkout.join(&submodule.path), counterpart.join("modules"), ssh.clone());
            // Updating again would take the user's own commits off its head.
            if is_checked_out(&checkout.join(&submodule.path)) {
                nested.await?;
                continue;
            }
            let what = format!("cannot check out the submodule {} of {}", submodule.path.display(), checkout.display());
            let mut git = Program::within(&checkout).args(["submodule", "--quiet", "update", "--init"]);
            if counterpart.join("objects").is_dir() {
                git = git.arg("--reference").arg(&counterpart);
            }
            git.ssh(ssh.as_deref()).arg("--").arg(&submodule.path).stdout(what).await?;
            nested.await?;
        }
        Ok(())
    })
}

/// Whether a submodule's files have all come: git writes the index last.
fn is_checked_out(submodule: &Path) -> bool {
    link_of(submodule).is_some_and(|git_dir| submodule.join(git_dir).join("index").exists())
}

/// What `.gitmodules` lists and the index has: the file may name more than is checked out.
pub(super) async fn submodules(checkout: &Path) -> Result<Vec<Submodule>> {
    if !checkout.join(".gitmodules").is_file() {
        return Ok(Vec::new());
    }
    let settings = ["config", "--null", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$"];
    // Nothing that matches is an end with 1.
    let listed = Program::within(checkout).args(settings).run().await?;
    let links = gitlinks(checkout).await?;
    let named = listed.stdout.split(|&b| b == 0).filter_map(|entry| {
        let end_of_key = entry.iter().position(|&b| b == b'\n')?;
        let name = entry[..end_of_key].strip_prefix(b"submodule.")?.strip_suffix(b".path")?;
        let place = path(&entry[end_of_key + 1..]);
        links.contains(&place).then(|| Submodule { name: path(name), path: place })
    });
    Ok(named.collect())
}

/// The places, relative to a checkout, of which its index records no files but one commit.
pub(super) async fn gitlinks(checkout: &Path) -> Result<Vec<PathBuf>> {
    let staged = Program::within(checkout).args(["ls-files", "--stage", "-z"]);
    let staged = staged.stdout(format!("cannot list the files of {}", checkout.display())).await?;
    Ok(staged.split(|&b| b == 0).filter_map(gitlink).map(path).collect())
}

/// The path of an index entry that is a submodule's.
fn gitlink(entry: &[u8]) -> Option<&[u8]> {
    let rest = entry.strip_prefix(b"160000 ")?;
    rest.iter().position(|&b| b == b'\t').map(|tab| &rest[tab + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};
    use crate::git::{AddWorktree, BranchSource};

    /// A repository with a submodule that has one of its own, and a worktree of it.
    async fn worktree(scratch: &Scratch) -> (PathBuf, PathBuf) {
        for (name, inner) in [("leaf", None), ("stem", Some("leaf"))] {
            let dir = scratch.path().join(name);
            git(scratch.path(), &["init", "--quiet", "-b", "main", name]);
            commit(&dir, "file", name);
            if let Some(inner) = inner {
                let url = scratch.path().join(inner).display().to_string();
                git(&dir, &["submodule", "--quiet", "add", &url, "in ner"]);
                git(&dir, &["commit", "--quiet", "-m", "inner"]);
            }
        }
        let url = scratch.path().join("stem").display().to_string();
        git(&scratch.main(), &["submodule", "--quiet", "add", &url, "lib/stem"]);
        git(&scratch.main(), &["submodule", "--quiet", "update", "--init", "--recursive"]);
        git(&scratch.main(), &["commit", "--quiet", "-m", "stem"]);
        let (repo, path) = (scratch.repo(), scratch.path().join("wt"));
        let branch = BranchSource::New { name: "x".into(), at: repo.base_for_new_branch().unwrap().commit };
        let admin_dir = repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
        repo.checkout(&path).await.unwrap();
        (path, admin_dir)
    }

    #[tokio::test]
    async fn submodules_and_theirs_come_from_the_main_checkouts_objects() {
        let scratch = Scratch::with_commit("myapp");
        let (path, admin_dir) = worktree(&scratch).await;
        assert!(path.join("lib/stem/in ner/file").exists());
        assert_eq!(git(&path, &["status", "--porcelain"]), "");
        for (module, counterpart) in [("lib/stem", "lib/stem"), ("lib/stem/modules/in ner", "lib/stem/modules/in ner")]
        {
            let alternates = admin_dir.join("modules").join(module).join("objects/info/alternates");
            let borrowed = PathBuf::from(std::fs::read_to_string(alternates).unwrap().trim());
            assert_eq!(borrowed, scratch.main().join(".git/modules").join(counterpart).join("objects"));
        }
    }

    #[tokio::test]
    async fn commits_in_a_submodule_survive_another_checkout_and_hold_the_worktree() {
        let scratch = Scratch::with_commit("myapp");
        let (path, _) = worktree(&scratch).await;
        let inner = path.join("lib/stem/in ner");
        let head = commit(&inner, "new", "1");
        scratch.repo().checkout(&path).await.unwrap();
        assert_eq!(git(&inner, &["rev-parse", "HEAD"]), head.as_str());
        let said = scratch.repo().removal_objections(&path, "x", &crate::git::Spared::default()).await.unwrap();
        assert_eq!(said[0].to_string(), "1 modified file: lib/stem");
        let expected =
            format!("1 commit of submodules on no remote: lib/stem/in ner {} write new", &head.as_str()[..7]);
        assert_eq!(said[1].to_string(), expected);
        assert!(scratch.repo().remove_worktree(&path, None, &crate::git::Spared::default()).await.is_err());
    }

    #[tokio::test]
    async fn a_worktree_with_clean_submodules_goes() {
        let scratch = Scratch::with_commit("myapp");
        let (path, admin_dir) = worktree(&scratch).await;
        assert!(
            scratch.repo().removal_objections(&path, "x", &crate::git::Spared::default()).await.unwrap().is_empty()
        );
        scratch.repo().remove_worktree(&path, None, &crate::git::Spared::default()).await.unwrap();
        assert!(!path.exists() && !admin_dir.exists());
    }

    #[tokio::test]
    async fn a_submodule_that_is_pinned_to_a_commit_on_no_branch_holds_nothing() {
        let scratch = Scratch::with_commit("myapp");
        git(scratch.path(), &["init", "--quiet", "-b", "main", "leaf"]);
        let leaf = scratch.path().join("leaf");
        commit(&leaf, "file", "leaf");
        git(&leaf, &["checkout", "--quiet", "--detach"]);
        commit(&leaf, "file", "release");
        git(&leaf, &["tag", "v1"]);
        let url = leaf.display().to_string();
        git(&scratch.main(), &["submodule", "--quiet", "add", &url, "leaf"]);
        git(&scratch.main().join("leaf"), &["fetch", "--quiet", "--tags"]);
        git(&scratch.main().join("leaf"), &["checkout", "--quiet", "v1"]);
        git(&scratch.main(), &["commit", "--quiet", "-am", "leaf"]);
        let (repo, path) = (scratch.repo(), scratch.path().join("wt"));
        let branch = BranchSource::New { name: "x".into(), at: repo.base_for_new_branch().unwrap().commit };
        repo.add_worktree(&AddWorktree { path: path.clone(), branch }).await.unwrap();
        repo.checkout(&path).await.unwrap();
        assert_eq!(std::fs::read_to_string(path.join("leaf/file")).unwrap(), "release");
        assert_eq!(repo.removal_objections(&path, "x", &crate::git::Spared::default()).await.unwrap(), []);
        git(&path.join("leaf"), &["branch", "mine"]);
        let work = commit(&path.join("leaf"), "work", "1");
        git(&path.join("leaf"), &["branch", "--force", "mine", work.as_str()]);
        git(&path.join("leaf"), &["checkout", "--quiet", "v1"]);
        git(&path, &["submodule", "--quiet", "deinit", "leaf"]);
        let said = repo.removal_objections(&path, "x", &crate::git::Spared::default()).await.unwrap();
        assert!(said[0].to_string().starts_with("1 commit of submodules on no remote: leaf "), "{said:?}");
    }
}
