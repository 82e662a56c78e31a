//! Progress without a terminal: a line for each step that ends, and one now and then for a step that takes long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::human::{seconds, size};
use super::narrate;
use crate::event::{Event, Level, StepId};

/// How often a long step says where it is.
const EVERY: Duration = Duration::from_secs(5);

/// What has been announced so far.
#[derive(Default)]
pub(super) struct Lines {
    titles: HashMap<StepId, String>,
    told: HashMap<StepId, Instant>,
}

impl Lines {
    pub(super) fn show(&mut self, event: &Event) {
        if let Some(line) = self.line(event) {
            narrate(&line);
        }
    }

    fn line(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Planned { steps, .. } => {
                self.titles = steps.iter().map(|step| (step.step, step.title.clone())).collect();
                None
            }
            Event::Started { step } => {
                self.told.insert(*step, Instant::now());
                None
            }
            Event::Progress { step, done, total, unit, message } => {
                let told = self.told.get_mut(step).filter(|told| told.elapsed() >= EVERY)?;
                *told = Instant::now();
                Some(format!("{}: {}", self.title(*step), amount(*done, *total, unit, message)))
            }
            Event::Finished { step, elapsed_ms } => Some(format!("{} ({})", self.title(*step), seconds(*elapsed_ms))),
            // What a program wrote before it failed belongs to the error that the command ends with.
            Event::Failed { step, error } => {
                Some(format!("failed to {}: {}", self.title(*step), error.lines().next().unwrap_or_default()))
            }
            Event::Deferred { step, why } => {
                Some(format!("could not {}, looking for another way: {why}", self.title(*step)))
            }
            Event::Skipped { .. } | Event::Applied { .. } => None,
            Event::Note { level: Level::Info, message } => Some(format!("note: {message}")),
            Event::Note { level: Level::Warning, message } => Some(format!("warning: {message}")),
        }
    }

    fn title(&self, step: StepId) -> &str {
        self.titles.get(&step).map_or("a step", String::as_str)
    }
}

/// `34 MB of 120 MB, layer 3 of 7`.
pub(super) fn amount(done: u64, total: Option<u64>, unit: &str, message: &str) -> String {
    let count = |number: u64| if unit == "bytes" { size(number) } else { format!("{number} {unit}") };
    let so_far = match total {
        Some(total) => format!("{} of {}", count(done), count(total)),
        None => count(done),
    };
    if message.is_empty() { so_far } else { format!("{so_far}, {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepTitle;

    #[test]
    fn each_step_that_ends_has_its_line() {
        let mut lines = Lines::default();
        let title = StepTitle { step: 0, title: "create network x".into(), because: "missing".into() };
        let planned = Event::Planned { schema_version: 1, task: "fix".into(), steps: vec![title] };
        let events = [
            planned,
            Event::Started { step: 0 },
            Event::Finished { step: 0, elapsed_ms: 60 },
            Event::Applied { ok: true, elapsed_ms: 61 },
        ];
        let shown: Vec<String> = events.iter().filter_map(|event| lines.line(event)).collect();
        assert_eq!(shown, ["create network x (0.0 s)"]);
    }
}
