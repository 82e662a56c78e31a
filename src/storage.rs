//! Where the data of clones is, and what that costs: chosen once for an engine.

use crate::engine::{Engine, labels};
use crate::error::Result;
use crate::settings::Storage;
use crate::snapshot;
use crate::world;

/// What `statfs` calls the file systems with reflinks.
const XFS: rustix::fs::FsWord = 0x5846_5342;
const BTRFS: rustix::fs::FsWord = 0x9123_683e;

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
        let root = &engine.facts().await?.root_dir;
        Ok(rustix::fs::statfs(root).ok().map(|it| match it.f_type {
            XFS => Kept::Reflinks("xfs"),
            BTRFS => Kept::Reflinks("btrfs"),
            _ => Kept::Overlays,
        }))
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
