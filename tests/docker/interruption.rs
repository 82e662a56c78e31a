//! An `up` that is stopped, politely or not: the next `up` converges, and `rm` leaves nothing.

use rustix::process::Signal;

use crate::yard::{Running, Yard, eventually, labelled};

/// Whether a moment has come for a task.
type Moment = fn(&Yard, &str) -> bool;

/// Moments of a first `up`, told by what there is of it.
const MOMENTS: [(&str, Moment); 6] = [
    ("the numbers are claimed", |yard, task| yard.claimed().iter().any(|it| it["identity"]["task"] == task)),
    ("the worktree is there", |yard, task| yard.worktree(task).is_dir()),
    ("the env file is there", |yard, task| yard.worktree(task).join(".env.worktree").exists()),
    ("a volume is there", |yard, task| !yard.has("volume", task).is_empty()),
    ("a container is there", |yard, task| !yard.has("container", task).is_empty()),
    ("the containers run", |yard, task| {
        labelled("container", &yard.labels(Some(task))).len() == 2
            && yard.sandbox(&["show", "--json", task]).stdout.matches("\"running\": true").count() == 2
    }),
];

/// A first `up`, up to a moment.
fn begin_until(yard: &Yard, task: &str, (moment, is_there): (&str, fn(&Yard, &str) -> bool)) -> Running {
    let up = yard.begin(&["up", task]);
    eventually(moment, || is_there(yard, task).then_some(()));
    up
}

#[test]
fn the_first_ctrl_c_says_what_there_is_and_up_goes_on_from_it() {
    let yard = Yard::new("ctrl-c");
    for (task, then) in [("a", "up"), ("b", "rm")] {
        let up = begin_until(&yard, task, MOMENTS[4]);
        up.signal(Signal::INT);
        let ended = up.output();
        ended.ends_with(130).says(&[&format!("`sandbox up {task}`"), &format!("`sandbox rm {task}`")]);
        if then == "up" {
            yard.sandbox(&["show", task]).ok();
            yard.up(task);
            yard.assert_whole(task);
            yard.assert_as_desired(task);
        }
        yard.sandbox(&["rm", task]).ok();
        yard.assert_no_trace(task);
    }
}

#[test]
fn an_up_that_was_killed_at_any_moment_converges_in_one_go() {
    let yard = Yard::new("killed-up");
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let task = format!("t{number}");
        let mut up = begin_until(&yard, &task, moment);
        up.signal(Signal::KILL);
        up.wait();
        yard.up(&task);
        yard.assert_whole(&task);
        yard.assert_as_desired(&task);
        yard.sandbox(&["rm", &task]).ok();
        yard.assert_no_trace(&task);
    }
}

#[test]
fn an_up_that_was_killed_at_any_moment_can_be_removed() {
    let yard = Yard::new("killed-rm");
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let task = format!("t{number}");
        let mut up = begin_until(&yard, &task, moment);
        up.signal(Signal::KILL);
        up.wait();
        yard.sandbox(&["rm", &task]).ok();
        yard.assert_no_trace(&task);
    }
}

#[test]
fn an_rm_that_was_killed_is_finished_by_the_next() {
    let yard = Yard::new("killed-down");
    yard.up("a");
    let mut rm = yard.begin(&["rm", "a"]);
    eventually("a container is gone", || (yard.has("container", "a").len() < 2).then_some(()));
    rm.signal(Signal::KILL);
    rm.wait();
    let again = yard.sandbox(&["rm", "a"]);
    // It may just have been done.
    assert!(matches!(again.code, Some(0 | 7)), "{again}");
    yard.assert_no_trace("a");
}

/// Intent: git outlives whoever started it, and must not be taken for somebody at work.
#[test]
fn a_checkout_that_outlives_its_up_is_ended_by_the_next_command() {
    let yard = Yard::new("slow-filter");
    let (block, began) = (yard.directory.join("block"), yard.directory.join("began"));
    let filter = format!("touch '{}'; while [ -e '{}' ]; do sleep 0.002; done; cat", began.display(), block.display());
    std::fs::write(yard.repo.join(".gitattributes"), "README filter=slow\n").unwrap();
    yard.git(&["add", "."]);
    yard.git(&["commit", "-q", "-m", "A slow filter"]);
    yard.git(&["config", "filter.slow.smudge", &filter]);
    for (task, then) in [("a", "rm"), ("b", "up")] {
        std::fs::write(&block, "").unwrap();
        let mut up = yard.begin(&["up", task]);
        eventually("the filter is at work", || began.exists().then_some(()));
        up.signal(Signal::KILL);
        up.wait();
        std::fs::remove_file(&began).unwrap();
        if then == "up" {
            std::fs::remove_file(&block).unwrap();
            yard.up(task);
            yard.assert_whole(task);
            assert_eq!(yard.git_in(&yard.worktree(task), &["status", "--porcelain"]), "");
        }
        yard.sandbox(&["rm", task]).ok();
        yard.assert_no_trace(task);
    }
}
