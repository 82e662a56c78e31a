//! From a sandbox to nothing: observe, weigh what would be lost, tear down, and observe again until nothing is left.
//!
//! The one way by which a whole sandbox goes: asked for, or taken back after a first `up` that failed.

use crate::apply::{Stop, World, apply};
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::git::Objection;
use crate::plan::observed::Scope;
use crate::plan::{Extent, Observed, Plan, Removal, teardown};
use crate::task::{Identity, TaskName};

/// How often it is looked again: what a killed run had asked the engine for may come into being meanwhile.
const LOOKS: usize = 4;

/// What has to be done, and what is there before; `None` where there is nothing to do.
///
/// Fails with [`Kind::WouldLoseWork`] when anything would be lost.
pub async fn plan<W: World>(world: &W, identity: &Identity, removal: &Removal) -> Result<Option<(Plan, Observed)>> {
    let observed = world.observe(&Scope::to_remove(identity)).await?;
    if observed.is_nothing() {
        return Ok(None);
    }
    refuse_losses(&identity.task, &observed, removal)?;
    let plan = teardown(identity, &observed, Extent::Everything(removal));
    Ok(if plan.is_empty() { None } else { Some((plan, observed)) })
}

/// Removes all of it. The answer is what was there, proven to be gone; `None` where nothing was.
pub async fn remove<W: World>(
    world: &W,
    identity: &Identity,
    removal: &Removal,
    events: &Sink,
    stop: &Stop,
) -> Result<Option<Observed>> {
    let mut before = None;
    for _ in 0..LOOKS {
        let Some((plan, observed)) = plan(world, identity, removal).await? else { return Ok(before) };
        if before.is_none() {
            tell(&observed, removal, events);
        }
        let outcome = Box::pin(apply(world, &plan, events, stop.clone())).await;
        let interrupted = outcome.interrupted;
        outcome.into_result().map_err(|error| {
            let goes_on = format!("`sandbox rm {}` goes on from here", identity.task);
            if interrupted { error.hint(goes_on) } else { error }
        })?;
        before.get_or_insert(observed);
    }
    match plan(world, identity, removal).await? {
        None => Ok(before),
        Some((_, left)) => Err(not_gone(&identity.task, &left)),
    }
}

/// What the trash cannot give back is said before it goes.
fn tell(observed: &Observed, removal: &Removal, events: &Sink) {
    if removal.forced && !removal.keep_volumes && !observed.volumes.is_empty() {
        events.warn("the databases go for good: they are not in the trash");
    }
}

/// Nothing is touched while anything would be lost.
fn refuse_losses(task: &TaskName, observed: &Observed, removal: &Removal) -> Result<()> {
    let merged = |it: &Objection| removal.merged && matches!(it, Objection::Commits { .. });
    let stays = |it: &Objection| removal.keep_branch && matches!(it, Objection::Commits { on_branch: true, .. });
    let refused = |it: &&Objection| !(merged(it) || stays(it) || removal.forced && it.yields_to_force());
    let losses: Vec<&Objection> = observed.losses.iter().filter(refused).collect();
    let mut list: Vec<String> = losses.iter().map(ToString::to_string).collect();
    let processes = if removal.forced { &[][..] } else { &observed.processes };
    list.extend(processes.iter().map(|process| format!("at work in it: {process}")));
    if list.is_empty() {
        return Ok(());
    }
    let place = observed.worktree.as_ref().map(|seen| format!(" in {}", seen.path.display())).unwrap_or_default();
    let is_locked = |it: &Objection| matches!(it, Objection::Locked { .. });
    let mut hints = Vec::new();
    if !processes.is_empty() {
        hints.push("end what is at work in it, or let it go elsewhere".to_owned());
    }
    if losses.iter().any(|it| is_locked(it)) {
        hints.push(format!("`sandbox unlock {task}` unlocks it"));
    }
    if losses.iter().any(|it| matches!(it, Objection::Mounted { .. })) {
        hints.push("unmount what is mounted there".to_owned());
    }
    let out_of_sight = losses.iter().any(|it| matches!(it, Objection::OutOfSight));
    if out_of_sight {
        hints.push(format!(
            "mount its disk; or, if it is gone for good: `git worktree prune`, then `sandbox rm {task}`"
        ));
    }
    if !out_of_sight && observed.worktree.as_ref().is_some_and(|seen| seen.missing) {
        hints.push(format!("`sandbox up {task}` brings its directory back"));
    }
    if losses.iter().any(|it| it.yields_to_force()) {
        hints.push(format!("commit what is worth keeping{place}, then `sandbox merge {task}`"));
        hints
            .push(format!("`sandbox rm --force {task}` moves it into the trash; `sandbox undo {task}` brings it back"));
    }
    let error = Error::new(Kind::WouldLoseWork, format!("removing {task} would lose work")).because(list.join("\n"));
    Err(hints.into_iter().fold(error, Error::hint))
}

/// Docker and git were asked again; what they still have is an error.
fn not_gone(task: &TaskName, left: &Observed) -> Error {
    let mut things: Vec<String> = left.containers.iter().map(|it| format!("container {}", it.name)).collect();
    things.extend(left.networks.iter().map(|it| format!("network {}", it.name)));
    things.extend(left.volumes.iter().map(|it| format!("volume {it}")));
    things.extend(left.worktree.iter().map(|it| format!("worktree {}", it.path.display())));
    things.extend(left.made_branch.iter().map(|made| format!("branch {}", made.name)));
    things.extend(left.claim.iter().map(|_| "its claim".to_owned()));
    Error::new(Kind::Unexpected, format!("{task} is not gone: {} left", things.join(", ")))
        .hint(format!("`sandbox rm {task}` again"))
}
