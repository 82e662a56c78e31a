//! The messages of the engine while it makes an image.

use std::collections::VecDeque;

use bollard::models::BuildInfo;

use super::failure::Failure;
use crate::{
    error::{Error, Kind},
    event::Ticker,
};

/// How many lines of output an error carries: enough for a compiler's complaint.
const KEPT_LINES: usize = 20;

/// The steps done so far and the last lines of output.
#[derive(Default)]
pub(super) struct Progress {
    step: u64,
    steps: Option<u64>,
    partial: String,
    tail: VecDeque<String>,
}

impl Progress {
    /// Takes in one message, and ticks for each line of output.
    pub(super) fn take(&mut self, message: BuildInfo, ticker: &Ticker) -> Result<(), Failure> {
        if let Some(trouble) = message.error_detail.and_then(|detail| detail.message) {
            return Err(Failure::Refused { status: 0, message: trouble });
        }
        self.partial.push_str(&message.stream.unwrap_or_default());
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.line(line.trim_end(), ticker);
        }
        Ok(())
    }

    fn line(&mut self, line: &str, ticker: &Ticker) {
        if line.is_empty() {
            return;
        }
        if let Some((step, steps)) = step(line) {
            (self.step, self.steps) = (step, Some(steps));
        }
        ticker.tick(self.step, self.steps, "steps", line);
        if self.tail.len() == KEPT_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    /// The error of a build that failed, with the last lines of its output.
    pub(super) fn into_error(mut self, failure: Failure, act: &str) -> Error {
        if !self.partial.is_empty() {
            self.tail.push_back(self.partial);
        }
        let tail = Vec::from(self.tail).join("\n");
        match failure {
            Failure::Refused { message, .. } if !tail.is_empty() => {
                Error::new(Kind::Image, act).because(format!("{message}\n{tail}"))
            }
            failure => failure.into_error_of(Kind::Image, act),
        }
    }

    /// What was printed last, one line each.
    pub(super) fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }
}

/// `Step 2/7 : RUN make`.
fn step(line: &str) -> Option<(u64, u64)> {
    let (step, steps) = line.strip_prefix("Step ")?.split_once(" : ")?.0.split_once('/')?;
    Some((step.parse().ok()?, steps.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> BuildInfo {
        BuildInfo { stream: Some(text.into()), ..Default::default() }
    }

    #[test]
    fn a_failed_build_shows_the_last_lines_of_its_output() {
        let mut progress = Progress::default();
        for text in ["Step 2/7 : RUN make", "\n", "cc -c a.c\na.c:1: er", "ror: nope\n"] {
            progress.take(says(text), &Ticker::null()).unwrap();
        }
        assert_eq!((progress.step, progress.steps), (2, Some(7)));
        let failure = Failure::Refused { status: 0, message: "The command 'make' returned a non-zero code: 2".into() };
        let error = progress.into_error(failure, "cannot build image x");
        assert_eq!(error.kind(), Kind::Image);
        assert!(error.to_string().ends_with("code: 2\nStep 2/7 : RUN make\ncc -c a.c\na.c:1: error: nope"), "{error}");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut progress = Progress::default();
        for n in 0..100 {
            progress.take(says(&format!("{n}\n")), &Ticker::null()).unwrap();
        }
        assert_eq!(progress.tail().count(), KEPT_LINES);
        assert_eq!(progress.tail().last(), Some("99"));
    }
}
