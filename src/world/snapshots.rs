//! Making base snapshots and the uppers of clones.
//!
//! What is made for a base before it has its manifest is nobody's, should we be killed: whoever makes that base next, or looks
//! after a run that was killed, takes it away. The lock of the base says whether somebody is still at it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Real, ready};
use crate::apply::Setback;
use crate::engine::{Container, ContainerSpec, CreateContainer, Engine, Exit, MountSpec, Root, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;
use crate::plan::action::Question;
use crate::probe;
use crate::snapshot::{BaseWanted, Clone, Part, Snapshot, short, upper_of};
use crate::task::Identity;

/// How long another may be at work on a base.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may take to be listed with the port that the engine chose.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for it.
const POLL: Duration = Duration::from_millis(10);

/// Where the one volume of a throw-away container is.
const INSIDE: &str = "/upper";

/// The snapshots whose layers are all there.
pub async fn snapshots(engine: &Engine) -> Result<Vec<Snapshot>> {
    let (manifests, layers) =
        tokio::try_join!(engine.volumes(&[(labels::SNAPSHOT, None)]), engine.volumes(&[(labels::LAYER, None)]))?;
    let layers: BTreeSet<String> = layers.into_iter().map(|volume| volume.name).collect();
    let whole = |snapshot: &Snapshot| snapshot.layers.iter().all(|layer| layers.contains(layer));
    Ok(manifests.iter().filter_map(Snapshot::of).filter(whole).collect())
}

/// Makes a base snapshot. Where another process made it meanwhile, everything is to be decided anew.
pub(super) async fn make_base(world: &Real<'_>, base: &BaseWanted, ticker: &Ticker) -> Result<(), Setback> {
    let waiting = |holder: &str| ticker.tick(0, None, "steps", format!("waiting for {holder}"));
    let purpose = format!("sandbox, making the base snapshot of {}", base.service);
    let lock = Lock::acquire(&lock_path(world, &base.key), &purpose, PATIENCE, waiting).await?;
    if snapshots(world.engine).await?.iter().any(|snapshot| snapshot.key == base.key) {
        lock.release();
        return Err(Setback::Meanwhile(format!("another made the base snapshot of {} just now", base.service)));
    }
    sweep(world, &base.key).await?;
    let made = make(world, base).await;
    if made.is_err() {
        // What matters is why; what is left is found by its labels.
        let _ = sweep(world, &base.key).await;
    }
    lock.release();
    made
}

async fn make(world: &Real<'_>, base: &BaseWanted) -> Result<(), Setback> {
    let engine = world.engine;
    let lock = (labels::LOCK.to_owned(), lock_path(world, &base.key).display().to_string());
    let layer_labels: BTreeMap<_, _> = [(labels::LAYER.to_owned(), base.key.clone()), lock.clone()].into();
    let layer = VolumeSpec { name: base.layer.clone(), labels: layer_labels.clone(), ..VolumeSpec::default() };
    engine.create_volume(&layer).await?;
    try_clone(engine, base, &layer_labels).await?;
    let mut container = base.container.clone();
    container.labels.extend([lock]);
    let CreateContainer::Created(id) = engine.create_container(&container).await? else {
        return Err(Setback::Meanwhile(format!("the base snapshot of {} is being made", base.service)));
    };
    let root = initialise(world, base, &id).await?;
    engine.remove_container(&id).await?;
    let service = base.service.clone();
    let snapshot = Snapshot { key: base.key.clone(), layers: vec![base.layer.clone()], root, service };
    let (name, labels) = (Snapshot::manifest_name(&base.key), snapshot.labels());
    // One whose layers are gone cannot be changed, only replaced.
    if !snapshots(engine).await?.iter().any(|snapshot| snapshot.key == base.key) {
        engine.remove_volume(&name).await?;
    }
    engine.create_volume(&VolumeSpec { name: name.clone(), labels, ..VolumeSpec::default() }).await?;
    // Another user of the engine may have been faster: to the engine, making what is there is no error.
    let there = engine.volume(&name).await?.as_ref().and_then(Snapshot::of);
    if there.as_ref() == Some(&snapshot) {
        return Ok(());
    }
    Err(Setback::Meanwhile(format!("another made the base snapshot of {} just now", base.service)))
}

/// Starts the service on the new layer, and ends it once it is ready.
async fn initialise(world: &Real<'_>, base: &BaseWanted, id: &str) -> Result<Root> {
    let engine = world.engine;
    engine.start(id).await?;
    let question = match published_port(world, base).await? {
        Some(port) => base.question.on_port(port),
        None => base.question.clone(),
    };
    ready::await_ready(world, &base.service, id, &question).await?;
    if let Question::Postgres(login) = &question {
        let names: Vec<&str> = base.databases.iter().map(String::as_str).collect();
        probe::create_databases(login.address, &login.user, &login.password.0, &names).await?;
        probe::forget_password(login.address, &login.user, &login.password.0).await?;
    }
    engine.stop(id).await?;
    match engine.watch(id).await? {
        Exit::Code(0) => {}
        Exit::Code(code) => {
            return Err(ready::failure(world, &base.service, id, &format!("ended with exit code {code}")).await);
        }
        Exit::Gone => {
            return Err(Error::new(
                Kind::Engine,
                format!("the container of the base snapshot of {} was removed", base.service),
            ));
        }
    }
    engine.root_of(id, &base.target).await
}

/// The port that the engine chose; none where none is published, or the server ended before it was seen.
async fn published_port(world: &Real<'_>, base: &BaseWanted) -> Result<Option<u16>> {
    if base.container.ports.is_empty() {
        return Ok(None);
    }
    let begun = tokio::time::Instant::now();
    loop {
        let listed = world.engine.containers(&[(labels::BASE, Some(&base.key))]).await?;
        let port =
            listed.iter().flat_map(|container| &container.ports).map(|port| port.host_port).find(|port| *port != 0);
        if port.is_some() || begun.elapsed() > PORT_PATIENCE || !listed.iter().any(|it| it.exit_code.is_none()) {
            return Ok(port);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Mounts an empty clone over an empty layer, before a minute is spent on an engine that cannot.
async fn try_clone(engine: &Engine, base: &BaseWanted, label: &BTreeMap<String, String>) -> Result<(), Setback> {
    let name = format!("{}_try", base.layer);
    let upper = upper_of(&name);
    let directory = engine.facts().await?.root_dir;
    let clone = Clone::over(&base.key, vec![base.layer.clone()], &name, &format!("{directory}/volumes"));
    let Some(clone) = clone else {
        return Err(Setback::NoClones("its directory has a name that cannot be an option".into()));
    };
    let image = &base.container.image;
    let root = Root { uid: 0, gid: 0, mode: 0o755 };
    let labelled = |name: String| VolumeSpec { name, labels: label.clone(), ..VolumeSpec::default() };
    engine.create_volume(&labelled(upper.clone())).await?;
    fill(engine, &format!("{name}_a"), image, &upper, label, upper_archive(root)?).await?;
    let over = VolumeSpec { driver: Some("local".into()), driver_opts: clone.driver_opts, ..labelled(name.clone()) };
    engine.create_volume(&over).await?;
    // Files put into it go through the kernel's mount.
    let mounted = fill(engine, &format!("{name}_b"), image, &name, label, Vec::new()).await;
    for volume in [&name, &upper] {
        engine.remove_volume(volume).await?;
    }
    mounted.map_err(
        |error| if error.leaves_work_under_way() { error.into() } else { Setback::NoClones(error.to_string()) },
    )
}

/// Makes the upper of a clone, empty but for its top directory, which is as the snapshot's.
pub(super) async fn make_upper(
    world: &Real<'_>,
    upper: &VolumeSpec,
    snapshot: &str,
    of: &Identity,
    image: &str,
) -> Result<(), Setback> {
    let engine = world.engine;
    let Some(manifest) = engine.volume(&Snapshot::manifest_name(snapshot)).await? else {
        return Err(Setback::Meanwhile(format!("the snapshot below {} was removed just now", upper.name)));
    };
    let Some(Snapshot { root, .. }) = Snapshot::of(&manifest) else {
        return Err(super::perform::not_ours("volume", &manifest.name).into());
    };
    // One that a killed run has left holds the volume.
    let filler = format!("{}_made", upper.name);
    engine.remove_container(&filler).await?;
    if let Some(there) = engine.volume(&upper.name).await? {
        if !super::perform::belongs(&there.labels, &upper.labels) {
            return Err(super::perform::not_ours("volume", &upper.name).into());
        }
        engine.remove_volume(&upper.name).await?;
    }
    engine.create_volume(upper).await?;
    let labels = labels::owned_by(of);
    Ok(fill(engine, &filler, image, &upper.name, &labels, upper_archive(root)?).await?)
}

/// Puts files into a volume, through a container that is never started.
async fn fill(
    engine: &Engine,
    name: &str,
    image: &str,
    volume: &str,
    labels: &BTreeMap<String, String>,
    archive: Vec<u8>,
) -> Result<()> {
    let mount = MountSpec { source: volume.to_owned(), target: INSIDE.into(), nocopy: true, ..MountSpec::default() };
    let spec = ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        command: Some(vec!["true".into()]),
        network_mode: Some("none".into()),
        labels: labels.clone(),
        mounts: vec![mount],
        ..ContainerSpec::default()
    };
    engine.remove_container(name).await?;
    let CreateContainer::Created(id) = engine.create_container(&spec).await? else {
        return Err(Error::new(Kind::Engine, format!("{name} is being made by another")).hint("try again"));
    };
    let put = engine.put_archive(&id, INSIDE, archive).await;
    engine.remove_container(&id).await?;
    put
}

/// An upper's two directories.
fn upper_archive(root: Root) -> Result<Vec<u8>> {
    let failed = |cause| Error::new(Kind::Unexpected, "cannot pack the directories of a clone").because(cause);
    let mut archive = tar::Builder::new(Vec::new());
    for part in [Part::Upper, Part::Work] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        let Root { uid, gid, mode } = if part == Part::Upper { root } else { Root { uid: 0, gid: 0, mode: 0o755 } };
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mode(mode);
        archive.append_data(&mut header, format!("{part}/"), std::io::empty()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}

/// Takes away what is left of a base that was not finished, whose lock the caller holds.
async fn sweep(world: &Real<'_>, key: &str) -> Result<()> {
    let engine = world.engine;
    let lock = lock_path(world, key).display().to_string();
    let of_key = [labels::BASE, labels::LAYER].map(|label| [(label, Some(key)), (labels::LOCK, Some(&*lock))]);
    for container in [engine.containers(&of_key[0]).await?, engine.containers(&of_key[1]).await?].concat() {
        engine.remove_container(&container.id).await?;
    }
    let used = used_layers(engine).await?;
    for layer in engine.volumes(&of_key[1]).await?.iter().filter(|layer| !used.contains(&layer.name)) {
        engine.remove_volume(&layer.name).await?;
    }
    Ok(())
}

/// The layers that something stands on, and says so: a snapshot, or a clone whose snapshot is gone.
async fn used_layers(engine: &Engine) -> Result<BTreeSet<String>> {
    let standing = engine.volumes(&[(labels::LAYERS, None)]).await?;
    let layers = standing.iter().filter_map(|volume| volume.labels.get(labels::LAYERS));
    Ok(layers.flat_map(|layers| layers.split(',')).map(str::to_owned).collect())
}

/// Takes away what runs that were killed have left of bases, unless somebody is at work on one.
pub(super) async fn sweep_abandoned(world: &Real<'_>) -> Result<()> {
    let engine = world.engine;
    let (bases, tries, layers) = tokio::try_join!(
        engine.containers(&[(labels::BASE, None)]),
        engine.containers(&[(labels::LAYER, None)]),
        engine.volumes(&[(labels::LAYER, None)])
    )?;
    let locks = world.site.claims.locks();
    let is_ours =
        |of: &BTreeMap<String, String>| of.get(labels::LOCK).is_some_and(|lock| Path::new(lock).starts_with(&locks));
    let key = |label: &'static str| move |it: &Container| it.labels.get(label).filter(|_| is_ours(&it.labels)).cloned();
    let mut keys: BTreeSet<String> =
        bases.iter().filter_map(key(labels::BASE)).chain(tries.iter().filter_map(key(labels::LAYER))).collect();
    let used = used_layers(engine).await?;
    let unused = layers.iter().filter(|layer| !used.contains(&layer.name) && is_ours(&layer.labels));
    keys.extend(unused.filter_map(|layer| layer.labels.get(labels::LAYER).cloned()));
    for key in keys {
        if let Ok(lock) = Lock::acquire(&lock_path(world, &key), "sandbox, tidying up", Duration::ZERO, |_| {}).await {
            let swept = sweep(world, &key).await;
            lock.remove();
            swept?;
        }
    }
    Ok(())
}

/// Removes a snapshot, unless a clone stands on it by now.
pub(super) async fn remove(world: &Real<'_>, snapshot: &Snapshot) -> Result<()> {
    let purpose = format!("sandbox, removing a snapshot of {}", snapshot.service);
    let lock = Lock::acquire(&lock_path(world, &snapshot.key), &purpose, PATIENCE, |_| {}).await?;
    let clones = world.engine.volumes(&[(labels::SNAPSHOT, Some(&snapshot.key)), (labels::TASK, None)]).await?;
    if clones.is_empty() {
        // First of all: from then on nobody begins to stand on it.
        world.engine.remove_volume(&Snapshot::manifest_name(&snapshot.key)).await?;
        let used = used_layers(world.engine).await?;
        for layer in snapshot.layers.iter().filter(|layer| !used.contains(*layer)) {
            world.engine.remove_volume(layer).await?;
        }
    }
    lock.remove();
    Ok(())
}

fn lock_path(world: &Real<'_>, key: &str) -> PathBuf {
    world.site.claims.locks().join(format!("base-{}.lock", short(key)))
}
