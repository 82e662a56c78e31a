//! From what is to its removal.
//!
//! PURE. Works from what was observed alone, which holds only what carries our labels, provenance or record: neither
//! settings nor template are needed, and nothing else can be named.

use std::path::{Path, PathBuf};

use super::observed::{MadeBranch, WorktreeSeen};
use super::{Action, Cause, Observed, OnFailure, Plan};
use crate::event::StepId;
use crate::git::{Keep, TRASH, TrashKey};
use crate::snapshot::is_upper;
use crate::task::Identity;

/// How much is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent<'a> {
    /// Nothing goes; containers stop.
    Stop,
    /// Containers and networks.
    Stack,
    /// Containers, networks and volumes.
    StackAndVolumes,
    /// All of it: worktree, branch and claim too.
    Everything(&'a Removal),
}

/// How a whole sandbox goes.
#[expect(clippy::struct_excessive_bools, reason = "what was asked for, a flag each")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Whether it goes in spite of what would be lost: all that is moved into the trash.
    pub forced: bool,
    /// Whether its commits have just been merged: they are no loss then.
    pub merged: bool,
    /// Whether the branch stays, the user's from then on.
    pub keep_branch: bool,
    /// Whether the volumes stay.
    pub keep_volumes: bool,
    /// The directory that holds the worktrees, and their trash.
    pub worktrees: PathBuf,
    /// When, as the trash has it: `20300101T000000000Z`.
    pub time: String,
}

impl Removal {
    /// The entry in the trash of a task whose worktree was, or would have been, in a directory.
    fn entry(&self, name: &str, directory: &Path) -> Keep {
        let key = TrashKey { name: name.to_owned(), time: self.time.clone() };
        // No two tasks are called alike there.
        let place = directory.join(TRASH).join(key.directory());
        Keep { place, key, files: self.forced, branch: !self.keep_branch }
    }
}

/// What has to be done so that it is gone.
#[must_use]
pub fn teardown(identity: &Identity, observed: &Observed, extent: Extent) -> Plan {
    let mut plan = Plan::new(identity.task.as_str(), OnFailure::TryEverything);
    let removal = if let Extent::Everything(removal) = extent { Some(removal) } else { None };
    // What is kept goes first: where that fails, nothing is touched.
    let trashed =
        removal.filter(|removal| removal.forced).and_then(|it| worktree(&mut plan, identity, observed, it, &[]));
    let containers = containers(&mut plan, observed, extent, trashed);
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
    let gone = match removal {
        Some(removal) if !removal.forced => worktree(&mut plan, identity, observed, removal, &containers),
        _ => trashed,
    };
    // Files may have come since they were looked at: where they hold the worktree, its databases stay with it.
    let before_volumes: Vec<Option<StepId>> = containers.iter().copied().chain([gone]).collect();
    if !removal.is_some_and(|removal| removal.keep_volumes) {
        volumes(&mut plan, observed, &before_volumes);
    }
    if let Some(removal) = removal {
        branch(&mut plan, observed, removal, gone);
        release(&mut plan, identity, observed);
    }
    plan
}

/// A clone goes before what it has written: without that it would be half of its data, from which nothing may start.
fn volumes(plan: &mut Plan, observed: &Observed, after: &[Option<StepId>]) {
    let (uppers, others): (Vec<&String>, Vec<&String>) = observed.volumes.iter().partition(|volume| is_upper(volume));
    let mut gone = after.to_vec();
    for name in others {
        gone.push(plan.add(Action::RemoveVolume { name: name.clone() }, Cause::Requested, after));
    }
    for name in uppers {
        plan.add(Action::RemoveVolume { name: name.clone() }, Cause::Requested, &gone);
    }
}

/// The steps after which no container is left (or none runs).
fn containers(plan: &mut Plan, observed: &Observed, extent: Extent, after: Option<StepId>) -> Vec<Option<StepId>> {
    // Where the volumes stay, servers leave them clean; where they go, that would be time for nothing.
    let gently = match extent {
        Extent::Stop | Extent::Stack => true,
        Extent::StackAndVolumes => false,
        Extent::Everything(removal) => removal.keep_volumes,
    };
    let mut last = Vec::new();
    for container in &observed.containers {
        let (id, name) = (container.id.clone(), container.name.clone());
        let mut step = after;
        if gently && container.run.has_process() {
            step = plan.add(Action::StopContainer { id: id.clone(), name: name.clone() }, Cause::Requested, &[step]);
        }
        if extent != Extent::Stop {
            step = plan.add(Action::RemoveContainer { id, name }, Cause::Requested, &[step]);
        }
        last.push(step);
    }
    last
}

/// The step after which the worktree is gone, and what is worth keeping of it kept.
///
/// Of a branch that is still where it was made nothing needs keeping, unless everything is.
fn worktree(
    plan: &mut Plan,
    identity: &Identity,
    observed: &Observed,
    removal: &Removal,
    after: &[Option<StepId>],
) -> Option<StepId> {
    let made = observed.made_branch.as_ref();
    let moved = made.is_some_and(|made| made.moved) && !removal.keep_branch;
    let task = identity.task.as_str();
    let Some(WorktreeSeen { path, record, .. }) = &observed.worktree else {
        let action = moved.then(|| Action::TrashBranch(removal.entry(task, &removal.worktrees)))?;
        return plan.add(action, Cause::Requested, after);
    };
    let directory = path.parent().unwrap_or(&removal.worktrees);
    let keep = (removal.forced || moved).then(|| removal.entry(task, directory));
    let env_file = record.as_ref().map(|record| record.env_file.clone());
    let action = Action::RemoveWorktree { of: identity.clone(), worktree: path.clone(), env_file, keep };
    plan.add(action, Cause::Requested, after)
}

fn branch(plan: &mut Plan, observed: &Observed, removal: &Removal, worktree: Option<StepId>) {
    let Some(MadeBranch { name, at, .. }) = &observed.made_branch else { return };
    let branch = name.clone();
    let action = match at.clone() {
        Some(at) if !removal.keep_branch => Action::DeleteBranch { branch, at },
        _ => Action::ForgetBranch { branch },
    };
    plan.add(action, Cause::Requested, &[worktree]);
}

fn release(plan: &mut Plan, identity: &Identity, observed: &Observed) {
    if observed.claim.is_some() {
        // Last of all: while anything bears its numbers, nobody else may have them.
        let all: Vec<Option<StepId>> = (0..plan.steps.len()).map(Some).collect();
        plan.add(Action::Release(identity.clone()), Cause::Requested, &all);
    }
}
