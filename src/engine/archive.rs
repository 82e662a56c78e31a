//! Files put into a container, running or not.

use bollard::{body_full, query_parameters::UploadToContainerOptionsBuilder};

use super::{
    deadline,
    docker::{Engine, bounded},
};
use crate::error::Result;

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
}
