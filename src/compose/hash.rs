//! Whether a container is still what its service says.

use sha2::{Digest, Sha256};

use super::network::Network;
use super::render::service_text;
use super::service::Service;
use super::volume::Volume;
use super::{emit, render};
use crate::hex::hex;

impl Service {
    /// A SHA-256 in hexadecimal that changes exactly when the container must be made anew.
    ///
    /// Left out is what no container carries: `depends_on` and `profiles` order and choose services, `pull_policy` and
    /// `build` lead to an image (compare the image's id for that), `x-sandbox` says how to ask. Labels count, since the
    /// engine cannot change those of a container that is there; our own (`sandbox.…`) and Compose's
    /// (`com.docker.compose.…`) do not: they say whose it is, not what it is. The definitions of the networks and
    /// volumes that it names have hashes of their own.
    #[must_use]
    pub fn config_hash(&self) -> String {
        let mut counted = self.clone();
        counted.depends_on.clear();
        counted.profiles.clear();
        (counted.pull_policy, counted.build, counted.x_sandbox) = (None, None, None);
        counted.labels.retain(|key, _| !key.starts_with("sandbox.") && !key.starts_with("com.docker.compose."));
        digest(&service_text(&counted))
    }
}

impl Network {
    /// A SHA-256 in hexadecimal that changes when the network must be made anew.
    #[must_use]
    pub fn config_hash(&self) -> String {
        digest(&emit::emit(&render::tree(self)))
    }
}

impl Volume {
    /// A SHA-256 in hexadecimal that changes when the volume is no longer what the project says.
    #[must_use]
    pub fn config_hash(&self) -> String {
        digest(&emit::emit(&render::tree(self)))
    }
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
