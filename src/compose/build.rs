//! How a service's image is built. Kept, typed; building is the caller's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::pairs;

/// How a service's image is built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The directory sent to the builder, relative to the project's directory where it is not absolute.
    pub context: Option<String>,
    /// The recipe's path in the context.
    pub dockerfile: Option<String>,
    /// The recipe itself.
    pub dockerfile_inline: Option<String>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Build arguments; one without a value takes it from whoever builds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The network that its steps run in.
    pub network: Option<String>,
}

/// Keys of `build` that wait for a builder that can obey them.
const UNSUPPORTED: [&str; 16] = [
    "additional_contexts",
    "cache_from",
    "cache_to",
    "entitlements",
    "extra_hosts",
    "isolation",
    "no_cache",
    "platforms",
    "privileged",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "shm_size",
    "ssh",
    "tags",
];

/// The context alone, or all of it.
pub(super) fn read(cursor: &Cursor) -> Checked<Build> {
    if cursor.as_text().is_some() {
        return Ok(Build { context: Some(cursor.text()?), ..Build::default() });
    }
    let mut fields = cursor.fields()?;
    let build = Build {
        context: fields.read("context", Cursor::text)?,
        dockerfile: fields.read("dockerfile", Cursor::text)?,
        dockerfile_inline: fields.read("dockerfile_inline", Cursor::text)?,
        target: fields.read("target", Cursor::text)?,
        args: fields.or_default("args", pairs::optional)?,
        labels: fields.or_default("labels", pairs::plain)?,
        network: fields.read("network", Cursor::text)?,
    };
    fields.refuse(&UNSUPPORTED)?;
    fields.refuse(&["ulimits"])?;
    fields.finish()?;
    Ok(build)
}
