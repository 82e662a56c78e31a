//! Freezing the databases of a sandbox, which goes on over what it has written: what `snapshot save` and `up --from-sandbox` do.

use std::time::{Duration, Instant};

use crate::apply::{World, apply};
use crate::commands::{Context, up};
use crate::engine::{Engine, Root, Volume, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::action::FlattenSpec;
use crate::plan::desired::{CloneWanted, ServiceWanted, Stack};
use crate::plan::observed::{Run, Scope};
use crate::plan::{Action, Cause, Desired, Extent, OnFailure, Plan, teardown};
use crate::record::{Data, On, Record};
use crate::resolve::Ask;
use crate::site::Site;
use crate::snapshot::{Clone, Frozen, Kind as SnapshotKind, Snapshot, driver_opts, is_pooled};
use crate::task::{Identity, TaskName};
use crate::world::Real;

/// How a sandbox fared whose databases were frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fared {
    /// It ran, but for so long.
    Away(Duration),
    /// It did not run, and is to be [put to rest](put_to_rest) again, as far as it had been.
    AtRest(Extent<'static>),
}

/// Ends all data services of a sandbox together and has it go on over what they wrote. The answer is the snapshot, filled with
/// that. One that did not run is started for it. The caller holds the sandbox.
///
/// Killed in the middle, the sandbox has its data: `up` goes on with it.
pub async fn freeze(
    site: &Site,
    engine: &Engine,
    task: &TaskName,
    wanted: Snapshot,
    context: &Context,
) -> Result<(Snapshot, Fared)> {
    let identity = site.identity(task)?;
    require_data(engine, &identity).await?;
    let rest = rest_of(engine, &identity).await?;
    // What has crashed recovers before it is frozen.
    let desired = Box::pin(up::bring_up(site, engine, &Ask::again(task.clone()), context)).await?.desired;
    let mut snapshot = taken_from(&desired, wanted)?;
    flatten(site, engine, &desired, &mut snapshot, context).await?;
    for frozen in &mut snapshot.frozen {
        frozen.root = root_of(engine, &desired.stack, frozen).await?;
    }
    let (begun, before) = (Instant::now(), site.get(task)?.record);
    let plan = ending(task, &desired.stack);
    let ended = apply(&Real { engine, site }, &plan, &context.events, context.stop.clone()).await.into_result();
    if let Err(error) = ended {
        return Err(mended(site, engine, &before, error, context).await);
    }
    let replace = desired.stack.clones.iter().map(|clone| clone.volume.clone()).collect();
    // Nobody else may take it for one that is known: its manifest is yet to come.
    let passing = Snapshot { kind: SnapshotKind::Passing, ..snapshot.clone() };
    let data = Data { replace, on: On::Snapshot(Box::new(passing)) };
    let ask = Ask { data: Some(data), ..Ask::again(task.clone()) };
    match Box::pin(up::bring_up(site, engine, &ask, context)).await {
        Ok(_) => {
            let away = begun.elapsed();
            Ok((snapshot, rest.map_or(Fared::Away(away), Fared::AtRest)))
        }
        Err(error) => Err(mended(site, engine, &before, error, context).await),
    }
}

/// The volumes of a sandbox. Refuses one that has no databases: they would be made for it.
pub async fn require_data(engine: &Engine, identity: &Identity) -> Result<Vec<Volume>> {
    let own = engine.volumes(&labels::of(identity)).await?;
    if has_data(&own) {
        return Ok(own);
    }
    let task = &identity.task;
    Err(Error::new(Kind::Service, format!("the databases of {task} cannot be frozen"))
        .because("it has none")
        .hint(format!("`sandbox up {task}` makes them")))
}

/// Whether there is data among the volumes of a sandbox.
#[must_use]
pub fn has_data(own: &[Volume]) -> bool {
    own.iter().any(|volume| volume.labels.contains_key(labels::compose::VOLUME))
}

/// How far a sandbox that does not run is taken down.
pub async fn rest_of(engine: &Engine, identity: &Identity) -> Result<Option<Extent<'static>>> {
    let containers = engine.containers_looked_at(&labels::of(identity)).await?;
    let runs = containers.iter().any(|container| Run::of(container).has_process());
    let extent = if containers.is_empty() { Extent::Stack } else { Extent::Stop };
    Ok((!runs).then_some(extent))
}

/// Puts one to rest again that did not run before.
pub async fn put_to_rest(site: &Site, engine: &Engine, task: &TaskName, fared: Fared, context: &Context) -> Result<()> {
    let Fared::AtRest(extent) = fared else { return Ok(()) };
    let (world, identity) = (Real { engine, site }, site.identity(task)?);
    let plan = teardown(&identity, &world.observe(&Scope::of(&identity)).await?, extent);
    let result = apply(&world, &plan, &context.events, context.stop.clone()).await.into_result();
    let verb = if extent == Extent::Stop { "stop" } else { "down" };
    result.map_err(|error| {
        error.hint(format!("{task} did not run before: `sandbox {verb} {task}` puts it to rest again"))
    })
}

/// A failure, after which the sandbox serves again as far as it can. Whoever said stop meant the freezing.
async fn mended(site: &Site, engine: &Engine, before: &Record, error: Error, context: &Context) -> Error {
    let (task, again) = (&before.claim.identity.task, context.unheard());
    let error = match error.kind() {
        // What it says of the part that was under way is none of what was asked for.
        Kind::Interrupted => Error::new(Kind::Interrupted, format!("stopped before the databases of {task} were kept")),
        _ => error,
    };
    // What was asked for and not answered may still come.
    if !error.leaves_work_under_way()
        && let Err(failed) = up::take_back_data(site, engine, before).await
    {
        context.events.warn(format!("it cannot be told whether {task} can go on with the databases it had: {failed}"));
    }
    match Box::pin(up::bring_up(site, engine, &Ask::again(task.clone()), &again)).await {
        Ok(_) => error.hint(format!("{task} is up again, with all its data")),
        Err(failed) => {
            error.hint(format!("{task} is not up again: {failed}")).hint(format!("`sandbox up {task}` goes on"))
        }
    }
}

/// What would be frozen of a sandbox.
pub fn taken_from(desired: &Desired, wanted: Snapshot) -> Result<Snapshot> {
    let task = &desired.record.claim.identity.task;
    let stack = &desired.stack;
    let cannot = |why: String| {
        Err(Error::new(Kind::Service, format!("the databases of {task} cannot be frozen"))
            .because(why)
            .hint("`pg_dump` what is worth keeping"))
    };
    let plain = stack.services.iter().find(|it| it.question.login().is_some() && clone_of(stack, it).is_none());
    if let Some(plain) = plain {
        return cannot(format!("the data of {} stands on no snapshot", plain.name));
    }
    if stack.clones.is_empty() {
        return cannot("it has none".to_owned());
    }
    let frozen =
        stack.services.iter().filter_map(|it| Some(frozen(it, clone_of(stack, it)?, stack.no_overlays))).collect();
    Ok(Snapshot { frozen, ..wanted })
}

fn clone_of<'a>(stack: &'a Stack, service: &ServiceWanted) -> Option<&'a CloneWanted> {
    stack.clones.iter().find(|clone| clone.service == service.name)
}

/// What a service writes into becomes the newest layer.
fn frozen(service: &ServiceWanted, clone: &CloneWanted, no_overlays: bool) -> Frozen {
    // A copy has all of it.
    let below: &[String] = if clone.is_copied() { &[] } else { &clone.layers };
    let names = service.databases.as_ref().map(|(_, names)| names.clone());
    Frozen {
        volume: clone.key.clone(),
        service: service.name.clone(),
        image: clone.image.clone(),
        layers: [&clone.upper.name].into_iter().chain(below).cloned().collect(),
        root: None,
        databases: names.unwrap_or_default(),
        copied: no_overlays && !is_pooled(&clone.upper.name),
    }
}

/// Where another layer would be one too many, those below become one before: the sandbox goes on meanwhile.
async fn flatten(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    snapshot: &mut Snapshot,
    context: &Context,
) -> Result<()> {
    let facts = engine.facts().await?;
    let volumes = format!("{}/volumes", facts.root_dir);
    let identity = &desired.record.claim.identity;
    let mut plan = Plan::new(identity.task.as_str(), OnFailure::StopBeginning);
    let own = engine.volumes(&labels::of(identity)).await?;
    for wanted in &desired.stack.clones {
        let clone = own.iter().find(|volume| volume.name == wanted.volume).and_then(Clone::of);
        let Some(clone) = clone.filter(|clone| clone.is_full(&volumes)) else { continue };
        let Some(view) = Clone::view(&clone.layers, &volumes, facts.rootless) else { continue };
        let flat = format!("{}_flat", clone.upper);
        let labels = Clone { layers: Vec::new(), ..clone.clone() }.upper_labels(identity);
        let spec = FlattenSpec {
            service: wanted.service.clone(),
            flat: VolumeSpec { driver_opts: driver_opts(&flat, &volumes), name: flat.clone(), labels, driver: None },
            view: VolumeSpec { name: format!("{}_view", wanted.volume), driver_opts: view, ..VolumeSpec::default() },
            layers: clone.layers,
            of: identity.clone(),
            image: wanted.image.clone(),
        };
        plan.add(Action::Flatten(Box::new(spec)), Cause::Requested, &[]);
        for frozen in snapshot.frozen.iter_mut().filter(|frozen| frozen.service == wanted.service) {
            frozen.layers = vec![wanted.upper.name.clone(), flat.clone()];
        }
    }
    apply(&Real { engine, site }, &plan, &context.events, context.stop.clone()).await.into_result()
}

/// Who the directory belongs to by now.
async fn root_of(engine: &Engine, stack: &Stack, frozen: &Frozen) -> Result<Option<Root>> {
    let Some(service) = stack.service(&frozen.service) else { return Ok(None) };
    let clone = clone_of(stack, service).map(|clone| &clone.volume);
    let mount = service.container.mounts.iter().find(|mount| Some(&mount.source) == clone);
    let Some(mount) = mount else { return Ok(None) };
    engine.root_of(&service.container.name, &mount.target).await.map(Some)
}

/// Everything that may be writing ends before the databases do, and these all at once.
fn ending(task: &TaskName, stack: &Stack) -> Plan {
    let mut plan = Plan::new(task.as_str(), OnFailure::StopBeginning);
    let mut quiet = Vec::new();
    for service in stack.services.iter().filter(|it| clone_of(stack, it).is_none()) {
        let name = service.container.name.clone();
        quiet.push(plan.add(Action::StopContainer { id: name.clone(), name }, Cause::Requested, &[]));
    }
    for service in stack.services.iter().filter(|it| clone_of(stack, it).is_some()) {
        let action = Action::Flush {
            service: service.name.clone(),
            container: service.container.name.clone(),
            question: service.question.clone(),
        };
        quiet.push(plan.add(action, Cause::Requested, &[]));
    }
    for service in stack.services.iter().filter(|it| clone_of(stack, it).is_some()) {
        let action = Action::Freeze {
            service: service.name.clone(),
            container: service.container.name.clone(),
            question: service.question.clone(),
        };
        plan.add(action, Cause::Requested, &quiet);
    }
    plan
}
