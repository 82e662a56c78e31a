//! A project: the whole of what one or more Compose files say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::network::{self, Network};
use super::service::{self, Service};
use super::volume::{self, Volume};

/// A project. Keys are the names by which its parts call each other, not the engine's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Project {
    /// The project's name, if a file says it.
    pub name: Option<String>,
    /// Its services.
    pub services: BTreeMap<String, Service>,
    /// Its networks.
    pub networks: BTreeMap<String, Network>,
    /// Its volumes.
    pub volumes: BTreeMap<String, Volume>,
}

/// One document's share in a project.
pub(super) fn read(cursor: &Cursor) -> Checked<Project> {
    let mut fields = cursor.fields()?;
    let project = Project {
        name: fields.read("name", read_name)?,
        services: fields.or_default("services", |c| each(c, service::read))?,
        networks: fields.or_default("networks", |c| each(c, network::read))?,
        volumes: fields.or_default("volumes", |c| each(c, volume::read))?,
    };
    // Obsolete, and without meaning whatever it says.
    fields.ignore(&["version"]);
    fields.refuse(&["include", "configs", "secrets", "models"])?;
    fields.finish()?;
    Ok(project)
}

fn each<T>(cursor: &Cursor, read: fn(&Cursor) -> Checked<T>) -> Checked<BTreeMap<String, T>> {
    let entry = |(key, value): (&str, Cursor)| {
        let legal = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !legal {
            return Err(value.complain(format!("{key:?} is no name: letters, digits and . _ - make one")));
        }
        Ok((key.to_owned(), read(&value)?))
    };
    cursor.entries()?.into_iter().map(entry).collect()
}

fn read_name(cursor: &Cursor) -> Checked<String> {
    let name = cursor.text()?;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if name.chars().all(legal) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(name);
    }
    Err(cursor
        .complain(format!("{name:?} is no name of a project"))
        .hint("write lower-case letters, digits, _ and -, a letter or digit first"))
}
