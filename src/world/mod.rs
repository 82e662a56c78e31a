//! The real world: Docker Engine, git, the claims file, our files. [`observe`] looks, [`perform`] does; neither decides.

mod observe;
mod perform;
mod pool;
mod ready;
mod reclaim;
mod settle;
mod setup;
mod snapshots;
mod throw_away;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use pool::{Usage, is_attached, is_there};
pub use snapshots::snapshots;

use crate::apply::{Setback, World};
use crate::engine::Engine;
use crate::error::{Kind, Result};
use crate::event::Ticker;
use crate::git::TrashEntry;
use crate::plan::observed::Scope;
use crate::plan::{Action, Observed};
use crate::site::Site;
use crate::snapshot::Snapshot;
use crate::task::{Identity, TaskName};

/// What is outside, through its doors.
#[derive(Clone, Debug)]
pub struct Real<'a> {
    /// Docker Engine.
    pub engine: &'a Engine,
    /// Git, the claims and the settings.
    pub site: &'a Site,
}

impl Real<'_> {
    /// What the engine and the claims have of a sandbox whose repository is not there to be asked.
    pub async fn remains(&self, identity: &Identity) -> Result<Observed> {
        observe::remains(self, identity).await
    }

    /// Deletes an entry of the trash, with files in it that containers wrote.
    pub async fn drop_trash(&self, entry: &TrashEntry) -> Result<()> {
        let Err(error) = self.site.repo.drop_trash(entry).await else { return Ok(()) };
        let Ok(task) = TaskName::parse(&entry.key.name) else { return Err(error) };
        let dropped = entry.dropped();
        if error.kind() != Kind::Files || !dropped.is_dir() {
            return Err(error);
        }
        reclaim::reclaim(self, &self.site.identity(&task)?, &dropped).await?;
        self.site.repo.drop_trash(entry).await
    }

    /// Removes a snapshot, unless something stands on it by now. Whether it is gone.
    pub async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<bool> {
        snapshots::remove(self, snapshot).await
    }

    /// Attaches the pool, where there is one. Whether there is.
    pub async fn attach_pool(&self) -> Result<bool> {
        Box::pin(pool::attach(self)).await
    }

    /// Whether there is a pool.
    pub async fn has_pool(&self) -> Result<bool> {
        pool::is_there(self.engine).await
    }

    /// Makes the pool, of a size in bytes.
    pub async fn create_pool(&self, size_bytes: u64, ticker: &Ticker) -> Result<()> {
        pool::create(self, size_bytes, ticker).await
    }

    /// Puts a snapshot into the pool, unless it is gone. What is made for it bears a word of this run's own.
    pub async fn move_into_pool(&self, snapshot: &Snapshot, nonce: &str, ticker: &Ticker) -> Result<bool> {
        Box::pin(snapshots::move_into_pool(self, snapshot, nonce, ticker)).await
    }

    /// How full the pool is.
    pub async fn pool_usage(&self) -> Result<Usage> {
        pool::usage(self.engine).await
    }

    /// Makes the pool larger.
    pub async fn grow_pool(&self, size_bytes: u64) -> Result<()> {
        pool::grow(self, size_bytes).await
    }

    /// Gives the disk back what is free in the pool.
    pub async fn trim_pool(&self) -> Result<()> {
        pool::trim(self).await
    }

    /// Takes the pool away, unless anything is in it: of that the answer names one.
    pub async fn remove_pool(&self) -> Result<Option<String>> {
        pool::remove(self).await
    }

    /// The bytes that volumes take on the disk, by their names.
    pub async fn sizes_of(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, u64>> {
        snapshots::sizes_of(self, names).await
    }

    /// Takes away what sandboxes have written that are gone, where nobody stands on it.
    pub async fn tidy_layers(&self) -> Result<()> {
        Box::pin(snapshots::sweep_layers(self)).await
    }

    /// Takes away what runs that were killed have left of snapshots.
    pub async fn tidy_snapshots(&self) -> Result<()> {
        Box::pin(snapshots::sweep_abandoned(self)).await
    }

    fn ready_timeout(&self) -> Duration {
        self.site.settings.ready_timeout
    }
}

impl World for Real<'_> {
    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        Box::pin(observe::observe(self, scope)).await
    }

    async fn perform(&self, action: &Action, ticker: &Ticker) -> Result<(), Setback> {
        // On the heap: it is as large as the largest of all actions.
        Box::pin(perform::perform(self, action, ticker)).await
    }
}
