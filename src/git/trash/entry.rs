//! An entry of the trash: what it says of itself, what it is called, and where the parts of it are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::CommitId;
use super::{DROPPED, FILES, MARK, REFS};
use crate::error::{Error, Kind, Result};

/// How a worktree that is removed is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Its entry.
    pub place: PathBuf,
    /// What it is brought back by.
    pub key: TrashKey,
    /// Whether its files are kept, ignored ones and all; else they come again from its index.
    pub files: bool,
    /// Whether the branch goes too, and is to come back with it.
    pub branch: bool,
}

/// What an entry is called: a name, and when it was put there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrashKey {
    /// The name: a task.
    pub name: String,
    /// When, UTC, sortable: `20300101T000000000Z`.
    pub time: String,
}

impl TrashKey {
    /// The time as RFC 3339; none where it is no time.
    #[must_use]
    pub fn moment(&self) -> Option<String> {
        let at = |from: usize, to: usize| self.time.get(from..to);
        let (date, clock) = ((at(0, 4)?, at(4, 6)?, at(6, 8)?), (at(9, 11)?, at(11, 13)?, at(13, 15)?, at(15, 18)?));
        Some(format!("{}-{}-{}T{}:{}:{}.{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2, clock.3))
    }

    /// What tells an admin directory that is on its way from every other, whatever they are called.
    pub(super) fn mark(&self) -> String {
        format!("{}\n{}\n", self.name, self.time)
    }

    pub(super) fn reference(&self, what: &str) -> String {
        format!("{REFS}{}/{}/{what}", self.name, self.time)
    }
}

/// What an entry says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    pub(super) schema_version: u32,
    /// What it is called.
    pub key: TrashKey,
    /// The repository's git directory.
    pub(in crate::git) common_dir: PathBuf,
    /// Where the worktree was.
    pub worktree: PathBuf,
    /// What git had of it; none where a branch alone was left of a worktree.
    pub(in crate::git) admin: Option<Admin>,
    /// The branch that was checked out.
    pub branch: Option<String>,
    /// The commit that was.
    pub head: Option<CommitId>,
    /// The branch that was made for it, and its settings.
    pub(in crate::git) made: Option<MadeBranch>,
    /// Whether its files are in the entry.
    pub files: bool,
    /// Where the entry is. Not written: it may be moved.
    #[serde(skip)]
    pub place: PathBuf,
}

/// An admin directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct Admin {
    /// Where git had it.
    pub(in crate::git) was: PathBuf,
    /// Where it is kept; outside of the entry where a rename could not have brought it there.
    pub(in crate::git) kept: PathBuf,
}

impl Admin {
    /// Where git has it, if git has it: where it was, or under another name when a later worktree has that.
    pub(super) fn registered(&self, key: &TrashKey) -> Option<PathBuf> {
        let beside = fs::read_dir(self.was.parent()?).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| fs::read_to_string(path.join(MARK)).is_ok_and(|mark| mark == key.mark());
        if self.kept.exists() { None } else { beside.into_iter().find(is_it) }
    }
}

/// A branch that goes with a worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct MadeBranch {
    pub(in crate::git) name: String,
    /// Where it was.
    pub(in crate::git) at: CommitId,
    /// Where it was made.
    pub(in crate::git) made_at: CommitId,
    /// Its part of the configuration: keys without the name, and values.
    pub(in crate::git) settings: Vec<(String, String)>,
}

impl TrashEntry {
    pub(in crate::git) fn kept_files(&self) -> PathBuf {
        self.place.join(FILES)
    }

    /// Gives the files their place back, by rename: a directory that is there and empty gives way, any other does not. Its link leads to where git has the
    /// rest of it.
    pub(in crate::git) fn put_files_back(&self) -> Result<()> {
        let files = self.kept_files();
        if !files.exists() {
            return Ok(());
        }
        let admin = self.admin.as_ref();
        let moved = admin.and_then(|admin| admin.registered(&self.key).filter(|path| *path != admin.was));
        let linked =
            moved.map_or(Ok(()), |path| fs::write(files.join(".git"), format!("gitdir: {}\n", path.display())));
        linked.and_then(|()| fs::rename(&files, &self.worktree)).map_err(|e| {
            Error::new(Kind::Files, format!("cannot bring back {}", self.worktree.display()))
                .because(e)
                .hint(format!("move away what is there; its files are in {}", files.display()))
        })
    }

    /// The admin directory is where git has it, and on its way no longer.
    pub(in crate::git) fn arrived(&self) {
        if let Some(place) = self.admin.as_ref().and_then(|admin| admin.registered(&self.key)) {
            // At worst it is looked at once more.
            let _ = fs::remove_file(place.join(MARK));
        }
    }

    /// Whether the removal was cut short, or the return: git still has the admin directory, or has it again.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.admin.as_ref().is_some_and(|admin| admin.registered(&self.key).is_some())
    }

    /// Whether it holds a branch that we made, at a commit.
    #[must_use]
    pub fn holds(&self, branch: &str, at: &CommitId) -> bool {
        !self.is_cut_short() && self.made.as_ref().is_some_and(|made| made.name == branch && made.at == *at)
    }

    /// Where it is while it is being deleted.
    #[must_use]
    pub fn dropped(&self) -> PathBuf {
        let mut name = OsString::from(DROPPED);
        name.push(self.place.file_name().unwrap_or_default());
        self.place.with_file_name(name)
    }

    /// Whether there was a worktree, not only a branch.
    #[must_use]
    pub fn has_worktree(&self) -> bool {
        self.admin.is_some()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let outside = self.admin.as_ref().filter(|admin| !admin.kept.starts_with(&self.place));
        size_of(&self.place) + outside.map_or(0, |admin| size_of(&admin.kept))
    }
}

/// Blocks on the disk, as `du` counts them.
fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path()));
    let below: u64 = if metadata.is_dir() { below.sum() } else { 0 };
    metadata.blocks() * 512 + below
}
