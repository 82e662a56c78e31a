//! Docker contexts: named engines in the client's configuration directory.
//!
//! The layout is Docker's: `config.json` names the current one, and each lies in a directory called by the SHA-256
//! of its name, `contexts/meta/HASH/meta.json`.

use std::{fs, io, path::Path};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::hex::hex;

/// The name of the context that stands for "no context".
const DEFAULT: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    host: Option<String>,
}

/// The context in force: the one asked for, else the configuration's current one; `None` is the default engine.
pub(super) fn current(asked: Option<&str>, config_dir: Option<&Path>) -> Result<Option<String>> {
    let name = match (asked.filter(|name| !name.is_empty()), config_dir) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(dir)) => configured(&dir.join("config.json"))?,
        (None, None) => None,
    };
    Ok(name.filter(|name| !name.is_empty() && name != DEFAULT))
}

fn configured(file: &Path) -> Result<Option<String>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(file).because(error)),
    };
    let config: ClientConfig = serde_json::from_str(&text).map_err(|error| unreadable(file).because(error))?;
    Ok(config.current_context)
}

fn unreadable(file: &Path) -> Error {
    Error::new(Kind::Engine, format!("cannot read Docker's configuration {}", file.display()))
        .hint("set DOCKER_HOST=unix:///var/run/docker.sock to do without it")
}

/// The address that a context names for its engine.
pub(super) fn address(name: &str, config_dir: Option<&Path>) -> Result<String> {
    let unknown = || {
        Error::new(Kind::Engine, format!("there is no Docker context called {name:?}"))
            .hint("list them: docker context ls")
            .hint("use the default one: docker context use default, and unset DOCKER_CONTEXT")
    };
    let file = config_dir.ok_or_else(unknown)?.join("contexts/meta").join(hash(name)).join("meta.json");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown()),
        Err(error) => return Err(unreadable(&file).because(error)),
    };
    let meta: Meta = serde_json::from_str(&text).map_err(|error| unreadable(&file).because(error))?;
    meta.endpoints
        .docker
        .and_then(|endpoint| endpoint.host)
        .ok_or_else(|| Error::new(Kind::Engine, format!("Docker context {name:?} names no engine: {}", file.display())))
}

fn hash(name: &str) -> String {
    hex(&Sha256::digest(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured_with(config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        dir
    }

    #[test]
    fn the_context_asked_for_comes_before_the_current_one() {
        let dir = configured_with(r#"{"currentContext":"work"}"#);
        assert_eq!(current(Some("home"), Some(dir.path())).unwrap().as_deref(), Some("home"));
        assert_eq!(current(None, Some(dir.path())).unwrap().as_deref(), Some("work"));
        assert_eq!(current(Some("default"), Some(dir.path())).unwrap(), None);
    }

    #[test]
    fn a_missing_configuration_means_the_default_engine() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(current(None, Some(dir.path())).unwrap(), None);
        assert_eq!(current(None, None).unwrap(), None);
    }

    #[test]
    fn a_damaged_configuration_is_an_error_that_names_the_file() {
        let dir = configured_with("{");
        let error = current(None, Some(dir.path())).unwrap_err();
        assert!(error.what().contains("config.json"), "{error}");
    }

    #[test]
    fn a_context_is_found_under_the_hash_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta").join(hash("work"));
        fs::create_dir_all(&meta).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Name":"work","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///w.sock","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        assert_eq!(address("work", Some(dir.path())).unwrap(), "unix:///w.sock");
        assert_eq!(hash("desktop-linux"), "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e");
    }

    #[test]
    fn an_unknown_context_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = address("nowhere", Some(dir.path())).unwrap_err();
        assert_eq!(error.what(), "there is no Docker context called \"nowhere\"");
    }
}
