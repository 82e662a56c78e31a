//! Images: looking, tagging, removing.

use std::collections::BTreeMap;

use bollard::{
    models,
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder},
};

use super::{
    deadline, details,
    docker::{Engine, bounded, label_filters, moment},
    failure::Failure,
    reference,
};
use crate::error::{Kind, Result};

/// An image that the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id: `sha256:…`.
    pub id: String,
    /// The references by which it is known.
    pub tags: Vec<String>,
    /// Its size with all its layers, in bytes.
    pub size_bytes: u64,
    /// When it was built.
    pub created: Option<jiff::Timestamp>,
    /// The environment that it gives its containers. Empty in a list.
    pub env: BTreeMap<String, String>,
    /// The paths that it declares as volumes. Empty in a list.
    pub volumes: Vec<String>,
    /// The arguments that it gives its containers. Empty in a list.
    pub command: Vec<String>,
    /// Whether it checks its own health. `false` in a list.
    pub has_healthcheck: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What came of removing an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoveImage {
    /// It is not there, or no longer.
    Removed,
    /// A container or another image needs it; the engine's words.
    InUse(String),
}

impl Engine {
    /// The image of this reference or id, if the engine has it.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>> {
        match bounded(deadline::LOOK, self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some(inspected(found))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into_error_of(Kind::Image, &format!("cannot look at image {reference}"))),
        }
    }

    /// The images that carry all these labels: a name alone, or a name with a value.
    pub async fn images(&self, labels: &[(&str, Option<&str>)]) -> Result<Vec<Image>> {
        let options = ListImagesOptionsBuilder::new().filters(&label_filters(labels)).build();
        let listed = bounded(deadline::LOOK, self.docker.list_images(Some(options)))
            .await
            .map_err(|failure| failure.into_error("cannot list images"))?;
        Ok(listed.into_iter().map(listed_image).collect())
    }

    /// Gives an image a further reference, taking it from whichever had it.
    pub async fn tag(&self, image: &str, new_reference: &str) -> Result<()> {
        let (repo, tag) = reference::split(new_reference);
        let options = TagImageOptionsBuilder::new().repo(repo).tag(tag).build();
        bounded(deadline::CREATE, self.docker.tag_image(image, Some(options)))
            .await
            .map_err(|failure| failure.into_error_of(Kind::Image, &format!("cannot tag {image} as {new_reference}")))
    }

    /// Takes a reference away and, when it was the last one, the image. One that is in use stays.
    pub async fn remove_image(&self, reference: &str) -> Result<RemoveImage> {
        let options = RemoveImageOptionsBuilder::new().build();
        match bounded(deadline::REMOVE, self.docker.remove_image(reference, Some(options), None)).await {
            Ok(_) => Ok(RemoveImage::Removed),
            Err(Failure::Refused { status: 409, message }) => Ok(RemoveImage::InUse(message)),
            Err(failure) if failure.is_not_found() => Ok(RemoveImage::Removed),
            Err(failure) => Err(failure.into_error_of(Kind::Image, &format!("cannot remove image {reference}"))),
        }
    }
}

fn inspected(found: models::ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    Image {
        id: found.id.unwrap_or_default(),
        tags: found.repo_tags.unwrap_or_default(),
        size_bytes: found.size.and_then(|size| size.try_into().ok()).unwrap_or_default(),
        created: moment(found.created.as_deref()),
        env: details::env(config.env.unwrap_or_default()),
        volumes: config.volumes.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        has_healthcheck: config
            .healthcheck
            .and_then(|check| check.test)
            .is_some_and(|test| test.first().is_some_and(|word| word != "NONE")),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
    }
}

fn listed_image(listed: models::ImageSummary) -> Image {
    Image {
        id: listed.id,
        // The engine's way to say "none".
        tags: listed.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
        size_bytes: listed.size.try_into().unwrap_or_default(),
        // An image that names no time has the engine's zero time, long before the epoch.
        created: Some(listed.created).filter(|at| *at > 0).and_then(|at| jiff::Timestamp::from_second(at).ok()),
        labels: listed.labels.into_iter().collect(),
        ..Image::default()
    }
}
