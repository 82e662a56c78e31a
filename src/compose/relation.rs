//! What one service waits for in another.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::lists;

/// What a service waits for in another before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Whether the service cannot do without the other; else a missing one is passed over.
    pub required: bool,
    /// Whether it starts again when the other was made anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
}

impl Default for Dependency {
    fn default() -> Self {
        Dependency { condition: Condition::Started, required: true, restart: false }
    }
}

/// The state of a service that another waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Condition {
    /// It runs.
    #[default]
    #[serde(rename = "service_started")]
    Started,
    /// Its health check, or we, found it well.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It ended with success.
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

const CONDITIONS: [(&str, Condition); 3] = [
    ("service_started", Condition::Started),
    ("service_healthy", Condition::Healthy),
    ("service_completed_successfully", Condition::Completed),
];

pub(super) fn read_all(cursor: &Cursor) -> Checked<BTreeMap<String, Dependency>> {
    if cursor.is_mapping() {
        let read = |(name, dependency): (&str, Cursor)| Ok((name.to_owned(), read(&dependency)?));
        return cursor.entries()?.into_iter().map(read).collect();
    }
    Ok(lists::texts(cursor)?.into_iter().map(|name| (name, Dependency::default())).collect())
}

fn read(cursor: &Cursor) -> Checked<Dependency> {
    let mut fields = cursor.fields()?;
    let dependency = Dependency {
        condition: fields.require("condition", |c| c.choice(&CONDITIONS))?,
        required: fields.read("required", Cursor::flag)?.unwrap_or(true),
        restart: fields.or_default("restart", Cursor::flag)?,
    };
    fields.finish()?;
    Ok(dependency)
}
