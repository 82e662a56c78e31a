//! `x-sandbox`: what only we understand about a service.

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::lists;

/// What only we understand about a service; `docker compose` passes it over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Extension {
    /// How to ask the service itself whether it is ready.
    pub ready: Option<Probe>,
    /// The databases to create in it, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
}

/// A language to ask for readiness in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Postgres: a start-up message.
    Postgres,
    /// Redis: `PING`.
    Redis,
}

pub(super) fn read(cursor: &Cursor) -> Checked<Extension> {
    let mut fields = cursor.fields()?;
    let probes = [("postgres", Probe::Postgres), ("redis", Probe::Redis)];
    let extension = Extension {
        ready: fields.read("ready", |c| c.choice(&probes))?,
        databases: fields.or_default("databases", read_databases)?,
    };
    fields.finish()?;
    Ok(extension)
}

fn read_databases(cursor: &Cursor) -> Checked<Vec<String>> {
    for item in cursor.items()? {
        let name = item.text()?;
        if name.is_empty() || name.len() > 63 || name.contains(char::is_control) {
            return Err(item.complain(format!("{name:?} cannot be the name of a database: it takes 1 to 63 bytes")));
        }
    }
    lists::set(cursor)
}
