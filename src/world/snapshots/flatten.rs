//! Many layers become one: the options of a mount are one page.

use std::collections::BTreeMap;

use super::sweep::path_label;
use crate::engine::{ContainerSpec, Engine, Exit, MountSpec, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::action::FlattenSpec;
use crate::snapshot::is_pooled;
use crate::world::{Real, pool, throw_away};

/// Copies with owners, modes, times and links; where the file system can, without copying.
const COPY: &str = "set -e; rm -rf /to/upper /to/work; mkdir /to/upper /to/work; \
     cp -a --reflink=auto /from/. /to/upper/ 2>/dev/null || cp -a /from/. /to/upper/";

/// Puts the content of layers into a new one. While it is made nobody stands on it: killed, it is swept as what a clone wrote
/// that is gone.
pub(in crate::world) async fn flatten(world: &Real<'_>, spec: &FlattenSpec) -> Result<()> {
    let engine = world.engine;
    let own = labels::owned_by(&spec.of);
    let mut flat = spec.flat.clone();
    flat.labels.insert(labels::LOCK.to_owned(), path_label(&world.site.lock_path(&spec.of)));
    let view = VolumeSpec { labels: own.clone(), ..spec.view.clone() };
    let container = format!("{}_copy", flat.name);
    // What a killed run has left.
    engine.remove_container(&container).await?;
    engine.remove_volume(&view.name).await?;
    if is_pooled(&flat.name) {
        pool::make_layer(engine, &flat.name).await?;
    }
    engine.create_volume(&flat).await?;
    engine.create_volume(&view).await?;
    let copied = copy(engine, &container, &own, spec).await;
    engine.remove_volume(&view.name).await?;
    if copied.is_err() {
        pool::remove_volume(engine, &flat.name).await?;
    }
    copied
}

async fn copy(engine: &Engine, name: &str, own: &BTreeMap<String, String>, spec: &FlattenSpec) -> Result<()> {
    let mount = |volume: &str, target: &str| MountSpec {
        source: volume.to_owned(),
        target: target.to_owned(),
        nocopy: true,
        ..MountSpec::default()
    };
    let from = MountSpec { read_only: true, ..mount(&spec.view.name, "/from") };
    let container = ContainerSpec {
        name: name.to_owned(),
        image: spec.image.clone(),
        entrypoint: Some(vec!["sh".into(), "-c".into()]),
        command: Some(vec![COPY.into()]),
        user: Some("0:0".into()),
        network_mode: Some("none".into()),
        labels: own.clone(),
        mounts: vec![from, mount(&spec.flat.name, "/to")],
        ..ContainerSpec::default()
    };
    match throw_away::run(engine, &container).await? {
        (Exit::Code(0), _) => Ok(()),
        (_, said) => Err(Error::new(Kind::Service, format!("the layers of {} cannot be flattened", spec.service))
            .because(said.join("\n"))
            .hint("`df` says whether the engine's disk is full")),
    }
}
