//! Where volumes stand that are yet to be made.

use std::collections::BTreeSet;

use super::{Clones, DataVolume, Seen, Standpoint};
use crate::compose::Service;
use crate::converge::Learnt;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::plan::action::Secret;
use crate::record::{Data, On, Record};
use crate::resolve::{Ground, password};
use crate::snapshot::{self, Clone, Frozen, Shape, Snapshot, Standing, database_names, nth, short, upper_name};

/// Everything that is needed to decide where a new volume stands.
pub(super) struct Maker<'a> {
    pub(super) engine: &'a Engine,
    pub(super) record: &'a Record,
    pub(super) ground: &'a Ground,
    pub(super) learnt: &'a Learnt,
    pub(super) data: &'a Data,
    pub(super) seen: &'a Seen,
}

impl Maker<'_> {
    pub(super) async fn make(&self, missing: Vec<DataVolume<'_>>, clones: &mut Clones) -> Result<()> {
        let mut facts = None;
        let snapshots = snapshot::whole(&self.seen.standing, &self.seen.layers);
        for data in missing {
            let first = format!("{}_{}", self.record.claim.names.project, data.volume);
            let number = self.seen.next(&first);
            clones.names.insert(data.volume.to_owned(), nth(&first, number));
            let stands = match &self.data.on {
                On::Snapshot(on) => on.of_volume(data.volume).map(|frozen| (on, frozen)),
                On::Base | On::Same => None,
            };
            let is_plain = self.learnt.no_clones && stands.is_none() || hides_password(data.its, &self.record.password);
            if is_plain {
                continue;
            }
            if facts.is_none() {
                let facts_now = self.engine.facts().await?;
                facts = Some((format!("{}/volumes", facts_now.root_dir), facts_now.rootless));
            }
            let place = facts.as_ref().map_or(("", false), |(directory, rootless)| (directory.as_str(), *rootless));
            let upper = nth(&upper_name(&first), number);
            let point = match stands {
                Some((on, frozen)) => Some(self.on(on, frozen, &data, upper, place)?),
                None => match self.again(&data, &upper, place) {
                    None => self.base(&snapshots, &data, upper, place, clones).await?,
                    point => point,
                },
            };
            clones.standpoints.extend(point);
        }
        Ok(())
    }

    /// On what was asked for, or nothing.
    fn on(
        &self,
        on: &Snapshot,
        frozen: &Frozen,
        data: &DataVolume<'_>,
        upper: String,
        place: (&str, bool),
    ) -> Result<Standpoint> {
        let (service, title) = (data.service, on.title());
        let image = data.its.image.as_deref().unwrap_or_default();
        if image != frozen.image {
            return Err(Error::new(
                Kind::Service,
                format!("the snapshot {title} holds data of {}, and {service} runs {image}", frozen.image),
            )
            .hint(
                "no image reads what another wrote: set the image that it was made with, or choose another snapshot",
            ));
        }
        let there: BTreeSet<&str> = self.seen.layers.iter().map(|layer| layer.name.as_str()).collect();
        if let Some(gone) = frozen.layers.iter().find(|layer| !there.contains(layer.as_str())) {
            return Err(Error::new(Kind::Service, format!("the snapshot {title} is not whole: {gone} is gone"))
                .because("somebody removed it, perhaps with `docker volume prune`")
                .hint(format!(
                    "`sandbox reset --fresh {}` begins with new databases",
                    self.record.claim.identity.task
                )));
        }
        let clone = Clone::over(&on.key, frozen.layers.clone(), upper, frozen.databases.clone(), place);
        let clone = clone.ok_or_else(|| {
            Error::new(
                Kind::Service,
                format!("{service} would stand on {} layers, too many to mount", frozen.layers.len()),
            )
            .hint("`pg_dump` what is worth keeping; `sandbox reset --fresh TASK` begins with new databases")
        })?;
        Ok(Standpoint { root: frozen.root, has_manifest: on.kind != snapshot::Kind::Passing, ..data.on(clone) })
    }

    async fn base(
        &self,
        snapshots: &[Snapshot],
        data: &DataVolume<'_>,
        upper: String,
        place: (&str, bool),
        clones: &mut Clones,
    ) -> Result<Option<Standpoint>> {
        let reference = data.its.image.as_deref().unwrap_or_default();
        let Some(image) = self.engine.image(reference).await? else {
            clones.awaits_images = true;
            return Ok(None);
        };
        let shape = shape(data, &image.id, self.record);
        let key = shape.key();
        let there = snapshots.iter().find(|snapshot| snapshot.key == key).and_then(|it| it.frozen.first());
        let layers = match there {
            Some(frozen) => frozen.layers.clone(),
            None => vec![format!("sandbox_layer_{}_{}", short(&key), self.ground.nonce)],
        };
        let Some(layer) = layers.first().cloned() else { return Ok(None) };
        let Some(clone) = Clone::over(&key, layers, upper, database_names(shape.databases), place) else {
            return Ok(None);
        };
        let target = data.target.to_owned();
        let base = match there {
            Some(_) => None,
            None => Some(Standing { key, layer, target, databases: shape.databases, throw_away: Secret(password()?) }),
        };
        let root = there.and_then(|frozen| frozen.root);
        Ok(Some(Standpoint { root, has_manifest: true, base, ..data.on(clone) }))
    }

    /// On what the volume stood on in whose place it comes, if that is asked for and there.
    fn again(&self, data: &DataVolume<'_>, upper: &str, place: (&str, bool)) -> Option<Standpoint> {
        let newest = self.seen.newest(data.volume).filter(|_| self.data.on == On::Same)?;
        let Clone { snapshot, layers, databases, .. } = Clone::of(newest)?;
        let there = |layer: &String| self.seen.layers.iter().any(|it| it.name == *layer);
        if !layers.iter().all(there) {
            return None;
        }
        let clone = Clone::over(&snapshot, layers, upper.to_owned(), databases, place)?;
        Some(data.on(clone))
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
        environment: &data.its.environment,
        own_password: &record.password,
        user: data.its.user.as_ref(),
        entrypoint: data.its.entrypoint.as_ref(),
        command: data.its.command.as_ref(),
    }
}
