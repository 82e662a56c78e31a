//! From a question to a sandbox that is up: resolve, observe, plan, apply, and again with what was learnt.
//!
//! A step may find that a number is taken or that an image is not to be had. That is knowledge, not failure: it goes
//! into [`Learnt`], and everything is decided anew from the top.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::{Outcome, Setback, Stop, World, apply};
use crate::claims::subnet::Subnet;
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::plan::{Desired, Observed, Removal, reconcile};
use crate::record::Stage;
use crate::removal;
use crate::task::Identity;

/// How often everything is decided anew. Each round learns something, and a machine has few more surprises than this.
const ROUNDS: usize = 60;

/// How often in a row somebody else may be faster.
const MEANWHILE_ROUNDS: usize = 10;

/// What earlier rounds found out.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    /// Slots of which a port turned out to be taken.
    pub slots: BTreeSet<u16>,
    /// Subnets that turned out to be taken.
    pub subnets: Vec<Subnet>,
    /// Images that no registry hands out, and why.
    pub images: BTreeMap<String, String>,
    /// Whether the engine cannot mount clones.
    pub no_clones: bool,
    /// Whether nothing of the sandbox was there before the first round.
    pub is_unused: bool,
    /// The services whose data was gone before the first round, which may have made some of it.
    pub bereft: Option<Vec<String>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Converged {
    /// What is now.
    pub desired: Desired,
    /// How many steps it took; none when everything was as desired.
    pub steps: usize,
}

/// Makes the world as `resolve` says, which is asked again whenever something was learnt.
///
/// A first `up` that fails takes back what it made; an interrupted one leaves it, to be gone on from.
pub async fn converge<W: World>(
    world: &W,
    resolve: impl AsyncFn(&Learnt) -> Result<Desired>,
    events: &Sink,
    stop: &Stop,
) -> Result<Converged> {
    let mut begun: Option<Begun> = None;
    match rounds(world, resolve, events, stop, &mut begun).await {
        Err(error) if error.kind() != Kind::Interrupted => Err(match begun {
            // What the engine is still at work on cannot be taken back yet.
            Some(Begun { identity, .. }) if error.leaves_work_under_way() => keep(error, &identity),
            Some(Begun { identity, fresh: true }) => take_back(world, &identity, error, events, &stop.unheard()).await,
            Some(Begun { identity, fresh: false }) => keep(error, &identity),
            None => error,
        }),
        result => result,
    }
}

/// That something has been done to a sandbox.
struct Begun {
    identity: Identity,
    /// Whether nothing of it was there before.
    fresh: bool,
}

async fn rounds<W: World>(
    world: &W,
    resolve: impl AsyncFn(&Learnt) -> Result<Desired>,
    events: &Sink,
    stop: &Stop,
    begun: &mut Option<Begun>,
) -> Result<Converged> {
    let mut learnt = Learnt::default();
    let (mut steps, mut meanwhile) = (0, 0);
    for _ in 0..ROUNDS {
        let desired = resolve(&learnt).await?;
        learnt.bereft.get_or_insert_with(|| desired.bereft.clone());
        let observed = world.observe(&desired.scope()).await?;
        let plan = reconcile(&desired, &observed);
        if plan.is_empty() {
            return Ok(Converged { desired, steps });
        }
        let images = plan.images_alone().filter(|_| desired.awaits_images);
        let (plan, is_all) = images.map_or((plan, true), |images| (images, false));
        let identity = &desired.record.claim.identity;
        let begun = begun.get_or_insert_with(|| Begun { identity: identity.clone(), fresh: observed.is_nothing() });
        learnt.is_unused = begun.fresh;
        steps += plan.steps.len();
        let outcome = apply(world, &plan, events, stop.clone()).await;
        if outcome.interrupted {
            return Err(interrupted(identity));
        }
        let by_others = |(_, setback): &(_, Setback)| matches!(setback, Setback::Meanwhile(_));
        let is_meanwhile = !outcome.setbacks.is_empty() && outcome.setbacks.iter().all(by_others);
        meanwhile = if is_meanwhile { meanwhile + 1 } else { 0 };
        if meanwhile > MEANWHILE_ROUNDS {
            return outcome.into_result().map(|()| Converged { desired, steps });
        }
        if !learn(&mut learnt, &outcome, &desired, &observed) && (is_all || !outcome.setbacks.is_empty()) {
            return outcome.into_result().map(|()| Converged { desired, steps });
        }
    }
    Err(Error::new(Kind::Numbers, format!("gave up after {ROUNDS} attempts to find numbers that nobody takes"))
        .hint("`sandbox doctor` shows what holds ports and subnets"))
}

/// Takes from an outcome what another round can do better. Whether there was anything, and nothing worse.
fn learn(learnt: &mut Learnt, outcome: &Outcome, desired: &Desired, observed: &Observed) -> bool {
    let record = observed.worktree.as_ref().and_then(|seen| seen.record.as_ref());
    let claim = &desired.record.claim;
    let may_move = record.is_none_or(|record| record.stage < Stage::Established || record.claim != *claim);
    // Several services may find it out at one time.
    let first = !learnt.no_clones;
    let takes = |setback: &Setback| match setback {
        Setback::ClaimLost | Setback::Meanwhile(_) => true,
        // Later, people and programs know the port: it stays, and whoever holds it is named.
        Setback::PortTaken(_) => {
            learnt.slots.insert(claim.slot);
            may_move
        }
        Setback::SubnetTaken(_) => {
            learnt.subnets.push(claim.subnet);
            may_move
        }
        Setback::NoClones(_) => {
            learnt.no_clones = true;
            first
        }
        Setback::NoImage { reference, why } => learnt.images.insert(reference.clone(), why.clone()).is_none(),
        Setback::Failed(_) => false,
    };
    let better: Vec<bool> = outcome.setbacks.iter().map(|(_, setback)| setback).map(takes).collect();
    !better.is_empty() && better.into_iter().all(|it| it)
}

/// A first `up` that fails leaves nothing half-made, unless somebody has worked in it meanwhile.
async fn take_back<W: World>(world: &W, identity: &Identity, error: Error, events: &Sink, stop: &Stop) -> Error {
    match removal::remove(world, identity, &Removal::default(), events, stop).await {
        Ok(None) => error,
        Ok(Some(_)) => error.hint("what had been made was taken back; nothing of it is left"),
        Err(left) => keep(error, identity).hint(format!("what had been made was not taken back: {left}")),
    }
}

fn keep(error: Error, identity: &Identity) -> Error {
    let task = &identity.task;
    error.hint(format!("`sandbox up {task}` goes on from here; `sandbox rm {task}` takes it away"))
}

fn interrupted(identity: &Identity) -> Error {
    let task = &identity.task;
    Error::new(Kind::Interrupted, format!("stopped while bringing {task} up"))
        .hint(format!("`sandbox show {task}` says what exists so far"))
        .hint(format!("`sandbox up {task}` goes on; `sandbox rm {task}` takes it away"))
}
