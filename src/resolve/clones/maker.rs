//! Where volumes stand that are yet to be made.

use std::collections::BTreeSet;

use super::{Clones, DataVolume, Seen, Standpoint};
use crate::compose::Service;
use crate::converge::Learnt;
use crate::engine::{Engine, Root, VolumeSpec};
use crate::error::{Error, Kind, Result};
use crate::plan::action::{Content, Secret};
use crate::record::{Data, On, Record};
use crate::resolve::{Ground, password};
use crate::snapshot::{
    self, Clone, Frozen, Shape, Snapshot, Standing, can_be_told, database_names, driver_opts, is_pooled, layer_name,
    nth, short, upper_name,
};

/// Everything that is needed to decide where a new volume stands.
pub(super) struct Maker<'a> {
    pub(super) engine: &'a Engine,
    pub(super) record: &'a Record,
    pub(super) ground: &'a Ground,
    pub(super) learnt: &'a Learnt,
    pub(super) data: &'a Data,
    pub(super) seen: &'a Seen,
}

/// A volume that is to be made.
struct New<'a> {
    data: &'a DataVolume<'a>,
    /// What the first of its kind is called.
    first: String,
    /// Which of its kind it is.
    number: u32,
    /// Where the engine keeps volumes, and whether it runs without root.
    place: (&'a str, bool),
    /// Whether it is to be a copy.
    copied: bool,
    /// Whether it has to be one, but in the pool.
    refused: bool,
}

impl New<'_> {
    /// Over some layers, whose top directory belongs to somebody; beside them in the pool, if they are there. None where the
    /// kernel could not be told so.
    fn over(
        &self,
        snapshot: &str,
        layers: Vec<String>,
        databases: Vec<String>,
        root: Option<Root>,
    ) -> Option<Standpoint> {
        let (volumes, rootless) = self.place;
        let pooled = !self.copied && layers.first().is_some_and(|layer| is_pooled(layer));
        let upper = nth(&upper_name(&self.first, pooled), self.number);
        if pooled || !(self.copied || self.refused) {
            let clone = Clone::over(snapshot, layers, upper, databases, self.place)?;
            let content = Content::Nothing(root);
            return Some(Standpoint { volumes: volumes.to_owned(), content, ..self.data.on(clone) });
        }
        let view = match &*layers {
            [_] => None,
            many => Some(VolumeSpec {
                name: format!("{upper}_view"),
                driver_opts: Clone::view(many, volumes, rootless)?,
                ..VolumeSpec::default()
            }),
        };
        let clone = Clone::copied(snapshot, layers, upper, databases, volumes)?;
        Some(Standpoint { volumes: volumes.to_owned(), content: Content::Copy(view), ..self.data.on(clone) })
    }
}

impl Maker<'_> {
    pub(super) async fn make(&self, missing: Vec<DataVolume<'_>>, clones: &mut Clones) -> Result<()> {
        let mut place = None;
        for data in missing {
            let first = format!("{}_{}", self.record.claim.names.project, data.volume);
            let number = self.seen.next(&first);
            clones.names.insert(data.volume.to_owned(), nth(&first, number));
            let stands = match &self.data.on {
                // Nobody has asked for it by name: where it is gone, they begin anew.
                On::Snapshot(on) if on.kind == snapshot::Kind::Prepared && self.seen.now(on).is_none() => None,
                On::Snapshot(on) => {
                    let on = self.seen.now(on).unwrap_or(on);
                    on.of_volume(data.volume).map(|frozen| (on, frozen))
                }
                On::Base | On::Same => None,
            };
            let is_plain = self.learnt.no_clones && stands.is_none() || hides_password(data.its, &self.record.password);
            if is_plain {
                continue;
            }
            if place.is_none() {
                let facts = self.engine.facts().await?;
                place = Some((format!("{}/volumes", facts.root_dir), facts.rootless));
            }
            let place = place.as_ref().map_or(("", false), |(volumes, rootless)| (volumes.as_str(), *rootless));
            let (copied, refused) = (self.seen.copied || !can_be_told(place.0), self.seen.refused);
            let new = New { data: &data, first, number, place, copied, refused };
            let point = match stands {
                Some((on, frozen)) => Some(self.on(on, frozen, &new)?),
                None => match self.again(&new) {
                    None => self.base(&new, clones).await?,
                    point => point,
                },
            };
            clones.standpoints.extend(point);
        }
        Ok(())
    }

    /// On what was asked for, or nothing.
    fn on(&self, on: &Snapshot, frozen: &Frozen, new: &New<'_>) -> Result<Standpoint> {
        let (service, title) = (new.data.service, on.title());
        let image = new.data.its.image.as_deref().unwrap_or_default();
        if image != frozen.image {
            let what = format!("the snapshot {title} holds data of {}, and {service} runs {image}", frozen.image);
            return Err(Error::new(Kind::Service, what).hint(
                "no image reads what another wrote: set the image that it was made with, or choose another snapshot",
            ));
        }
        let there: BTreeSet<&str> = self.seen.layers.iter().map(|layer| layer.name.as_str()).collect();
        let fresh = format!("`sandbox reset --fresh {}` begins with new databases", self.record.claim.identity.task);
        if let Some(gone) = frozen.layers.iter().find(|layer| !there.contains(layer.as_str())) {
            return Err(Error::new(Kind::Service, format!("the snapshot {title} is not whole: {gone} is gone"))
                .because("somebody removed it, perhaps with `docker volume prune`")
                .hint(fresh));
        }
        let depth = frozen.layers.len();
        let Frozen { layers, databases, root, .. } = frozen.clone();
        let point = new.over(&on.key, layers, databases, root).ok_or_else(|| {
            Error::new(Kind::Service, format!("{service} would stand on {depth} layers, too many to mount")).hint(fresh)
        })?;
        Ok(Standpoint { has_manifest: on.kind != snapshot::Kind::Passing, ..point })
    }

    async fn base(&self, new: &New<'_>, clones: &mut Clones) -> Result<Option<Standpoint>> {
        let data = new.data;
        let reference = data.its.image.as_deref().unwrap_or_default();
        let Some(image) = self.engine.image(reference).await? else {
            clones.awaits_images = true;
            return Ok(None);
        };
        let shape = Shape { pooled: self.seen.pooled, ..shape(data, &image.id, self.record) };
        let key = shape.key();
        let there = self.seen.snapshots.iter().find(|snapshot| snapshot.key == key).and_then(|it| it.frozen.first());
        let layers = match there {
            Some(frozen) => frozen.layers.clone(),
            None => vec![layer_name(&format!("{}_{}", short(&key), self.ground.nonce), shape.pooled)],
        };
        let Some(layer) = layers.first().cloned() else { return Ok(None) };
        let root = there.and_then(|frozen| frozen.root);
        let Some(point) = new.over(&key, layers, database_names(shape.databases), root) else { return Ok(None) };
        let base = match there {
            Some(_) => None,
            None => Some(Standing {
                key,
                driver_opts: driver_opts(&layer, new.place.0),
                layer,
                target: data.target.to_owned(),
                databases: shape.databases,
                throw_away: Secret(password()?),
            }),
        };
        Ok(Some(Standpoint { has_manifest: true, base, ..point }))
    }

    /// On what the volume stood on in whose place it comes, if that is asked for and there: of a copy that may be gone.
    fn again(&self, new: &New<'_>) -> Option<Standpoint> {
        let newest = self.seen.newest(new.data.volume).filter(|_| self.data.on == On::Same)?;
        let Clone { snapshot, layers, databases, .. } = Clone::of(newest)?;
        let there = |layer: &String| self.seen.layers.iter().any(|it| it.name == *layer);
        if layers.is_empty() || !layers.iter().all(there) {
            return None;
        }
        let frozen = self.seen.snapshots.iter().flat_map(|it| &it.frozen).find(|frozen| frozen.layers == layers);
        let root = frozen.and_then(|frozen| frozen.root);
        new.over(&snapshot, layers, databases, root)
    }
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
        pooled: false,
        environment: &data.its.environment,
        own_password: &record.password,
        user: data.its.user.as_ref(),
        entrypoint: data.its.entrypoint.as_ref(),
        command: data.its.command.as_ref(),
    }
}
