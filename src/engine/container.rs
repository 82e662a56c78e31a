//! Containers, as the engine lists them.

use std::{collections::BTreeMap, net::IpAddr};

use bollard::{
    models::{self, ContainerSummaryStateEnum, PortSummaryTypeEnum},
    query_parameters::ListContainersOptionsBuilder,
};

use super::{
    deadline,
    docker::{Engine, bounded, label_filters},
    labels,
};
use crate::error::Result;

/// A container, as one line of the engine's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id of it.
    pub id: String,
    /// Its name, without the engine's leading slash.
    pub name: String,
    /// The image it was made from, as it was named then.
    pub image: String,
    /// The id of that image.
    pub image_id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: State,
    /// The engine's own sentence about that, such as `Exited (1) 3 minutes ago`.
    pub status: String,
    /// The exit code, once it has exited. Read from the sentence, which carries no other.
    pub exit_code: Option<i64>,
    /// What its health check says, if it has one and runs.
    pub health: Option<Health>,
    /// The ports it publishes. Known only while it runs.
    pub ports: Vec<PublishedPort>,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// The networks it belongs to.
    pub networks: Vec<Attachment>,
    /// What is mounted into it.
    pub mounts: Vec<Mounted>,
}

impl Container {
    /// Whether it is one of `docker compose run`: of the project, and none of its services.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        self.labels.get(labels::compose::ONEOFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Made and never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// The engine is starting it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its process has ended.
    Exited,
    /// The engine failed to remove it.
    Dead,
}

/// What a health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not yet known.
    Starting,
    /// The check succeeds.
    Healthy,
    /// The check has failed too often.
    Unhealthy,
}

/// A port of the host that leads to one of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The host's address.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub target: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As the engine writes it after the port: `tcp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// A container's membership of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name.
    pub name: String,
    /// The network's id; empty until the container has been started.
    pub id: String,
    /// The container's address in it, while it runs.
    pub ip: Option<IpAddr>,
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// What sort of thing.
    pub kind: MountKind,
    /// The volume's name, where it is one.
    pub volume: Option<String>,
    /// Its directory on the engine's host.
    pub source: String,
    /// Where it is mounted.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// What sort of thing is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// A volume of the engine's.
    #[default]
    Volume,
    /// A path of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// Something newer than this program.
    Other,
}

impl Engine {
    /// The containers, running or not, that carry all these labels: a name alone, or a name with a value.
    pub async fn containers(&self, labels: &[(&str, Option<&str>)]) -> Result<Vec<Container>> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&label_filters(labels)).build();
        let listed = bounded(deadline::LOOK, self.docker.list_containers(Some(options)))
            .await
            .map_err(|failure| failure.into_error("cannot list containers"))?;
        Ok(listed.into_iter().map(container).collect())
    }
}

fn container(listed: models::ContainerSummary) -> Container {
    let status = listed.status.unwrap_or_default();
    let networks = listed.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Container {
        id: listed.id.unwrap_or_default(),
        name: own_name(listed.names.unwrap_or_default()),
        image: listed.image.unwrap_or_default(),
        image_id: listed.image_id.unwrap_or_default(),
        labels: listed.labels.unwrap_or_default().into_iter().collect(),
        state: state(listed.state),
        exit_code: exit_code(&status),
        health: health(&status),
        status,
        ports: published(listed.ports.unwrap_or_default()),
        created: listed.created.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()),
        networks: networks.into_iter().map(attachment).collect(),
        mounts: listed.mounts.unwrap_or_default().into_iter().map(mounted).collect(),
    }
}

/// Links give a container further names, `/other/alias`; its own has one slash.
fn own_name(names: Vec<String>) -> String {
    names
        .into_iter()
        .filter_map(|name| name.strip_prefix('/').map(str::to_owned))
        .find(|name| !name.contains('/'))
        .unwrap_or_default()
}

fn state(state: Option<ContainerSummaryStateEnum>) -> State {
    match state {
        Some(ContainerSummaryStateEnum::RUNNING) => State::Running,
        Some(ContainerSummaryStateEnum::PAUSED) => State::Paused,
        Some(ContainerSummaryStateEnum::RESTARTING) => State::Restarting,
        Some(ContainerSummaryStateEnum::REMOVING) => State::Removing,
        Some(ContainerSummaryStateEnum::EXITED) => State::Exited,
        Some(ContainerSummaryStateEnum::DEAD) => State::Dead,
        _ => State::Created,
    }
}

fn exit_code(status: &str) -> Option<i64> {
    status.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
}

fn health(status: &str) -> Option<Health> {
    if status.ends_with("(healthy)") {
        Some(Health::Healthy)
    } else if status.ends_with("(unhealthy)") {
        Some(Health::Unhealthy)
    } else if status.ends_with("(health: starting)") {
        Some(Health::Starting)
    } else {
        None
    }
}

fn published(ports: Vec<models::PortSummary>) -> Vec<PublishedPort> {
    let mut ports: Vec<PublishedPort> = ports
        .into_iter()
        .filter_map(|port| {
            Some(PublishedPort {
                host_ip: port.ip.and_then(|ip| ip.parse().ok()),
                host_port: port.public_port?,
                target: port.private_port,
                protocol: protocol(port.typ),
            })
        })
        .collect();
    ports.sort_by_key(|port| (port.target, port.host_port, port.host_ip));
    ports
}

fn protocol(of: Option<PortSummaryTypeEnum>) -> Protocol {
    match of {
        Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
        Some(PortSummaryTypeEnum::SCTP) => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

fn attachment((name, endpoint): (String, models::EndpointSettings)) -> Attachment {
    Attachment {
        name,
        id: endpoint.network_id.unwrap_or_default(),
        ip: endpoint.ip_address.and_then(|ip| ip.parse().ok()),
    }
}

pub(super) fn mounted(point: models::MountPoint) -> Mounted {
    let kind = match point.typ.as_deref() {
        Some("volume") => MountKind::Volume,
        Some("bind") => MountKind::Bind,
        Some("tmpfs") => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mounted {
        kind,
        volume: point.name.filter(|_| kind == MountKind::Volume),
        source: point.source.unwrap_or_default(),
        target: point.destination.unwrap_or_default(),
        read_only: point.rw == Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_and_health_are_read_from_the_engines_sentence() {
        assert_eq!(exit_code("Exited (137) 3 minutes ago"), Some(137));
        assert_eq!(exit_code("Up 2 seconds"), None);
        assert_eq!(health("Up 2 seconds (health: starting)"), Some(Health::Starting));
        assert_eq!(health("Up 2 minutes (healthy)"), Some(Health::Healthy));
        assert_eq!(health("Up 2 minutes (unhealthy)"), Some(Health::Unhealthy));
        assert_eq!(health("Up About a minute"), None);
    }

    #[test]
    fn a_linked_container_keeps_its_own_name() {
        assert_eq!(own_name(vec!["/web/db".into(), "/db".into()]), "db");
    }

    #[test]
    fn a_port_that_is_only_exposed_is_not_published() {
        let exposed = models::PortSummary { private_port: 5432, ..Default::default() };
        assert!(published(vec![exposed]).is_empty());
    }
}
