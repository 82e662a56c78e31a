//! Files put into a container, running or not, and what its directories are like.

use bollard::{
    body_full,
    query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    deadline,
    docker::{Engine, bounded, next_within},
};
use crate::error::{Error, Kind, Result};

/// Owner and mode of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The user.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Permission bits.
    pub mode: u32,
}

/// So much holds the first entry, whatever stands before it.
const HEAD_BYTES: usize = 4096;

impl Engine {
    /// Unpacks a tar archive in a container's directory, which must exist. Owners and modes are the archive's; volumes
    /// are written through, also those of a container that was never started.
    pub async fn put_archive(&self, id: &str, directory: &str, archive: Vec<u8>) -> Result<()> {
        let options = UploadToContainerOptionsBuilder::new().path(directory).build();
        let request = self.docker.upload_to_container(id, Some(options), body_full(archive.into()));
        bounded(deadline::LOAD_SILENCE, request)
            .await
            .map_err(|failure| failure.into_error(&format!("cannot put files into {directory} of container {id}")))
    }

    /// Owner and mode of a container's directory, read from the first entry of its archive.
    pub async fn root_of(&self, id: &str, directory: &str) -> Result<Root> {
        let act = || format!("cannot look at {directory} of container {id}");
        let options = DownloadFromContainerOptionsBuilder::new().path(directory).build();
        let mut stream = self.docker.download_from_container(id, Some(options)).boxed();
        let mut head = Vec::new();
        while head.len() < HEAD_BYTES {
            match next_within(deadline::LOOK, &mut stream).await.map_err(|failure| failure.into_error(&act()))? {
                Some(piece) => head.extend_from_slice(&piece),
                None => break,
            }
        }
        let mut archive = tar::Archive::new(&*head);
        let first = archive.entries().and_then(|mut all| all.next().transpose());
        let failed = |cause: std::io::Error| Error::new(Kind::Engine, act()).because(cause);
        let Some(first) = first.map_err(failed)? else {
            return Err(Error::new(Kind::Engine, act()).because("its archive is empty"));
        };
        let header = first.header();
        Ok(Root {
            uid: header.uid().map_err(failed)?,
            gid: header.gid().map_err(failed)?,
            mode: header.mode().map_err(failed)? & 0o7777,
        })
    }
}
