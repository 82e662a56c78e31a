//! What a registry wants to know of us, from Docker's client configuration.
//!
//! Helpers are programs that the configuration names; the crate behind this runs them.

use std::{fs::File, io::BufReader, path::PathBuf};

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use super::reference;
use crate::event::Sink;

/// The credentials for an image's registry; `None` where none are kept, which is usual, and where they cannot be read: most
/// images are had without.
pub(super) async fn find(config_dir: Option<PathBuf>, image: &str, events: &Sink) -> Option<DockerCredentials> {
    let file = File::open(config_dir?.join("config.json")).ok()?;
    let registry = reference::registry(image).to_owned();
    let key = registry.clone();
    // A helper may take its time, and blocks.
    let found = tokio::task::spawn_blocking(move || get_credential_from_reader(BufReader::new(file), &key)).await;
    let trouble = match found {
        Ok(Ok(credential)) => return Some(header(credential, registry)),
        Ok(Err(error)) if means_none(&error) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    events.warn(format!("going on without the credentials for {registry}, which cannot be read: {trouble}"));
    None
}

/// A helper says that it knows nothing by failing with this sentence, on one stream or the other.
fn means_none(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound => true,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. } => {
            [stdout, stderr].iter().any(|text| text.contains("credentials not found"))
        }
        _ => false,
    }
}

fn header(credential: DockerCredential, registry: String) -> DockerCredentials {
    let mut header = DockerCredentials { serveraddress: Some(registry), ..Default::default() };
    match credential {
        DockerCredential::IdentityToken(token) => header.identitytoken = Some(token),
        DockerCredential::UsernamePassword(username, password) => {
            header.username = Some(username);
            header.password = Some(password);
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Level, Message};

    #[tokio::test]
    async fn stored_credentials_are_found_by_registry() {
        let dir = tempfile::tempdir().unwrap();
        // "me:a?b>c~" in base64
        std::fs::write(dir.path().join("config.json"), r#"{"auths":{"ghcr.io":{"auth":"bWU6YT9iPmN+"}}}"#).unwrap();
        let found = find(Some(dir.path().into()), "ghcr.io/a/b:1", &Sink::null()).await.unwrap();
        assert_eq!(found.password.as_deref(), Some("a?b>c~"));
        assert!(find(Some(dir.path().into()), "quay.io/a/b", &Sink::null()).await.is_none());
    }

    #[tokio::test]
    async fn a_missing_configuration_has_no_credentials() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(Some(dir.path().into()), "postgres", &Sink::null()).await.is_none());
        assert!(find(None, "postgres", &Sink::null()).await.is_none());
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_told_and_gone_without() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"credsStore":"no-such-desktop"}"#).unwrap();
        let (sink, mut events) = Sink::channel();
        assert!(find(Some(dir.path().into()), "postgres", &sink).await.is_none());
        let Some(Message::Event(Event::Note { level: Level::Warning, message })) = events.recv().await else {
            panic!("it was not told")
        };
        assert!(message.contains("docker.io"), "{message}");
    }
}
