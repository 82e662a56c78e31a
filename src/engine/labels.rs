//! The labels by which everything of ours is found again, and Compose's own, which let its commands work on a stack.
//!
//! Labels are the only memory of what exists: a resource without them is not ours and is never touched.

use std::collections::BTreeMap;

use crate::task::Identity;

/// The canonical repository (its git common directory) that the sandbox belongs to.
pub const REPO: &str = "sandbox.repo";
/// The task, as the user gave it. Snapshots have none.
pub const TASK: &str = "sandbox.task";
/// The worktree's absolute path.
pub const WORKTREE: &str = "sandbox.worktree";
/// When the sandbox was made, RFC 3339.
pub const CREATED: &str = "sandbox.created";
/// When the sandbox may be collected, RFC 3339; absent when it does not expire.
pub const EXPIRES: &str = "sandbox.expires";
/// The service that a container or volume serves.
pub const SERVICE: &str = "sandbox.service";
/// The hash of the configuration that a resource was made from: another hash means that it is to be made anew.
pub const CONFIG_HASH: &str = "sandbox.config-hash";
/// The machine id of the host on which the worktree lies.
pub const MACHINE: &str = "sandbox.machine";
/// The numeric user id of who made it.
pub const UID: &str = "sandbox.uid";
/// The file system that the worktree's directory is on, as [`crate::site::file_system`] names it.
pub const FILE_SYSTEM: &str = "sandbox.file-system";
/// The key of a snapshot. A volume with this label carries no task and no Compose project.
pub const SNAPSHOT: &str = "sandbox.snapshot";
/// The layers of a snapshot, or below a clone and what it writes into: names of volumes, the newest first, separated by
/// commas. Whatever a volume names here is in use.
pub const LAYERS: &str = "sandbox.layers";
/// On a layer: the key of the base snapshot that it was made for; on what a clone writes into, `upper`.
pub const LAYER: &str = "sandbox.layer";
/// On a clone: the volume that it writes into.
pub const UPPER: &str = "sandbox.upper";
/// On what a clone writes into: the repository of the sandbox. Frozen, it is a layer, and stays although that sandbox goes.
pub const UPPER_REPO: &str = "sandbox.upper.repo";
/// On what a clone writes into: the task of the sandbox.
pub const UPPER_TASK: &str = "sandbox.upper.task";
/// On a clone: the names that its databases have in its snapshot, separated by commas.
pub const DATABASES: &str = "sandbox.databases";
/// What sort of snapshot: `base` or `saved`.
pub const KIND: &str = "sandbox.kind";
/// What the user calls a snapshot, in its repository.
pub const NAME: &str = "sandbox.name";
/// On an image that holds an empty upper: owner and mode of that.
pub const ROOT: &str = "sandbox.root";
/// The frozen volumes of a snapshot, as JSON.
pub const FROZEN: &str = "sandbox.frozen";
/// The commit whose set-up made a snapshot.
pub const COMMIT: &str = "sandbox.commit";
/// What else shaped it.
pub const BASIS: &str = "sandbox.basis";
/// On the container that makes a base snapshot: its key.
pub const BASE: &str = "sandbox.base";
/// On what is being made for a snapshot: the lock that its maker holds, and the device and inode of the directory it is in: a
/// path may be another's in a container. Whether another user's is held is not ours to judge.
pub const LOCK: &str = "sandbox.lock";
/// On what makes up the pool: `file`, `mount`, `holder`, `helper`.
pub const POOL: &str = "sandbox.pool";
/// The content hash of the recipe that an image was built from.
pub const RECIPE: &str = "sandbox.recipe";

/// What everything of a sandbox carries, to look for.
#[must_use]
pub fn of(identity: &Identity) -> [(&'static str, Option<&str>); 2] {
    [(REPO, Some(&identity.repo)), (TASK, Some(identity.task.as_str()))]
}

/// What the uppers of a sandbox carry, to look for.
#[must_use]
pub fn upper_of(identity: &Identity) -> [(&'static str, Option<&str>); 2] {
    [(UPPER_REPO, Some(&identity.repo)), (UPPER_TASK, Some(identity.task.as_str()))]
}

/// What everything of a sandbox carries, to be written.
#[must_use]
pub fn owned_by(identity: &Identity) -> BTreeMap<String, String> {
    of(identity).iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned()))).collect()
}

/// Labels that Docker Compose sets and reads.
pub mod compose {
    /// The project's name: what `docker compose -p` takes.
    pub const PROJECT: &str = "com.docker.compose.project";
    /// The service's name.
    pub const SERVICE: &str = "com.docker.compose.service";
    /// Which of a service's replicas, from 1.
    pub const CONTAINER_NUMBER: &str = "com.docker.compose.container-number";
    /// `True` for a container of `compose run`, else `False`, in Python's spelling.
    pub const ONEOFF: &str = "com.docker.compose.oneoff";
    /// The network's name within the Compose file.
    pub const NETWORK: &str = "com.docker.compose.network";
    /// The volume's name within the Compose file.
    pub const VOLUME: &str = "com.docker.compose.volume";
    /// The Compose files, absolute, separated by commas.
    pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    /// The directory against which the files' relative paths are resolved.
    pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    /// The version of Compose whose conventions are followed.
    pub const VERSION: &str = "com.docker.compose.version";
    /// Compose's own hash of the service's configuration.
    pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    /// The services that must run first, as `name:condition:restart`, separated by commas.
    pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
    /// The id of the image that the container was made from.
    pub const IMAGE: &str = "com.docker.compose.image";
}
