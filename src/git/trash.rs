//! The trash: what is kept of worktrees that were removed, so that they can be brought back whole.
//!
//! An entry is a directory of mode 0700 in `.trash` beside the worktrees, and references under `refs/sandbox/trash/` that
//! hold its commits. The worktree's directory and its admin directory get there by rename, one after the other: files that
//! were never committed do not enter the object store, where a `push --mirror` would publish them. What git's own
//! collection would take meanwhile (staged files, commits that only a log knows) lies beside them as a pack.
//!
//! While the admin directory is still where git has it, the removal has not happened: [`Repo::mend_trash`] takes it back.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::removal::remove_if_there;
use super::{CommitId, Repo, Worktree};
use crate::error::{Error, Kind, Result};
use crate::files;

/// The namespace of the references, each `TASK/TIME/head` or `TASK/TIME/branch`.
pub(super) const REFS: &str = "refs/sandbox/trash/";

/// The directory of the entries, beside the worktrees.
pub const DIRECTORY: &str = ".trash";

const MANIFEST: &str = "entry.json";
const FILES: &str = "files";
const ADMIN: &str = "admin";

/// In an admin directory: which entry it is on its way to, or from.
pub(super) const MARK: &str = "sandbox-trash";

/// In the repository's git directory: where it has entries, a directory a line.
const PLACES: &str = "sandbox-trash-places";

/// An entry that is being deleted is called so.
const DROPPED: &str = ".dropped-";

/// Where admin directories are kept, in the repository's git directory, that could not be renamed out of it.
const APART: &str = "sandbox-trash";

const SCHEMA_VERSION: u32 = 1;

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
    fn mark(&self) -> String {
        format!("{}\n{}\n", self.name, self.time)
    }

    fn reference(&self, what: &str) -> String {
        format!("{REFS}{}/{}/{what}", self.name, self.time)
    }
}

/// What an entry says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    schema_version: u32,
    /// What it is called.
    pub key: TrashKey,
    /// The repository's git directory.
    pub(super) common_dir: PathBuf,
    /// Where the worktree was.
    pub worktree: PathBuf,
    /// What git had of it; none where a branch alone was left of a worktree.
    pub(super) admin: Option<Admin>,
    /// The branch that was checked out.
    pub branch: Option<String>,
    /// The commit that was.
    pub head: Option<CommitId>,
    /// The branch that was made for it, and its settings.
    pub(super) made: Option<MadeBranch>,
    /// Whether its files are in the entry.
    pub files: bool,
    /// Where the entry is. Not written: it may be moved.
    #[serde(skip)]
    pub place: PathBuf,
}

/// An admin directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Admin {
    /// Where git had it.
    pub(super) was: PathBuf,
    /// Where it is kept; outside of the entry where a rename could not have brought it there.
    pub(super) kept: PathBuf,
}

impl Admin {
    /// Where git has it, if git has it: where it was, or under another name when a later worktree has that.
    fn registered(&self, key: &TrashKey) -> Option<PathBuf> {
        let beside = fs::read_dir(self.was.parent()?).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| fs::read_to_string(path.join(MARK)).is_ok_and(|mark| mark == key.mark());
        if self.kept.exists() { None } else { beside.into_iter().find(is_it) }
    }
}

/// A branch that goes with a worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MadeBranch {
    pub(super) name: String,
    /// Where it was.
    pub(super) at: CommitId,
    /// Where it was made.
    pub(super) made_at: CommitId,
    /// Its part of the configuration: keys without the name, and values.
    pub(super) settings: Vec<(String, String)>,
}

impl TrashEntry {
    pub(super) fn kept_files(&self) -> PathBuf {
        self.place.join(FILES)
    }

    /// Gives the files their place back, by rename: a directory that is there and empty gives way, any other does not. Its link leads to where git has the
    /// rest of it.
    pub(super) fn put_files_back(&self) -> Result<()> {
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
    pub(super) fn arrived(&self) {
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
        let mut name = std::ffi::OsString::from(DROPPED);
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

impl Repo {
    async fn keep_commits(&self, kept: &[(String, &CommitId)]) -> Result<()> {
        let commands: Vec<String> = kept.iter().map(|(name, at)| format!("update {name}\0{at}\0\0")).collect();
        self.update_refs(commands.concat(), "cannot keep the commits that would be lost").await
    }

    /// Keeps the commits of a branch that we made and that has no worktree any more.
    pub async fn trash_branch(&self, keep: &Keep) -> Result<()> {
        self.open_entry(None, keep).await.map(drop)
    }

    /// Makes an entry: for a worktree that is about to be moved into it, all but the two renames.
    pub(super) async fn open_entry(&self, worktree: Option<&Worktree>, keep: &Keep) -> Result<TrashEntry> {
        let entry = self.entry_of(worktree, keep).await?;
        let mut kept: Vec<(String, &CommitId)> = Vec::new();
        kept.extend(entry.head.as_ref().map(|head| (keep.key.reference("head"), head)));
        kept.extend(entry.made.as_ref().map(|made| (keep.key.reference("branch"), &made.at)));
        let failed = |e: io::Error| {
            Error::new(Kind::Files, format!("cannot put {} into the trash", keep.key.name))
                .because(format!("{}: {e}", keep.place.display()))
        };
        let private = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        private(&keep.place).map_err(failed)?;
        self.remember_place(&keep.place).map_err(failed)?;
        self.keep_commits(&kept).await?;
        if let Some(admin) = &entry.admin {
            let outside = admin.kept.parent().filter(|dir| !dir.starts_with(&keep.place));
            outside.map_or(Ok(()), private).map_err(failed)?;
            self.pack_loose_ends(&admin.was, &keep.place).await?;
            fs::write(admin.was.join(MARK), keep.key.mark()).map_err(failed)?;
        }
        files::replace(&keep.place.join(MANIFEST), &to_json(&entry)?)?;
        Ok(entry)
    }

    /// Trash beside worktrees that are elsewhere by then is found by this. Where they lie inside a checkout, git must not
    /// see it.
    fn remember_place(&self, entry: &Path) -> io::Result<()> {
        let Some(directory) = entry.parent() else { return Ok(()) };
        fs::write(directory.join(".gitignore"), "*\n")?;
        let list = self.common_dir().join(PLACES);
        let line = format!("{}\n", directory.display());
        if fs::read_to_string(&list).is_ok_and(|text| text.contains(&line)) {
            return Ok(());
        }
        io::Write::write_all(&mut fs::File::options().append(true).create(true).open(list)?, line.as_bytes())
    }

    async fn entry_of(&self, worktree: Option<&Worktree>, keep: &Keep) -> Result<TrashEntry> {
        let name = &keep.key.name;
        let made = match (self.made_at(name)?, self.branch(name)?) {
            (Some(made_at), Some(at)) if keep.branch => {
                Some(MadeBranch { name: name.clone(), at, made_at, settings: self.branch_settings(name).await? })
            }
            _ => None,
        };
        Ok(TrashEntry {
            schema_version: SCHEMA_VERSION,
            key: keep.key.clone(),
            common_dir: self.common_dir().to_owned(),
            worktree: worktree.map(|it| it.path.clone()).unwrap_or_default(),
            admin: worktree.map(|it| self.admin_of(it, keep)),
            branch: worktree.and_then(|it| it.branch.clone()),
            head: worktree.and_then(|it| it.head.clone()),
            made,
            files: keep.files && worktree.is_some_and(|it| !it.is_gone()),
            place: keep.place.clone(),
        })
    }

    fn admin_of(&self, worktree: &Worktree, keep: &Keep) -> Admin {
        let was = worktree.admin_dir.clone();
        let metadata = was.metadata().ok();
        // A rename does not leave a file system: then git's part is kept on git's side.
        let standing = keep.place.ancestors().find_map(|dir| dir.metadata().ok());
        let together = metadata.as_ref().map(MetadataExt::dev) == standing.as_ref().map(MetadataExt::dev);
        let apart = || self.common_dir().join(APART).join(keep.place.file_name().unwrap_or_default());
        let kept = if together { keep.place.join(ADMIN) } else { apart() };
        Admin { was, kept }
    }

    /// What the trash directories have of this repository, the oldest first. One whose files somebody took away is still
    /// known by its commits, but not listed here.
    #[must_use]
    pub fn trash(&self, directories: &[PathBuf]) -> Vec<TrashEntry> {
        let mut found = Vec::new();
        let remembered = fs::read_to_string(self.common_dir().join(PLACES)).unwrap_or_default();
        let all: BTreeSet<PathBuf> = directories.iter().cloned().chain(remembered.lines().map(PathBuf::from)).collect();
        for directory in all {
            for place in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
                let entry = read(&place).filter(|entry| entry.common_dir == self.common_dir());
                found.extend(entry);
            }
        }
        found.sort_by(|a: &TrashEntry, b| (&a.key.time, &a.key.name).cmp(&(&b.key.time, &b.key.name)));
        found.dedup_by(|a, b| a.key == b.key);
        found
    }

    /// Takes back a removal that was cut short, and completes a return that was: both end with the worktree in its place.
    pub async fn mend_trash(&self, entry: &TrashEntry) -> Result<()> {
        entry.put_files_back()?;
        entry.arrived();
        self.drop_trash(entry).await
    }

    /// Deletes an entry, and lets go of its commits. From the first moment on it is none any more, so that nobody brings back
    /// half of one.
    pub async fn drop_trash(&self, entry: &TrashEntry) -> Result<()> {
        let what = || format!("cannot empty {} from the trash", entry.key.name);
        let failed =
            |path: &Path, e: io::Error| Error::new(Kind::Files, what()).because(format!("{}: {e}", path.display()));
        let dropped = entry.dropped();
        match fs::rename(&entry.place, &dropped) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&entry.place, e)),
            _ => {}
        }
        let mut commands = String::new();
        for name in ["head", "branch"].map(|what| entry.key.reference(what)) {
            if self.store().commit(&name)?.is_some() {
                let _ = write!(commands, "delete {name}\0\0");
            }
        }
        self.update_refs(commands, &what()).await?;
        let outside = entry.admin.iter().map(|admin| &admin.kept).filter(|kept| !kept.starts_with(&entry.place));
        for path in outside.chain([&dropped]) {
            remove_if_there(path).map_err(|e| failed(path, e))?;
        }
        // Made by us, and gone only where nothing else is in them.
        if let Some(directory) = entry.place.parent()
            && fs::read_dir(directory).is_ok_and(|entries| entries.flatten().all(|it| it.file_name() == ".gitignore"))
        {
            let _ = fs::remove_file(directory.join(".gitignore"));
        }
        for directory in entry.place.ancestors().skip(1).take(2).chain([&*self.common_dir().join(APART)]) {
            let _ = fs::remove_dir(directory);
        }
        Ok(())
    }
}

/// The entry at a place; none where there is none, or none that this user, or this version, can read: where worktrees are
/// may be shared.
fn read(place: &Path) -> Option<TrashEntry> {
    if place.file_name()?.as_encoded_bytes().starts_with(b".") {
        return None;
    }
    let text = files::read(&place.join(MANIFEST)).ok().flatten()?;
    let mut entry: TrashEntry = serde_json::from_str(&text).ok()?;
    if entry.schema_version > SCHEMA_VERSION {
        return None;
    }
    // It may have been moved with the directory it stands in.
    if let Some(admin) = entry.admin.as_mut().filter(|admin| admin.kept.ends_with(ADMIN)) {
        admin.kept = place.join(ADMIN);
    }
    Some(TrashEntry { place: place.to_owned(), ..entry })
}

fn to_json(entry: &TrashEntry) -> Result<String> {
    serde_json::to_string_pretty(entry)
        .map_err(|e| Error::new(Kind::Unexpected, "cannot put the trash entry into JSON").because(e))
}

#[cfg(test)]
mod tests;
