//! Making base snapshots and the uppers of clones.
//!
//! What is made for a base before it has its manifest is nobody's, should we be killed: whoever makes that base next, or looks
//! after a run that was killed, takes it away. The lock of the base says whether somebody is still at it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Real, ready};
use crate::apply::Setback;
use crate::engine::{
    Container, ContainerSpec, CreateContainer, Engine, Exit, MountSpec, Root, State, Volume, VolumeSpec, labels,
};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;
use crate::plan::action::{Question, UpperSpec};
use crate::probe;
use crate::snapshot::{BELOW, BaseWanted, Clone, Part, Snapshot, short, upper_of};

/// How long another may be at work on a base.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may take to be listed with the port that the engine chose.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// After this nobody is at work on a base any more.
const TAKES_NO_LONGER: Duration = Duration::from_hours(1);

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
        return Err(made_by_another(base));
    }
    sweep(world, &base.key).await?;
    let made = make(world, base).await;
    if made.is_err() {
        // What matters is why; what is left is found by its labels.
        let _ = sweep(world, &base.key).await;
    }
    lock.release();
    if let Err(Setback::NoClones(why)) = &made {
        let service = &base.service;
        ticker
            .sink()
            .info(format!("this engine cannot mount one volume over another, so {service} begins anew: {why}"));
    }
    made
}

async fn make(world: &Real<'_>, base: &BaseWanted) -> Result<(), Setback> {
    let engine = world.engine;
    let lock = (labels::LOCK.to_owned(), lock_label(world, &base.key));
    let layer_labels: BTreeMap<_, _> = [(labels::LAYER.to_owned(), base.key.clone()), lock.clone()].into();
    let layer = VolumeSpec { name: base.layer.clone(), labels: layer_labels.clone(), ..VolumeSpec::default() };
    engine.create_volume(&layer).await?;
    try_clone(engine, base, &layer_labels).await?;
    let mut container = base.container.clone();
    container.labels.extend([lock]);
    for mount in container.mounts.iter_mut().filter(|mount| mount.source == base.layer) {
        // Should it vanish, the engine makes another without a word.
        mount.volume_labels.clone_from(&layer_labels);
    }
    let CreateContainer::Created(id) = engine.create_container(&container).await? else {
        return Err(Setback::Meanwhile(format!("the base snapshot of {} is being made", base.service)));
    };
    let root = initialise(world, base, &id).await?;
    engine.remove_container(&id).await?;
    let service = base.service.clone();
    let snapshot = Snapshot { key: base.key.clone(), layers: vec![base.layer.clone()], root, service };
    let (name, labels) = (Snapshot::manifest_name(&base.key), snapshot.labels());
    // One whose layers are gone cannot be changed, only replaced.
    if let Some(there) = engine.volume(&name).await? {
        if Snapshot::of(&there).is_none_or(|there| there.key != base.key) {
            return Err(super::perform::not_ours("volume", &name).into());
        }
        if !snapshots(engine).await?.iter().any(|snapshot| snapshot.key == base.key) {
            engine.remove_volume(&name).await?;
        }
    }
    engine.create_volume(&VolumeSpec { name: name.clone(), labels, ..VolumeSpec::default() }).await?;
    // Another user of the engine may have been faster: to the engine, making what is there is no error.
    if engine.volume(&name).await?.as_ref().and_then(Snapshot::of).as_ref() == Some(&snapshot) {
        return Ok(());
    }
    Err(made_by_another(base))
}

fn made_by_another(base: &BaseWanted) -> Setback {
    Setback::Meanwhile(format!("another made the base snapshot of {} just now", base.service))
}

/// Starts the service on the new layer, and ends it once it is ready. What serves and cannot be frozen may serve all the same.
async fn initialise(world: &Real<'_>, base: &BaseWanted, id: &str) -> Result<Root, Setback> {
    let engine = world.engine;
    engine.start(id).await?;
    let question = match base.question.login() {
        Some(_) => base.question.on_port(published_port(world, base, id).await?),
        None => base.question.clone(),
    };
    ready::await_ready(world, &base.service, id, &question).await?;
    let frozen = freeze(world, base, id, &question).await;
    frozen.map_err(
        |error| if error.leaves_work_under_way() { error.into() } else { Setback::NoClones(error.to_string()) },
    )
}

async fn freeze(world: &Real<'_>, base: &BaseWanted, id: &str, question: &Question) -> Result<Root> {
    let engine = world.engine;
    if let Question::Postgres(login) = question {
        let names: Vec<&str> = base.databases.iter().map(String::as_str).collect();
        probe::create_databases(login.address, &login.user, &login.password.0, &names).await?;
        probe::forget_password(login.address, &login.user, &login.password.0).await?;
    }
    engine.stop(id).await?;
    match engine.watch(id).await? {
        Exit::Code(0) => engine.root_of(id, &base.target).await,
        Exit::Code(code) => {
            Err(ready::failure(world, &base.service, id, &format!("ended with exit code {code}")).await)
        }
        Exit::Gone => Err(Error::new(Kind::Engine, format!("the container {} was removed", base.container.name))),
    }
}

/// The port that the engine chose. Where the server has ended already, whoever awaits it says so: any will do.
async fn published_port(world: &Real<'_>, base: &BaseWanted, id: &str) -> Result<u16> {
    let begun = tokio::time::Instant::now();
    loop {
        let listed = world.engine.containers(&[(labels::BASE, Some(&base.key))]).await?;
        let own = listed.iter().find(|container| container.id == id);
        let port = own.and_then(|own| own.ports.iter().map(|port| port.host_port).find(|port| *port != 0));
        match (port, own) {
            (Some(port), _) => return Ok(port),
            (None, Some(own)) if own.state == State::Running => {}
            (None, _) => return Ok(0),
        }
        if begun.elapsed() > PORT_PATIENCE {
            let what = format!("the engine publishes no port of {}", base.container.name);
            return Err(Error::new(Kind::Engine, what).hint("`sandbox doctor` says how the engine is"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Mounts an empty clone over an empty layer, before a minute is spent on an engine that cannot.
async fn try_clone(engine: &Engine, base: &BaseWanted, label: &BTreeMap<String, String>) -> Result<(), Setback> {
    let name = format!("{}_try", base.layer);
    let upper = upper_of(&name);
    let facts = engine.facts().await?;
    let directory = &facts.root_dir;
    let clone =
        Clone::over(&base.key, vec![base.layer.clone()], &name, &format!("{directory}/volumes"), facts.rootless);
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
pub(super) async fn make_upper(world: &Real<'_>, spec: &UpperSpec) -> Result<(), Setback> {
    let engine = world.engine;
    let upper = &spec.volume;
    let name = Snapshot::manifest_name(&spec.snapshot);
    // Whole, and on these very layers: another may have been made in its place.
    let whole = async || {
        let all = snapshots(engine).await?;
        Ok::<_, Error>(all.into_iter().find(|it| it.key == spec.snapshot && it.layers == spec.layers))
    };
    let changed = || Setback::Meanwhile(format!("the snapshot {name} was removed or replaced just now"));
    let root = whole().await?.ok_or_else(changed)?.root;
    let filler = format!("{}_made", upper.name);
    // One that a killed run has left holds the volume.
    if engine.inspect(&filler).await?.is_some_and(|there| !super::perform::belongs(&there.labels, &upper.labels)) {
        return Err(super::perform::not_ours("container", &filler).into());
    }
    engine.remove_container(&filler).await?;
    if let Some(there) = engine.volume(&upper.name).await? {
        if !super::perform::belongs(&there.labels, &upper.labels) {
            return Err(super::perform::not_ours("volume", &upper.name).into());
        }
        engine.remove_volume(&upper.name).await?;
    }
    engine.create_volume(upper).await?;
    let labels = labels::owned_by(&spec.of);
    fill(engine, &filler, &spec.image, &upper.name, &labels, upper_archive(root)?).await?;
    // From now on it is seen that somebody stands on it; who looked before may have taken it away.
    whole().await?.map(drop).ok_or_else(changed)
}

/// Whether a container's layers are all there: of one that has just gone the engine makes an empty one without a word.
pub(super) async fn has_its_layers(engine: &Engine, spec: &ContainerSpec) -> Result<bool> {
    let is_layer = format!("{BELOW}/layer-");
    let mut below = Vec::new();
    for mount in &spec.mounts {
        if mount.target.starts_with(&is_layer) {
            below.push(mount.source.as_str());
        }
    }
    if below.is_empty() {
        return Ok(true);
    }
    let layers = engine.volumes(&[(labels::LAYER, None)]).await?;
    Ok(below.iter().all(|name| layers.iter().any(|layer| layer.name == *name)))
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
    let mount = MountSpec {
        source: volume.to_owned(),
        target: INSIDE.into(),
        nocopy: true,
        volume_labels: labels.clone(),
        ..MountSpec::default()
    };
    let spec = ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        command: Some(vec!["true".into()]),
        network_mode: Some("none".into()),
        labels: labels.clone(),
        mounts: vec![mount],
        ..ContainerSpec::default()
    };
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
    let lock = lock_label(world, key);
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

/// Takes away what runs that were killed have left of bases, unless somebody is at work on one. Of other users' locks nobody can
/// tell; but nothing takes an hour.
pub(super) async fn sweep_abandoned(world: &Real<'_>) -> Result<()> {
    let engine = world.engine;
    let (bases, tries, layers) = tokio::try_join!(
        engine.containers(&[(labels::BASE, None)]),
        engine.containers(&[(labels::LAYER, None)]),
        engine.volumes(&[(labels::LAYER, None)])
    )?;
    let used = used_layers(engine).await?;
    let unused: Vec<Volume> = layers.into_iter().filter(|layer| !used.contains(&layer.name)).collect();
    let long_ago = jiff::Timestamp::now().checked_sub(TAKES_NO_LONGER).unwrap_or(jiff::Timestamp::MIN);
    let is_old = |created: Option<jiff::Timestamp>| created.is_some_and(|created| created < long_ago);
    let containers: Vec<Container> = [bases, tries].concat();
    for container in containers.iter().filter(|container| is_old(container.created)) {
        engine.remove_container(&container.id).await?;
    }
    for layer in unused.iter().filter(|layer| is_old(layer.created)) {
        engine.remove_volume(&layer.name).await?;
    }
    let labelled = containers.iter().map(|container| &container.labels).chain(unused.iter().map(|layer| &layer.labels));
    let key = |of: &BTreeMap<String, String>| of.get(labels::BASE).or_else(|| of.get(labels::LAYER)).cloned();
    let keys: BTreeSet<String> =
        labelled.filter_map(|of| key(of).filter(|key| of.get(labels::LOCK) == Some(&lock_label(world, key)))).collect();
    for key in keys {
        if let Ok(lock) = Lock::acquire(&lock_path(world, &key), "sandbox, tidying up", Duration::ZERO, |_| {}).await {
            let swept = sweep(world, &key).await;
            lock.remove();
            swept?;
        }
    }
    Ok(())
}

/// Removes a snapshot, unless a clone stands on it by now. Whether it is gone.
pub(super) async fn remove(world: &Real<'_>, snapshot: &Snapshot) -> Result<bool> {
    let engine = world.engine;
    let purpose = format!("sandbox, removing a snapshot of {}", snapshot.service);
    let lock = Lock::acquire(&lock_path(world, &snapshot.key), &purpose, PATIENCE, |_| {}).await?;
    let stand = [(labels::SNAPSHOT, Some(&*snapshot.key)), (labels::TASK, None)];
    let goes = engine.volumes(&stand).await?.is_empty();
    if goes {
        // First of all: from then on nobody begins to stand on it. Whoever had begun is seen by what it writes into.
        engine.remove_volume(&Snapshot::manifest_name(&snapshot.key)).await?;
        let used = used_layers(engine).await?;
        let is_free = engine.volumes(&stand).await?.is_empty();
        for layer in snapshot.layers.iter().filter(|layer| is_free && !used.contains(*layer)) {
            engine.remove_volume(layer).await?;
        }
    }
    lock.remove();
    Ok(goes)
}

/// Which lock it is, on this machine and in this file system.
fn lock_label(world: &Real<'_>, key: &str) -> String {
    let path = lock_path(world, key);
    let metadata = path.parent().and_then(|directory| directory.metadata().ok());
    let (device, inode) = metadata.map(|it| (it.dev(), it.ino())).unwrap_or_default();
    format!("{}@{device}:{inode}", path.display())
}

fn lock_path(world: &Real<'_>, key: &str) -> PathBuf {
    world.site.claims.locks().join(format!("base-{}.lock", short(key)))
}
