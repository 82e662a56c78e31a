//! Progress in a terminal: a line that moves for each step under way, and a mark for each that has ended.

use std::collections::HashMap;
use std::time::Duration;

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::human::seconds;
use super::lines::amount;
use crate::event::{Event, Level, StepId};

const TICK: Duration = Duration::from_millis(100);

/// A step that takes less leaves no line.
const QUICK_MS: u64 = 50;

/// The bars on the screen.
#[derive(Default)]
pub(super) struct Bars {
    screen: MultiProgress,
    titles: HashMap<StepId, String>,
    moving: HashMap<StepId, ProgressBar>,
}

impl Bars {
    /// None where stderr cannot show them.
    pub(super) fn on_stderr() -> Option<Bars> {
        let bars = Bars::default();
        (!bars.screen.is_hidden()).then_some(bars)
    }

    pub(super) fn show(&mut self, event: &Event) {
        match event {
            Event::Planned { steps, .. } => {
                self.titles = steps.iter().map(|step| (step.step, step.title.clone())).collect();
            }
            Event::Started { step } => self.begin(*step),
            Event::Progress { step, done, total, unit, message } => {
                if let Some(bar) = self.moving.get(step) {
                    bar.set_message(format!("{}  {}", self.title(*step), amount(*done, *total, unit, message)));
                }
            }
            // What is over before it could be seen leaves no line.
            Event::Finished { step, elapsed_ms } if *elapsed_ms < QUICK_MS => self.clear(*step),
            Event::Finished { step, elapsed_ms } => {
                let line =
                    format!("{} {}  {}", style("✔").green(), self.title(*step), style(seconds(*elapsed_ms)).dim());
                self.close(*step, &line);
            }
            Event::Failed { step, .. } => {
                let line = format!("{} {}", style("✘").red(), self.title(*step));
                self.close(*step, &line);
            }
            Event::Deferred { step, .. } => {
                let line = format!("{} {}, looking for another way", style("↻").yellow(), self.title(*step));
                self.close(*step, &line);
            }
            Event::Skipped { step } => self.clear(*step),
            Event::Note { level, message } => {
                let label = match level {
                    Level::Info => style("note:").cyan(),
                    Level::Warning => style("warning:").yellow(),
                };
                self.print(&format!("{label} {message}"));
            }
            Event::Applied { .. } => self.end(),
        }
    }

    /// Takes what still moves off the screen.
    pub(super) fn end(&mut self) {
        self.moving.drain().for_each(|(_, bar)| bar.finish_and_clear());
    }

    fn begin(&mut self, step: StepId) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        if let Ok(line) = ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}") {
            bar.set_style(line);
        }
        bar.set_message(self.title(step).to_owned());
        bar.enable_steady_tick(TICK);
        self.moving.insert(step, bar);
    }

    fn close(&mut self, step: StepId, line: &str) {
        self.print(line);
        self.clear(step);
    }

    fn clear(&mut self, step: StepId) {
        if let Some(bar) = self.moving.remove(&step) {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        // A screen that cannot be drawn on is no reason to stop the work.
        let _ = self.screen.println(line);
    }

    fn title(&self, step: StepId) -> &str {
        self.titles.get(&step).map_or("a step", String::as_str)
    }
}
