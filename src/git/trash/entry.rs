//! An entry of the trash: what it says of itself, what it is called, and where the parts of it are.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::CommitId;
use super::super::modules::repositories;
use super::super::worktree::links_to;
use super::{DROPPED, FILES, MARK, ON_ITS_WAY, REFS, SCHEMA_VERSION};
use crate::error::{Error, Kind, Result};
use crate::hex::hex;

/// So much of a task stands in the name of a directory, which may have 255 bytes, and more beside it.
const NAME_MAX_BYTES: usize = 150;

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

    /// What its directory is called: a name alone, whatever is in the task's.
    #[must_use]
    pub fn directory(&self) -> String {
        let plain = self.name.replace('%', "%25").replace('/', "%2F");
        if plain.len() <= NAME_MAX_BYTES {
            return format!("{plain}.{}", self.time);
        }
        // A hash tells it from others that begin alike.
        let head = &plain[..plain.floor_char_boundary(NAME_MAX_BYTES)];
        format!("{head}~{}.{}", hex(&Sha256::digest(&plain)[..8]), self.time)
    }

    /// The key of one of its references, by that one's full name.
    pub(super) fn of_reference(name: &str) -> Option<TrashKey> {
        let (name, _) = name.strip_prefix(REFS)?.rsplit_once('/')?;
        let (name, time) = name.rsplit_once('/')?;
        Some(TrashKey { name: name.to_owned(), time: time.to_owned() })
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

    /// Keeps `git worktree prune` away while the directory is not where git looks for it.
    pub(super) fn lock(&self) -> io::Result<()> {
        fs::write(self.was.join("locked"), ON_ITS_WAY)
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

    /// What is to be deleted of one that is none any more, or never was.
    pub(super) fn remains(key: TrashKey, common_dir: &Path, place: PathBuf) -> TrashEntry {
        TrashEntry {
            schema_version: SCHEMA_VERSION,
            key,
            common_dir: common_dir.to_owned(),
            worktree: PathBuf::new(),
            admin: None,
            branch: None,
            head: None,
            made: None,
            files: false,
            place,
        }
    }

    /// Gives the files their place back, by rename: a directory that is there and empty gives way, any other does not. Their
    /// links lead to where git has the rest of it by now.
    pub(in crate::git) fn put_files_back(&self) -> Result<()> {
        let files = self.kept_files();
        let moved = if files.exists() { fs::rename(&files, &self.worktree) } else { Ok(()) };
        moved.and_then(|()| self.link()).map_err(|e| {
            Error::new(Kind::Files, format!("cannot bring back {}", self.worktree.display()))
                .because(e)
                .hint(format!("move away what is there; its files are in {}", files.display()))
        })
    }

    /// Under another name, or in a repository that was moved, the admin directory is not where the files say.
    fn link(&self) -> io::Result<()> {
        let registered = self.admin.as_ref().and_then(|admin| admin.registered(&self.key));
        let Some(place) = registered.filter(|_| self.worktree.join(".git").exists()) else { return Ok(()) };
        // A repository that somebody made of it stays one.
        if links_to(&self.worktree, &place) || self.worktree.join(".git").is_dir() {
            return Ok(());
        }
        fs::write(self.worktree.join(".git"), format!("gitdir: {}\n", place.display()))?;
        link_submodules(&place.join("modules"))
    }

    /// The admin directory is where git has it, and on its way no longer.
    pub(in crate::git) fn arrived(&self) {
        if let Some(place) = self.admin.as_ref().and_then(|admin| admin.registered(&self.key)) {
            // The mark goes last: while it is there, it is looked at once more.
            if fs::read_to_string(place.join("locked")).is_ok_and(|reason| reason == ON_ITS_WAY) {
                let _ = fs::remove_file(place.join("locked"));
            }
            let _ = fs::remove_file(place.join(MARK));
        }
    }

    /// The same entry in a repository that was moved, perhaps with everything around it.
    pub(super) fn in_moved_repository(mut self, common_dir: &Path) -> TrashEntry {
        let moved = |path: &Path| path.strip_prefix(&self.common_dir).map_or(path.to_owned(), |it| common_dir.join(it));
        self.admin = self.admin.map(|admin| Admin { was: moved(&admin.was), kept: moved(&admin.kept) });
        let root = self.place.parent().and_then(Path::parent);
        if let (Some(root), Some(name)) = (root, self.worktree.file_name())
            && self.worktree.parent().is_some_and(|parent| !parent.exists())
        {
            self.worktree = root.join(name);
        }
        self
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

/// The links of submodules, and of theirs, to their repositories below a directory. Each of these knows where its files are.
fn link_submodules(modules: &Path) -> io::Result<()> {
    for (_, repository) in repositories(modules) {
        let place = git2::Config::open(&repository.join("config")).and_then(|config| config.get_path("core.worktree"));
        if let Ok(place) = place
            && let link = repository.join(place).join(".git")
            && link.is_file()
        {
            fs::write(link, format!("gitdir: {}\n", repository.display()))?;
        }
        link_submodules(&repository.join("modules"))?;
    }
    Ok(())
}
