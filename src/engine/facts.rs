//! What the engine says of itself.

use super::{
    deadline,
    docker::{Engine, bounded},
    failure::DISK_FULL,
};
use crate::error::Result;

/// With less room on what they write to servers do not start.
pub(crate) const LITTLE_ROOM: u64 = 16 << 20;

/// An engine's own account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// The API version spoken with it.
    pub api: String,
    /// The engine's own id; the same for as long as its storage is.
    pub id: String,
    /// The name of the host it runs on.
    pub name: String,
    /// The operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// How it stores images: `overlay2`, `fuse-overlayfs`.
    pub storage_driver: String,
    /// The directory in which it keeps everything.
    pub root_dir: String,
    /// Whether it runs without root, in a network namespace of its own.
    pub rootless: bool,
    /// The processors it may use.
    pub cpus: u64,
    /// The memory it may use, in bytes.
    pub memory_bytes: u64,
}

impl Engine {
    /// What the engine says of itself. Some 10 ms: it runs `runc` and `docker-init` to answer, so it is asked once.
    pub async fn facts(&self) -> Result<&Facts> {
        self.shared.facts.get_or_try_init(|| self.ask_facts()).await
    }

    /// What helps where its disk has no room left, as far as that is to be seen from here.
    pub(crate) async fn disk_full(&self) -> Option<&'static str> {
        let facts = self.facts().await.ok()?;
        let free = rustix::fs::statvfs(&*facts.root_dir).ok()?;
        (free.f_bavail * free.f_frsize < LITTLE_ROOM).then_some(DISK_FULL)
    }

    async fn ask_facts(&self) -> Result<Facts> {
        let info = bounded(deadline::LOOK, self.docker.info())
            .await
            .map_err(|failure| failure.into_error("cannot ask the engine about itself"))?;
        let security = info.security_options.unwrap_or_default();
        Ok(Facts {
            version: info.server_version.unwrap_or_default(),
            api: self.shared.api.clone(),
            id: info.id.unwrap_or_default(),
            name: info.name.unwrap_or_default(),
            os: info.operating_system.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            rootless: security.iter().any(|option| option == "name=rootless"),
            cpus: info.ncpu.and_then(|n| n.try_into().ok()).unwrap_or_default(),
            memory_bytes: info.mem_total.and_then(|n| n.try_into().ok()).unwrap_or_default(),
        })
    }
}
