//! The trash: what is kept of worktrees that were removed, so that they can be brought back whole.
//!
//! An entry is a directory of mode 0700 in `.trash` beside the worktrees, and references under `refs/sandbox/trash/` that
//! hold its commits. The worktree's directory and its admin directory get there by rename, one after the other: files that
//! were never committed do not enter the object store, where a `push --mirror` would publish them. What git's own
//! collection would take meanwhile (staged files, commits that only a log knows) lies beside them as a pack.
//!
//! While the admin directory is still where git has it, the removal has not happened: [`Repo::mend_trash`] takes it back.

mod entry;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

pub(super) use entry::{Admin, MadeBranch};
pub use entry::{Keep, TrashEntry, TrashKey};

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

/// Why git is not to touch an admin directory that is on its way: to git it is locked, to users it is not.
pub(super) const ON_ITS_WAY: &str = "sandbox: on its way to the trash, or back from it";

/// In the repository's git directory: where it has entries, a directory a line.
const PLACES: &str = "sandbox-trash-places";

/// An entry that is being deleted is called so.
const DROPPED: &str = ".dropped-";

/// Where admin directories are kept, in the repository's git directory, that could not be renamed out of it.
const APART: &str = "sandbox-trash";

/// The last part of a reference's name: what the head was at, or the branch that we made.
const HEAD: &str = "head";
const BRANCH: &str = "branch";
const REFERENCES: [&str; 2] = [HEAD, BRANCH];

const SCHEMA_VERSION: u32 = 1;

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
        kept.extend(entry.head.as_ref().map(|head| (keep.key.reference(HEAD), head)));
        kept.extend(entry.made.as_ref().map(|made| (keep.key.reference(BRANCH), &made.at)));
        let failed = |e: io::Error| {
            Error::new(Kind::Files, format!("cannot put {} into the trash", keep.key.name))
                .because(format!("{}: {e}", keep.place.display()))
        };
        let private = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        // First of all, so that whatever is left by an end in between can be told by them.
        self.keep_commits(&kept).await?;
        private(&keep.place).map_err(failed)?;
        self.remember_place(&keep.place).map_err(failed)?;
        if let Some(admin) = &entry.admin {
            let outside = admin.kept.parent().filter(|dir| !dir.starts_with(&keep.place));
            outside.map_or(Ok(()), private).map_err(failed)?;
            fs::write(admin.was.join(MARK), keep.key.mark()).map_err(failed)?;
        }
        let made = entry.made.as_ref().map(|made| &*made.name);
        self.keep_branch_log(made, &keep.place).map_err(failed)?;
        self.pack_loose_ends(entry.admin.as_ref().map(|admin| &*admin.was), made, &keep.place).await?;
        files::replace(&keep.place.join(MANIFEST), &to_json(&entry)?)?;
        entry.admin.iter().try_for_each(Admin::lock).map_err(failed)?;
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
        for directory in self.trash_directories(directories) {
            for place in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
                found.extend(read(&place).and_then(|entry| self.own(entry)));
            }
        }
        found.sort_by(|a: &TrashEntry, b| (&a.key.time, &a.key.name).cmp(&(&b.key.time, &b.key.name)));
        found.dedup_by(|a, b| a.key == b.key);
        found
    }

    /// An entry of this repository, also where that was moved since: what is not where it was any more, and has its commits
    /// here.
    fn own(&self, entry: TrashEntry) -> Option<TrashEntry> {
        if entry.common_dir == self.common_dir() {
            return Some(entry);
        }
        let store = self.store();
        let has = |what| store.commit(&entry.key.reference(what)).is_ok_and(|commit| commit.is_some());
        let was_moved = !entry.common_dir.exists() && REFERENCES.into_iter().any(has);
        was_moved.then(|| entry.in_moved_repository(self.common_dir()))
    }

    /// What is left of entries that are none: their commits are kept, and somebody took the files away, or the entry was
    /// never finished. A directory that has anything else in it is left alone.
    pub fn trash_remains(&self, directories: &[PathBuf]) -> Result<Vec<TrashEntry>> {
        let known: BTreeSet<TrashKey> = self.trash(directories).into_iter().map(|entry| entry.key).collect();
        let kept = self.store().names(REFS)?;
        let keys: BTreeSet<TrashKey> = kept.iter().filter_map(|name| TrashKey::of_reference(name)).collect();
        let all = self.trash_directories(directories);
        let remains = keys.into_iter().filter(|key| !known.contains(key)).filter_map(|key| {
            let mut places = all.iter().map(|directory| directory.join(key.directory()));
            let place = places.clone().find(|place| place.exists()).or_else(|| places.next())?;
            let is_an_entry = [MANIFEST, FILES, ADMIN].iter().any(|part| place.join(part).symlink_metadata().is_ok());
            (!is_an_entry).then(|| TrashEntry::remains(key, self.common_dir(), place))
        });
        Ok(remains.collect())
    }

    /// Those that are given, and those that were remembered.
    fn trash_directories(&self, given: &[PathBuf]) -> BTreeSet<PathBuf> {
        let remembered = fs::read_to_string(self.common_dir().join(PLACES)).unwrap_or_default();
        given.iter().cloned().chain(remembered.lines().map(PathBuf::from)).collect()
    }

    async fn forget_commits(&self, key: &TrashKey) -> Result<()> {
        let mut commands = String::new();
        for name in REFERENCES.map(|what| key.reference(what)) {
            if self.store().commit(&name)?.is_some() {
                let _ = write!(commands, "delete {name}\0\0");
            }
        }
        self.update_refs(commands, &format!("cannot empty {} from the trash", key.name)).await
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
        self.forget_commits(&entry.key).await?;
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
