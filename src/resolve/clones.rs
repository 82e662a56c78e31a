//! Which volumes stand on snapshots: those that do already, and those that are yet to be made.

mod maker;

use std::collections::{BTreeMap, BTreeSet};

use super::Resolver;
use crate::compose::{Mount, MountKind, Project, Service, Volume as Declared};
use crate::converge::Learnt;
use crate::engine::{Engine, Volume, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::action::Content;
use crate::plan::desired::{CloneWanted, Stack};
use crate::record::{Data, On, Record};
use crate::settings::Storage;
use crate::snapshot::{
    self, BELOW, BaseWanted, Clone, Snapshot, Standing, driver_opts, generation, own_uppers, upper_name,
};
use crate::world::is_attached;
use maker::Maker;

/// A volume of the project that stands on a snapshot, or is to.
struct Standpoint {
    /// The service that writes into it.
    service: String,
    /// Its key in the project.
    volume: String,
    clone: Clone,
    /// What it begins with, where it is to be made.
    content: Content,
    /// Whether the snapshot has a manifest.
    has_manifest: bool,
    /// How the snapshot is made where none is there.
    base: Option<Standing>,
    /// The directory in which the engine keeps volumes, where it is to be made.
    volumes: String,
}

/// What can be decided now.
#[derive(Default)]
pub(super) struct Clones {
    standpoints: Vec<Standpoint>,
    /// What the data volumes are called, by their keys in the project.
    names: BTreeMap<String, String>,
    /// The sandbox's own volumes in whose place others came, or come.
    pub(super) superseded: Vec<String>,
    /// Whether a set-up has yet to see the databases: there are new ones. A cache alone is nothing to it, unless there is nothing else.
    pub(super) are_new: bool,
    /// The services that have no data, and for which none is pending.
    pub(super) bereft: Vec<String>,
    /// Whether the engine cannot mount overlays on its own storage.
    no_overlays: bool,
    /// Whether more can be decided once the images are here.
    pub(super) awaits_images: bool,
}

/// The data volume of a service that we can ask: the only one that it writes into.
struct DataVolume<'a> {
    service: &'a str,
    its: &'a Service,
    /// Its key in the project.
    volume: &'a str,
    target: &'a str,
}

impl DataVolume<'_> {
    /// Whether its service has databases that are made by name.
    fn has_databases(&self) -> bool {
        self.its.x_sandbox.as_ref().is_some_and(|it| !it.databases.is_empty())
    }

    /// Standing where it does, or is to.
    fn on(&self, clone: Clone) -> Standpoint {
        let (service, volume) = (self.service.to_owned(), self.volume.to_owned());
        // Where the sandbox stands on the snapshot already, nobody takes that away.
        let content = if clone.is_copied() { Content::Copy(None) } else { Content::Nothing(None) };
        Standpoint { service, volume, clone, content, has_manifest: false, base: None, volumes: String::new() }
    }
}

/// What the engine has.
struct Seen {
    /// The sandbox's own volumes.
    own: Vec<Volume>,
    /// All layers, whoever's.
    layers: Vec<Volume>,
    /// What the sandbox writes or wrote into, and nobody else stands on.
    own_uppers: Vec<String>,
    /// The snapshots that are whole.
    snapshots: Vec<Snapshot>,
    /// Whether what is new is in the pool.
    pooled: bool,
    /// Whether all clones are to be copies.
    copied: bool,
    /// Whether the engine cannot mount overlays on its own storage.
    refused: bool,
}

/// Decides for every data volume of a project.
pub(super) async fn choose(
    resolver: &Resolver<'_>,
    record: &Record,
    project: &Project,
    learnt: &Learnt,
) -> Result<Clones> {
    let Resolver { site, engine, ask, ground, .. } = *resolver;
    let seen = Seen::look(engine, record, site.settings.storage).await?;
    let nothing = Data::default();
    let pending = record.pending.as_ref().filter(|data| ask.data.is_some() || !seen.makes_void(data, project));
    let data = pending.unwrap_or(&nothing);
    let mut clones = Clones::default();
    let mut missing = Vec::new();
    for volume in data_volumes(project) {
        match seen.newest(volume.volume) {
            Some(there) if !data.replace.contains(&there.name) => clones.stands(&seen, record, &volume, there)?,
            _ => missing.push(volume),
        }
    }
    let makes_any = !missing.is_empty();
    let all = || data_volumes(project);
    clones.are_new = missing.iter().any(DataVolume::has_databases) || makes_any && !all().any(|it| it.has_databases());
    if record.pending.is_none() {
        clones.bereft = missing.iter().map(|it| it.service.to_owned()).collect();
    }
    clones.no_overlays = seen.refused;
    if makes_any {
        let maker = Maker { engine, record, ground, learnt, data, seen: &seen };
        maker.make(missing, &mut clones).await?;
    }
    if !clones.awaits_images {
        clones.superseded = seen.superseded(project, &clones);
    }
    Ok(clones)
}

/// What stands already.
pub(super) async fn there(engine: &Engine, record: &Record, project: &Project) -> Result<Clones> {
    let seen = Seen::look(engine, record, Storage::Auto).await?;
    let mut clones = Clones::default();
    for data in data_volumes(project) {
        if let Some(there) = seen.newest(data.volume) {
            clones.stands(&seen, record, &data, there)?;
        }
    }
    Ok(clones)
}

impl Seen {
    async fn look(engine: &Engine, record: &Record, storage: Storage) -> Result<Seen> {
        let ours = labels::of(&record.claim.identity);
        // Attached, that is: what cannot be is no place for anything new.
        let (own, layers, standing, has_pool) = tokio::try_join!(
            engine.volumes(&ours),
            engine.volumes(&[(labels::LAYER, None)]),
            engine.volumes(&[(labels::LAYERS, None)]),
            is_attached(engine)
        )?;
        let snapshots = snapshot::whole(&standing, &layers);
        let pooled = has_pool && storage == Storage::Auto;
        let copied = storage == Storage::Copy;
        let refused = snapshot::no_overlays(&snapshots);
        let uppers = own_uppers(&standing, &record.claim.identity);
        let own_uppers = uppers.into_iter().map(|upper| upper.name.clone()).collect();
        Ok(Seen { own, layers, own_uppers, snapshots, pooled, copied, refused })
    }

    /// The sandbox's own volumes for one of the project.
    fn generations<'a>(&'a self, volume: &'a str) -> impl Iterator<Item = &'a Volume> {
        let is_its = move |own: &&Volume| own.labels.get(labels::compose::VOLUME).is_some_and(|key| key == volume);
        self.own.iter().filter(is_its)
    }

    /// The last made of these.
    fn newest<'a>(&'a self, volume: &'a str) -> Option<&'a Volume> {
        self.generations(volume).max_by_key(|own| number(&own.name))
    }

    /// Whether what an earlier run was about to begin cannot be, because its snapshot is gone, while all that it would have
    /// replaced is there: then it has not begun.
    fn makes_void(&self, data: &Data, project: &Project) -> bool {
        let On::Snapshot(on) = &data.on else { return false };
        let is_there = |layer: &str| self.layers.iter().any(|it| it.name == layer);
        let is_gone = on.kind != snapshot::Kind::Passing && self.now(on).is_none();
        let stands =
            |volume: &DataVolume<'_>| self.newest(volume.volume).is_some_and(|it| data.replace.contains(&it.name));
        (is_gone || !on.layers().all(is_there)) && data_volumes(project).all(|volume| stands(&volume))
    }

    /// A snapshot as it is by now: it may have been put into the pool since.
    fn now(&self, on: &Snapshot) -> Option<&Snapshot> {
        self.snapshots.iter().find(|it| it.key == on.key && it.created == on.created)
    }

    /// A number that neither a volume of that name bears nor anything that one wrote into.
    fn next(&self, name: &str) -> u32 {
        let volumes = self.own.iter().filter_map(|own| generation(&own.name, name));
        let uppers = [false, true].map(|pooled| upper_name(name, pooled));
        // What a run that was killed has left unfinished is made anew in its place.
        let own: BTreeSet<&str> = self.own_uppers.iter().map(String::as_str).collect();
        let layers = self.layers.iter().filter(|layer| !own.contains(layer.name.as_str()));
        let layers: Vec<&Volume> = layers.collect();
        let uppers = uppers.iter().flat_map(|upper| layers.iter().filter_map(|it| generation(&it.name, upper)));
        volumes.chain(uppers).max().unwrap_or_default() + 1
    }

    /// What is in nobody's place any more, and nobody stands on.
    fn superseded(&self, project: &Project, clones: &Clones) -> Vec<String> {
        let kept: BTreeSet<&String> = clones.names.values().collect();
        let older = data_volumes(project).flat_map(|data| self.generations(data.volume));
        let older = older.filter(|own| !kept.contains(&own.name));
        let used: BTreeSet<&String> =
            clones.standpoints.iter().flat_map(|point| point.clone.layers.iter().chain([&point.clone.upper])).collect();
        let uppers = self.own_uppers.iter().filter(|upper| !used.contains(upper));
        // Through which a run that was killed looked at several layers.
        let views = self.own.iter().filter(|own| !own.labels.contains_key(labels::compose::VOLUME));
        older.chain(views).map(|volume| &volume.name).chain(uppers).cloned().collect()
    }
}

/// Which of its kind a volume is, by its name.
fn number(name: &str) -> u32 {
    name.rsplit_once('.').and_then(|(first, _)| generation(name, first)).unwrap_or(1)
}

impl Clones {
    /// Takes in a volume that is there: as it would be made here. What the engine has made in place of one that was gone is no
    /// clone, and where its directory was copied elsewhere the clone would go on at the old place.
    fn stands(&mut self, seen: &Seen, record: &Record, data: &DataVolume<'_>, volume: &Volume) -> Result<()> {
        self.names.insert(data.volume.to_owned(), volume.name.clone());
        let Some(mut clone) = Clone::of(volume) else { return Ok(()) };
        let of_name = |name: &String| seen.layers.iter().find(|layer| layer.name == *name);
        let upper = of_name(&clone.upper);
        let directory = upper.and_then(|it| it.mountpoint.strip_suffix(&format!("/{}/_data", clone.upper)));
        if clone.is_copied() {
            // It has all that was in them.
            clone.layers.retain(|layer| of_name(layer).is_some());
        }
        let again = directory.and_then(|volumes| clone.again(volumes));
        let missing = clone.layers.iter().chain([&clone.upper]).find(|layer| of_name(layer).is_none());
        if let Some(missing) = missing.or_else(|| (again.as_ref() != Some(&clone)).then_some(&volume.name)) {
            return Err(half_there(record, data.service, &volume.name, missing));
        }
        self.standpoints.push(data.on(clone));
        Ok(())
    }

    /// What a volume of the project is called, where that is not only by its key.
    pub(super) fn name(&self, volume: &str) -> Option<&String> {
        self.names.get(volume)
    }

    /// Puts them into the project: a volume for what each writes, and all that is below mounted beside it, since the engine
    /// removes what nobody uses.
    pub(super) fn put_into(&self, project: &mut Project) {
        for Standpoint { service, volume, clone, .. } in &self.standpoints {
            if let Some(volume) = project.volumes.get_mut(volume) {
                volume.driver = Some("local".into());
                volume.driver_opts.clone_from(&clone.driver_opts);
                volume.labels.extend(clone.labels());
            }
            let layers = clone.layers.iter().enumerate().map(|(number, layer)| (layer, format!("layer-{number}")));
            let below: Vec<(&String, String)> = layers.chain([(&clone.upper, "upper".to_owned())]).collect();
            for (layer, _) in &below {
                let name = Some((*layer).clone());
                project.volumes.insert((*layer).clone(), Declared { external: true, name, ..Declared::default() });
            }
            let Some(service) = project.services.get_mut(service) else { continue };
            for mount in &mut service.volumes {
                if let MountKind::Volume { source: Some(source), nocopy } = &mut mount.kind
                    && source == volume
                {
                    *nocopy = true;
                }
            }
            service.volumes.extend(below.into_iter().map(|(source, place)| Mount {
                target: format!("{BELOW}/{place}"),
                read_only: true,
                kind: MountKind::Volume { source: Some(source.clone()), nocopy: true },
            }));
        }
    }

    /// Says in the stack which of its volumes they are.
    pub(super) fn put_onto(self, stack: &mut Stack, record: &Record) {
        let Clones { standpoints, names, superseded, no_overlays, .. } = self;
        (stack.superseded, stack.no_overlays) = (superseded, no_overlays);
        for Standpoint { service, volume, clone, content, has_manifest, base, volumes } in standpoints {
            let Some(name) = names.get(&volume) else { continue };
            let Some(wanted) = stack.services.iter_mut().find(|it| it.name == service) else { continue };
            wanted.renamed_from.clone_from(&clone.databases);
            let base = base
                .map(|base| Box::new(BaseWanted::of(&service, &volume, &base, &wanted.container, &wanted.question)));
            let labels = clone.upper_labels(&record.claim.identity);
            let driver_opts = driver_opts(&clone.upper, &volumes);
            stack.clones.push(CloneWanted {
                volume: name.clone(),
                key: volume,
                service,
                upper: VolumeSpec { name: clone.upper, labels, driver_opts, ..VolumeSpec::default() },
                snapshot: clone.snapshot,
                layers: clone.layers,
                image: wanted.container.image.clone(),
                content,
                has_manifest,
                base,
            });
        }
    }
}

/// Nothing starts on half of its data.
fn half_there(record: &Record, service: &str, volume: &str, missing: &str) -> Error {
    let task = &record.claim.identity.task;
    Error::new(
        Kind::Service,
        format!("the data of {service} is not whole: of the volume {volume}, {missing} is gone, or is another by now"),
    )
    .because("somebody removed it, perhaps with `docker volume prune`, or the engine's directory was moved")
    .hint(format!("`sandbox reset --fresh {task}` begins with new databases"))
}

fn data_volumes(project: &Project) -> impl Iterator<Item = DataVolume<'_>> {
    project.services.iter().filter_map(|(name, service)| {
        service.x_sandbox.as_ref()?.ready?;
        let mut written =
            service.volumes.iter().filter(|mount| !mount.read_only).filter_map(|mount| match &mount.kind {
                MountKind::Volume { source: Some(source), .. } => Some((source.as_str(), mount.target.as_str())),
                _ => None,
            });
        let (Some((volume, target)), None) = (written.next(), written.next()) else { return None };
        let plain = project.volumes.get(volume).is_some_and(|it| !it.external && it.driver_opts.is_empty());
        plain.then_some(DataVolume { service: name, its: service, volume, target })
    })
}
