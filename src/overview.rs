//! What sandboxes there are and how each is: what git and Docker say now, joined.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde::Serialize;

use crate::engine::{Container, Engine, Health, State, labels};
use crate::error::Result;
use crate::git::Presence;
use crate::record::{Record, Stage};
use crate::setup::Setup;
use crate::site::{Sandbox, Site};

/// How a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Every container runs.
    Running,
    /// Some containers run, or its making, a reset or its set-up stopped half-way.
    Partial,
    /// It has containers, and none runs.
    Stopped,
    /// It has no containers.
    Down,
    /// Its worktree's directory is gone.
    MissingWorktree,
    /// Its worktree was moved, and git does not know where to.
    Moved,
    /// Containers of a sandbox that git knows nothing of.
    Orphan,
    /// The engine does not answer.
    Unknown,
}

impl Condition {
    /// As it is shown and as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Running => "running",
            Condition::Partial => "partial",
            Condition::Stopped => "stopped",
            Condition::Down => "down",
            Condition::MissingWorktree => "missing-worktree",
            Condition::Moved => "moved",
            Condition::Orphan => "orphan",
            Condition::Unknown => "unknown",
        }
    }
}

impl Condition {
    /// The one command that makes a sandbox of this condition whole, or takes away what is left of it.
    #[must_use]
    pub fn mend(self, task: &str) -> Option<String> {
        match self {
            Condition::Running | Condition::Unknown => None,
            Condition::Stopped => Some(format!("sandbox start {task}")),
            Condition::Orphan => Some(format!("sandbox rm {task}")),
            Condition::Partial | Condition::Down | Condition::MissingWorktree | Condition::Moved => {
                Some(format!("sandbox up {task}"))
            }
        }
    }
}

/// A service's container, for people and machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceView {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The container's id.
    pub id: String,
    /// The engine's own sentence: `Up 3 minutes`.
    pub status: String,
    /// Whether it runs.
    pub running: bool,
    /// What its health check says.
    pub health: Option<&'static str>,
    /// The image's reference.
    pub image: String,
    /// Published ports: `127.0.0.1:15101`.
    pub ports: Vec<String>,
}

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// Its task.
    pub task: String,
    /// How it is.
    pub state: Condition,
    /// The one command that makes it whole, where it is not.
    pub mend: Option<String>,
    /// The branch checked out in its worktree.
    pub branch: Option<String>,
    /// Its worktree.
    pub worktree: String,
    /// Its Compose project.
    pub project: Option<String>,
    /// Its slot.
    pub slot: Option<u16>,
    /// Its ports.
    pub ports: BTreeMap<String, u16>,
    /// Where its application answers.
    pub app_url: Option<String>,
    /// Its subnet.
    pub subnet: Option<String>,
    /// When it was made.
    pub created: Option<String>,
    /// When it may be collected.
    pub expires: Option<String>,
    /// Why it must not be removed, where the user locked it.
    pub locked: Option<String>,
    /// How many services it has, whether or not there are containers of them.
    pub services_wanted: usize,
    /// Its containers.
    pub services: Vec<ServiceView>,
}

/// Every sandbox of a repository: those that git knows, and those of which something is left in the engine or the claims.
pub async fn all(site: &Site, engine: Option<&Engine>) -> Result<Vec<View>> {
    let repos = site.repo_identities()?;
    let found = match engine {
        Some(engine) => Some(in_engine(engine, &repos).await?),
        None => None,
    };
    let (containers, left) = found.map_or((None, BTreeSet::new()), |(containers, left)| (Some(containers), left));
    let registry = site.claims.read()?;
    let claimed = registry.claims.into_iter().filter(|claim| repos.contains(&claim.identity.repo));
    let claimed: BTreeSet<String> = claimed.map(|claim| claim.identity.task.to_string()).collect();
    let mut views = join(site, &site.sandboxes()?, containers.as_deref());
    let known: BTreeSet<String> = views.iter().map(|view| view.task.clone()).collect();
    for task in left.union(&claimed).filter(|task| !known.contains(*task)) {
        // With nothing but a claim it has hardly begun.
        let state = if left.contains(task) { Condition::Orphan } else { Condition::Partial };
        views.push(View { state, mend: state.mend(task), ..orphan(task, &[]) });
    }
    views.sort_by(|a, b| a.task.cmp(&b.task));
    Ok(views)
}

/// The containers of a repository, and the tasks that have networks or volumes.
async fn in_engine(engine: &Engine, repos: &BTreeSet<String>) -> Result<(Vec<Container>, BTreeSet<String>)> {
    let of_repo = async |repo: &str| {
        let ours = [(labels::REPO, Some(repo)), (labels::TASK, None)];
        tokio::try_join!(engine.containers(&ours), engine.volumes(&ours))
    };
    let (found, networks) =
        tokio::try_join!(try_join_all(repos.iter().map(|repo| of_repo(repo.as_str()))), engine.networks())?;
    let ours = networks.into_iter().filter(|it| it.labels.get(labels::REPO).is_some_and(|repo| repos.contains(repo)));
    let mut left: Vec<BTreeMap<String, String>> = ours.map(|network| network.labels).collect();
    let mut containers = Vec::new();
    for (of_repo, volumes) in found {
        containers.extend(of_repo);
        left.extend(volumes.into_iter().map(|volume| volume.labels));
    }
    Ok((containers, left.into_iter().filter_map(|mut its| its.remove(labels::TASK)).collect()))
}

fn join(site: &Site, sandboxes: &[Sandbox], containers: Option<&[Container]>) -> Vec<View> {
    let mut by_task: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    for container in containers.unwrap_or_default() {
        by_task.entry(container.labels.get(labels::TASK).map_or("", String::as_str)).or_default().push(container);
    }
    let known: BTreeSet<&str> = sandboxes.iter().map(|sandbox| sandbox.task().as_str()).collect();
    let mut views: Vec<View> = sandboxes
        .iter()
        .map(|sandbox| {
            of_sandbox(
                site,
                sandbox,
                by_task.get(sandbox.task().as_str()).map_or(&[], Vec::as_slice),
                containers.is_some(),
            )
        })
        .collect();
    let orphans = by_task.iter().filter(|(task, _)| !known.contains(*task));
    views.extend(orphans.map(|(task, containers)| orphan(task, containers)));
    views
}

fn of_sandbox(site: &Site, sandbox: &Sandbox, containers: &[&Container], engine_answers: bool) -> View {
    let Record { claim, created, stage, images, pending, .. } = &sandbox.record;
    // Its databases were begun, or what is to be run in them was, and not brought to an end.
    let is_owed = !site.settings.setup.is_empty() && Setup::is_due(&sandbox.record);
    let is_half_way = is_owed || pending.is_some();
    let is_of = |container: &&Container, service: &str| {
        container.labels.get(labels::SERVICE).map(String::as_str) == Some(service) && !container.is_one_off()
    };
    let runs = |service: &String| containers.iter().any(|it| is_of(it, service) && it.state == State::Running);
    let running = images.keys().filter(|service| runs(service)).count();
    let state = match () {
        () if site.repo.moved_to(&sandbox.worktree).is_some() => Condition::Moved,
        () if sandbox.worktree.is_gone() => Condition::MissingWorktree,
        () if !engine_answers || sandbox.worktree.presence == Presence::Unknown => Condition::Unknown,
        () if *stage < Stage::Established => Condition::Partial,
        () if containers.is_empty() => Condition::Down,
        () if running == 0 => Condition::Stopped,
        () if running < images.len() || is_half_way => Condition::Partial,
        () => Condition::Running,
    };
    View {
        task: claim.identity.task.to_string(),
        state,
        mend: state.mend(claim.identity.task.as_str()),
        branch: sandbox.worktree.branch.clone(),
        worktree: sandbox.worktree.path.display().to_string(),
        project: Some(claim.names.project.clone()),
        slot: Some(claim.slot),
        app_url: claim.app_url(),
        ports: claim.ports.clone(),
        subnet: Some(claim.subnet.to_string()),
        created: Some(created.clone()),
        expires: sandbox.record.expires.clone(),
        locked: sandbox.worktree.locked_by_user().map(str::to_owned),
        services_wanted: images.len(),
        services: services(containers),
    }
}

fn orphan(task: &str, containers: &[&Container]) -> View {
    let label = |name: &str| containers.first().and_then(|container| container.labels.get(name).cloned());
    View {
        task: task.to_owned(),
        state: Condition::Orphan,
        mend: Condition::Orphan.mend(task),
        branch: None,
        worktree: label(labels::WORKTREE).unwrap_or_default(),
        project: label(labels::compose::PROJECT),
        slot: None,
        ports: BTreeMap::new(),
        app_url: None,
        subnet: None,
        created: label(labels::CREATED),
        expires: None,
        locked: None,
        services_wanted: containers.len(),
        services: services(containers),
    }
}

fn services(containers: &[&Container]) -> Vec<ServiceView> {
    let mut views: Vec<ServiceView> = containers.iter().map(|container| service(container)).collect();
    views.sort_by(|a, b| a.service.cmp(&b.service));
    views
}

fn service(container: &Container) -> ServiceView {
    let port = |port: &crate::engine::PublishedPort| {
        format!("{}:{}", port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(), port.host_port)
    };
    ServiceView {
        service: container.labels.get(labels::SERVICE).cloned().unwrap_or_default(),
        container: container.name.clone(),
        id: container.id.clone(),
        status: container.status.clone(),
        running: container.state == State::Running,
        health: container.health.map(|health| match health {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }),
        image: container.image.clone(),
        ports: container.ports.iter().map(port).collect(),
    }
}
