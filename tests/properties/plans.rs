//! Plans as text, for the states that people meet.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sandbox::apply::{Setback, Stop, World, apply};
use sandbox::converge::{Learnt, converge};
use sandbox::engine::labels;
use sandbox::error::Result;
use sandbox::event::{Sink, Ticker};
use sandbox::plan::observed::{Run, Scope};
use sandbox::plan::{Action, Desired, Extent, Observed, Removal, reconcile, teardown};

use sandbox::snapshot::is_upper;

use crate::block_on;
use crate::fake::{Fake, State};
use crate::generate::{desired_of, wanted};

/// A database and a cache, the cache waiting for the database.
fn desired() -> Desired {
    let postgres = wanted(0, (0, true, true, [false; 4]));
    let redis = wanted(1, (1, true, true, [true, false, false, false]));
    desired_of(vec![postgres, redis], true)
}

/// The world after a first `up`, changed by hand.
fn established(change: impl FnOnce(&mut State)) -> Fake {
    let world = Fake::new(State::default(), 0);
    let plan = reconcile(&desired(), &observe(&world));
    block_on(apply(&world, &plan, &Sink::null(), Stop::never())).into_result().unwrap();
    let mut state = world.state();
    change(&mut state);
    Fake::new(state, 0)
}

fn observe(world: &Fake) -> Observed {
    block_on(world.observe(&desired().scope())).unwrap()
}

fn plan_after(change: impl FnOnce(&mut State)) -> String {
    reconcile(&desired(), &observe(&established(change))).to_string()
}

#[test]
fn the_first_up_makes_everything_and_overlaps_what_it_can() {
    let plan = reconcile(&desired(), &Observed::default());
    insta::assert_snapshot!(plan, @"
     1. pull image image0 (missing)
     2. pull image image1 (missing)
     3. claim slot 101 and subnet 10.231.6.80/28 (missing) after 1, 2
     4. add worktree /src/blog-wt/fix on fix (missing) after 3
     5. check out /src/blog-wt/fix (missing) after 4
     6. record that the sandbox is checked out (follows from the worktree) after 5
     7. exclude /.env.worktree from git (missing) after 3
     8. write a file (missing) after 4, 6, 7
     9. write a file (missing) after 4, 6, 7
    10. make the base snapshot of s0 (missing) after 3, 1
    11. create volume sandbox_upper_blog_fix_s0-data (missing) after 3, 10
    12. create volume blog_fix_s0-data (missing) after 3, 11
    13. create volume blog_fix_s1-data (missing) after 3
    14. create network blog_fix_default (missing) after 3
    15. create container blog_fix-s0-1 (missing) after 1, 4, 12
    16. start container blog_fix-s0-1 (follows from the container) after 15, 3, 14
    17. prepare databases development and test (not known to be ready) after 16
    18. create container blog_fix-s1-1 (missing) after 2, 4, 13
    19. start container blog_fix-s1-1 (follows from the container) after 18, 3, 14, 17
    20. wait until s1 is ready (not known to be ready) after 19
    21. record that the sandbox is established (follows from the rest) after 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
    ");
}

#[test]
fn an_up_of_what_is_up_is_an_empty_plan() {
    insta::assert_snapshot!(plan_after(|_| {}), @"nothing to do");
}

#[test]
fn a_container_that_was_stopped_is_started_and_awaited() {
    let plan = plan_after(|state| {
        let postgres = state.containers.iter_mut().find(|it| it.seen.service == "s0").unwrap();
        postgres.seen.run = Run::Off;
    });
    insta::assert_snapshot!(plan, @"
    1. start container blog_fix-s0-1 (not running)
    2. wait until s0 is ready (not known to be ready) after 1
    3. prepare databases development and test (not known to be ready) after 2
    ");
}

#[test]
fn a_changed_configuration_makes_one_container_anew_and_keeps_its_volume() {
    let plan = plan_after(|state| {
        let redis = state.containers.iter_mut().find(|it| it.seen.service == "s1").unwrap();
        redis.seen.config_hash = Some("old".into());
    });
    insta::assert_snapshot!(plan, @"
    1. stop container blog_fix-s1-1 (the configuration changed)
    2. remove container blog_fix-s1-1 (the configuration changed) after 1
    3. create container blog_fix-s1-1 (the configuration changed) after 2
    4. start container blog_fix-s1-1 (follows from the container) after 3
    5. wait until s1 is ready (not known to be ready) after 4
    ");
}

/// A world in which the port of the cache turns out to be taken, once, after the database was started.
struct PortTaken {
    world: Fake,
    is_yet_to_come: AtomicBool,
    stopped: AtomicUsize,
}

impl World for PortTaken {
    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        self.world.observe(scope).await
    }

    async fn perform(&self, action: &Action, ticker: &Ticker) -> Result<(), Setback> {
        let is_last = |name: &str| name.ends_with("s1-1") && self.is_yet_to_come.swap(false, Ordering::Relaxed);
        match action {
            Action::StopContainer { .. } => drop(self.stopped.fetch_add(1, Ordering::Relaxed)),
            Action::StartContainer { name } if is_last(name) => return Err(Setback::PortTaken("it is in use".into())),
            _ => {}
        }
        self.world.perform(action, ticker).await
    }
}

/// How many servers are asked to end, when the numbers of all of them change after some were started.
fn stopped_by_a_port_that_is_taken(world: Fake) -> usize {
    let world = PortTaken { world, is_yet_to_come: true.into(), stopped: 0.into() };
    let resolve = async |learnt: &Learnt| {
        let mut moved = Desired { is_unused: learnt.is_unused, ..desired() };
        for service in &mut moved.stack.services {
            service.config_hash += if learnt.slots.is_empty() { "" } else { ", moved" };
            service.container.labels.insert(labels::CONFIG_HASH.into(), service.config_hash.clone());
        }
        Ok(moved)
    };
    block_on(converge(&world, resolve, &Sink::null(), &Stop::never())).unwrap();
    assert!(!world.is_yet_to_come.into_inner());
    world.stopped.into_inner()
}

#[test]
fn a_server_is_left_time_to_write_unless_this_very_run_has_started_it() {
    assert_eq!(stopped_by_a_port_that_is_taken(Fake::new(State::default(), 0)), 0);
    // That its record is lost does not make its data new.
    let without_record = established(|state| {
        state.worktree.as_mut().unwrap().record = None;
        state.containers.iter_mut().filter(|it| it.seen.service == "s1").for_each(|it| it.seen.run = Run::Off);
    });
    assert_eq!(stopped_by_a_port_that_is_taken(without_record), 1);
}

#[test]
fn a_network_that_is_gone_takes_its_containers_with_it_and_no_volume() {
    let plan = plan_after(|state| state.networks.clear());
    insta::assert_snapshot!(plan, @"
     1. create network blog_fix_default (missing)
     2. stop container blog_fix-s0-1 (follows from the network)
     3. remove container blog_fix-s0-1 (follows from the network) after 2
     4. create container blog_fix-s0-1 (follows from the network) after 3
     5. start container blog_fix-s0-1 (follows from the container) after 4, 1
     6. wait until s0 is ready (not known to be ready) after 5
     7. prepare databases development and test (not known to be ready) after 6
     8. stop container blog_fix-s1-1 (follows from the network)
     9. remove container blog_fix-s1-1 (follows from the network) after 8
    10. create container blog_fix-s1-1 (follows from the network) after 9
    11. start container blog_fix-s1-1 (follows from the container) after 10, 1, 7
    12. wait until s1 is ready (not known to be ready) after 11
    ");
}

#[test]
fn a_worktree_whose_directory_was_deleted_comes_back() {
    let plan = plan_after(|state| {
        state.worktree.as_mut().unwrap().missing = true;
        state.files.clear();
    });
    insta::assert_snapshot!(plan, @"
    1. bring back worktree /src/blog-wt/fix (its directory is gone)
    2. write a file (missing) after 1
    3. write a file (missing) after 1
    ");
}

#[test]
fn removal_goes_from_containers_to_the_claim() {
    let world = established(|_| {});
    let identity = desired().record.claim.identity;
    let observed = block_on(world.observe(&Scope::of(&identity))).unwrap();
    insta::assert_snapshot!(teardown(&identity, &observed, Extent::Everything(&Removal::default())), @"
    1. remove container blog_fix-s1-1 (asked for)
    2. remove container blog_fix-s0-1 (asked for)
    3. remove network blog_fix_default (asked for) after 1, 2
    4. remove worktree /src/blog-wt/fix (asked for) after 1, 2
    5. remove volume blog_fix_s0-data (asked for) after 1, 2, 4
    6. remove volume blog_fix_s1-data (asked for) after 1, 2, 4
    7. remove volume sandbox_upper_blog_fix_s0-data (asked for) after 1, 2, 4, 5, 6
    8. delete branch fix (asked for) after 4
    9. release the claim (asked for) after 1, 2, 3, 4, 5, 6, 7, 8
    ");
}

#[test]
fn a_forced_removal_moves_the_worktree_into_the_trash_before_anything_else() {
    let world = established(|state| state.moved = true);
    let identity = desired().record.claim.identity;
    let observed = block_on(world.observe(&Scope::of(&identity))).unwrap();
    let forced = Removal { forced: true, time: "20300101T000000000Z".into(), ..Removal::default() };
    insta::assert_snapshot!(teardown(&identity, &observed, Extent::Everything(&forced)), @"
    1. move worktree /src/blog-wt/fix to /src/blog-wt/.trash/fix.20300101T000000000Z (asked for)
    2. remove container blog_fix-s1-1 (asked for) after 1
    3. remove container blog_fix-s0-1 (asked for) after 1
    4. remove network blog_fix_default (asked for) after 2, 3
    5. remove volume blog_fix_s0-data (asked for) after 2, 3, 1
    6. remove volume blog_fix_s1-data (asked for) after 2, 3, 1
    7. remove volume sandbox_upper_blog_fix_s0-data (asked for) after 2, 3, 1, 5, 6
    8. delete branch fix (asked for) after 1
    9. release the claim (asked for) after 1, 2, 3, 4, 5, 6, 7, 8
    ");
}

#[test]
fn down_stops_servers_in_order_and_keeps_volumes_worktree_and_claim() {
    let world = established(|_| {});
    let identity = desired().record.claim.identity;
    let observed = block_on(world.observe(&Scope::of(&identity))).unwrap();
    insta::assert_snapshot!(teardown(&identity, &observed, Extent::Stack), @"
    1. stop container blog_fix-s1-1 (asked for)
    2. remove container blog_fix-s1-1 (asked for) after 1
    3. stop container blog_fix-s0-1 (asked for)
    4. remove container blog_fix-s0-1 (asked for) after 3
    5. remove network blog_fix_default (asked for) after 2, 4
    ");
}

#[test]
fn on_an_engine_that_cannot_mount_clones_all_databases_begin_anew() {
    // Two that find it out at one time.
    let postgres = |number| wanted(number, (0, true, true, [false; 4]));
    let with_clones = desired_of(vec![postgres(0), postgres(1)], true);
    let mut plain = with_clones.clone();
    plain.stack.clones.clear();
    plain.stack.volumes.iter_mut().for_each(|volume| volume.driver_opts.clear());
    for service in &mut plain.stack.services {
        service.volumes.retain(|name| !is_upper(name));
        service.container.mounts.retain(|mount| !is_upper(&mount.source));
    }
    let world = Fake::new(State::default(), 0).without_clones();
    let resolve = async |learnt: &Learnt| Ok(if learnt.no_clones { plain.clone() } else { with_clones.clone() });
    block_on(converge(&world, resolve, &Sink::null(), &Stop::never())).unwrap();
    assert_eq!(world.state().containers.len(), 2);
    assert!(world.state().snapshots.is_empty());
}
