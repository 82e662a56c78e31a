//! The repositories of a worktree's submodules. They lie in its admin directory, whether or not their files are checked
//! out, and go with it: weighing what is in them alone.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use super::objection::{Listing, Objection};
use super::program::Program;
use super::submodule::gitlinks as gitlinks_of;
use super::{CommitId, Presence, Repo, Worktree};
use crate::error::Result;

/// What would be lost, by name.
#[derive(Default)]
struct Lost {
    commits: Vec<String>,
    staged: Vec<String>,
}

impl Repo {
    /// Commits on no remote, stashed ones too; of a worktree whose directory is gone also what was staged. The commits
    /// that the branch recorded when we made it came from elsewhere, also those that no branch there leads to.
    pub(super) async fn losses_in_modules(
        &self,
        worktree: &Worktree,
        made_at: Option<&CommitId>,
    ) -> Result<Vec<Objection>> {
        let mut modules = repositories(&worktree.admin_dir.join("modules"));
        // One that keeps its repository in its own directory, as a clone does that was added by hand.
        modules.extend(self.repositories_in_the_tree(worktree).await?);
        if modules.is_empty() {
            return Ok(Vec::new());
        }
        let recorded = match made_at {
            Some(commit) => gitlinks(|| self.git(), &[commit.as_str().to_owned()]).await?,
            None => Vec::new(),
        };
        let mut lost = Lost::default();
        for (name, dir) in modules {
            weigh(name, dir, recorded.clone(), worktree.presence == Presence::Gone, &mut lost).await?;
        }
        let commits = Listing::of(&lost.commits).map(|commits| Objection::SubmoduleCommits { commits });
        let staged = Listing::of(&lost.staged).map(|files| Objection::Modified { files });
        Ok(commits.into_iter().chain(staged).collect())
    }
}

impl Repo {
    /// The repositories that the index records as one commit each, where they are in the worktree.
    async fn repositories_in_the_tree(&self, worktree: &Worktree) -> Result<Vec<(String, PathBuf)>> {
        if worktree.presence != Presence::Here || !worktree.is_checked_out() || !worktree.is_linked() {
            return Ok(Vec::new());
        }
        let places = gitlinks_of(&worktree.path).await?.into_iter().filter_map(|place| {
            let dir = worktree.path.join(&place).join(".git");
            // A link leads to the admin directory, which was looked at.
            let own = dir.symlink_metadata().is_ok_and(|it| it.is_dir()) && is_repository(&dir);
            own.then(|| (place.to_string_lossy().into_owned(), dir))
        });
        Ok(places.collect())
    }
}

/// One repository, then those of its own submodules.
fn weigh(
    name: String,
    dir: PathBuf,
    recorded: Vec<String>,
    staged_too: bool,
    lost: &mut Lost,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
    Box::pin(async move {
        let what = format!("cannot tell which commits are in the submodule {name} alone");
        let log = ["log", "--no-show-signature", "--no-color", "--format=%h %s", "--ignore-missing", "HEAD"];
        // A pattern, since `--glob` takes no plain name.
        let git = within(&dir).args(log).args(["--branches", "--glob=refs/stas[h]", "--not", "--remotes"]);
        let log = git.args(&recorded).stdout(what).await?;
        lost.commits.extend(String::from_utf8_lossy(&log).lines().map(|line| format!("{name} {line}")));
        if staged_too && dir.join("index").exists() {
            let staged = staged(within(&dir), &format!("cannot tell what was staged in the submodule {name}")).await?;
            lost.staged.extend(staged.iter().map(|file| format!("{name}/{file}")));
        }
        let nested = repositories(&dir.join("modules"));
        let recorded = if nested.is_empty() { Vec::new() } else { gitlinks(|| within(&dir), &recorded).await? };
        for (inner, dir) in nested {
            weigh(format!("{name}/{inner}"), dir, recorded.clone(), staged_too, lost).await?;
        }
        Ok(())
    })
}

/// What an index has that the head does not.
pub(super) async fn staged(git: Program, what: &str) -> Result<Vec<String>> {
    let ask = ["diff-index", "--cached", "--name-only", "--no-renames", "--ignore-submodules=none", "-z", "HEAD"];
    let names = git.args(ask).stdout(what).await?;
    let names = names.split(|&b| b == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Git in a submodule's repository, whose configuration may name a work tree that is gone.
fn within(dir: &Path) -> Program {
    Program::at(dir).env("GIT_WORK_TREE", dir)
}

/// The commits of submodules that these commits record. One that is not here records nothing.
async fn gitlinks(git: impl Fn() -> Program, commits: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for commit in commits {
        let listed = git().args(["ls-tree", "-r", "-z", commit]).run().await?;
        let entries = listed.stdout.split(|&b| b == 0).filter_map(|entry| entry.strip_prefix(b"160000 commit "));
        let ids = entries.filter_map(|entry| entry.split(|&b| b == b'\t').next());
        found.extend(ids.map(|id| String::from_utf8_lossy(id).into_owned()));
    }
    Ok(found)
}

/// The repositories below a directory, by name, without those inside of others. A name may have slashes in it.
pub(super) fn repositories(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut dirs = vec![(String::new(), dir.to_owned())];
    while let Some((name, dir)) = dirs.pop() {
        if is_repository(&dir) {
            found.push((name, dir));
            continue;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
            let own = entry.file_name().to_string_lossy().into_owned();
            dirs.push((if name.is_empty() { own } else { format!("{name}/{own}") }, entry.path()));
        }
    }
    found.sort();
    found
}

pub(super) fn is_repository(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir()
}
