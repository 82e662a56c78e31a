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

    /// Whether a commit has others below it, or is one, that a remote's branch has and the default one has not: what others have pushed
    /// and nobody has merged. What the user has pushed looks the same.
    pub async fn has_unmerged_of_a_remote(&self, commit: &CommitId) -> Result<bool> {
        let default = self.default_branch()?;
        let names = default.into_iter().flat_map(|it| [Some(format!("refs/heads/{}", it.name)), it.tracking]).flatten();
        let mut merged = Vec::new();
        for name in names {
            merged.extend(self.store().commit(&name)?.map(|_| name));
        }
        let count = async |more: &[&str]| {
            let range = ["rev-list", "--count", commit.as_str(), "--not"];
            let git = self.git().args(range).args(merged.iter().map(String::as_str)).args(more);
            git.stdout(format!("cannot count the commits of {}", commit.short())).await
        };
        Ok(count(&[]).await? != count(&["--remotes"]).await?)
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
        assert!(!repo.has_unmerged_of_a_remote(&default).await.unwrap());
        git(&dir, &["checkout", "-q", "--detach"]);
        let theirs = commit(&dir, "theirs", "text\n");
        git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/theirs"]);
        git(&dir, &["checkout", "-q", "main"]);
        git(&dir, &["fetch", "-q", "origin"]);
        assert!(repo.has_unmerged_of_a_remote(&theirs).await.unwrap());
        // A branch of it here makes it no one's own; that it is merged does.
        git(&dir, &["branch", "-q", "theirs", "origin/theirs"]);
        assert!(repo.has_unmerged_of_a_remote(&theirs).await.unwrap());
        git(&dir, &["checkout", "-q", "-b", "on-top", "theirs"]);
        let on_top = commit(&dir, "on-top", "text\n");
        assert!(repo.has_unmerged_of_a_remote(&on_top).await.unwrap());
        git(&dir, &["checkout", "-q", "main"]);
        git(&dir, &["merge", "-q", "theirs"]);
        assert!(!repo.has_unmerged_of_a_remote(&theirs).await.unwrap());
        git(&dir, &["checkout", "-q", "-b", "mine"]);
        let mine = commit(&dir, "mine", "text\n");
        assert!(!repo.has_unmerged_of_a_remote(&mine).await.unwrap());
    }
}
