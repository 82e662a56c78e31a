//! What should be: one value with every default taken, every name computed and every number proposed.

use std::path::PathBuf;

use super::action::{Content, Login, Question, Secret};
use super::observed::Scope;
use crate::engine::{ContainerSpec, NetworkSpec, VolumeSpec};
use crate::git::AddWorktree;
use crate::record::Record;
use crate::snapshot::{BaseWanted, is_upper};

/// A sandbox as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its record once it is established; carries names, numbers and the claim.
    pub record: Record,
    /// Its worktree, and the branch in it.
    pub worktree: AddWorktree,
    /// The patterns that keep our files out of git's sight.
    pub excludes: Vec<String>,
    /// The files of ours in and beside the worktree.
    pub files: Vec<FileWanted>,
    /// What the engine is to run.
    pub stack: Stack,
    /// Whether more can be decided once the images are here: which snapshots the data is to stand on.
    pub awaits_images: bool,
    /// The services whose data was there, and is gone.
    pub bereft: Vec<String>,
    /// Whether nothing of it was there before whoever brings it up began: nobody has had what runs so far.
    pub is_unused: bool,
}

/// A file of ours as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWanted {
    /// What it is, for people.
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: Secret,
}

/// A Compose project as the engine knows it: nothing but networks, volumes and containers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    /// Its networks.
    pub networks: Vec<NetworkSpec>,
    /// Its volumes.
    pub volumes: Vec<VolumeSpec>,
    /// Its volumes that stand on snapshots.
    pub clones: Vec<CloneWanted>,
    /// Volumes that the stack had, in whose place others are, and what these wrote into.
    pub superseded: Vec<String>,
    /// Whether the engine cannot mount overlays on its own storage.
    pub no_overlays: bool,
    /// Its services, each after those it depends on.
    pub services: Vec<ServiceWanted>,
}

/// A volume that stands on a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct CloneWanted {
    /// The volume, one of the stack's.
    pub volume: String,
    /// Its key in the Compose file.
    pub key: String,
    /// The service that writes into it.
    pub service: String,
    /// What it writes goes into this one.
    pub upper: VolumeSpec,
    /// The key of the snapshot.
    pub snapshot: String,
    /// The layers below, the newest first.
    pub layers: Vec<String>,
    /// The image of the service.
    pub image: String,
    /// What it begins with, where it is to be made.
    pub content: Content,
    /// Whether the snapshot has a manifest, which says that nobody takes it away.
    pub has_manifest: bool,
    /// How the snapshot is made if it is not there.
    pub base: Option<Box<BaseWanted>>,
}

/// A service as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceWanted {
    /// Its name in the Compose file.
    pub name: String,
    /// Its one container.
    pub container: ContainerSpec,
    /// The volumes it mounts, by name.
    pub volumes: Vec<String>,
    /// The networks it is attached to, by name.
    pub networks: Vec<String>,
    /// What changes exactly when the container has to be made anew.
    pub config_hash: String,
    /// The services that have to be in a state before it starts.
    pub depends_on: Vec<Dependency>,
    /// How it is asked whether it is ready.
    pub question: Question,
    /// Databases to be made in it, and how it is reached for that.
    pub databases: Option<(Login, Vec<String>)>,
    /// What these may be called so far, in the same order: where it stands on a snapshot.
    pub renamed_from: Vec<String>,
}

/// What a service waits for before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// Whether it has to be ready, not merely started.
    pub ready: bool,
}

impl CloneWanted {
    /// Whether it has a copy of all that is below it.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        matches!(self.content, Content::Copy(_))
    }
}

impl Stack {
    /// Whether its databases begin with what their servers make of nothing.
    #[must_use]
    pub fn has_new_data(&self) -> bool {
        self.clones.iter().flat_map(|clone| &clone.layers).all(|layer| !is_upper(layer))
    }
}

impl Desired {
    /// The worktree's path.
    #[must_use]
    pub fn worktree_path(&self) -> &PathBuf {
        &self.worktree.path
    }

    /// What has to be looked at to tell whether it is so.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let ask = |service: &ServiceWanted| {
            let login = service.databases.as_ref().map(|(login, _)| login.clone());
            (service.name.clone(), service.question.clone(), login)
        };
        Scope {
            identity: self.record.claim.identity.clone(),
            images: self.stack.services.iter().map(|service| service.container.image.clone()).collect(),
            losses: false,
            files: self.files.iter().map(|file| file.path.clone()).collect(),
            excludes: self.excludes.clone(),
            questions: self.stack.services.iter().map(ask).collect(),
        }
    }
}
