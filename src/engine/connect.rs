//! Finding the engine, opening it, and settling the API version.
//!
//! One request in all, half a millisecond. Each way in which a socket can fail has an error of its own, since each
//! is mended differently.

use std::{
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard::{BollardRequest, ClientVersion, Docker};
use tokio::sync::OnceCell;

use super::{
    context, deadline,
    docker::{Engine, Shared},
    endpoint,
    ping::{self, Pong},
};
use crate::error::{Error, Kind, Result};

/// Where an engine listens unless something else is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The oldest API we speak: Docker Engine 20.10.
const OLDEST_API: (u32, u32) = (1, 41);

/// The newest API whose answers we know. A newer engine is asked to speak this one.
const NEWEST_API: (u32, u32) = (1, 53);

/// What outlives every deadline of ours, which do the bounding; the client library insists on a limit of its own.
const LIBRARY_TIMEOUT_S: u64 = 3600;

/// What the user's environment says about which engine to use.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`. Comes before everything else.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`. Comes before the configuration's current context.
    pub docker_context: Option<String>,
    /// Docker's client configuration: `DOCKER_CONFIG`, else `.docker` under `HOME`.
    pub config_dir: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the process's environment. Empty variables count as unset, as they do for `docker`.
    #[must_use]
    pub fn from_env() -> Surroundings {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Surroundings {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            config_dir: path("DOCKER_CONFIG").or_else(|| path("HOME").map(|home| home.join(".docker"))),
        }
    }

    /// The socket that all this leads to.
    fn socket(&self) -> Result<PathBuf> {
        if let Some(host) = &self.docker_host {
            return endpoint::socket(host, "DOCKER_HOST");
        }
        match context::current(self.docker_context.as_deref(), self.config_dir.as_deref())? {
            Some(name) => {
                let address = context::address(&name, self.config_dir.as_deref())?;
                endpoint::socket(&address, &format!("Docker context {name}"))
            }
            None => Ok(PathBuf::from(DEFAULT_SOCKET)),
        }
    }
}

impl Engine {
    /// Connects to the engine that the surroundings name, with one request.
    ///
    /// Errors: [`Kind::RemoteEngine`] for an engine on another host, [`Kind::EngineTooOld`] for one before 20.10,
    /// [`Kind::Engine`] for one that cannot be reached.
    pub async fn connect(surroundings: &Surroundings) -> Result<Engine> {
        let socket = surroundings.socket()?;
        let Pong { api, peer_pid } = match tokio::time::timeout(deadline::CONNECT, ping::ping(&socket)).await {
            Ok(pong) => pong.map_err(|error| unreachable_engine(&socket, error))?,
            Err(_) => return Err(unreachable_engine(&socket, io::Error::from(io::ErrorKind::TimedOut))),
        };
        let (major, minor) = agreed_api(&api)?;
        let version = ClientVersion { major_version: major as usize, minor_version: minor as usize };
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), LIBRARY_TIMEOUT_S, &version)
            .map_err(|error| Error::new(Kind::Engine, format!("cannot use {}", socket.display())).because(error))?
            .with_request_modifier(move |request| mended(request, (major, minor)));
        let shared = Shared {
            socket,
            api: format!("{major}.{minor}"),
            config_dir: surroundings.config_dir.clone(),
            peer_pid,
            facts: OnceCell::new(),
        };
        Ok(Engine { docker, shared: Arc::new(shared) })
    }
}

fn unreachable_engine(socket: &Path, error: io::Error) -> Error {
    let place = socket.display();
    let (what, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("there is no Docker Engine at {place}"),
            "start it: sudo systemctl start docker; or install it: sudo apt-get install docker.io",
        ),
        io::ErrorKind::ConnectionRefused => {
            (format!("Docker Engine at {place} does not run"), "start it: sudo systemctl start docker")
        }
        io::ErrorKind::PermissionDenied => (
            format!("this user may not use Docker Engine at {place}"),
            "join its group: sudo usermod -aG docker $USER, then log in anew",
        ),
        io::ErrorKind::TimedOut => {
            (format!("Docker Engine at {place} does not answer"), "see what it is doing: journalctl -u docker")
        }
        _ => (format!("cannot talk to Docker Engine at {place}"), "see whether it runs: systemctl status docker"),
    };
    Error::new(Kind::Engine, what).because(error).hint(hint)
}

/// The API version to speak with an engine whose newest is `offered`.
fn agreed_api(offered: &str) -> Result<(u32, u32)> {
    let offered_pair = offered
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| Error::new(Kind::Engine, format!("the engine names an odd API version: {offered:?}")))?;
    if offered_pair < OLDEST_API {
        let (major, minor) = OLDEST_API;
        return Err(Error::new(
            Kind::EngineTooOld,
            format!("the engine speaks API {offered}; {major}.{minor} is needed, Docker Engine 20.10 or newer"),
        )
        .hint("upgrade Docker Engine: https://docs.docker.com/engine/install"));
    }
    Ok(offered_pair.min(NEWEST_API))
}

/// A request with what the client library leaves out or gets wrong: the API version in its path, without which an
/// engine answers in a dialect of its own choice, and the URL-safe alphabet in the header with credentials, without
/// which some passwords are silently ignored.
fn mended(mut request: BollardRequest, (major, minor): (u32, u32)) -> BollardRequest {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
        && let Ok(versioned) = format!("{scheme}://{authority}/v{major}.{minor}{path}").parse()
    {
        *request.uri_mut() = versioned;
    }
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(value) = request.headers_mut().get_mut(name)
            && let Ok(url_safe) = value.to_str().unwrap_or_default().replace('+', "-").replace('/', "_").parse()
        {
            *value = url_safe;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn given(host: Option<&str>, context: Option<&str>) -> Surroundings {
        Surroundings { docker_host: host.map(Into::into), docker_context: context.map(Into::into), config_dir: None }
    }

    #[test]
    fn docker_host_comes_before_a_context() {
        let socket = given(Some("unix:///x.sock"), Some("nowhere")).socket().unwrap();
        assert_eq!(socket, PathBuf::from("/x.sock"));
    }

    #[test]
    fn without_any_word_the_default_socket_is_meant() {
        assert_eq!(given(None, None).socket().unwrap(), PathBuf::from(DEFAULT_SOCKET));
    }

    #[test]
    fn an_engine_before_20_10_is_too_old_and_a_newer_one_is_met_half_way() {
        assert_eq!(agreed_api("1.40").unwrap_err().kind(), Kind::EngineTooOld);
        assert_eq!(agreed_api("1.41").unwrap(), (1, 41));
        assert_eq!(agreed_api("1.9").unwrap_err().kind(), Kind::EngineTooOld);
        assert_eq!(agreed_api("1.99").unwrap(), NEWEST_API);
        assert_eq!(agreed_api("moby").unwrap_err().kind(), Kind::Engine);
    }

    #[tokio::test]
    async fn a_missing_socket_and_one_that_nobody_listens_on_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("d.sock");
        let here = given(Some(&format!("unix://{}", socket.display())), None);
        let missing = Engine::connect(&here).await.unwrap_err();
        assert!(missing.what().starts_with("there is no Docker Engine at"), "{missing}");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let refused = Engine::connect(&here).await.unwrap_err();
        assert!(refused.what().ends_with("does not run"), "{refused}");
    }

    #[test]
    fn a_request_carries_the_version_and_url_safe_credentials() {
        let mut request = BollardRequest::new(bollard::body_full(bytes::Bytes::new()));
        *request.uri_mut() = "unix://2f782e736f636b/images/create?fromImage=a%2Fb".parse().unwrap();
        request.headers_mut().insert("x-registry-auth", "eyJhIjoi+/8=".parse().unwrap());
        let request = mended(request, (1, 41));
        assert_eq!(request.uri().to_string(), "unix://2f782e736f636b/v1.41/images/create?fromImage=a%2Fb");
        assert_eq!(request.headers()["x-registry-auth"], "eyJhIjoi-_8=");
    }

    #[test]
    fn a_socket_without_permission_is_mended_by_joining_the_group() {
        let error = unreachable_engine(Path::new("/d.sock"), io::ErrorKind::PermissionDenied.into());
        assert!(error.hints()[0].contains("usermod -aG docker"), "{error}");
    }

    /// An engine that greets properly and then hangs up on every request.
    async fn fickle_engine(dir: &Path) -> Engine {
        let socket = dir.join("d.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 1024];
                let length = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                if asked.starts_with("GET /_ping ") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\nOK").await.unwrap();
                } else {
                    assert!(asked.contains(" /v1.41/"), "no API version: {asked}");
                }
            }
        });
        Engine::connect(&given(Some(&format!("unix://{}", socket.display())), None)).await.unwrap()
    }

    #[tokio::test]
    async fn an_engine_that_goes_away_within_a_call_is_an_engine_error() {
        let dir = tempfile::tempdir().unwrap();
        let engine = fickle_engine(dir.path()).await;
        assert_eq!(engine.api_version(), "1.41");
        for error in [
            engine.containers(&[]).await.unwrap_err(),
            engine.start("x").await.unwrap_err(),
            engine.watch("x").await.unwrap_err(),
            engine.exec_capture("x", &["true"], None, None).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Engine, "{error}");
            assert!(error.what().contains("the engine went away"), "{error}");
        }
    }
}
