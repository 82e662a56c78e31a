//! Which volumes stand on snapshots: those that do already, and those that are yet to be made where a base snapshot can be
//! below them.

use std::collections::BTreeSet;

use super::{Ground, password};
use crate::compose::{Mount, MountKind, Project, Service, Volume};
use crate::converge::Learnt;
use crate::engine::{Engine, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::action::Secret;
use crate::plan::desired::{CloneWanted, Stack};
use crate::record::Record;
use crate::snapshot::{BELOW, BaseWanted, Clone, Shape, Standing, database_names, upper_of};

/// A volume of the project that stands on a snapshot, or is to.
pub(super) struct Standpoint {
    /// The service that writes into it.
    service: String,
    /// Its key in the project.
    volume: String,
    clone: Clone,
    /// How the snapshot is made where none is there.
    base: Option<Standing>,
}

/// What can be decided now.
#[derive(Default)]
pub(super) struct Clones {
    standpoints: Vec<Standpoint>,
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

/// Decides for every data volume of a project.
pub(super) async fn choose(
    engine: &Engine,
    record: &Record,
    project: &Project,
    ground: &Ground,
    learnt: &Learnt,
) -> Result<Clones> {
    let mut clones = standing(engine, record, project).await?;
    let known: BTreeSet<String> = clones.seen.iter().map(|volume| volume.name.clone()).collect();
    let name = &record.claim.names.project;
    let missing: Vec<DataVolume> = data_volumes(project)
        .filter(|data| !known.contains(&format!("{name}_{}", data.volume)))
        .filter(|data| !hides_password(data.its, &record.password))
        .collect();
    if missing.is_empty() || learnt.no_clones {
        return Ok(clones.found);
    }
    let (facts, snapshots) = tokio::try_join!(engine.facts(), crate::world::snapshots(engine))?;
    let directory = format!("{}/volumes", facts.root_dir);
    for data in missing {
        let reference = data.its.image.as_deref().unwrap_or_default();
        let Some(image) = engine.image(reference).await? else {
            clones.found.awaits_images = true;
            continue;
        };
        let shape = shape(&data, &image.id, record);
        let key = shape.key();
        let there = snapshots.iter().find(|snapshot| snapshot.key == key);
        let layers = match there {
            Some(snapshot) => snapshot.layers.clone(),
            None => vec![format!("sandbox_layer_{}_{}", crate::snapshot::short(&key), ground.nonce)],
        };
        let Some(layer) = layers.first().cloned() else { continue };
        let full = format!("{name}_{}", data.volume);
        let Some(clone) = Clone::over(&key, layers, &full, &directory, facts.rootless) else { continue };
        let target = data.target.to_owned();
        let base = match there {
            Some(_) => None,
            None => Some(Standing { key, layer, target, databases: shape.databases, throw_away: Secret(password()?) }),
        };
        clones.found.standpoints.push(Standpoint {
            service: data.service.to_owned(),
            volume: data.volume.to_owned(),
            clone,
            base,
        });
    }
    Ok(clones.found)
}

/// What stands already.
pub(super) async fn there(engine: &Engine, record: &Record, project: &Project) -> Result<Clones> {
    Ok(standing(engine, record, project).await?.found)
}

struct Seen {
    found: Clones,
    /// All volumes of the sandbox.
    seen: Vec<crate::engine::Volume>,
}

async fn standing(engine: &Engine, record: &Record, project: &Project) -> Result<Seen> {
    let ours = labels::of(&record.claim.identity);
    let (seen, layers) = tokio::try_join!(engine.volumes(&ours), engine.volumes(&[(labels::LAYER, None)]))?;
    let layers: BTreeSet<&str> = layers.iter().map(|volume| volume.name.as_str()).collect();
    let name = &record.claim.names.project;
    let mut found = Clones::default();
    for data in data_volumes(project) {
        let full = format!("{name}_{}", data.volume);
        let volume = seen.iter().find(|volume| volume.name == full);
        let Some(clone) = volume.and_then(Clone::of) else { continue };
        let upper = upper_of(&full);
        let mut below = clone.layers.iter().filter(|layer| !layers.contains(layer.as_str()));
        let there = seen.iter().find(|it| it.name == upper);
        // As it would be made here: what the engine has made in place of one that was gone is none, and where its directory was
        // copied elsewhere the clone would go on at the old place.
        let directory = there.and_then(|it| it.mountpoint.strip_suffix(&format!("/{upper}/_data")));
        let again = directory.and_then(|volumes| clone.again(&full, volumes));
        let missing = below.next().cloned().or_else(|| there.is_none().then(|| upper.clone()));
        let missing = missing.or_else(|| (again.as_ref() != Some(&clone)).then(|| full.clone()));
        if let Some(missing) = missing {
            return Err(half_there(record, data.service, &full, &missing));
        }
        let (service, volume) = (data.service.to_owned(), data.volume.to_owned());
        found.standpoints.push(Standpoint { service, volume, clone, base: None });
    }
    Ok(Seen { found, seen })
}

/// Nothing starts on half of its data.
fn half_there(record: &Record, service: &str, volume: &str, missing: &str) -> Error {
    let task = &record.claim.identity.task;
    Error::new(
        Kind::Service,
        format!("the data of {service} is not whole: of the volume {volume}, {missing} is gone, or is another by now"),
    )
    .because("somebody removed it, perhaps with `docker volume prune`, or the engine's directory was moved")
    .hint(format!("`sandbox reset {task}` begins with new databases"))
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

/// Whether the sandbox's password is part of something longer: that would be a shape of its own, and the password no secret.
fn hides_password(service: &Service, password: &str) -> bool {
    let values = service.environment.values().flatten().filter(|value| *value != password);
    let words = [&service.entrypoint, &service.command].into_iter().flatten().flatten();
    values.chain(words).any(|text| text.contains(password))
}

fn shape<'a>(data: &DataVolume<'a>, image_id: &'a str, record: &'a Record) -> Shape<'a> {
    Shape {
        image_id,
        target: data.target,
        databases: data.its.x_sandbox.as_ref().map_or(0, |x| x.databases.len()),
        environment: &data.its.environment,
        own_password: &record.password,
        user: data.its.user.as_ref(),
        entrypoint: data.its.entrypoint.as_ref(),
        command: data.its.command.as_ref(),
    }
}

impl Clones {
    /// Puts them into the project: a volume for what each writes, and all that is below mounted beside it, since the engine
    /// removes what nobody uses.
    pub(super) fn put_into(&self, project: &mut Project) {
        for Standpoint { service, volume, clone, .. } in &self.standpoints {
            let upper = upper_of(volume);
            if let Some(volume) = project.volumes.get_mut(volume) {
                volume.driver = Some("local".into());
                volume.driver_opts.clone_from(&clone.driver_opts);
                volume.labels.extend(clone.labels());
            }
            let snapshot = [(labels::SNAPSHOT.to_owned(), clone.snapshot.clone())].into();
            project.volumes.insert(upper.clone(), Volume { labels: snapshot, ..Volume::default() });
            let below =
                clone.layers.iter().enumerate().map(|(number, layer)| (layer.clone(), format!("layer-{number}")));
            for (layer, _) in below.clone() {
                project
                    .volumes
                    .insert(layer.clone(), Volume { external: true, name: Some(layer), ..Volume::default() });
            }
            let Some(service) = project.services.get_mut(service) else { continue };
            for mount in &mut service.volumes {
                if let MountKind::Volume { source: Some(source), nocopy } = &mut mount.kind
                    && source == volume
                {
                    *nocopy = true;
                }
            }
            service.volumes.extend(below.chain([(upper, "upper".to_owned())]).map(|(source, place)| Mount {
                target: format!("{BELOW}/{place}"),
                read_only: true,
                kind: MountKind::Volume { source: Some(source), nocopy: true },
            }));
        }
    }

    /// Says in the stack which of its volumes they are.
    pub(super) fn put_onto(self, stack: &mut Stack, project: &Project, record: &Record) {
        let name = &record.claim.names.project;
        for Standpoint { service, volume, clone, base } in self.standpoints {
            let full = format!("{name}_{volume}");
            let upper = stack.volumes.iter().find(|it| it.name == upper_of(&full)).cloned();
            let databases =
                project.services.get(&service).and_then(|it| it.x_sandbox.as_ref()).map(|x| x.databases.len());
            let Some(wanted) = stack.services.iter_mut().find(|it| it.name == service) else { continue };
            wanted.renamed_from = database_names(databases.unwrap_or_default());
            let base = base.map(|base| Box::new(BaseWanted::of(&service, &base, &wanted.container, &wanted.question)));
            let image = wanted.container.image.clone();
            stack.clones.extend(upper.map(|upper| CloneWanted {
                volume: full,
                upper,
                snapshot: clone.snapshot,
                layers: clone.layers,
                image,
                base,
            }));
        }
    }
}
