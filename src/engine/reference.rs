//! The parts of an image reference: `[REGISTRY/]NAME[:TAG][@DIGEST]`.

/// The key of Docker Hub's credentials, which is an address for historical reasons.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Name and tag; the tag is `latest` where there is none, and empty before a digest.
///
/// A pull without a tag would fetch every tag there is.
pub(super) fn split(reference: &str) -> (&str, &str) {
    if reference.contains('@') {
        return (reference, "");
    }
    match reference.rsplit_once(':') {
        // What follows a registry's port has a slash.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// Under which key the registry's credentials are kept.
pub(super) fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host == "docker.io" || host == "index.docker.io" => DOCKER_HUB,
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_registrys_port() {
        assert_eq!(split("postgres:17"), ("postgres", "17"));
        assert_eq!(split("postgres"), ("postgres", "latest"));
        assert_eq!(split("localhost:5000/app"), ("localhost:5000/app", "latest"));
        assert_eq!(split("localhost:5000/app:1"), ("localhost:5000/app", "1"));
        assert_eq!(split("app:1@sha256:00"), ("app:1@sha256:00", ""));
    }

    #[test]
    fn a_name_without_a_registry_belongs_to_docker_hub() {
        for reference in ["postgres:17", "bitnami/redis", "docker.io/library/redis"] {
            assert_eq!(registry(reference), DOCKER_HUB);
        }
        assert_eq!(registry("ghcr.io/a/b:1"), "ghcr.io");
        assert_eq!(registry("localhost:5000/app"), "localhost:5000");
    }
}
