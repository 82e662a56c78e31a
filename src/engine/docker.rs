//! The handle on an engine, and how every call through it is bounded.

use std::{fmt, future::Future, path::PathBuf, sync::Arc, time::Duration};

use bollard::Docker;
use futures::{Stream, StreamExt};
use tokio::sync::OnceCell;

use super::{facts::Facts, failure::Failure};

/// A connection to Docker Engine on this host. Cheap to clone; clones share everything.
///
/// Each call opens a connection of its own, so that one that hangs holds up nothing else.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    pub(super) shared: Arc<Shared>,
}

/// What the clones have in common.
pub(super) struct Shared {
    /// The engine's Unix socket.
    pub(super) socket: PathBuf,
    /// The API version sent with each request, such as `1.41`.
    pub(super) api: String,
    /// Where Docker's own client configuration lies, if there is such a place.
    pub(super) config_dir: Option<PathBuf>,
    /// The process at the socket's other end; 0 when it is none that we can see.
    pub(super) peer_pid: Option<i32>,
    /// What it has said of itself.
    pub(super) facts: OnceCell<Facts>,
}

impl Engine {
    /// The API version spoken, such as `1.41`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.shared.api
    }

    /// The engine's socket, for messages.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.shared.socket
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({}, API {})", self.shared.socket.display(), self.shared.api)
    }
}

/// One request and its answer, or a failure once the limit has passed.
pub(super) async fn bounded<T, E: Into<Failure>>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

/// The next message of a stream, or a failure once it has been silent for the limit.
pub(super) async fn next_within<T>(
    limit: Duration,
    stream: &mut (impl Stream<Item = Result<T, bollard::errors::Error>> + Unpin),
) -> Result<Option<T>, Failure> {
    match tokio::time::timeout(limit, stream.next()).await {
        Ok(message) => message.transpose().map_err(Into::into),
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

/// Label filters as the API takes them: `name` alone or `name=value`, all of which must hold.
pub(super) fn label_filters(labels: &[(&str, Option<&str>)]) -> std::collections::HashMap<String, Vec<String>> {
    let terms: Vec<String> = labels
        .iter()
        .map(|(name, value)| value.map_or_else(|| (*name).to_owned(), |value| format!("{name}={value}")))
        .collect();
    if terms.is_empty() { std::collections::HashMap::new() } else { [("label".to_owned(), terms)].into() }
}

/// An RFC 3339 time of the engine's; its zero time, year 1, means "never".
pub(super) fn moment(text: Option<&str>) -> Option<jiff::Timestamp> {
    text.filter(|text| !text.starts_with("0001-")).and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_zero_time_is_no_time() {
        assert_eq!(moment(Some("0001-01-01T00:00:00Z")), None);
        assert!(moment(Some("2026-11-23T23:34:51.123456789+01:00")).is_some());
    }

    #[tokio::test]
    async fn a_stream_that_falls_silent_is_given_up() {
        let mut silent = futures::stream::pending::<Result<(), bollard::errors::Error>>();
        let answer = next_within(Duration::from_millis(5), &mut silent).await;
        assert!(matches!(answer, Err(Failure::TimedOut(_))));
    }
}
