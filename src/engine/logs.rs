//! What a container has written, as lines.

use std::collections::VecDeque;

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    deadline,
    docker::{Engine, next_within},
    failure::Failure,
    frames::Source,
    lines::Lines,
};
use crate::error::Result;

/// Which of a container's lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Only so many lines from the end; `None` is all.
    pub tail: Option<u64>,
    /// Whether each line begins with the engine's time stamp and a space. A line of more than 16 KiB has several.
    pub timestamps: bool,
    /// Only what was written from then on, to the second.
    pub since: Option<jiff::Timestamp>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written.
    pub source: Source,
    /// What was written, without the end of the line; not necessarily UTF-8.
    pub line: Bytes,
}

type Pieces = BoxStream<'static, std::result::Result<LogOutput, bollard::errors::Error>>;

struct Reading {
    follow: bool,
    act: String,
    pieces: Pieces,
    lines: Lines,
    ready: VecDeque<LogLine>,
    ended: bool,
}

impl Engine {
    /// A container's lines, in the order of writing. The stream ends with the container's output, at once without
    /// `follow`; a container that is gone has none. Following has no bound but the stream's own life.
    #[must_use]
    pub fn logs(&self, id: &str, options: &LogOptions) -> BoxStream<'static, Result<LogLine>> {
        let mut request = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(options.follow)
            .timestamps(options.timestamps)
            .tail(&options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()));
        if let Some(since) = options.since {
            request = request.since(i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        }
        let reading = Reading {
            follow: options.follow,
            act: format!("cannot read the log of container {id}"),
            pieces: self.docker.logs(id, Some(request.build())).boxed(),
            lines: Lines::default(),
            ready: VecDeque::new(),
            ended: false,
        };
        stream::unfold(reading, next_line).boxed()
    }
}

async fn next_line(mut reading: Reading) -> Option<(Result<LogLine>, Reading)> {
    loop {
        if let Some(line) = reading.ready.pop_front() {
            return Some((Ok(line), reading));
        }
        if reading.ended {
            return None;
        }
        let next = if reading.follow {
            reading.pieces.next().await.transpose().map_err(Failure::from)
        } else {
            next_within(deadline::LOOK, &mut reading.pieces).await
        };
        match next {
            Ok(Some(piece)) => reading.take(piece),
            Ok(None) => reading.end(),
            Err(failure) => {
                reading.end();
                if !failure.is_not_found() {
                    let error = failure.into_error(&reading.act);
                    return Some((Err(error), reading));
                }
            }
        }
    }
}

impl Reading {
    fn take(&mut self, piece: LogOutput) {
        let source = match &piece {
            LogOutput::StdErr { .. } => Source::Stderr,
            _ => Source::Stdout,
        };
        let lines = self.lines.push(source, &piece.into_bytes());
        self.ready.extend(lines.into_iter().map(|line| LogLine { source, line }));
    }

    fn end(&mut self) {
        self.ended = true;
        self.ready.extend(self.lines.finish().into_iter().map(|(source, line)| LogLine { source, line }));
    }
}
