//! Where the data of clones is, and what that costs: chosen once for an engine.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::engine::{Engine, labels};
use crate::error::Result;
use crate::plan::action::{Login, Question};
use crate::plan::desired::{CloneWanted, Stack};
use crate::probe;
use crate::report;
use crate::settings::Storage;
use crate::snapshot::{self, is_pooled};
use crate::world;

/// What `statfs` calls the file systems that can have reflinks, and whether they usually do.
const NAMES: [(rustix::fs::FsWord, &str, bool); 4] = [
    (0x5846_5342, "xfs", true),
    (0x9123_683e, "btrfs", true),
    (0xca45_1a4e, "bcachefs", true),
    (0x2fc1_2fc1, "zfs", false),
];

/// What they are tried with: a block.
const BLOCK: [u8; 4096] = [0; 4096];

/// How clones come by the data of their snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the pool.
    Pool,
    /// As overlays on a file system with reflinks, of that name.
    Reflinks(&'static str),
    /// As overlays on another.
    Overlays,
    /// As copies, because the engine can mount no overlay.
    Copies,
    /// As copies, because somebody wants it.
    CopiesAsSet,
}

impl Kept {
    /// How it is on an engine; none where that cannot be told. Whether it can mount overlays is tried with the first base snapshot.
    pub async fn look(engine: &Engine, storage: Storage) -> Result<Option<Kept>> {
        if storage == Storage::Copy {
            return Ok(Some(Kept::CopiesAsSet));
        }
        if world::is_there(engine).await? {
            return Ok(Some(Kept::Pool));
        }
        let manifests = engine.volumes(&[(labels::FROZEN, None)]).await?;
        if snapshot::no_overlays(&snapshot::manifests(&manifests)) {
            return Ok(Some(Kept::Copies));
        }
        Ok(overlays_of(&engine.facts().await?.root_dir))
    }

    /// The same, for people.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Kept::Pool => "a pool: clones of databases copy nothing until they write".to_owned(),
            Kept::Reflinks(name) => {
                format!("overlay volumes on {name}: with its reflinks clones copy nothing until they write")
            }
            Kept::Overlays => {
                "overlay volumes: the first query of a large table of a clone copies that table".to_owned()
            }
            Kept::Copies => {
                "copies: this engine cannot mount one volume over another, so each sandbox begins with copying all \
                             that its databases begin with"
                    .to_owned()
            }
            Kept::CopiesAsSet => {
                "copies, as the setting `storage` says: each sandbox begins with copying all that its databases \
                                  begin with"
                    .to_owned()
            }
        }
    }

    /// What would make it cheaper.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Kept::Overlays => Some("`sandbox pool create` avoids that"),
            Kept::Copies => Some("`sandbox pool create` may avoid that, where its host lets it"),
            Kept::CopiesAsSet => Some("`storage: auto` in the settings avoids that"),
            Kept::Pool | Kept::Reflinks(_) => None,
        }
    }
}

/// What is from how much on worth a word: to copy it takes a good part of a second.
const LARGE: u64 = 256 << 20;

/// What the first queries of a sandbox cost that begins with data, where they copy much. Whoever does not say how much there is may
/// still serve.
pub async fn first_queries(engine: &Engine, stack: &Stack) -> Option<String> {
    let kept = overlays_of(&engine.facts().await.ok()?.root_dir)?;
    if kept != Kept::Overlays {
        return None;
    }
    let is_overlay = |it: &&CloneWanted| !it.is_copied() && !is_pooled(&it.upper.name);
    let services = stack.clones.iter().filter(is_overlay).filter_map(|clone| stack.service(&clone.service));
    let mut large = Vec::new();
    for service in services {
        let Question::Postgres(Login { address, user, password }) = &service.question else { continue };
        let size = probe::databases_size(*address, user, &password.0).await.unwrap_or_default();
        if size >= LARGE {
            large.push(format!("{} holds {}", service.name, report::size(size)));
        }
    }
    if large.is_empty() {
        return None;
    }
    let instead = if world::is_there(engine).await.unwrap_or_default() {
        "in the pool it would not: `sandbox reset TASK NAME` begins there with what was saved"
    } else {
        kept.hint().unwrap_or_default()
    };
    Some(format!("{}: the first query of a large table copies that table; {instead}", large.join(", ")))
}

/// Overlays on an engine's volumes, which may be on a file system of their own. Where that is to be seen.
fn overlays_of(root_dir: &str) -> Option<Kept> {
    let root = Path::new(root_dir);
    overlays_in(&root.join("volumes")).or_else(|| overlays_in(root))
}

/// Overlays in a directory, with reflinks or without; none where that cannot be told. Who may write there tries, with files that
/// have no name; to others the kind of the file system has to say it.
fn overlays_in(directory: &Path) -> Option<Kept> {
    let kind = rustix::fs::statfs(directory).ok()?.f_type;
    let known = NAMES.iter().find(|(it, ..)| *it == kind);
    let has_reflinks = try_reflinks(directory).unwrap_or(known.is_some_and(|(.., usually)| *usually));
    let name = known.map_or("its file system", |(_, name, _)| name);
    Some(if has_reflinks { Kept::Reflinks(name) } else { Kept::Overlays })
}

/// Whether one file can share what another holds; none where that cannot be tried.
fn try_reflinks(directory: &Path) -> Option<bool> {
    let file =
        || rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let (one, other) = (file().ok()?, file().ok()?);
    rustix::io::write(&one, &BLOCK).ok()?;
    match rustix::fs::ioctl_ficlone(&other, &one) {
        Ok(()) => Some(true),
        Err(Errno::OPNOTSUPP) => Some(false),
        // A full disk says nothing of it.
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_in_memory_shares_nothing() {
        assert_eq!(try_reflinks(Path::new("/dev/shm")), Some(false));
        assert_eq!(overlays_in(Path::new("/dev/shm")), Some(Kept::Overlays));
    }

    #[test]
    fn where_nobody_may_write_its_kind_says_it() {
        assert_eq!(try_reflinks(Path::new("/proc")), None);
        assert_eq!(overlays_in(Path::new("/proc")), Some(Kept::Overlays));
        assert_eq!(overlays_in(Path::new("/nowhere")), None);
    }
}
