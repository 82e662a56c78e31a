//! Limits of a container's processes.

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;

/// A limit; -1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Ulimit {
    /// Where a process is stopped first.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
}

/// One number for both, or each by its name.
pub(super) fn read(cursor: &Cursor) -> Checked<Ulimit> {
    if !cursor.is_mapping() {
        let both = cursor.integer()?;
        return Ok(Ulimit { soft: both, hard: both });
    }
    let mut fields = cursor.fields()?;
    let ulimit =
        Ulimit { soft: fields.require("soft", Cursor::integer)?, hard: fields.require("hard", Cursor::integer)? };
    fields.finish()?;
    Ok(ulimit)
}
