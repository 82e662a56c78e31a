//! When the engine starts a container again.

use std::fmt;

use serde::{Serialize, Serializer};

use super::complaint::Checked;
use super::cursor::Cursor;

/// When the engine starts a container again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Never.
    No,
    /// Whenever it ends.
    Always,
    /// Whenever it ends, but for a stop.
    UnlessStopped,
    /// When it fails, so many times at most; none is without end.
    OnFailure(Option<u32>),
}

pub(super) fn read(cursor: &Cursor) -> Checked<Restart> {
    let text = cursor.text()?;
    match text.split_once(':').unwrap_or((&text, "")) {
        ("no", "") => Ok(Restart::No),
        ("always", "") => Ok(Restart::Always),
        ("unless-stopped", "") => Ok(Restart::UnlessStopped),
        ("on-failure", "") => Ok(Restart::OnFailure(None)),
        ("on-failure", times) if times.parse::<u32>().is_ok() => Ok(Restart::OnFailure(times.parse().ok())),
        _ => Err(cursor
            .complain(format!("{text:?} is no restart policy"))
            .hint("these are: no, always, unless-stopped, on-failure, on-failure:TIMES")),
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Restart::No => f.write_str("no"),
            Restart::Always => f.write_str("always"),
            Restart::UnlessStopped => f.write_str("unless-stopped"),
            Restart::OnFailure(None) => f.write_str("on-failure"),
            Restart::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
        }
    }
}

impl Serialize for Restart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
