//! What a commit has in it, and how far it is from another.

use std::path::Path;

use super::program::Program;
use super::{CommitId, Repo};
use crate::error::Result;

impl Repo {
    /// The files of a commit, each with the name that git has for its content and mode.
    pub async fn files_of(&self, commit: &CommitId) -> Result<Vec<(String, String)>> {
        let tree = self.git().args(["ls-tree", "-r", "-z", "--full-tree", commit.as_str()]);
        let listed = tree.stdout(format!("cannot list the files of {}", commit.short())).await?;
        let text = String::from_utf8_lossy(&listed);
        let entries = text.split('\0').filter_map(|entry| entry.split_once('\t'));
        Ok(entries.map(|(content, path)| (path.to_owned(), content.to_owned())).collect())
    }

    /// Whether a worktree is as its commit is, which is this one: nothing in it is changed, and nothing is there besides but what is
    /// ignored.
    pub async fn is_just(&self, worktree: &Path, commit: &CommitId) -> Result<bool> {
        let what = format!("cannot tell what has changed in {}", worktree.display());
        let head = Program::within(worktree).args(["rev-parse", "HEAD"]).stdout(what.clone()).await?;
        let changed = Program::within(worktree).args(["status", "--porcelain"]).stdout(what).await?;
        Ok(changed.is_empty() && String::from_utf8_lossy(&head).trim() == commit.as_str())
    }

    /// Whether a commit is on a remote's branch, and not on the default one: nobody here has merged what it has. What the user has
    /// pushed looks the same.
    pub async fn is_on_a_remote_alone(&self, commit: &CommitId) -> Result<bool> {
        let contains = format!("--contains={}", commit.as_str());
        let refs = self.git().args(["for-each-ref", &contains, "--format=%(refname)", "refs/heads", "refs/remotes"]);
        let listed = refs.stdout(format!("cannot tell which branches have {}", commit.short())).await?;
        let listed = String::from_utf8_lossy(&listed);
        let default = self.default_branch()?;
        let is_default = |name: &str| {
            default.as_ref().is_some_and(|default| {
                name.strip_prefix("refs/heads/") == Some(&default.name) || default.tracking.as_deref() == Some(name)
            })
        };
        Ok(!listed.lines().any(is_default) && listed.lines().any(|name| name.starts_with("refs/remotes/")))
    }

    /// How many commits lead from an ancestor to a commit; none where it is no ancestor, or not here.
    pub async fn distance(&self, ancestor: &CommitId, commit: &CommitId) -> Result<Option<u64>> {
        let is_ancestor = self.git().args(["merge-base", "--is-ancestor", ancestor.as_str(), commit.as_str()]);
        if !is_ancestor.run().await?.ok {
            return Ok(None);
        }
        let range = format!("{}..{}", ancestor.as_str(), commit.as_str());
        let count = self.git().args(["rev-list", "--count", &range]);
        let count = count.stdout(format!("cannot count the commits since {}", ancestor.short())).await?;
        Ok(String::from_utf8_lossy(&count).trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    #[tokio::test]
    async fn a_commit_knows_its_files_and_its_ancestors() {
        let scratch = Scratch::with_commit("myapp");
        let dir = scratch.main();
        let repo = Repo::discover(&dir).unwrap();
        let first = repo.resolve("HEAD").unwrap().unwrap();
        std::fs::create_dir(dir.join("db")).unwrap();
        commit(&dir, "db/schema.rb", "version 1\n");
        let second = repo.resolve("HEAD").unwrap().unwrap();
        commit(&dir, "README", "text\n");
        let third = repo.resolve("HEAD").unwrap().unwrap();
        let schema = |files: Vec<(String, String)>| files.into_iter().find(|(path, _)| path == "db/schema.rb");
        let of_second = schema(repo.files_of(&second).await.unwrap());
        assert!(of_second.is_some());
        assert_eq!(schema(repo.files_of(&third).await.unwrap()), of_second);
        assert_eq!(schema(repo.files_of(&first).await.unwrap()), None);
        assert_eq!(repo.distance(&first, &third).await.unwrap(), Some(2));
        assert_eq!(repo.distance(&third, &third).await.unwrap(), Some(0));
        assert_eq!(repo.distance(&third, &first).await.unwrap(), None);
        git(&dir, &["checkout", "-q", "--orphan", "other"]);
        commit(&dir, "other", "text\n");
        let other = repo.resolve("HEAD").unwrap().unwrap();
        assert_eq!(repo.distance(&first, &other).await.unwrap(), None);
        let gone = CommitId::parse(&"a".repeat(40)).unwrap();
        assert_eq!(repo.distance(&gone, &other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_another_has_pushed_is_told_from_what_is_here() {
        let scratch = Scratch::cloned();
        let dir = scratch.main();
        let repo = scratch.repo();
        let default = repo.resolve("HEAD").unwrap().unwrap();
        assert!(!repo.is_on_a_remote_alone(&default).await.unwrap());
        git(&dir, &["checkout", "-q", "--detach"]);
        let theirs = commit(&dir, "theirs", "text\n");
        git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/theirs"]);
        git(&dir, &["checkout", "-q", "main"]);
        git(&dir, &["fetch", "-q", "origin"]);
        assert!(repo.is_on_a_remote_alone(&theirs).await.unwrap());
        // A branch of it here makes it no one's own; that it is merged does.
        git(&dir, &["branch", "-q", "theirs", "origin/theirs"]);
        assert!(repo.is_on_a_remote_alone(&theirs).await.unwrap());
        git(&dir, &["merge", "-q", "theirs"]);
        assert!(!repo.is_on_a_remote_alone(&theirs).await.unwrap());
        git(&dir, &["checkout", "-q", "-b", "mine"]);
        let mine = commit(&dir, "mine", "text\n");
        assert!(!repo.is_on_a_remote_alone(&mine).await.unwrap());
    }
}
