//! How the engine asks a container whether it is well.

use std::time::Duration;

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::{duration, lists};

/// How the engine asks a container whether it is well. What is none is the image's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// The test as Docker takes it: `CMD` and words, `CMD-SHELL` and a line, or `NONE`.
    pub test: Option<Vec<String>>,
    /// The time between two tests.
    #[serde(serialize_with = "duration::serialize")]
    pub interval: Option<Duration>,
    /// How long a test may take.
    #[serde(serialize_with = "duration::serialize")]
    pub timeout: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// How long failures do not count.
    #[serde(serialize_with = "duration::serialize")]
    pub start_period: Option<Duration>,
    /// The time between two tests while failures do not count.
    #[serde(serialize_with = "duration::serialize")]
    pub start_interval: Option<Duration>,
}

impl Healthcheck {
    /// Whether the image's own check is switched off.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.test.as_ref().is_some_and(|test| test.first().is_some_and(|first| first == "NONE"))
    }
}

pub(super) fn read(cursor: &Cursor) -> Checked<Healthcheck> {
    let mut fields = cursor.fields()?;
    let disabled = fields.or_default("disable", Cursor::flag)?;
    let mut healthcheck = Healthcheck {
        test: fields.read("test", read_test)?,
        interval: fields.read("interval", duration::read)?,
        timeout: fields.read("timeout", duration::read)?,
        retries: fields.read("retries", Cursor::integer)?,
        start_period: fields.read("start_period", duration::read)?,
        start_interval: fields.read("start_interval", duration::read)?,
    };
    fields.finish()?;
    if disabled {
        healthcheck.test = Some(vec!["NONE".into()]);
    }
    Ok(healthcheck)
}

fn read_test(cursor: &Cursor) -> Checked<Vec<String>> {
    if cursor.as_text().is_some() {
        return Ok(vec!["CMD-SHELL".into(), cursor.text()?]);
    }
    let test = lists::texts(cursor)?;
    match (test.first().map(String::as_str), test.len()) {
        (Some("NONE"), 1) | (Some("CMD"), 2..) | (Some("CMD-SHELL"), 2) => Ok(test),
        (Some("CMD-SHELL"), _) => Err(cursor.complain("`CMD-SHELL` takes exactly one line")),
        _ => Err(cursor.complain("the list must begin with CMD, CMD-SHELL or NONE")),
    }
}
