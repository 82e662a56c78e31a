//! Making base snapshots and the uppers of clones.
//!
//! What is made for a base before it has its manifest is nobody's, should we be killed: whoever makes that base next, or looks
//! after a run that was killed, takes it away. The lock of the base says whether somebody is still at it.

mod copies;
mod flatten;
mod moves;
mod sizes;
mod sweep;
mod uppers;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Real, pool, ready};
use crate::apply::Setback;
use crate::engine::{CreateContainer, Engine, Exit, Root, State, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;
use crate::moment;
use crate::plan::action::Question;
use crate::probe;
use crate::snapshot::{self, BaseWanted, Clone, Frozen, Snapshot, is_pooled, upper_name};
use sweep::{lock_label, lock_path, sweep};
use uppers::Filler;

pub(super) use flatten::flatten;
pub(super) use moves::move_into_pool;
pub(super) use sizes::sizes_of;
pub(super) use sweep::{remove, sweep_abandoned, sweep_layers};
pub(super) use uppers::{has_its_layers, make_upper};

/// How the engine says that the kernel has refused a mount.
pub(super) const NOT_MOUNTED: &str = "failed to mount local volume";

/// How long another may be at work on a base.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may take to be listed with the port that the engine chose.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for it.
const POLL: Duration = Duration::from_millis(10);

/// The snapshots whose layers are all there.
pub async fn snapshots(engine: &Engine) -> Result<Vec<Snapshot>> {
    let (standing, layers) =
        tokio::try_join!(engine.volumes(&[(labels::LAYERS, None)]), engine.volumes(&[(labels::LAYER, None)]))?;
    Ok(snapshot::whole(&standing, &layers))
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
    let made = make(world, base, ticker).await;
    if made.is_err() {
        // What matters is why; what is left is found by its labels.
        let _ = sweep(world, &base.key).await;
    }
    lock.release();
    if let Err(Setback::NoClones(why)) = &made {
        let service = &base.service;
        ticker.sink().info(format!("the data of {service} cannot be frozen, so it begins anew: {why}"));
    }
    made
}

async fn make(world: &Real<'_>, base: &BaseWanted, ticker: &Ticker) -> Result<(), Setback> {
    let engine = world.engine;
    let lock = (labels::LOCK.to_owned(), lock_label(world, &base.key));
    let layer_labels: BTreeMap<_, _> = [(labels::LAYER.to_owned(), base.key.clone()), lock.clone()].into();
    if is_pooled(&base.layer) {
        pool::make_layer(engine, &base.layer).await?;
    }
    let driver_opts = base.driver_opts.clone();
    let layer = VolumeSpec { name: base.layer.clone(), labels: layer_labels.clone(), driver_opts, driver: None };
    engine.create_volume(&layer).await?;
    let refused = try_overlay(engine, base, &layer_labels).await?;
    let mut container = base.container.clone();
    container.labels.extend([lock]);
    for mount in container.mounts.iter_mut().filter(|mount| mount.source == base.layer) {
        // Should it vanish, the engine makes another without a word.
        mount.volume_labels.clone_from(&layer_labels);
    }
    let CreateContainer::Created(id) = engine.create_container(&container).await? else {
        return Err(Setback::Meanwhile(format!("the base snapshot of {} is being made", base.service)));
    };
    initialise(world, base, &id).await?;
    let root = Some(engine.root_of(&id, &base.target).await?);
    engine.remove_container(&id).await?;
    let frozen = Frozen {
        volume: base.volume.clone(),
        service: base.service.clone(),
        image: base.container.image.clone(),
        layers: vec![base.layer.clone()],
        root,
        databases: base.databases.clone(),
        copied: refused.is_some(),
    };
    let snapshot = Snapshot {
        key: base.key.clone(),
        kind: snapshot::Kind::Base,
        repo: None,
        name: None,
        created: moment::now(),
        frozen: vec![frozen],
        origin: None,
    };
    if !put_manifest(engine, &snapshot).await? {
        return Err(made_by_another(base));
    }
    let Some(why) = refused else { return Ok(()) };
    let service = &base.service;
    ticker.sink().info(format!(
        "this engine cannot mount one volume over another, so each sandbox copies the data of {service}: {why}"
    ));
    // It may have been planned otherwise.
    Err(Setback::Meanwhile(format!("clones of {service} are copies")))
}

/// Makes the manifest of a snapshot. Whether it is this one's: another may have been faster.
async fn put_manifest(engine: &Engine, snapshot: &Snapshot) -> Result<bool> {
    let name = snapshot.manifest_name();
    // One whose layers are gone cannot be changed, only replaced.
    if let Some(there) = engine.volume(&name).await? {
        if Snapshot::of(&there).is_none_or(|there| there.key != snapshot.key) {
            return Err(super::perform::not_ours("volume", &name));
        }
        if !snapshots(engine).await?.iter().any(|whole| whole.key == snapshot.key) {
            engine.remove_volume(&name).await?;
        }
    }
    engine
        .create_volume(&VolumeSpec { name: name.clone(), labels: snapshot.labels()?, ..VolumeSpec::default() })
        .await?;
    // To the engine, making what is there is no error.
    Ok(engine.volume(&name).await?.as_ref().and_then(Snapshot::of).as_ref() == Some(snapshot))
}

/// Makes a snapshot known whose layers are there already.
pub(super) async fn keep(world: &Real<'_>, snapshot: &Snapshot) -> Result<()> {
    // In the pool and outside of it the manifests have different names.
    let purpose = format!("sandbox, keeping the snapshot {}", snapshot.title());
    let lock = Lock::acquire(&lock_path(world, &snapshot.key), &purpose, PATIENCE, |_| {}).await?;
    let kept = async {
        let other = snapshots(world.engine).await?.iter().any(|it| it.key == snapshot.key && it != snapshot);
        Ok::<_, Error>(!other && put_manifest(world.engine, snapshot).await?)
    };
    let kept = kept.await;
    lock.release();
    if kept? {
        return Ok(());
    }
    Err(Error::new(Kind::SnapshotExists, format!("another has saved a snapshot {} just now", snapshot.title()))
        .hint("`sandbox snapshot ls` shows it; choose another name"))
}

/// Has a data service write down what it holds.
pub(super) async fn flush(world: &Real<'_>, service: &str, container: &str, question: &Question) -> Result<()> {
    // The whole memory of another is written when it ends.
    let Question::Postgres(login) = question else { return Ok(()) };
    let flushed = probe::checkpoint(login.address, &login.user, &login.password.0).await;
    ready::explained(world, service, container, flushed).await
}

/// Ends a data service so that what it wrote can be frozen: no password opens it, and nothing is left to be recovered.
pub(super) async fn freeze(world: &Real<'_>, service: &str, container: &str, question: &Question) -> Result<()> {
    if let Question::Postgres(login) = question {
        let forgotten = probe::forget_password(login.address, &login.user, &login.password.0).await;
        ready::explained(world, service, container, forgotten).await?;
    }
    end(world, service, container).await
}

/// Stops a server, and waits until it has ended well.
async fn end(world: &Real<'_>, service: &str, container: &str) -> Result<()> {
    world.engine.stop(container).await?;
    match world.engine.watch(container).await? {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => {
            Err(ready::failure(world, service, container, &format!("ended with exit code {code}")).await)
        }
        Exit::Gone => Err(Error::new(Kind::Engine, format!("the container of {service} was removed"))),
    }
}

fn made_by_another(base: &BaseWanted) -> Setback {
    Setback::Meanwhile(format!("another made the base snapshot of {} just now", base.service))
}

/// Starts the service on the new layer, and ends it once it is ready. What serves and cannot be frozen may serve all the same.
async fn initialise(world: &Real<'_>, base: &BaseWanted, id: &str) -> Result<(), Setback> {
    let engine = world.engine;
    engine.start(id).await?;
    let question = match base.question.login() {
        Some(_) => base.question.on_port(published_port(world, base, id).await?),
        None => base.question.clone(),
    };
    ready::await_ready(world, &base.service, id, &question).await?;
    let frozen = freeze_base(world, base, id, &question).await;
    frozen.map_err(
        |error| if error.leaves_work_under_way() { error.into() } else { Setback::NoClones(error.to_string()) },
    )
}

async fn freeze_base(world: &Real<'_>, base: &BaseWanted, id: &str, question: &Question) -> Result<()> {
    if let Question::Postgres(login) = question {
        let names: Vec<&str> = base.databases.iter().map(String::as_str).collect();
        probe::create_databases(login.address, &login.user, &login.password.0, &names).await?;
    }
    freeze(world, &base.service, id, question).await
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

/// Mounts an empty clone over an empty layer: not all engines can. Why it cannot, where that is so.
async fn try_overlay(engine: &Engine, base: &BaseWanted, label: &BTreeMap<String, String>) -> Result<Option<String>> {
    // That the pool is mounted says enough.
    if is_pooled(&base.layer) {
        return Ok(None);
    }
    let name = format!("{}_try", base.layer);
    let upper = upper_name(&name, false);
    let facts = engine.facts().await?;
    let directory = &facts.root_dir;
    let place = (&*format!("{directory}/volumes"), facts.rootless);
    let clone = Clone::over(&base.key, vec![base.layer.clone()], upper.clone(), Vec::new(), place);
    let Some(clone) = clone else {
        return Ok(Some(format!("the directory {directory} has a name that cannot be an option")));
    };
    let image = &base.container.image;
    let labelled = |name: String| VolumeSpec { name, labels: label.clone(), ..VolumeSpec::default() };
    engine.create_volume(&labelled(upper.clone())).await?;
    let root = Root { uid: 0, gid: 0, mode: 0o755 };
    let filler = Filler { name: &format!("{name}_a"), image, labels: label };
    filler.make_upper(engine, &upper, Ok(root)).await?;
    let over = VolumeSpec { driver: Some("local".into()), driver_opts: clone.driver_opts, ..labelled(name.clone()) };
    engine.create_volume(&over).await?;
    // Files put into it go through the kernel's mount.
    let filler = Filler { name: &format!("{name}_b"), image, labels: label };
    let mounted = filler.mount(engine, &name).await;
    for volume in [&name, &upper] {
        engine.remove_volume(volume).await?;
    }
    match mounted {
        Err(error) if error.to_string().contains(NOT_MOUNTED) => Ok(Some(error.to_string())),
        mounted => mounted.map(|()| None),
    }
}
