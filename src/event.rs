//! What happens while a plan is applied, as values.
//!
//! Every line of progress is drawn from these and from nothing else: what JSON cannot say here is not shown
//! anywhere. Knows nothing of terminals, Docker or git.

use std::collections::VecDeque;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// The version of the event stream, in every stream's first event.
pub const SCHEMA_VERSION: u32 = 1;

/// A step's number within its plan.
pub type StepId = usize;

/// A thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A plan is about to be applied.
    Planned {
        /// See [`SCHEMA_VERSION`].
        schema_version: u32,
        /// The task it is for.
        task: String,
        /// What will be done, in no particular order: steps overlap.
        steps: Vec<StepTitle>,
    },
    /// A step has begun.
    Started {
        /// Which one.
        step: StepId,
    },
    /// A step has come further.
    Progress {
        /// Which one.
        step: StepId,
        /// Units done so far.
        done: u64,
        /// Units in all, where that is known.
        total: Option<u64>,
        /// What is counted: `bytes`, `steps`.
        unit: &'static str,
        /// What it is at.
        message: String,
    },
    /// A step is done.
    Finished {
        /// Which one.
        step: StepId,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// A step has failed.
    Failed {
        /// Which one.
        step: StepId,
        /// Why.
        error: String,
    },
    /// A step could not be done in this way; what stood in its way is known now, and another way is tried if there is one.
    Deferred {
        /// Which one.
        step: StepId,
        /// What stood in its way.
        why: String,
    },
    /// A step was not begun, because another failed or the user stopped it.
    Skipped {
        /// Which one.
        step: StepId,
    },
    /// Something worth saying that is no step.
    Note {
        /// How much it matters.
        level: Level,
        /// One line, without a full stop.
        message: String,
    },
    /// The plan has been walked to its end, well or badly.
    Applied {
        /// Whether every step was done.
        ok: bool,
        /// How long the whole took, in milliseconds.
        elapsed_ms: u64,
    },
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Info,
    /// May bite later.
    Warning,
}

/// A step as it is announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepTitle {
    /// Its number, by which later events name it.
    pub step: StepId,
    /// What it does, as an imperative: `create network blog_fix_default`.
    pub title: String,
    /// Why it is done.
    pub because: String,
}

/// Where events go. Cheap to clone; sending never waits and never fails.
#[derive(Clone, Debug)]
pub struct Sink {
    to: Option<mpsc::UnboundedSender<Message>>,
    /// Whether it is shown when its turn comes, which nobody waits for.
    later: bool,
}

/// What goes to a renderer.
#[derive(Debug)]
pub enum Message {
    /// Something to show.
    Event(Event),
    /// Somebody waits until all that came before has been shown.
    Shown(oneshot::Sender<()>),
}

impl Sink {
    /// A sink and the end from which a renderer reads.
    #[must_use]
    pub fn channel() -> (Sink, mpsc::UnboundedReceiver<Message>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Sink { to: Some(sender), later: false }, receiver)
    }

    /// A sink that forgets everything.
    #[must_use]
    pub fn null() -> Sink {
        Sink { to: None, later: false }
    }

    /// Sends an event. A renderer that has gone away is not the sender's concern.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.to {
            let _ = sender.send(Message::Event(event));
        }
    }

    /// Waits until everything sent so far has been shown. What is [handed out](Turns) in turn does not wait: who prints what belongs to
    /// it does.
    pub async fn shown(&self) {
        let Some(sender) = self.to.as_ref().filter(|_| !self.later) else { return };
        let (done, shown) = oneshot::channel();
        // A renderer that has gone away shows nothing more.
        if sender.send(Message::Shown(done)).is_ok() {
            let _ = shown.await;
        }
    }

    /// Sends a note that is good to know.
    pub fn info(&self, message: impl Into<String>) {
        self.send(Event::Note { level: Level::Info, message: message.into() });
    }

    /// Sends a note that may bite later.
    pub fn warn(&self, message: impl Into<String>) {
        self.send(Event::Note { level: Level::Warning, message: message.into() });
    }
}

/// Sinks for what is done side by side. What goes into them is shown as if one thing had been done after the other, in the order in
/// which they were handed out.
#[derive(Debug)]
pub struct Turns {
    into: Sink,
    handed_out: VecDeque<mpsc::UnboundedReceiver<Message>>,
}

impl Turns {
    /// None yet; all of them will lead into this one.
    #[must_use]
    pub fn into(sink: Sink) -> Turns {
        Turns { into: sink, handed_out: VecDeque::new() }
    }

    /// The next one.
    pub fn hand_out(&mut self) -> Sink {
        let (Sink { to, .. }, messages) = Sink::channel();
        self.handed_out.push_back(messages);
        Sink { to, later: true }
    }

    /// Shows what goes into the first that has not had its turn, until that is dropped.
    pub async fn next(&mut self) {
        let Some(mut messages) = self.handed_out.pop_front() else { return };
        while let Some(message) = messages.recv().await {
            if let Message::Event(event) = message {
                self.into.send(event);
            }
        }
    }
}

/// A sink bound to one step, for whoever performs it.
#[derive(Clone, Debug)]
pub struct Ticker {
    sink: Sink,
    step: StepId,
}

impl Ticker {
    /// Binds a sink to a step.
    #[must_use]
    pub fn new(sink: Sink, step: StepId) -> Ticker {
        Ticker { sink, step }
    }

    /// A ticker nobody listens to.
    #[must_use]
    pub fn null() -> Ticker {
        Ticker { sink: Sink::null(), step: 0 }
    }

    /// Says how far the step has come.
    pub fn tick(&self, done: u64, total: Option<u64>, unit: &'static str, message: impl Into<String>) {
        self.sink.send(Event::Progress { step: self.step, done, total, unit, message: message.into() });
    }

    /// The sink underneath, for notes.
    #[must_use]
    pub fn sink(&self) -> &Sink {
        &self.sink
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_side_by_side_is_shown_in_turn_and_nobody_waits_for_it() {
        let (into, mut shown) = Sink::channel();
        let mut turns = Turns::into(into);
        let (first, second) = (turns.hand_out(), turns.hand_out());
        // It has ended before the first begins.
        second.info("c");
        second.shown().await;
        drop(second);
        let goes_on = async {
            for word in ["a", "b"] {
                first.info(word);
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let show = async {
            turns.next().await;
            turns.next().await;
            drop(turns);
        };
        let mut said = Vec::new();
        let screen = async {
            while let Some(message) = shown.recv().await {
                match message {
                    Message::Event(Event::Note { message, .. }) => said.push(message),
                    Message::Event(_) => {}
                    Message::Shown(done) => done.send(()).unwrap(),
                }
            }
        };
        tokio::join!(show, goes_on, screen);
        assert_eq!(said, ["a", "b", "c"]);
    }
}
