//! One container, as the engine tells it on inspection.

use std::collections::BTreeMap;

use bollard::{
    models::{self, ContainerStateStatusEnum, HealthStatusEnum},
    query_parameters::InspectContainerOptions,
};
use futures::future::try_join_all;

use super::{
    container::{Container, Health, Mounted, State, mounted},
    deadline,
    docker::{Engine, bounded, moment},
};
use crate::error::Result;

/// What only an inspection tells about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The engine's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its image.
    pub image_id: String,
    /// What it is doing.
    pub state: State,
    /// The exit code of its last run; `None` while it runs and before it first ran.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// Why the engine could not start it, in the engine's words.
    pub error: Option<String>,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// What the health check printed last.
    pub health_output: Option<String>,
    /// How often the engine has started it again by itself.
    pub restart_count: u64,
    /// When its process was last started.
    pub started_at: Option<jiff::Timestamp>,
    /// When its process last ended.
    pub finished_at: Option<jiff::Timestamp>,
    /// Its environment, the image's part included. The first of two entries for a name counts.
    pub env: BTreeMap<String, String>,
    /// Its arguments after the entrypoint.
    pub command: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has a terminal, which leaves it one stream of output.
    pub tty: bool,
    /// What is mounted into it.
    pub mounts: Vec<Mounted>,
}

impl Engine {
    /// Looks at one container, by id or name; `None` where there is none.
    pub async fn inspect(&self, id: &str) -> Result<Option<Details>> {
        let request = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        match bounded(deadline::LOOK, request).await {
            Ok(found) => Ok(Some(details(found))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into_error(&format!("cannot look at container {id}"))),
        }
    }

    /// Lists the containers with all of these labels, and asks those that the list does not say run what they do.
    pub async fn containers_looked_at(&self, labels: &[(&str, Option<&str>)]) -> Result<Vec<Container>> {
        let mut containers = self.containers(labels).await?;
        self.look_closer(containers.iter_mut().filter(|it| it.state != State::Running)).await?;
        Ok(containers)
    }

    /// Asks each of these what it does. Where the engine could not write that down, because its disk was full, its list goes on
    /// telling what was so before.
    pub async fn look_closer(&self, containers: impl Iterator<Item = &mut Container>) -> Result<()> {
        let looks = containers.map(async |container| {
            if let Some(details) = self.inspect(&container.id).await? {
                (container.state, container.exit_code) = (details.state, details.exit_code);
            }
            Ok(())
        });
        try_join_all(looks).await.map(drop)
    }
}

fn details(found: models::ContainerInspectResponse) -> Details {
    let seen = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let state = state(seen.status);
    let started_at = moment(seen.started_at.as_deref());
    let ended = started_at.is_some() && matches!(state, State::Exited | State::Dead | State::Restarting);
    let health = seen.health.unwrap_or_default();
    Details {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image_id: found.image.unwrap_or_default(),
        state,
        exit_code: seen.exit_code.filter(|_| ended),
        oom_killed: seen.oom_killed.unwrap_or_default(),
        error: seen.error.filter(|error| !error.is_empty()),
        health: self::health(health.status),
        health_output: health.log.and_then(|mut log| log.pop()).and_then(|last| last.output),
        restart_count: found.restart_count.and_then(|count| count.try_into().ok()).unwrap_or_default(),
        started_at,
        finished_at: moment(seen.finished_at.as_deref()),
        env: env(config.env.unwrap_or_default()),
        command: config.cmd.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        tty: config.tty.unwrap_or_default(),
        mounts: found.mounts.unwrap_or_default().into_iter().map(mounted).collect(),
    }
}

fn state(status: Option<ContainerStateStatusEnum>) -> State {
    match status {
        Some(ContainerStateStatusEnum::RUNNING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => State::Removing,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        _ => State::Created,
    }
}

fn health(status: Option<HealthStatusEnum>) -> Option<Health> {
    match status {
        Some(HealthStatusEnum::STARTING) => Some(Health::Starting),
        Some(HealthStatusEnum::HEALTHY) => Some(Health::Healthy),
        Some(HealthStatusEnum::UNHEALTHY) => Some(Health::Unhealthy),
        _ => None,
    }
}

/// `NAME=value` entries as a map.
pub(super) fn env(entries: Vec<String>) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for entry in entries {
        let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
        map.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_contain_the_equals_sign() {
        assert_eq!(env(vec!["A=b=c".into(), "B=".into(), "C".into()])["A"], "b=c");
    }

    #[test]
    fn a_container_that_never_ran_has_no_exit_code() {
        let seen = models::ContainerState {
            status: Some(ContainerStateStatusEnum::CREATED),
            exit_code: Some(0),
            started_at: Some("0001-01-01T00:00:00Z".into()),
            ..Default::default()
        };
        let found = models::ContainerInspectResponse { state: Some(seen), ..Default::default() };
        assert_eq!(details(found).exit_code, None);
    }
}
