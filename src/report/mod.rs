//! The only place that prints.
//!
//! Data goes to stdout; progress, notes and errors go to stderr. Progress is drawn from events by one of four renderers.

mod bars;
mod human;
mod lines;
mod progress;
mod tables;

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};

pub use human::{age, seconds, size};
pub use progress::{Mode, Progress};
pub use tables::{Table, fields};

/// The version of every JSON document on stdout and of every JSON error on stderr.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes data to stdout. A reader that has gone away (`| head`) is no error.
pub fn data(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes raw data to stdout.
pub fn bytes(bytes: &[u8]) -> Result<()> {
    stream(bytes).map(|_| ())
}

/// Writes a part of what has no end of its own to stdout, and says to break off when nobody reads it any more.
pub fn stream(bytes: &[u8]) -> Result<ControlFlow<()>> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(cause) => Err(Error::new(Kind::Files, "cannot write to stdout").because(cause)),
    }
}

/// Writes a value as one JSON document, with its `schema_version`.
pub fn document(name: &str, value: &impl Serialize) -> Result<()> {
    let value = serde_json::to_value(value)
        .map_err(|cause| Error::new(Kind::Unexpected, "cannot put the answer into JSON").because(cause))?;
    let document = json!({ "schema_version": SCHEMA_VERSION, name: value });
    data(&format!("{document:#}\n"))
}

/// Asks a question that is answered with yes or no. Without a terminal nobody is asked, and the answer is none.
#[must_use]
pub fn confirmed(question: &str) -> Option<bool> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return None;
    }
    let mut answer = String::new();
    // Whoever closed stderr does not want to be asked.
    let asked = write!(io::stderr().lock(), "{question} [y/N] ").and_then(|()| io::stdin().read_line(&mut answer));
    Some(asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Writes a line to stderr.
pub fn narrate(line: &str) {
    // Whoever closed stderr does not want to be told.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Shows an error and what can be done about it.
pub fn error(error: &Error, as_json: bool) {
    if as_json {
        narrate(&error_document(error).to_string());
        return;
    }
    let label = console::style("error:").for_stderr().red().bold();
    narrate(&format!("{label} {}", error.what()));
    for cause in error.causes() {
        for (number, line) in cause.trim_end().lines().enumerate() {
            narrate(&format!("  {} {line}", if number == 0 { "because:" } else { "        " }));
        }
    }
    let label = console::style("hint:").for_stderr().cyan();
    for hint in error.hints() {
        narrate(&format!("  {label} {hint}"));
    }
}

/// Shows what the parser of the command line has to say: help and version on stdout, complaints on stderr.
#[must_use]
pub fn usage(complaint: &clap::Error, as_json: bool) -> ExitCode {
    if !complaint.use_stderr() {
        // Whoever closed the stream does not want to be told.
        let _ = complaint.print();
        return ExitCode::SUCCESS;
    }
    if as_json {
        error(&in_our_words(&complaint.render().to_string()), true);
    } else {
        let _ = complaint.print();
    }
    ExitCode::from(Kind::Usage.exit_code())
}

/// The parser's paragraphs: the complaint, then what can be done about it.
fn in_our_words(complaint: &str) -> Error {
    let mut paragraphs = complaint.trim().split("\n\n");
    let what = paragraphs.next().unwrap_or_default();
    let error = Error::new(Kind::Usage, what.strip_prefix("error: ").unwrap_or(what));
    paragraphs.fold(error, |error, paragraph| error.hint(paragraph.trim().trim_start_matches("tip: ")))
}

fn error_document(error: &Error) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "error": {
            "kind": error.kind().name(),
            "exit_code": error.kind().exit_code(),
            "message": error.what(),
            "causes": error.causes(),
            "hints": error.hints(),
        }
    })
}
