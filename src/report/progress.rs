//! From events to the screen: which renderer, and when it begins.
//!
//! Nothing is drawn in the first 250 ms: what is over by then needs no progress. Notes and failures are never held back
//! for good.

use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::bars::Bars;
use super::lines::Lines;
use super::narrate;
use crate::event::{Event, Level, Message, Sink};

const HOLD_BACK: Duration = Duration::from_millis(250);

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Bars in a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Bars that move.
    Bars,
    /// A line for each step that ends.
    Lines,
    /// A JSON object a line, for machines.
    Json,
    /// Warnings and errors only.
    Quiet,
}

enum Renderer {
    Bars(Bars),
    Lines(Lines),
    Json,
    Quiet,
}

/// A renderer at work. Must be awaited before the process ends, so that nothing is lost.
pub struct Progress {
    task: JoinHandle<()>,
}

impl Progress {
    /// Starts a renderer; events go into the sink.
    #[must_use]
    pub fn start(mode: Mode) -> (Sink, Progress) {
        let (sink, events) = Sink::channel();
        let renderer = match mode {
            // On what is no terminal, or one that cannot move its cursor, bars would show nothing at all.
            Mode::Auto | Mode::Bars => {
                Bars::on_stderr().map_or_else(|| Renderer::Lines(Lines::default()), Renderer::Bars)
            }
            Mode::Lines => Renderer::Lines(Lines::default()),
            Mode::Json => Renderer::Json,
            Mode::Quiet => Renderer::Quiet,
        };
        (sink, Progress { task: tokio::spawn(run(renderer, events)) })
    }

    /// Waits until everything sent has been shown. Every sink must be dropped first.
    pub async fn finish(self) {
        let _ = self.task.await;
    }
}

async fn run(mut renderer: Renderer, mut events: UnboundedReceiver<Message>) {
    let mut held: Vec<Event> = Vec::new();
    let mut holding_until: Option<Instant> = None;
    loop {
        let message = tokio::select! {
            message = events.recv() => message,
            () = until(holding_until) => {
                holding_until = None;
                held.drain(..).for_each(|event| renderer.show(&event));
                continue;
            }
        };
        let event = match message {
            None => break,
            Some(Message::Event(event)) => event,
            Some(Message::Shown(done)) => {
                // Whoever waited may have given up.
                let _ = done.send(());
                continue;
            }
        };
        match (&event, holding_until) {
            (Event::Planned { .. }, _) if renderer.holds_back() => {
                holding_until = Some(Instant::now() + HOLD_BACK);
                held.push(event);
            }
            (Event::Applied { ok: true, .. }, Some(_)) => {
                held.clear();
                holding_until = None;
            }
            (Event::Failed { .. } | Event::Deferred { .. }, Some(_)) => {
                holding_until = None;
                held.drain(..).chain([event]).for_each(|event| renderer.show(&event));
            }
            (Event::Note { .. }, _) | (_, None) => renderer.show(&event),
            (_, Some(_)) => held.push(event),
        }
    }
    renderer.end();
}

/// Ends at a moment, or never.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Renderer {
    fn holds_back(&self) -> bool {
        matches!(self, Renderer::Bars(_) | Renderer::Lines(_))
    }

    fn show(&mut self, event: &Event) {
        match self {
            Renderer::Bars(bars) => bars.show(event),
            Renderer::Lines(lines) => lines.show(event),
            Renderer::Json => narrate(&serde_json::to_string(event).unwrap_or_default()),
            Renderer::Quiet => {
                if let Event::Note { level: Level::Warning, message } = event {
                    narrate(&format!("warning: {message}"));
                }
            }
        }
    }

    fn end(&mut self) {
        if let Renderer::Bars(bars) = self {
            bars.end();
        }
    }
}
