//! What holds for every sandbox, whatever state it is found in and wherever a step fails: the plan and its walk, tried
//! on generated pairs of desired and observed against a world in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod fake;
mod generate;
mod plans;

use std::collections::BTreeSet;

use fake::{Fake, State};
use generate::{Case, case, older};
use proptest::prelude::*;
use sandbox::apply::{Outcome, Stop, World, apply};
use sandbox::engine::VolumeSpec;
use sandbox::error::Kind;
use sandbox::event::Sink;
use sandbox::git::{Listing, Objection};
use sandbox::plan::desired::ServiceWanted;
use sandbox::plan::observed::{Run, Scope};
use sandbox::plan::{Desired, Observed, Plan, Removal, reconcile};
use sandbox::removal;

/// One walk from what is observed towards what is desired.
async fn up(world: &Fake, desired: &Desired) -> Outcome {
    let plan = next_plan(world, desired).await;
    apply(world, &plan, &Sink::null(), Stop::never()).await
}

async fn next_plan(world: &Fake, desired: &Desired) -> Plan {
    reconcile(desired, &world.observe(&desired.scope()).await.unwrap())
}

async fn rm(world: &Fake, desired: &Desired) -> sandbox::error::Result<Option<Observed>> {
    rm_as(world, desired, &Removal::default()).await
}

async fn rm_as(world: &Fake, desired: &Desired, how: &Removal) -> sandbox::error::Result<Option<Observed>> {
    removal::remove(world, &desired.record.claim.identity, how, &Sink::null(), &Stop::never()).await
}

/// One in spite of all that would be lost.
fn forced() -> Removal {
    Removal { forced: true, ..Removal::default() }
}

/// What an untracked file is to whoever removes its worktree.
fn losses() -> Vec<Objection> {
    vec![Objection::Untracked { files: Listing { first: vec!["notes".into()], count: 1 } }]
}

/// A walk that fails at the generated step, and the same world in which nothing fails any more.
async fn up_that_fails(case: &Case) -> Fake {
    let world = broken(case);
    let _ = up(&world, &case.desired).await;
    world.mended()
}

async fn assert_up(world: &Fake, desired: &Desired) -> Result<(), TestCaseError> {
    let outcome = up(world, desired).await;
    prop_assert!(outcome.setbacks.is_empty(), "{:?}", outcome.setbacks);
    // What was to be replaced is.
    let desired = Desired { record: desired.record.clone().settled(), ..desired.clone() };
    let next = next_plan(world, &desired).await;
    prop_assert!(next.is_empty(), "{next}");
    Ok(())
}

async fn assert_removed(world: &Fake, desired: &Desired) -> Result<(), TestCaseError> {
    let removed = rm(world, desired).await;
    prop_assert!(removed.is_ok(), "{removed:?}");
    let left = world.observe(&Scope::of(&desired.record.claim.identity)).await.unwrap();
    prop_assert!(left.is_nothing(), "{left:?}");
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A world in the generated state, in which the generated step fails.
fn broken(case: &Case) -> Fake {
    Fake::new(case.state.clone(), case.seed).failing_at(case.fail_at, case.fail_after_effect)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn after_a_walk_there_is_nothing_left_to_do(case in case()) {
        block_on(assert_up(&Fake::new(case.state.clone(), case.seed), &case.desired))?;
    }

    #[test]
    fn a_walk_that_failed_anywhere_is_completed_by_the_next(case in case()) {
        block_on(async { assert_up(&up_that_fails(&case).await, &case.desired).await })?;
    }

    #[test]
    fn a_walk_that_failed_anywhere_is_removed_without_trace(case in case()) {
        block_on(async { assert_removed(&up_that_fails(&case).await, &case.desired).await })?;
    }

    #[test]
    fn a_removal_that_failed_anywhere_is_completed_by_the_next(case in case()) {
        block_on(async {
            let world = broken(&case);
            let _ = rm(&world, &case.desired).await;
            assert_removed(&world.mended(), &case.desired).await
        })?;
    }

    #[test]
    fn a_removal_that_would_lose_work_touches_nothing(case in case()) {
        block_on(async {
            let world = Fake::new(State { losses: losses(), ..case.state.clone() }, case.seed);
            let before = world.state();
            match rm(&world, &case.desired).await {
                Err(error) => prop_assert_eq!(error.kind(), Kind::WouldLoseWork),
                Ok(removed) => prop_assert!(removed.is_none(), "there was nothing at all"),
            }
            prop_assert_eq!(world.state(), before);
            Ok(())
        })?;
    }

    #[test]
    fn a_forced_removal_that_failed_anywhere_is_completed_and_keeps_what_would_be_lost(case in case()) {
        block_on(async {
            let state = State { losses: losses(), ..case.state.clone() };
            let before = Fake::new(state.clone(), 0).observe(&Scope::of(&case.desired.record.claim.identity)).await.unwrap();
            let world = broken(&Case { state, ..case.clone() });
            let _ = rm_as(&world, &case.desired, &forced()).await;
            let world = world.mended();
            let removed = rm_as(&world, &case.desired, &forced()).await;
            prop_assert!(removed.is_ok(), "{removed:?}");
            let left = world.observe(&Scope::of(&case.desired.record.claim.identity)).await.unwrap();
            prop_assert!(left.is_nothing(), "{left:?}");
            prop_assert_eq!(world.state().trash.iter().any(|keep| keep.files), before.worktree.is_some());
            Ok(())
        })?;
    }

    #[test]
    fn what_was_asked_to_stay_stays(case in case(), keep_branch: bool, keep_volumes: bool) {
        block_on(async {
            let world = Fake::new(case.state.clone(), case.seed);
            let how = Removal { keep_branch, keep_volumes, ..Removal::default() };
            prop_assert!(rm_as(&world, &case.desired, &how).await.is_ok());
            let left = world.observe(&Scope::of(&case.desired.record.claim.identity)).await.unwrap();
            prop_assert!(left.containers.is_empty() && left.worktree.is_none() && left.made_branch.is_none());
            prop_assert_eq!(left.volumes, if keep_volumes { case.state.volumes } else { BTreeSet::new() });
            Ok(())
        })?;
    }

    #[test]
    fn what_is_not_ours_is_never_named_or_touched(case in case()) {
        block_on(async {
            let foreign = State::foreign(&case.desired);
            let world = up_that_fails(&Case { state: case.state.clone().with(&foreign), ..case.clone() }).await;
            let _ = up(&world, &case.desired).await;
            let _ = rm(&world, &case.desired).await;
            prop_assert!(world.state().contains(&foreign), "{:?}", world.state());
            Ok(())
        })?;
    }

    #[test]
    fn a_database_is_removed_only_with_its_sandbox(case in case()) {
        block_on(async {
            let before = case.state.volumes.clone();
            let world = up_that_fails(&case).await;
            let _ = up(&world, &case.desired).await;
            let superseded = case.desired.stack.superseded.iter().cloned().collect();
            prop_assert!(world.state().volumes.is_superset(&(&before - &superseded)));
            Ok(())
        })?;
    }

    #[test]
    fn the_old_data_is_there_until_all_of_the_new_serves(case in case()) {
        block_on(async {
            let before = case.state.volumes.clone();
            let state = up_that_fails(&case).await.state();
            let gone = |service: &ServiceWanted| older(service).iter().any(|it| before.contains(it) && !state.volumes.contains(it));
            let serves = |service: &ServiceWanted| state.containers.iter().any(|it| it.seen.service == service.name && it.mounts == service.volumes);
            let stack = &case.desired.stack;
            if stack.services.iter().any(gone) {
                prop_assert!(stack.services.iter().all(|it| it.volumes == older(it) || serves(it)), "{state:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_serves_is_ended_only_once_all_volumes_are_there(case in case()) {
        block_on(async {
            let state = up_that_fails(&case).await.state();
            let is_left = |id: &str| state.containers.iter().any(|it| it.seen.id == id && matches!(it.seen.run, Run::Running | Run::EndedWell));
            let ended = case.state.containers.iter().any(|it| it.seen.run == Run::Running && !is_left(&it.seen.id));
            let is_there = |volume: &VolumeSpec| state.volumes.contains(&volume.name);
            prop_assert!(!ended || case.desired.stack.volumes.iter().all(is_there), "{state:?}");
            Ok(())
        })?;
    }

    #[test]
    fn a_plan_that_only_looks_changes_nothing(case in case()) {
        block_on(async {
            let world = Fake::new(case.state.clone(), case.seed);
            let _ = next_plan(&world, &case.desired).await.to_string();
            prop_assert_eq!(world.state(), case.state);
            Ok(())
        })?;
    }
}
