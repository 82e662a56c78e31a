//! From what is to its removal.
//!
//! PURE. Works from what was observed alone, which holds only what carries our labels, provenance or record: neither
//! settings nor template are needed, and nothing else can be named.

use super::observed::MadeBranch;
use super::{Action, Cause, Observed, OnFailure, Plan};
use crate::event::StepId;
use crate::task::Identity;

/// How much is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing goes; containers stop.
    Stop,
    /// Containers and networks.
    Stack,
    /// Containers, networks and volumes.
    StackAndVolumes,
    /// All of it: worktree, branch and claim too.
    Everything,
}

/// What has to be done so that it is gone.
#[must_use]
pub fn teardown(identity: &Identity, observed: &Observed, extent: Extent) -> Plan {
    let mut plan = Plan::new(identity.task.as_str(), OnFailure::TryEverything);
    let containers = containers(&mut plan, observed, extent);
    if extent == Extent::Stop {
        return plan;
    }
    for network in &observed.networks {
        let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
        plan.add(action, Cause::Requested, &containers);
    }
    if extent == Extent::Stack {
        return plan;
    }
    let mut worktree = None;
    if let (Extent::Everything, Some(seen)) = (extent, &observed.worktree) {
        let action = Action::RemoveWorktree { worktree: seen.path.clone() };
        worktree = plan.add(action, Cause::Requested, &containers);
    }
    // Files may have come since they were looked at: where they hold the worktree, its databases stay with it.
    let before_volumes: Vec<Option<StepId>> = containers.iter().copied().chain([worktree]).collect();
    for name in &observed.volumes {
        plan.add(Action::RemoveVolume { name: name.clone() }, Cause::Requested, &before_volumes);
    }
    if extent == Extent::StackAndVolumes {
        return plan;
    }
    if let Some(MadeBranch { name, at }) = &observed.made_branch {
        let branch = name.clone();
        let action = match at.clone() {
            Some(at) => Action::DeleteBranch { branch, at },
            None => Action::ForgetBranch { branch },
        };
        plan.add(action, Cause::Requested, &[worktree]);
    }
    if observed.claim.is_some() {
        // Last of all: while anything bears its numbers, nobody else may have them.
        let all: Vec<Option<StepId>> = (0..plan.steps.len()).map(Some).collect();
        plan.add(Action::Release(identity.clone()), Cause::Requested, &all);
    }
    plan
}

/// The steps after which no container is left (or none runs).
fn containers(plan: &mut Plan, observed: &Observed, extent: Extent) -> Vec<Option<StepId>> {
    // Where the volumes stay, servers leave them clean; where they go, that would be time for nothing.
    let gently = matches!(extent, Extent::Stop | Extent::Stack);
    let mut last = Vec::new();
    for container in &observed.containers {
        let (id, name) = (container.id.clone(), container.name.clone());
        let mut step = None;
        if gently && container.run.has_process() {
            step = plan.add(Action::StopContainer { id: id.clone(), name: name.clone() }, Cause::Requested, &[]);
        }
        if extent != Extent::Stop {
            step = plan.add(Action::RemoveContainer { id, name }, Cause::Requested, &[step]);
        }
        last.push(step);
    }
    last
}
