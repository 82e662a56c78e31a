//! Removing snapshots, and what runs that were killed have left of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PATIENCE;
use crate::engine::{Container, Engine, Volume, labels};
use crate::error::{Error, Result};
use crate::locks::Lock;
use crate::snapshot::{self, Clone, Snapshot, is_upper, short};
use crate::task::{Identity, TaskName};
use crate::world::{Real, pool};

/// After this nobody is at work on one any more.
const TAKES_NO_LONGER: Duration = Duration::from_hours(1);

/// Takes away what is left of a base that was not finished, whose lock the caller holds.
pub(super) async fn sweep(world: &Real<'_>, key: &str) -> Result<()> {
    sweep_containers(world, key).await?;
    let (used, lock) = (used_layers(world.engine).await?, lock_label(world, key));
    let layers = world.engine.volumes(&[(labels::LAYER, Some(key)), (labels::LOCK, Some(&*lock))]).await?;
    for layer in layers.iter().filter(|layer| !used.contains(&layer.name)) {
        pool::remove_volume(world.engine, &layer.name).await?;
    }
    Ok(())
}

/// Takes away the containers of what was not finished, whose lock the caller holds.
pub(super) async fn sweep_containers(world: &Real<'_>, key: &str) -> Result<()> {
    let (engine, lock) = (world.engine, lock_label(world, key));
    for label in [labels::BASE, labels::LAYER] {
        for container in engine.containers(&[(label, Some(key)), (labels::LOCK, Some(&*lock))]).await? {
            engine.remove_container(&container.id).await?;
        }
    }
    Ok(())
}

/// The layers that something stands on, and says so: a snapshot, or a clone whose snapshot is gone.
pub(super) async fn used_layers(engine: &Engine) -> Result<BTreeSet<String>> {
    Ok(snapshot::standing_on(&engine.volumes(&[(labels::LAYERS, None)]).await?))
}

/// Takes away what runs that were killed have left of bases, unless somebody is at work on one. Of other users' locks nobody can
/// tell; but nothing takes an hour.
pub(in crate::world) async fn sweep_abandoned(world: &Real<'_>) -> Result<()> {
    let engine = world.engine;
    let (bases, tries, layers) = tokio::try_join!(
        engine.containers(&[(labels::BASE, None)]),
        engine.containers(&[(labels::LAYER, None)]),
        engine.volumes(&[(labels::LAYER, None)])
    )?;
    let used = used_layers(engine).await?;
    let is_unused_base = |layer: &Volume| !is_upper(&layer.name) && !used.contains(&layer.name);
    let unused: Vec<Volume> = layers.into_iter().filter(is_unused_base).collect();
    let containers: Vec<Container> = [bases, tries].concat();
    let key = |of: &BTreeMap<String, String>| of.get(labels::BASE).or_else(|| of.get(labels::LAYER)).cloned();
    // Of these it can be told whether somebody is at work on them.
    let ours =
        |of: &BTreeMap<String, String>| key(of).filter(|key| of.get(labels::LOCK) == Some(&lock_label(world, key)));
    let is_left = |of: &BTreeMap<String, String>, created| ours(of).is_none() && is_old(created);
    for container in containers.iter().filter(|container| is_left(&container.labels, container.created)) {
        engine.remove_container(&container.id).await?;
    }
    for layer in unused.iter().filter(|layer| is_left(&layer.labels, layer.created)) {
        pool::remove_volume(engine, &layer.name).await?;
    }
    let labelled = containers.iter().map(|container| &container.labels).chain(unused.iter().map(|layer| &layer.labels));
    let keys: BTreeSet<String> = labelled.filter_map(ours).collect();
    for key in keys {
        if let Ok(lock) = Lock::acquire(&lock_path(world, &key), "sandbox, tidying up", Duration::ZERO, |_| {}).await {
            let swept = sweep(world, &key).await;
            lock.remove();
            swept?;
        }
    }
    sweep_layers(world).await
}

/// Takes away what sandboxes have written and nobody stands on any more: the last that did is gone. Whoever wrote it may be
/// about to stand on it; of other users nobody can tell, but nothing takes an hour.
pub(in crate::world) async fn sweep_layers(world: &Real<'_>) -> Result<()> {
    let engine = world.engine;
    let (mut left, mut failed) = (BTreeSet::new(), Vec::new());
    loop {
        let (layers, standing) =
            tokio::try_join!(engine.volumes(&[(labels::LAYER, None)]), engine.volumes(&[(labels::LAYERS, None)]))?;
        let used = snapshot::standing_on(&standing);
        // Each may be the last that stands on another.
        let next = layers
            .into_iter()
            .find(|layer| is_upper(&layer.name) && !used.contains(&layer.name) && !left.contains(&layer.name));
        let Some(layer) = next else { return Error::all(failed) };
        // One that is still mounted, in what a killed run has left, keeps nobody from the others.
        failed.extend(sweep_layer(world, &layer).await.err());
        left.insert(layer.name);
    }
}

async fn sweep_layer(world: &Real<'_>, layer: &Volume) -> Result<()> {
    let label = |name: &str| layer.labels.get(name).cloned();
    let (Some(repo), Some(task)) = (label(labels::UPPER_REPO), label(labels::UPPER_TASK)) else { return Ok(()) };
    let Ok(task) = TaskName::parse(&task) else { return Ok(()) };
    let path = world.site.lock_path(&Identity { repo, task });
    let was_there = path.exists();
    if label(labels::LOCK) != Some(path_label(&path)) {
        return if is_old(layer.created) { pool::remove_volume(world.engine, &layer.name).await } else { Ok(()) };
    }
    let Ok(lock) = Lock::acquire(&path, "sandbox, tidying up", Duration::ZERO, |_| {}).await else { return Ok(()) };
    let removed = match used_layers(world.engine).await {
        Ok(used) if used.contains(&layer.name) => Ok(()),
        Ok(_) => pool::remove_volume(world.engine, &layer.name).await,
        Err(error) => Err(error),
    };
    if was_there {
        lock.put_back();
    } else {
        lock.remove();
    }
    removed
}

/// Whether whoever was at work on something is no more.
fn is_old(created: Option<jiff::Timestamp>) -> bool {
    let long_ago = jiff::Timestamp::now().checked_sub(TAKES_NO_LONGER).unwrap_or(jiff::Timestamp::MIN);
    created.is_some_and(|created| created < long_ago)
}

/// Removes a snapshot, unless a clone stands on it by now. Whether it is gone.
pub(in crate::world) async fn remove(world: &Real<'_>, snapshot: &Snapshot) -> Result<bool> {
    let engine = world.engine;
    let purpose = format!("sandbox, removing the snapshot {}", snapshot.title());
    let lock = Lock::acquire(&lock_path(world, &snapshot.key), &purpose, PATIENCE, |_| {}).await?;
    let removed = async {
        let standing = engine.volumes(&[(labels::LAYERS, None)]).await?;
        let all = snapshot.everywhere(&standing);
        let stands = |clone: &Clone| all.iter().any(|it| it.is_below(clone));
        if standing.iter().filter_map(Clone::of).any(|clone| stands(&clone)) {
            return Ok(false);
        }
        for one in &all {
            forget(world, one).await?;
        }
        Ok(true)
    };
    let removed = removed.await;
    lock.remove();
    removed
}

/// Removes the manifest of a snapshot, and of its layers those on which nothing else stands.
pub(super) async fn forget(world: &Real<'_>, snapshot: &Snapshot) -> Result<()> {
    let engine = world.engine;
    // First of all: from then on nobody begins to stand on it. Whoever had begun is seen by what it writes into.
    engine.remove_volume(&snapshot.manifest_name()).await?;
    for layer in snapshot.layers().filter(|layer| !is_upper(layer)) {
        if !used_layers(engine).await?.contains(layer) {
            pool::remove_volume(engine, layer).await?;
        }
    }
    // What a sandbox wrote goes under that one's lock: it may be about to write into another of that name.
    sweep_layers(world).await
}

/// Which lock it is, on this machine and in this file system.
pub(super) fn lock_label(world: &Real<'_>, key: &str) -> String {
    path_label(&lock_path(world, key))
}

pub(super) fn path_label(path: &Path) -> String {
    let metadata = path.parent().and_then(|directory| directory.metadata().ok());
    let (device, inode) = metadata.map(|it| (it.dev(), it.ino())).unwrap_or_default();
    format!("{}@{device}:{inode}", path.display())
}

pub(super) fn lock_path(world: &Real<'_>, key: &str) -> PathBuf {
    world.site.claims.locks().join(format!("base-{}.lock", short(key)))
}
