//! How much room layers take on the disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ContainerSpec, Engine, MountSpec, labels};
use crate::error::Result;
use crate::snapshot::{Snapshot, is_pooled};
use crate::world::{pool, throw_away};

/// What the container that counts carries as its layer.
pub(in crate::world) const COUNTING: &str = "sizes";

/// Where the layers are, each by its number.
const INSIDE: &str = "/layers";

/// The bytes that volumes take, by their names. They are counted in a throw-away container: the engine's own count is of everything
/// that it has, and not told by all versions alike. Nothing where none of the images is here that could run it.
pub(in crate::world) async fn sizes_of(engine: &Engine, names: &BTreeSet<String>) -> Result<BTreeMap<String, u64>> {
    let there = engine.volumes(&[]).await?;
    let attached = pool::is_attached(engine).await?;
    let is_there = |name: &&str| there.iter().any(|it| it.name == **name) && (attached || !is_pooled(name));
    let layers: Vec<&str> = names.iter().map(String::as_str).filter(is_there).collect();
    let images = there.iter().filter_map(Snapshot::of).flat_map(|snapshot| snapshot.frozen);
    let images: BTreeSet<String> = images.map(|frozen| frozen.image).collect();
    let mut image = None;
    for candidate in images {
        if image.is_none() && engine.image(&candidate).await?.is_some() {
            image = Some(candidate);
        }
    }
    let Some(image) = image.filter(|_| !layers.is_empty()) else { return Ok(BTreeMap::new()) };
    let mount = |(number, layer): (usize, &&str)| MountSpec {
        source: (*layer).to_owned(),
        target: format!("{INSIDE}/{number}"),
        read_only: true,
        nocopy: true,
        ..MountSpec::default()
    };
    let places = (0..layers.len()).map(|number| format!("{INSIDE}/{number}"));
    let words = ["-s", "-k"].map(str::to_owned).into_iter().chain(places).collect();
    let spec = ContainerSpec {
        name: format!("sandbox_du_{}", std::process::id()),
        image,
        entrypoint: Some(vec!["du".into()]),
        command: Some(words),
        user: Some("0:0".into()),
        network_mode: Some("none".into()),
        labels: [(labels::LAYER.to_owned(), COUNTING.to_owned())].into(),
        mounts: layers.iter().enumerate().map(mount).collect(),
        ..ContainerSpec::default()
    };
    let (_, said) = throw_away::run(engine, &spec).await?;
    let counted: BTreeMap<String, u64> = said.iter().filter_map(|line| counted(line)).collect();
    let size = |(number, layer): (usize, &str)| Some((layer.to_owned(), *counted.get(&format!("{INSIDE}/{number}"))?));
    Ok(layers.iter().copied().enumerate().filter_map(size).collect())
}

/// What `du` says: kilobytes, a tab, the place.
fn counted(line: &str) -> Option<(String, u64)> {
    let (kilobytes, place) = line.split_once('\t')?;
    Some((place.to_owned(), kilobytes.parse::<u64>().ok()? * 1024))
}
