//! Plans: what is to be done, as a value that can be printed, compared and tested.
//!
//! PURE. [`desired`] says what should be, [`observed`] what is, [`reconcile`] and [`teardown`] what has to be done about
//! it. Nothing here asks or changes the world; [`crate::apply`] walks a plan.

pub mod action;
pub mod desired;
pub mod observed;
pub mod reconcile;
pub mod teardown;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::event::{StepId, StepTitle};
pub use action::Action;
pub use desired::Desired;
pub use observed::Observed;
pub use reconcile::reconcile;
pub use teardown::{Extent, Removal, teardown};

/// Why a step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It is not there.
    Missing,
    /// It is there, and not as it should be; the text says in what.
    Changed(String),
    /// An earlier run stopped half-way.
    Unfinished,
    /// Git lists it, and its directory is gone.
    DirectoryGone,
    /// The stack has no such service, or has it already.
    Unwanted,
    /// It is there and does not run.
    Stopped,
    /// It cannot be told yet whether it is ready.
    NotReady,
    /// Something it stands on is made anew.
    FollowsFrom(&'static str),
    /// Another is in its place.
    Superseded,
    /// The user asked for it.
    Requested,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Missing => f.write_str("missing"),
            Cause::Changed(what) => write!(f, "{what} changed"),
            Cause::Unfinished => f.write_str("an earlier run stopped half-way"),
            Cause::DirectoryGone => f.write_str("its directory is gone"),
            Cause::Unwanted => f.write_str("the stack has no place for it"),
            Cause::Stopped => f.write_str("not running"),
            Cause::NotReady => f.write_str("not known to be ready"),
            Cause::FollowsFrom(what) => write!(f, "follows from {what}"),
            Cause::Superseded => f.write_str("another is in its place"),
            Cause::Requested => f.write_str("asked for"),
        }
    }
}

/// One thing to do, after the steps it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why.
    pub because: Cause,
    /// The steps that have to be done first, by their index in the plan. Always earlier ones, so there are no cycles.
    pub after: Vec<StepId>,
}

/// What happens to the rest of a plan when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing new is begun: what was made can be kept and gone on from.
    StopBeginning,
    /// Everything that does not stand on the failed step is still done: removal leaves as little as it can.
    TryEverything,
}

/// Steps and the order among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The task it is for.
    pub task: String,
    /// In an order in which they could be done one by one.
    pub steps: Vec<Step>,
    /// What a failure means for the others.
    pub on_failure: OnFailure,
}

impl Plan {
    /// A plan with nothing in it yet.
    #[must_use]
    pub fn new(task: &str, on_failure: OnFailure) -> Plan {
        Plan { task: task.to_owned(), steps: Vec::new(), on_failure }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Appends a step; the answer is what later steps stand on.
    pub fn add(&mut self, action: Action, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        let mut named = BTreeSet::new();
        let after = after.iter().flatten().copied().filter(|step| named.insert(*step)).collect();
        self.steps.push(Step { action, because, after });
        Some(self.steps.len() - 1)
    }

    /// The steps that bring images, where there are any: nothing stands before them.
    #[must_use]
    pub fn images_alone(&self) -> Option<Plan> {
        let brings = |step: &&Step| matches!(step.action, Action::Pull { .. } | Action::Build { .. });
        let steps: Vec<Step> = self.steps.iter().take_while(brings).cloned().collect();
        (!steps.is_empty()).then(|| Plan { steps, ..self.clone() })
    }

    /// The steps as they are announced.
    #[must_use]
    pub fn titles(&self) -> Vec<StepTitle> {
        let title = |(step, it): (StepId, &Step)| StepTitle {
            step,
            title: it.action.to_string(),
            because: it.because.to_string(),
        };
        self.steps.iter().enumerate().map(title).collect()
    }
}

/// The plan as `--dry-run` prints it and as tests compare it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to do");
        }
        for (number, step) in self.steps.iter().enumerate() {
            write!(f, "{:>3}. {} ({})", number + 1, step.action, step.because)?;
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|earlier| (earlier + 1).to_string()).collect();
                write!(f, " after {}", after.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
