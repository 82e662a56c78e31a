//! Files of variables that a service takes; reading them is the caller's, since this model reads no files.

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;

/// A file of variables. What `environment` says comes before what the files say, and a later file before an earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct EnvFile {
    /// Its path, relative to the project's directory where it is not absolute.
    pub path: String,
    /// Whether it is an error that it is missing.
    pub required: bool,
}

pub(super) fn read_all(cursor: &Cursor) -> Checked<Vec<EnvFile>> {
    if cursor.is_list() { cursor.items()?.iter().map(read).collect() } else { Ok(vec![read(cursor)?]) }
}

fn read(cursor: &Cursor) -> Checked<EnvFile> {
    if !cursor.is_mapping() {
        return Ok(EnvFile { path: cursor.text()?, required: true });
    }
    let mut fields = cursor.fields()?;
    let file = EnvFile {
        path: fields.require("path", Cursor::text)?,
        required: fields.read("required", Cursor::flag)?.unwrap_or(true),
    };
    fields.refuse(&["format"])?;
    fields.finish()?;
    Ok(file)
}
