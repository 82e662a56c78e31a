//! Putting snapshots into the pool that were there before it.

use std::collections::BTreeMap;

use super::copies::Copying;
use super::sweep::{forget, lock_label, lock_path, sweep};
use super::{PATIENCE, put_manifest, snapshots};
use crate::catalog;
use crate::engine::{VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;
use crate::snapshot::{Clone, Frozen, Snapshot, driver_opts, layer_name, short};
use crate::world::{Real, pool};

/// Copies all that a snapshot consists of into the pool; from then on it is there. What stands on its layers elsewhere goes on
/// there. Killed, it is where it was, or in the pool. Whether it was there to be moved.
pub(in crate::world) async fn move_into_pool(
    world: &Real<'_>,
    snapshot: &Snapshot,
    nonce: &str,
    ticker: &Ticker,
) -> Result<bool> {
    let engine = world.engine;
    let purpose = format!("sandbox, moving the snapshot {}", snapshot.title());
    let lock = Lock::acquire(&lock_path(world, &snapshot.key), &purpose, PATIENCE, |_| {}).await?;
    let moved = async {
        // Another may have removed it meanwhile.
        if engine.volume(&snapshot.manifest_name()).await?.as_ref().and_then(Snapshot::of).as_ref() != Some(snapshot) {
            return Ok(false);
        }
        let is_moved = |it: &Snapshot| it.key == snapshot.key && it.created == snapshot.created && it.is_pooled();
        // One that was killed may have come so far.
        if snapshots(engine).await?.iter().any(is_moved) {
            return forget(world, snapshot).await.map(|()| true);
        }
        sweep(world, &snapshot.key).await?;
        let copied = copy(world, snapshot, nonce, ticker).await;
        if copied.is_err() {
            // What matters is why; what is left is found by its labels.
            let _ = sweep(world, &snapshot.key).await;
        }
        // Only what is whole is in nobody's place.
        if !put_manifest(engine, &copied?).await? || !snapshots(engine).await?.iter().any(is_moved) {
            let what = format!("another has put the snapshot {} into the pool just now", snapshot.title());
            return Err(Error::new(Kind::SnapshotExists, what));
        }
        forget(world, snapshot).await.map(|()| true)
    };
    let moved = moved.await;
    lock.release();
    moved
}

/// The same snapshot in the pool, but for its manifest.
async fn copy(world: &Real<'_>, snapshot: &Snapshot, nonce: &str, ticker: &Ticker) -> Result<Snapshot> {
    let engine = world.engine;
    let facts = engine.facts().await?;
    let volumes = format!("{}/volumes", facts.root_dir);
    let lock = (labels::LOCK.to_owned(), lock_label(world, &snapshot.key));
    let labels: BTreeMap<_, _> = [(labels::LAYER.to_owned(), snapshot.key.clone()), lock].into();
    let mut frozen = Vec::new();
    for (number, part) in snapshot.frozen.iter().enumerate() {
        let layer = layer_name(&format!("{}_{nonce}_{number}", short(&snapshot.key)), true);
        let view = match &*part.layers {
            [_] => None,
            many => Some(VolumeSpec {
                name: format!("{layer}_view"),
                driver_opts: Clone::view(many, &volumes, facts.rootless).ok_or_else(|| unseen(snapshot))?,
                ..VolumeSpec::default()
            }),
        };
        pool::make_layer(engine, &layer).await?;
        let driver_opts = driver_opts(&layer, &volumes);
        engine
            .create_volume(&VolumeSpec { name: layer.clone(), labels: labels.clone(), driver_opts, driver: None })
            .await?;
        let copying = Copying {
            name: &format!("{layer}_copy"),
            image: &catalog::POOL.tag(),
            labels: &labels,
            layers: &part.layers,
            view: view.as_ref(),
            to: &layer,
        };
        copying.run(engine, ticker).await?;
        frozen.push(Frozen { layers: vec![layer], copied: false, ..part.clone() });
    }
    Ok(Snapshot { frozen, ..snapshot.clone() })
}

fn unseen(snapshot: &Snapshot) -> Error {
    Error::new(Kind::Engine, format!("the layers of {} cannot be mounted together", snapshot.title()))
        .hint("`sandbox reset TASK NAME`, then `sandbox snapshot save TASK OTHER`, makes a shorter one")
}
