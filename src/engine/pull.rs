//! Fetching an image from its registry.

use std::collections::HashMap;

use bollard::{models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures::StreamExt;

use super::{
    credentials, deadline,
    docker::{Engine, next_within},
    failure::Failure,
    reference,
};
use crate::{
    error::{Kind, Result},
    event::Ticker,
};

/// What came of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// The image is here.
    Pulled,
    /// No registry was reached: no network, no name, no answer.
    NoRegistry {
        /// The engine's words.
        why: String,
    },
    /// The registry has no such image.
    NotFound {
        /// The engine's words.
        why: String,
    },
    /// The registry will not give it to us. Docker Hub says this of images that do not exist, too.
    Denied {
        /// The engine's words.
        why: String,
    },
}

impl Engine {
    /// Fetches an image, with the credentials of Docker's client configuration; ticks in bytes over all layers.
    ///
    /// Errors: [`Kind::Image`] for a refusal that is none of the outcomes, such as a full disk.
    pub async fn pull(&self, image: &str, ticker: &Ticker) -> Result<Pull> {
        let credentials = credentials::find(self.shared.config_dir.clone(), image, ticker.sink()).await;
        let (name, tag) = reference::split(image);
        let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
        let mut messages = self.docker.create_image(Some(options), None, credentials).boxed();
        let mut layers = Layers::default();
        let ended = loop {
            match next_within(deadline::PULL_SILENCE, &mut messages).await {
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
                Ok(Some(message)) => {
                    if let Some(trouble) = layers.take(message, ticker) {
                        break Err(Failure::Refused { status: 0, message: trouble });
                    }
                }
            }
        };
        self.judge(image, ended).await
    }

    /// A pull may end in a false alarm ("bytes remaining on stream"), so the image itself decides.
    async fn judge(&self, image: &str, ended: Result<(), Failure>) -> Result<Pull> {
        let failure = match ended {
            Ok(()) => Failure::Refused { status: 0, message: "the pull ended and the image is not here".to_owned() },
            Err(failure) => failure,
        };
        let refused = match &failure {
            Failure::Refused { message, .. } => classify(message),
            _ => None,
        };
        match refused {
            Some(outcome) => Ok(outcome),
            None if matches!(self.image(image).await, Ok(Some(_))) => Ok(Pull::Pulled),
            None => Err(failure.into_error_of(Kind::Image, &format!("cannot pull image {image}"))),
        }
    }
}

/// What a refusal means; the texts are those of engines 20.10 to 28 and of their HTTP library.
fn classify(message: &str) -> Option<Pull> {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    let why = message.to_owned();
    if says(&[
        "no such host",
        "dial tcp",
        "dial unix",
        "i/o timeout",
        "Client.Timeout",
        "request canceled",
        "context deadline exceeded",
        "TLS handshake timeout",
        "connection refused",
        "connection reset",
        "network is unreachable",
        "no route to host",
        "server misbehaving",
        "proxyconnect",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway",
        "unexpected EOF",
        ": EOF",
    ]) {
        Some(Pull::NoRegistry { why })
    } else if says(&[
        "access denied",
        "unauthorized",
        "no basic auth credentials",
        "denied:",
        "toomanyrequests",
        "403 Forbidden",
    ]) {
        Some(Pull::Denied { why })
    } else if says(&["manifest unknown", "not found", "name unknown", "does not exist", "no matching manifest"]) {
        Some(Pull::NotFound { why })
    } else {
        None
    }
}

/// How far each layer has come. A layer is loaded and then unpacked; only loading is counted.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    /// Takes in one message, ticks, and hands back the trouble that it may tell of.
    fn take(&mut self, message: CreateImageInfo, ticker: &Ticker) -> Option<String> {
        if let Some(trouble) = message.error_detail.and_then(|detail| detail.message) {
            return Some(trouble);
        }
        let status = message.status.unwrap_or_default();
        let progress = message.progress_detail.unwrap_or_default();
        match (message.id, status.as_str(), progress.current, progress.total) {
            (Some(layer), "Downloading", Some(current), Some(total)) => {
                self.0.insert(layer, (current.try_into().unwrap_or_default(), total.try_into().unwrap_or_default()));
            }
            (Some(layer), "Download complete" | "Pull complete", ..) => {
                if let Some((done, total)) = self.0.get_mut(&layer) {
                    *done = *total;
                }
            }
            _ => return None,
        }
        let (done, total) = self.0.values().fold((0, 0), |(done, all), (d, t)| (done + d, all + t));
        ticker.tick(done, Some(total), "bytes", status);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Message, Sink};
    use bollard::models::ProgressDetail;

    #[test]
    fn a_registry_that_cannot_be_reached_is_told_from_one_that_refuses() {
        let no_registry = [
            "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host",
            "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            "Get \"http://localhost:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
            "Get \"https://registry-1.docker.io/v2/\": proxyconnect tcp: dial tcp 10.1.1.1:3128: i/o timeout",
        ];
        for message in no_registry {
            assert!(matches!(classify(message), Some(Pull::NoRegistry { .. })), "{message}");
        }
        let denied = [
            "pull access denied for nobody/nothing, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            "Get \"https://ghcr.io/v2/a/b/manifests/1\": unauthorized",
            "toomanyrequests: You have reached your pull rate limit.",
        ];
        for message in denied {
            assert!(matches!(classify(message), Some(Pull::Denied { .. })), "{message}");
        }
        let missing = "manifest for postgres:99 not found: manifest unknown: manifest unknown";
        assert!(matches!(classify(missing), Some(Pull::NotFound { .. })));
        assert_eq!(classify("write /var/lib/docker/tmp/GetImageBlob1: no space left on device"), None);
    }

    #[test]
    fn progress_is_counted_over_all_layers() {
        let (sink, mut events) = Sink::channel();
        let ticker = Ticker::new(sink, 1);
        let mut layers = Layers::default();
        for (layer, status, current) in [("a", "Downloading", 10), ("b", "Downloading", 5), ("a", "Pull complete", 0)] {
            let message = CreateImageInfo {
                id: Some(layer.into()),
                status: Some(status.into()),
                progress_detail: Some(ProgressDetail { current: Some(current), total: Some(100) }),
                ..Default::default()
            };
            assert_eq!(layers.take(message, &ticker), None);
        }
        let last = std::iter::from_fn(|| events.try_recv().ok()).last().unwrap();
        assert!(matches!(last, Message::Event(Event::Progress { done: 105, total: Some(200), .. })), "{last:?}");
    }
}
