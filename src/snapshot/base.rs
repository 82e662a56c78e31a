//! Base snapshots: what a service's first start makes of an empty volume, kept so that it is done once.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::engine::{ContainerSpec, MountKind, MountSpec, Port, Restart, labels};
use crate::hex::hex;
use crate::plan::action::{Question, Secret};

/// Changes when what is done to make one changes.
const VERSION: &str = "2";

/// A base snapshot that is to be there.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseWanted {
    /// What tells it from every other.
    pub key: String,
    /// The service whose it is.
    pub service: String,
    /// The volume's key in the Compose file.
    pub volume: String,
    /// The volume that is to become its layer.
    pub layer: String,
    /// What the driver is told of it.
    pub driver_opts: BTreeMap<String, String>,
    /// Where the data is, in the container.
    pub target: String,
    /// What makes it.
    pub container: ContainerSpec,
    /// How it is asked whether it is ready, on a port that is not known yet.
    pub question: Question,
    /// The databases that are made in it, for clones to rename.
    pub databases: Vec<String>,
}

/// All that decides what a first start makes.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The id of the image.
    pub image_id: &'a str,
    /// Where the data is, in the container.
    pub target: &'a str,
    /// How many databases are made.
    pub databases: usize,
    /// Whether it is in the pool.
    pub pooled: bool,
    /// The environment.
    pub environment: &'a BTreeMap<String, Option<String>>,
    /// What in it is the sandbox's own, and shapes nothing.
    pub own_password: &'a str,
    /// The user.
    pub user: Option<&'a String>,
    /// The program.
    pub entrypoint: Option<&'a Vec<String>>,
    /// Its arguments.
    pub command: Option<&'a Vec<String>>,
}

impl Shape<'_> {
    /// The key of the base snapshot: the same for all sandboxes of one shape.
    #[must_use]
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        // Lengths keep one part's end from being another's beginning.
        let mut part = |name: &str, text: &str| hash.update(format!("{name} {}\n{text}\n", text.len()));
        part("version", VERSION);
        part("image", self.image_id);
        part("target", self.target);
        part("databases", &self.databases.to_string());
        part("pooled", &self.pooled.to_string());
        for (name, value) in self.environment {
            let value = value.as_ref().filter(|value| *value != self.own_password);
            part("variable", name);
            part("value", &format!("{value:?}"));
        }
        part("user", &format!("{:?}", self.user));
        part("entrypoint", &format!("{:?}", self.entrypoint));
        part("command", &format!("{:?}", self.command));
        hex(&hash.finalize())
    }
}

impl BaseWanted {
    /// What makes the base of a service: its own container, without all that is its sandbox's. The password is another, and
    /// known to nobody afterwards.
    #[must_use]
    pub fn of(
        service: &str,
        volume: &str,
        standing: &Standing,
        container: &ContainerSpec,
        question: &Question,
    ) -> BaseWanted {
        let Standing { key, layer, driver_opts, target, databases, throw_away } = standing;
        let own = question.login().map(|login| login.password.clone());
        let other = |value: Option<String>| {
            if value.is_some() && value == own.as_ref().map(|own| own.0.clone()) {
                Some(throw_away.0.clone())
            } else {
                value
            }
        };
        let asked = question.login().map(|login| login.address.port());
        let ports = container.ports.iter().filter(|port| Some(port.host_port) == asked);
        BaseWanted {
            key: key.clone(),
            service: service.to_owned(),
            volume: volume.to_owned(),
            layer: layer.clone(),
            driver_opts: driver_opts.clone(),
            target: target.clone(),
            container: ContainerSpec {
                // No other user of the engine makes one of that name.
                name: layer.replacen("_layer_", "_base_", 1),
                env: container.env.iter().map(|(name, value)| (name.clone(), other(value.clone()))).collect(),
                labels: [(labels::BASE.to_owned(), key.clone())].into(),
                // The engine chooses one.
                ports: ports.map(|port| Port { host_port: 0, ..port.clone() }).collect(),
                mounts: container.mounts.iter().filter_map(|mount| mounted(mount, target, layer)).collect(),
                networks: Vec::new(),
                // Should we be killed, the engine does not start it again.
                restart: Restart::No,
                healthcheck: None,
                hostname: None,
                ..container.clone()
            },
            question: question.with_password(throw_away),
            databases: database_names(*databases),
        }
    }
}

/// Where a service's data stands on a base that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key of the base.
    pub key: String,
    /// The volume that is to become its layer.
    pub layer: String,
    /// What the driver is told of it.
    pub driver_opts: BTreeMap<String, String>,
    /// Where the data is, in the container.
    pub target: String,
    /// How many databases are made in it.
    pub databases: usize,
    /// The password while it is made.
    pub throw_away: Secret,
}

/// The names that a base's databases have until a clone gives them its own.
#[must_use]
pub fn database_names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("sandbox_{number}")).collect()
}

/// Of the volumes the data alone: others are the sandbox's.
fn mounted(mount: &MountSpec, target: &str, layer: &str) -> Option<MountSpec> {
    if mount.kind != MountKind::Volume {
        return Some(mount.clone());
    }
    if mount.target != target {
        return None;
    }
    let layer = layer.to_owned();
    Some(MountSpec { source: layer, nocopy: false, volume_labels: BTreeMap::new(), ..mount.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(password: &str, locale: &str) -> BTreeMap<String, Option<String>> {
        [("PASSWORD", password), ("LOCALE", locale)].map(|(name, value)| (name.into(), Some(value.into()))).into()
    }

    #[test]
    fn what_shapes_the_data_changes_the_key_and_the_password_does_not() {
        let (own, others) = (variables("s3cret", "C"), variables("0ther", "C"));
        let (fixed, elsewhere) = (variables("fixed", "C"), variables("s3cret", "de"));
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (command, longer) = (words(&["postgres"]), words(&["postgres", "-c", "x=1"]));
        let user = "999".to_owned();
        let shape = Shape {
            image_id: "sha256:1",
            target: "/data",
            databases: 2,
            pooled: false,
            environment: &own,
            own_password: "s3cret",
            user: None,
            entrypoint: None,
            command: Some(&command),
        };
        let one = shape.key();
        assert_eq!(one.len(), 64);
        assert_eq!(one, Shape { environment: &others, own_password: "0ther", ..shape }.key());
        let different = [
            Shape { image_id: "sha256:2", ..shape },
            Shape { target: "/elsewhere", ..shape },
            Shape { databases: 3, ..shape },
            Shape { pooled: true, ..shape },
            Shape { environment: &fixed, ..shape },
            Shape { environment: &elsewhere, ..shape },
            Shape { user: Some(&user), ..shape },
            Shape { entrypoint: Some(&command), ..shape },
            Shape { command: Some(&longer), ..shape },
            Shape { command: None, ..shape },
        ];
        for other in different {
            assert_ne!(one, other.key(), "{other:?}");
        }
    }
}
