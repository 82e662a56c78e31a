//! How much room layers take on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sweep::{lock_label, lock_path, sweep_containers};
use crate::engine::{ContainerSpec, MountKind, MountSpec, Volume, labels};
use crate::error::Result;
use crate::locks::Lock;
use crate::snapshot::{Snapshot, is_pooled};
use crate::world::{Real, pool, throw_away};

/// What the container that counts carries as its layer, and what its lock is called.
const COUNTING: &str = "sizes";

/// Where the layers are, each by its number.
const INSIDE: &str = "/layers";

/// How often it is tried again where a volume goes meanwhile.
const TRIES: usize = 5;

/// How long others may be counting: sizes are worth no longer wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes that volumes take, by their names. They are counted in a throw-away container: the engine's own count is of everything
/// that it has, and not told by all versions alike. Nothing where none of the images is here that could run it.
pub(in crate::world) async fn sizes_of(world: &Real<'_>, names: &BTreeSet<String>) -> Result<BTreeMap<String, u64>> {
    // By it containers of runs that were killed are told from those that are at it.
    let lock = Lock::acquire(&lock_path(world, COUNTING), "sandbox, counting", PATIENCE, |_| {}).await?;
    let counted = async {
        sweep_containers(world, COUNTING).await?;
        let mut tries = 0..TRIES;
        loop {
            let there = world.engine.volumes(&[]).await?;
            let counted = count(world, names, &there).await;
            if counted.is_ok() || tries.next().is_none() {
                return counted;
            }
            let still = world.engine.volumes(&[]).await?;
            let is_gone = |it: &Volume| names.contains(&it.name) && still.iter().all(|other| other.name != it.name);
            if !there.iter().any(is_gone) {
                return counted;
            }
        }
    };
    let counted = counted.await;
    lock.remove();
    counted
}

async fn count(world: &Real<'_>, names: &BTreeSet<String>, there: &[Volume]) -> Result<BTreeMap<String, u64>> {
    let engine = world.engine;
    let attached = pool::is_attached(engine).await?;
    let volumes: Vec<&Volume> =
        there.iter().filter(|it| names.contains(&it.name) && (attached || !is_pooled(&it.name))).collect();
    let images = there.iter().filter_map(Snapshot::of).flat_map(|snapshot| snapshot.frozen);
    let images: BTreeSet<String> = images.map(|frozen| frozen.image).collect();
    let mut image = None;
    for candidate in images {
        if image.is_none() && engine.image(&candidate).await?.is_some() {
            image = Some(candidate);
        }
    }
    let Some(image) = image.filter(|_| !volumes.is_empty()) else { return Ok(BTreeMap::new()) };
    let place = |number: usize| format!("{INSIDE}/{number}");
    let places = (0..volumes.len()).map(place);
    let words = ["-s", "-k"].map(str::to_owned).into_iter().chain(places).collect();
    let spec = ContainerSpec {
        name: format!("sandbox_du_{}", std::process::id()),
        image,
        entrypoint: Some(vec!["du".into()]),
        command: Some(words),
        user: Some("0:0".into()),
        network_mode: Some("none".into()),
        labels: [(labels::LAYER, COUNTING.to_owned()), (labels::LOCK, lock_label(world, COUNTING))]
            .map(|(label, value)| (label.to_owned(), value))
            .into(),
        mounts: volumes.iter().enumerate().map(|(number, volume)| mount(volume, place(number))).collect(),
        ..ContainerSpec::default()
    };
    let (_, said) = throw_away::run(engine, &spec).await?;
    let counted: BTreeMap<String, u64> = said.iter().filter_map(|line| counted(line)).collect();
    let size = |(number, volume): (usize, &Volume)| Some((volume.name.clone(), *counted.get(&place(number))?));
    Ok(volumes.into_iter().enumerate().filter_map(size).collect())
}

/// By its directory, where it is one: that keeps nobody from removing the volume, and the engine makes none in place of one that
/// has just gone.
fn mount(volume: &Volume, target: String) -> MountSpec {
    let directory = match volume.driver_opts.get("device") {
        Some(place) if is_pooled(&volume.name) => Some(place),
        _ => Some(&volume.mountpoint).filter(|_| volume.driver_opts.is_empty()),
    };
    let (kind, source) = match directory {
        Some(directory) => (MountKind::Bind, directory),
        None => (MountKind::Volume, &volume.name),
    };
    MountSpec { kind, source: source.clone(), target, read_only: true, nocopy: true, ..MountSpec::default() }
}

/// What `du` says: kilobytes, a tab, the place.
fn counted(line: &str) -> Option<(String, u64)> {
    let (kilobytes, place) = line.split_once('\t')?;
    Some((place.to_owned(), kilobytes.parse::<u64>().ok()? * 1024))
}
