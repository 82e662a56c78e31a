//! What is: one look at Docker, git, the claims and our files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::action::{Login, Question};
use crate::claims::Claim;
use crate::engine::{Container, State};
use crate::git::{CommitId, Objection};
use crate::processes::Process;
use crate::record::Record;
use crate::task::Identity;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose things.
    pub identity: Identity,
    /// Images that matter.
    pub images: Vec<String>,
    /// Files that matter.
    pub files: Vec<PathBuf>,
    /// The patterns whose presence in `info/exclude` matters.
    pub excludes: Vec<String>,
    /// Services to be asked, where they run: name, question, and the login for their databases.
    pub questions: Vec<(String, Question, Option<Login>)>,
    /// Whether it matters what work would be lost with it.
    pub losses: bool,
}

impl Scope {
    /// Only what labels, git and the claims say: all that removal needs.
    #[must_use]
    pub fn of(identity: &Identity) -> Scope {
        Scope {
            identity: identity.clone(),
            images: vec![],
            files: vec![],
            excludes: vec![],
            questions: vec![],
            losses: false,
        }
    }

    /// The same, and what would be lost.
    #[must_use]
    pub fn to_remove(identity: &Identity) -> Scope {
        Scope { losses: true, ..Scope::of(identity) }
    }
}

/// What a look found. Only things that carry our labels, provenance or record are in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The claim in the registry.
    pub claim: Option<Claim>,
    /// The worktree, if there is one of ours.
    pub worktree: Option<WorktreeSeen>,
    /// The branch, if we made it.
    pub made_branch: Option<MadeBranch>,
    /// What would be lost with worktree and branch.
    pub losses: Vec<Objection>,
    /// Who works in the worktree, where that matters.
    pub processes: Vec<Process>,
    /// The patterns that are in place.
    pub excludes: BTreeSet<String>,
    /// The texts of the files that exist.
    pub files: BTreeMap<PathBuf, String>,
    /// The ids of the images that are here, by reference.
    pub images: BTreeMap<String, String>,
    /// Containers.
    pub containers: Vec<ContainerSeen>,
    /// Networks.
    pub networks: Vec<NetworkSeen>,
    /// Volumes, by name.
    pub volumes: BTreeSet<String>,
    /// What the services that run answered.
    pub answers: BTreeMap<String, Answer>,
}

/// A branch of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeBranch {
    /// Its name.
    pub name: String,
    /// Where it is; none when only our note of it is left.
    pub at: Option<CommitId>,
    /// Whether it has moved since we made it, and nothing in the trash holds it where it is.
    pub moved: bool,
}

/// A worktree of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct WorktreeSeen {
    /// Where it is.
    pub path: PathBuf,
    /// Whether its directory is gone. Without a record, remains of its making or removal may be left beside its place.
    pub missing: bool,
    /// Its record; none when a run stopped between git's registration and ours.
    pub record: Option<Record>,
}

/// A container of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSeen {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Whether it is a container of `docker compose run`: ours to remove with the rest, and not the service.
    pub one_off: bool,
    /// The hash it was made with.
    pub config_hash: Option<String>,
    /// The image it was made from.
    pub image_id: String,
    /// The networks it is attached to, by id.
    pub networks: BTreeSet<String>,
    /// What it is doing.
    pub run: Run,
}

/// What a container is doing, as far as plans care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// It was never started, or its run came to a bad end.
    Off,
    /// Its run ended with exit code 0.
    EndedWell,
    /// Its run came to a bad end, and the engine is about to start it again: after a longer and longer while.
    Crashing,
    /// It has a process that cannot be asked: it is paused.
    Suspended,
    /// It runs.
    Running,
}

impl Run {
    /// What a container is doing that the engine lists.
    #[must_use]
    pub fn of(container: &Container) -> Run {
        match container.state {
            State::Running => Run::Running,
            State::Restarting => Run::Crashing,
            State::Paused => Run::Suspended,
            State::Exited if container.exit_code == Some(0) => Run::EndedWell,
            State::Created | State::Exited | State::Removing | State::Dead => Run::Off,
        }
    }

    /// Whether there is a process, or is to be one, which holds ports and wants to be stopped.
    #[must_use]
    pub fn has_process(self) -> bool {
        matches!(self, Run::Crashing | Run::Suspended | Run::Running)
    }
}

/// A network of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSeen {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its subnets, as text.
    pub subnets: Vec<String>,
    /// The hash it was made with.
    pub config_hash: Option<String>,
}

/// What a service answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is ready for clients.
    pub ready: bool,
    /// The databases in it, where that was asked and could be told.
    pub databases: BTreeSet<String>,
}

impl Observed {
    /// Whether nothing at all of the sandbox is left.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.claim.is_none()
            && self.worktree.is_none()
            && self.made_branch.is_none()
            && self.containers.is_empty()
            && self.networks.is_empty()
            && self.volumes.is_empty()
    }

    /// The container of a service.
    #[must_use]
    pub fn container(&self, service: &str) -> Option<&ContainerSeen> {
        self.containers.iter().find(|container| container.service == service && !container.one_off)
    }
}
