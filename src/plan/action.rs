//! Everything a plan can ask of the world.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::claims::Claim;
use crate::engine::{ContainerSpec, NetworkSpec, Root, VolumeSpec};
use crate::git::{AddWorktree, CommitId, Keep};
use crate::record::Record;
use crate::snapshot::{BaseWanted, Snapshot};
use crate::task::Identity;

/// One verb upon the world. Complete: whoever performs it decides nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Enters a claim in the machine-wide registry, unless another was faster.
    Claim(Claim),
    /// Fetches an image from its registry.
    Pull {
        /// The image.
        reference: String,
    },
    /// Builds one of our own recipes.
    Build {
        /// The recipe's tag, which names its content.
        tag: String,
    },
    /// Registers a worktree with git, and its branch; files come with [`Action::Checkout`]. Writes the record.
    AddWorktree {
        /// What git is told.
        spec: AddWorktree,
        /// What is kept in its admin directory.
        record: Box<Record>,
    },
    /// Writes a record in the admin directory of a worktree that is there.
    WriteRecord {
        /// The worktree.
        worktree: PathBuf,
        /// The record.
        record: Box<Record>,
    },
    /// Makes the directory of a registered worktree again, with the files that its index lists.
    RestoreWorktree {
        /// The worktree.
        worktree: PathBuf,
    },
    /// Puts the files of the branch into a registered worktree.
    Checkout {
        /// The worktree.
        worktree: PathBuf,
    },
    /// Keeps a file of ours out of git's sight, in the repository's `info/exclude`.
    Exclude {
        /// The pattern.
        pattern: String,
    },
    /// Writes a file of mode 0600.
    WriteFile {
        /// What it is, for people.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// All of it.
        text: Secret,
    },
    /// Runs a command of the set-up in a worktree, with the sandbox's environment.
    RunSetup {
        /// For `sh`.
        command: String,
        /// The worktree.
        worktree: PathBuf,
        /// Whose environment it has.
        record: Box<Record>,
        /// Whether it is the first of them.
        is_first: bool,
    },
    /// Creates a network.
    CreateNetwork(NetworkSpec),
    /// Creates a volume.
    CreateVolume(VolumeSpec),
    /// Makes a base snapshot, unless another was faster.
    MakeBase(Box<BaseWanted>),
    /// Makes the upper of a clone anew, whatever there was.
    MakeUpper(Box<UpperSpec>),
    /// Puts the content of many layers into one.
    Flatten(Box<FlattenSpec>),
    /// Has a data service write down what it holds in memory, so that ending it takes no time.
    Flush {
        /// The service.
        service: String,
        /// Its container, by name.
        container: String,
        /// How it is reached.
        question: Question,
    },
    /// Ends a data service so that what it wrote can be frozen: without a password, and cleanly.
    Freeze {
        /// The service.
        service: String,
        /// Its container.
        container: String,
        /// How it is reached.
        question: Question,
    },
    /// Makes a snapshot known, whose layers are there.
    KeepSnapshot(Box<Snapshot>),
    /// Creates a container without starting it.
    CreateContainer(Box<ContainerSpec>),
    /// Starts a container.
    StartContainer {
        /// Its name.
        name: String,
    },
    /// Waits until a service is ready for its clients.
    AwaitReady {
        /// The service.
        service: String,
        /// Its container.
        container: String,
        /// How it is asked.
        question: Question,
    },
    /// Makes sure that our password opens the server and that the databases exist.
    PrepareDatabases {
        /// The service.
        service: String,
        /// Its container.
        container: String,
        /// How it is reached.
        login: Login,
        /// The databases.
        names: Vec<String>,
        /// What they may be called so far, in the same order.
        renamed_from: Vec<String>,
        /// Whether it has just been started for the first time on what it stands on: it need not be ready yet, and nobody has
        /// set its password.
        is_new: bool,
    },
    /// Stops a container.
    StopContainer {
        /// Its id.
        id: String,
        /// Its name, for people.
        name: String,
    },
    /// Removes a container, whatever its state.
    RemoveContainer {
        /// Its id.
        id: String,
        /// Its name, for people.
        name: String,
    },
    /// Removes a network.
    RemoveNetwork {
        /// Its id.
        id: String,
        /// Its name, for people.
        name: String,
    },
    /// Removes a volume and what is in it.
    RemoveVolume {
        /// Its name.
        name: String,
    },
    /// Removes a worktree, as `git worktree remove` does, or into the trash.
    RemoveWorktree {
        /// Whose it is.
        of: Identity,
        /// The worktree.
        worktree: PathBuf,
        /// The name of its env file, which is no loss.
        env_file: Option<String>,
        /// How it is kept.
        keep: Option<Keep>,
    },
    /// Keeps in the trash the commits of a branch that we made, where there is no worktree.
    TrashBranch(Keep),
    /// Removes a branch that we made, if it still is where it was seen.
    DeleteBranch {
        /// The branch.
        branch: String,
        /// Where it was seen.
        at: CommitId,
    },
    /// Forgets that we made a branch which is gone, is another by now, or is to stay.
    ForgetBranch {
        /// The branch.
        branch: String,
    },
    /// Frees what a sandbox has claimed.
    Release(Identity),
}

/// The upper of a clone that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpperSpec {
    /// The volume.
    pub volume: VolumeSpec,
    /// The key of the snapshot that the clone stands on.
    pub snapshot: String,
    /// The layers that it stands on.
    pub layers: Vec<String>,
    /// What is in it.
    pub content: Content,
    /// Whether there has to be a manifest.
    pub has_manifest: bool,
    /// Whose it is.
    pub of: Identity,
    /// An image that is here.
    pub image: String,
}

/// What is in an upper when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing but its directory, which belongs to somebody; none where the layers have to be looked at.
    Nothing(Option<Root>),
    /// A copy of all that is below it. Layers of which there are several are seen as one through a volume.
    Copy(Option<VolumeSpec>),
}

/// Layers that are to become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlattenSpec {
    /// The service whose data it is.
    pub service: String,
    /// The layers, the newest first.
    pub layers: Vec<String>,
    /// The volume that becomes the one layer: an upper, written into once.
    pub flat: VolumeSpec,
    /// All of them, as one who stands on them sees them.
    pub view: VolumeSpec,
    /// Whose it is.
    pub of: Identity,
    /// An image that is here.
    pub image: String,
}

/// How a service is asked whether it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Does Postgres answer a start-up message?
    Postgres(Login),
    /// Does Redis answer `PING`?
    Redis(Login),
    /// Does its own health check say so?
    Health,
    /// Does it run?
    Running,
    /// Has it ended well?
    Ended,
}

impl Question {
    /// How the service is reached, where it is asked itself.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match self {
            Question::Postgres(login) | Question::Redis(login) => Some(login),
            Question::Health | Question::Running | Question::Ended => None,
        }
    }

    /// The same with another password.
    #[must_use]
    pub fn with_password(&self, password: &Secret) -> Question {
        self.with(|login| Login { password: password.clone(), ..login.clone() })
    }

    /// The same on another port.
    #[must_use]
    pub fn on_port(&self, port: u16) -> Question {
        self.with(|login| Login { address: SocketAddr::new(login.address.ip(), port), ..login.clone() })
    }

    fn with(&self, change: impl Fn(&Login) -> Login) -> Question {
        match self {
            Question::Postgres(login) => Question::Postgres(change(login)),
            Question::Redis(login) => Question::Redis(change(login)),
            other => other.clone(),
        }
    }
}

/// An address and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The published port on the loopback.
    pub address: SocketAddr,
    /// The role.
    pub user: String,
    /// The sandbox's own password.
    pub password: Secret,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.address)
    }
}

/// A text that is not to be shown: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Claim(claim) => write!(f, "claim slot {} and subnet {}", claim.slot, claim.subnet),
            Action::Pull { reference } => write!(f, "pull image {reference}"),
            Action::Build { tag } => write!(f, "build image {tag}"),
            Action::AddWorktree { spec, .. } => {
                write!(f, "add worktree {} on {}", spec.path.display(), spec.branch.name())
            }
            Action::WriteRecord { record, .. } => write!(f, "record that the sandbox is {}", record.stage),
            Action::RestoreWorktree { worktree } => write!(f, "bring back worktree {}", worktree.display()),
            Action::Checkout { worktree } => write!(f, "check out {}", worktree.display()),
            Action::Exclude { pattern } => write!(f, "exclude {pattern} from git"),
            Action::WriteFile { what, .. } => write!(f, "write {what}"),
            Action::RunSetup { command, .. } => write!(f, "run {command}"),
            Action::CreateNetwork(spec) => write!(f, "create network {}", spec.name),
            Action::CreateVolume(spec) => write!(f, "create volume {}", spec.name),
            Action::MakeBase(base) => write!(f, "make the base snapshot of {}", base.service),
            Action::MakeUpper(spec) if matches!(spec.content, Content::Copy(_)) => {
                write!(f, "copy the data into volume {}", spec.volume.name)
            }
            Action::MakeUpper(spec) => write!(f, "create volume {}", spec.volume.name),
            Action::Flatten(spec) => write!(f, "flatten {} layers of {}", spec.layers.len(), spec.service),
            Action::Flush { service, .. } => write!(f, "flush {service}"),
            Action::Freeze { service, .. } => write!(f, "freeze {service}"),
            Action::KeepSnapshot(snapshot) => write!(f, "keep snapshot {}", snapshot.title()),
            Action::CreateContainer(spec) => write!(f, "create container {}", spec.name),
            Action::StartContainer { name } => write!(f, "start container {name}"),
            Action::AwaitReady { service, .. } => write!(f, "wait until {service} is ready"),
            Action::PrepareDatabases { names, .. } => write!(f, "prepare databases {}", names.join(" and ")),
            Action::StopContainer { name, .. } => write!(f, "stop container {name}"),
            Action::RemoveContainer { name, .. } => write!(f, "remove container {name}"),
            Action::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Action::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Action::RemoveWorktree { worktree, keep: Some(keep), .. } if keep.files => {
                write!(f, "move worktree {} to {}", worktree.display(), keep.place.display())
            }
            Action::RemoveWorktree { worktree, .. } => write!(f, "remove worktree {}", worktree.display()),
            Action::TrashBranch(keep) => write!(f, "keep the commits of {} in {}", keep.key.name, keep.place.display()),
            Action::DeleteBranch { branch, .. } => write!(f, "delete branch {branch}"),
            Action::ForgetBranch { branch } => write!(f, "forget branch {branch}"),
            Action::Release(_) => f.write_str("release the claim"),
        }
    }
}
