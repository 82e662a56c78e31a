//! Where a container's output goes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::pairs;

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// The engine's log driver; none is its default.
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

pub(super) fn read(cursor: &Cursor) -> Checked<Logging> {
    let mut fields = cursor.fields()?;
    let logging = Logging {
        driver: fields.read("driver", Cursor::text)?,
        options: fields.or_default("options", pairs::options)?,
    };
    fields.finish()?;
    Ok(logging)
}
