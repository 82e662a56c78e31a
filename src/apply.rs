//! Walks a plan: as concurrently as its edges allow, telling what happens, deciding and printing nothing.
//!
//! Declares [`World`], the one seam between what is decided and what is done.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::event::{Event, SCHEMA_VERSION, Sink, StepId, Ticker};
use crate::plan::observed::Scope;
use crate::plan::{Action, Observed, OnFailure, Plan};

/// How long steps that are under way may go on after the user said stop.
const GRACE: Duration = Duration::from_secs(3);

/// Everything outside: Docker, git, the claims, our files. Two verbs.
pub trait World: Sync {
    /// Looks, and changes nothing.
    fn observe(&self, scope: &Scope) -> impl Future<Output = Result<Observed>> + Send;
    /// Does one thing, whole or not at all where the outside allows it. What is done already is done.
    fn perform(&self, action: &Action, ticker: &Ticker) -> impl Future<Output = Result<(), Setback>> + Send;
}

/// Why a step was not done. All but the first may come right with other numbers or another image.
#[derive(Debug)]
pub enum Setback {
    /// It failed.
    Failed(Error),
    /// Another sandbox was faster to claim some of the numbers.
    ClaimLost,
    /// What was looked at is no longer so: a request of a killed run was still under way. To be looked at again.
    Meanwhile(String),
    /// A host port is in use; the engine's words.
    PortTaken(String),
    /// Another network overlaps the subnet; the engine's words.
    SubnetTaken(String),
    /// The engine's storage cannot put volumes together; its words.
    NoClones(String),
    /// No registry hands the image out; why.
    NoImage {
        /// The image.
        reference: String,
        /// What stood in the way.
        why: String,
    },
}

impl From<Error> for Setback {
    fn from(error: Error) -> Setback {
        Setback::Failed(error)
    }
}

impl Setback {
    /// The setback of a task as an error, for when there is no other way to try.
    #[must_use]
    pub fn into_error(self, task: &str) -> Error {
        match self {
            Setback::Failed(error) => error,
            Setback::ClaimLost => {
                Error::new(Kind::Numbers, "another sandbox claimed the numbers first").hint("try again")
            }
            Setback::Meanwhile(what) => Error::new(Kind::Engine, what).hint("try again"),
            Setback::PortTaken(why) => Error::new(Kind::Numbers, format!("a host port of the sandbox is taken: {why}"))
                .hint(format!("end what holds it and try again, or move the sandbox: `sandbox up {task} --renumber`")),
            Setback::SubnetTaken(why) => Error::new(Kind::Numbers, format!("the subnet is taken: {why}"))
                .hint(format!("`sandbox up {task} --renumber` moves the sandbox to other numbers"))
                .hint(
                    "where every range is taken, set `subnet_pool` in the settings to one that no other network uses",
                ),
            Setback::NoClones(why) => {
                Error::new(Kind::Engine, "the engine cannot mount one volume over another").because(why)
            }
            Setback::NoImage { reference, why } => {
                Error::new(Kind::Image, format!("the image {reference} is not here and cannot be pulled: {why}")).hint(
                    format!("`docker pull {reference}` where a registry is reached, or `docker load` it from a file"),
                )
            }
        }
    }
}

/// What came of walking a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whose plan it was.
    pub task: String,
    /// The steps that were not done, and why.
    pub setbacks: Vec<(StepId, Setback)>,
    /// How many steps were never begun.
    pub skipped: usize,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

impl Outcome {
    /// Nothing, or all failures as one.
    pub fn into_result(self) -> Result<()> {
        if self.interrupted {
            return Err(Error::new(Kind::Interrupted, "stopped"));
        }
        Error::all(self.setbacks.into_iter().map(|(_, setback)| setback.into_error(&self.task)))
    }
}

/// Whether the user has said stop.
#[derive(Clone, Debug)]
pub struct Stop {
    said: watch::Receiver<bool>,
    /// How many walks there are, shared by all clones.
    walks: Arc<AtomicUsize>,
    /// That of one for whoever goes on all the same.
    _own: Option<Walk>,
}

/// That something is done which is brought to an end in order, as long as this is there.
#[derive(Debug)]
pub struct Walk(Arc<AtomicUsize>);

impl Walk {
    fn begin(walks: &Arc<AtomicUsize>) -> Walk {
        walks.fetch_add(1, Ordering::SeqCst);
        Walk(Arc::clone(walks))
    }
}

impl Clone for Walk {
    fn clone(&self) -> Walk {
        Walk::begin(&self.0)
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stop {
    /// A stop that the sender says by sending `true`.
    #[must_use]
    pub fn new(receiver: watch::Receiver<bool>) -> Stop {
        Stop { said: receiver, walks: Arc::default(), _own: None }
    }

    /// A stop that is never said.
    #[must_use]
    pub fn never() -> Stop {
        Stop::new(watch::channel(false).1)
    }

    /// Whether it has been said.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.said.borrow()
    }

    /// One for a walk that is to be ended by a second word only.
    #[must_use]
    pub fn unheard(&self) -> Stop {
        Stop { said: watch::channel(false).1, walks: Arc::clone(&self.walks), _own: Some(self.walk()) }
    }

    /// Says that what is done now is to be brought to an end in order.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk::begin(&self.walks)
    }

    /// Tells whether a plan is being walked: then it is brought to an end in order, else there is nothing to wait for.
    pub fn walking(&self) -> impl Fn() -> bool + use<> {
        let walks = Arc::clone(&self.walks);
        move || walks.load(Ordering::SeqCst) > 0
    }

    /// Waits until it is said.
    pub async fn said(&mut self) {
        if self.said.wait_for(|said| *said).await.is_err() {
            // The sender is gone and said nothing: it never will.
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Begun,
    Done,
    NotDone,
}

/// Walks the plan to its end, or to where a failure or the user ends it.
pub async fn apply<W: World>(world: &W, plan: &Plan, events: &Sink, mut stop: Stop) -> Outcome {
    let start = Instant::now();
    let _walk = stop.walk();
    events.send(Event::Planned { schema_version: SCHEMA_VERSION, task: plan.task.clone(), steps: plan.titles() });
    let mut states = vec![State::Waiting; plan.steps.len()];
    let mut running = FuturesUnordered::new();
    let mut outcome = Outcome { task: plan.task.clone(), interrupted: stop.requested(), ..Outcome::default() };
    let mut deadline = tokio::time::Instant::now();
    loop {
        let halted =
            outcome.interrupted || (!outcome.setbacks.is_empty() && plan.on_failure == OnFailure::StopBeginning);
        if !halted {
            for step in runnable(plan, &states) {
                states[step] = State::Begun;
                running.push(walk(world, plan, step, events));
            }
        }
        let ended = tokio::select! {
            ended = running.next() => ended,
            // What is under way may end well; what only waits is given up.
            () = tokio::time::sleep_until(deadline), if outcome.interrupted => None,
            () = stop.said(), if !outcome.interrupted => {
                outcome.interrupted = true;
                deadline = tokio::time::Instant::now() + GRACE;
                continue;
            }
        };
        let Some((number, result)) = ended else { break };
        states[number] = if result.is_ok() { State::Done } else { State::NotDone };
        outcome.setbacks.extend(result.err().map(|setback| (number, setback)));
    }
    drop(running);
    for step in (0..states.len()).filter(|&step| matches!(states[step], State::Waiting | State::Begun)) {
        outcome.skipped += 1;
        events.send(Event::Skipped { step });
    }
    let ok = outcome.setbacks.is_empty() && !outcome.interrupted;
    events.send(Event::Applied { ok, elapsed_ms: millis(start) });
    // What comes after, data above all, must not be mixed with progress.
    events.shown().await;
    outcome
}

fn runnable(plan: &Plan, states: &[State]) -> Vec<StepId> {
    let free = |step: &StepId| plan.steps[*step].after.iter().all(|&earlier| states[earlier] == State::Done);
    (0..states.len()).filter(|&step| states[step] == State::Waiting).filter(free).collect()
}

async fn walk<W: World>(world: &W, plan: &Plan, step: StepId, events: &Sink) -> (StepId, Result<(), Setback>) {
    let begun = Instant::now();
    events.send(Event::Started { step });
    let result = world.perform(&plan.steps[step].action, &Ticker::new(events.clone(), step)).await;
    events.send(match &result {
        Ok(()) => Event::Finished { step, elapsed_ms: millis(begun) },
        Err(Setback::Failed(error)) => Event::Failed { step, error: error.to_string() },
        Err(setback) => Event::Deferred { step, why: setback.to_string() },
    });
    (step, result)
}

impl std::fmt::Display for Setback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setback::Failed(error) => error.fmt(f),
            Setback::ClaimLost => f.write_str("another sandbox claimed the numbers first"),
            Setback::Meanwhile(why)
            | Setback::PortTaken(why)
            | Setback::SubnetTaken(why)
            | Setback::NoClones(why)
            | Setback::NoImage { why, .. } => f.write_str(why),
        }
    }
}

fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
