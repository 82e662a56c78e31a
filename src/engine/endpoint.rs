//! Where an engine listens, read from the words that `DOCKER_HOST` and contexts use.

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// The socket of a `unix://` address.
///
/// `origin` says where the address was written, for the error: `DOCKER_HOST`, `Docker context work`.
/// Engines on other hosts are [`Kind::RemoteEngine`]; what is no address at all is [`Kind::Engine`].
pub(super) fn socket(address: &str, origin: &str) -> Result<PathBuf> {
    match address.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Some(("tcp" | "ssh" | "http" | "https" | "npipe" | "fd", _)) => Err(remote(address, origin)),
        _ => Err(Error::new(Kind::Engine, format!("{origin} is no address of an engine: {address:?}"))
            .hint("write it as unix:///path/to/docker.sock, or leave it out")),
    }
}

fn remote(address: &str, origin: &str) -> Error {
    Error::new(Kind::RemoteEngine, format!("{origin} names an engine that is not on this host: {address}"))
        .because("sandboxes publish their ports on 127.0.0.1, which must be this host's")
        .hint("use the local engine: DOCKER_HOST=unix:///var/run/docker.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_address_is_a_path() {
        assert_eq!(socket("unix:///run/d.sock", "DOCKER_HOST").unwrap(), PathBuf::from("/run/d.sock"));
    }

    #[test]
    fn an_engine_elsewhere_is_refused_by_name() {
        for address in ["tcp://10.0.0.1:2375", "ssh://me@host:2222", "http://localhost:2375", "https://h"] {
            let error = socket(address, "DOCKER_HOST").unwrap_err();
            assert_eq!(error.kind(), Kind::RemoteEngine);
            assert!(error.what().contains(address), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_quoted_in_the_error() {
        for address in ["", "unix://", "unix://relative", "/var/run/docker.sock", "nonsense", "ftp://x"] {
            let error = socket(address, "DOCKER_HOST").unwrap_err();
            assert_eq!(error.kind(), Kind::Engine);
            assert!(error.what().contains(&format!("{address:?}")), "{error}");
        }
    }
}
