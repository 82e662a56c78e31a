//! Volumes: listing, making and removing them.

use std::collections::BTreeMap;

use bollard::{
    models,
    query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder},
};

use super::{
    deadline,
    docker::{Engine, bounded, label_filters, moment},
};
use crate::error::Result;

/// A volume, as the engine lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name, which is the only one of its kind.
    pub name: String,
    /// `local`, or a plugin's.
    pub driver: String,
    /// What its driver was told: for `local` the mount's `type`, `device` and `o`.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its directory on the engine's host.
    pub mountpoint: String,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
}

/// A volume to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// `local` unless said otherwise.
    pub driver: Option<String>,
    /// What its driver is told.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// The volumes that carry all these labels: a name alone, or a name with a value.
    pub async fn volumes(&self, labels: &[(&str, Option<&str>)]) -> Result<Vec<Volume>> {
        let options = ListVolumesOptionsBuilder::new().filters(&label_filters(labels)).build();
        let answer = bounded(deadline::LOOK, self.docker.list_volumes(Some(options)))
            .await
            .map_err(|failure| failure.into_error("cannot list volumes"))?;
        Ok(answer.volumes.unwrap_or_default().into_iter().map(volume).collect())
    }

    /// The volume of this name, if there is one.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>> {
        match bounded(deadline::LOOK, self.docker.inspect_volume(name)).await {
            Ok(found) => Ok(Some(volume(found))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into_error(&format!("cannot look at volume {name}"))),
        }
    }

    /// Makes a volume. To the engine one of that name and driver is the same volume, whatever its labels: look first.
    pub async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        let request = models::VolumeCreateRequest {
            name: Some(spec.name.clone()),
            driver: Some(spec.driver.clone().unwrap_or_else(|| "local".to_owned())),
            driver_opts: Some(spec.driver_opts.clone().into_iter().collect()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..Default::default()
        };
        bounded(deadline::CREATE, self.docker.create_volume(request))
            .await
            .map(drop)
            .map_err(|failure| failure.into_error(&format!("cannot create volume {}", spec.name)))
    }

    /// Removes a volume and what is in it. One that is gone already is removed; one in use is an error.
    pub async fn remove_volume(&self, name: &str) -> Result<()> {
        let options = RemoveVolumeOptionsBuilder::new().build();
        match bounded(deadline::REMOVE, self.docker.remove_volume(name, Some(options))).await {
            Err(failure) if failure.is_not_found() => Ok(()),
            outcome => outcome.map_err(|failure| failure.into_error(&format!("cannot remove volume {name}"))),
        }
    }
}

fn volume(found: models::Volume) -> Volume {
    Volume {
        name: found.name,
        driver: found.driver,
        driver_opts: found.options.into_iter().collect(),
        labels: found.labels.into_iter().collect(),
        mountpoint: found.mountpoint,
        created: moment(found.created_at.as_deref()),
    }
}
