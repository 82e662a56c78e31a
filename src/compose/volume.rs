//! Volumes of a project.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::{Cursor, Fields};
use super::pairs;

/// A volume of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its name in the engine; none is made from the project's name and the key.
    pub name: Option<String>,
    /// Whether it is there before the project and stays after it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The engine's volume driver; none is `local`.
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Volume {
    /// The volume's name in the engine.
    #[must_use]
    pub fn full_name(&self, project: &str, key: &str) -> String {
        full_name(self.name.as_deref(), self.external, project, key)
    }
}

/// What is external keeps its key as its name.
pub(super) fn full_name(name: Option<&str>, external: bool, project: &str, key: &str) -> String {
    match name {
        Some(name) => name.to_owned(),
        None if external => key.to_owned(),
        None => format!("{project}_{key}"),
    }
}

pub(super) fn read(cursor: &Cursor) -> Checked<Volume> {
    if cursor.value.is_null() {
        return Ok(Volume::default());
    }
    let mut fields = cursor.fields()?;
    let (external, legacy_name) = read_external(&mut fields)?;
    let volume = Volume {
        name: fields.read("name", Cursor::text)?.or(legacy_name),
        external,
        driver: fields.read("driver", Cursor::text)?,
        driver_opts: fields.or_default("driver_opts", pairs::options)?,
        labels: fields.or_default("labels", pairs::plain)?,
    };
    fields.finish()?;
    if volume.external && (volume.driver.is_some() || !volume.driver_opts.is_empty() || !volume.labels.is_empty()) {
        return Err(cursor.complain("what is external takes no other key than `name`"));
    }
    Ok(volume)
}

/// A flag, or the older form that holds the name.
pub(super) fn read_external(fields: &mut Fields) -> Checked<(bool, Option<String>)> {
    let read = |cursor: &Cursor| {
        if !cursor.is_mapping() {
            return Ok((cursor.flag()?, None));
        }
        let mut fields = cursor.fields()?;
        let name = fields.read("name", Cursor::text)?;
        fields.finish()?;
        Ok((true, name))
    };
    fields.or_default("external", read)
}
