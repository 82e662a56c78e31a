//! The registry on disk: one JSON file under `$XDG_STATE_HOME/sandbox/`, changed under a lock and replaced by rename.
//!
//! Losing it loses no data: every record in a worktree's admin directory says what its sandbox claimed.

use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::Registry;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::locks::Lock;

/// How long a holder may take: it reads and writes one small file.
const PATIENCE: Duration = Duration::from_secs(20);

const SCHEMA_VERSION: u32 = 1;

/// Where the registry is kept.
#[derive(Clone, Debug)]
pub struct ClaimsFile {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    schema_version: u32,
    #[serde(flatten)]
    registry: Registry,
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

impl ClaimsFile {
    /// The registry of the given state directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> ClaimsFile {
        ClaimsFile { directory }
    }

    /// Where the locks of single sandboxes are.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.directory.join("locks")
    }

    /// Where it is kept what the user has allowed, in a directory for each repository.
    #[must_use]
    pub fn consents(&self) -> PathBuf {
        self.directory.join("trust")
    }

    /// The claims as they stand. None at all where there is no file.
    pub fn read(&self) -> Result<Registry> {
        let path = self.path();
        let Some(text) = files::read(&path)? else { return Ok(Registry::default()) };
        let damaged = || {
            Error::new(Kind::Files, format!("the claims file {} is damaged", path.display())).hint(format!(
                "move it away: mv {0} {0}.damaged; the next `up` in each repository registers it again",
                path.display()
            ))
        };
        // The version comes first: what a newer sandbox wrote need not have any other field that we know.
        let Versioned { schema_version } = serde_json::from_str(&text).map_err(|cause| damaged().because(cause))?;
        if schema_version > SCHEMA_VERSION {
            return Err(Error::new(
                Kind::Files,
                format!("the claims file {} was written by a newer sandbox", path.display()),
            )
            .hint("use that version, or remove the sandboxes it made first"));
        }
        let on_disk: OnDisk = serde_json::from_str(&text).map_err(|cause| damaged().because(cause))?;
        Ok(on_disk.registry)
    }

    /// Whether claims could be written; nothing is.
    pub fn check_writable(&self) -> Result<()> {
        let there = self.directory.ancestors().find(|directory| directory.exists());
        let writable = there.map_or(Ok(()), |there| rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK));
        writable.map_err(|cause| {
            Error::new(Kind::Files, format!("claims cannot be written in {}", self.directory.display()))
                .because(std::io::Error::from(cause))
                .hint("set XDG_STATE_HOME to a directory you may write to")
        })
    }

    /// Changes the claims while nobody else does. Writes only when something did change.
    pub async fn change<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> Result<T> {
        let _lock = Lock::acquire(&self.directory.join("claims.lock"), "sandbox", PATIENCE, |_| {}).await?;
        let before = self.read()?;
        let mut registry = before.clone();
        let answer = change(&mut registry);
        if registry != before {
            self.write(registry)?;
        }
        Ok(answer)
    }

    fn write(&self, registry: Registry) -> Result<()> {
        let on_disk = OnDisk { schema_version: SCHEMA_VERSION, registry };
        let text = serde_json::to_string_pretty(&on_disk)
            .map_err(|cause| Error::new(Kind::Unexpected, "cannot put the claims into JSON").because(cause))?;
        files::replace(&self.path(), &text)
    }

    fn path(&self) -> PathBuf {
        self.directory.join("claims.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_version_is_told_from_a_damaged_one() {
        let directory = tempfile::tempdir().unwrap();
        let claims = ClaimsFile::new(directory.path().to_owned());
        std::fs::write(claims.path(), "{\"schema_version\": 2, \"holdings\": []}").unwrap();
        let error = claims.read().unwrap_err();
        assert!(error.to_string().contains("was written by a newer sandbox"), "{error}");
    }

    #[tokio::test]
    async fn a_registry_that_is_not_there_is_empty_and_a_damaged_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let claims = ClaimsFile::new(directory.path().join("sandbox"));
        assert_eq!(claims.read().unwrap(), Registry::default());
        std::fs::create_dir_all(directory.path().join("sandbox")).unwrap();
        std::fs::write(claims.path(), "{\"schema_version\": 1, \"claims\": [{").unwrap();
        let error = claims.change(|_| ()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Files);
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
