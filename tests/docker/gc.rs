//! `gc`: what is done, expired or orphaned goes; what is not proven to be stays.

use std::fs;

use crate::yard::{Yard, docker, inspect, labelled};

/// Forgets a sandbox behind its back: worktree, record and branch.
fn forget(yard: &Yard, task: &str) {
    yard.git(&["worktree", "remove", "--force", yard.worktree(task).to_str().unwrap()]);
    for reference in ["refs/heads", "refs/sandbox/made"] {
        yard.git(&["update-ref", "-d", &format!("{reference}/{task}")]);
    }
}

/// The labels of a sandbox's volume, some of them with another value.
fn look_alike(yard: &Yard, of: &str, name: &str, task: &str, changed: &[(&str, &str)]) {
    let volume = &inspect("volume", &yard.has("volume", of))[0];
    let mut words = vec!["volume".to_owned(), "create".to_owned()];
    for (label, value) in volume["Labels"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let other = changed.iter().find(|(changed, _)| changed == label).map(|(_, value)| *value);
        let value = if label == "sandbox.task" { task } else { other.unwrap_or(value) };
        words.extend([
            "--label".to_owned(),
            format!("{label}={}", value.replace(&format!("/{of}"), &format!("/{task}"))),
        ]);
    }
    words.push(name.to_owned());
    docker(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn what_is_left_of_a_sandbox_that_git_no_longer_knows_is_taken() {
    let yard = Yard::new("gc-orphan");
    yard.up("a");
    yard.up("b");
    forget(&yard, "a");
    let plan = yard.sandbox(&["gc", "--dry-run"]).ok().stdout;
    assert!(plan.contains("remove  a: orphaned: git knows no worktree of it"), "{plan}");
    yard.sandbox(&["gc", "--yes"]).ok();
    yard.assert_no_trace("a");
    yard.assert_whole("b");
}

#[test]
fn of_another_machine_or_user_or_disk_nothing_is_taken() {
    let yard = Yard::new("gc-foreign");
    yard.up("a");
    let prefix = yard.repo.file_name().unwrap().to_str().unwrap().to_owned();
    let others = [
        ("machine", "sandbox.machine", "0123"),
        ("user", "sandbox.uid", "54321"),
        ("disk", "sandbox.file-system", "beef"),
    ];
    for (task, label, value) in others {
        look_alike(&yard, "a", &format!("{prefix}_{task}"), task, &[(label, value)]);
    }
    look_alike(&yard, "a", &format!("{prefix}_young"), "young", &[]);
    look_alike(&yard, "a", &format!("{prefix}_gone"), "gone", &[("sandbox.created", "2026-01-01T00:00:00Z")]);
    let plan = yard.sandbox(&["gc", "--dry-run"]).ok().stdout;
    for (task, ..) in others {
        assert!(plan.contains(&format!("keep    {task}: unknown")), "{plan}");
    }
    assert!(plan.contains("keep    young: unknown"), "{plan}");
    assert!(plan.contains("remove  gone: orphaned"), "{plan}");
    yard.sandbox(&["gc", "--yes"]).ok();
    assert_eq!(labelled("volume", &yard.labels(None)).len(), 3 + others.len());
    yard.assert_whole("a");
}

#[test]
fn a_sandbox_expires_when_its_time_is_over_and_the_time_can_be_changed_without_touching_its_containers() {
    let yard = Yard::new("gc-ttl");
    yard.sandbox(&["up", "a", "--ttl", "8h"]).ok();
    let containers = yard.has("container", "a");
    // Images of older recipes may be on the machine too.
    let assert_planned = |what: &str| {
        let plan = yard.sandbox(&["gc", "--dry-run"]).ok().stdout;
        assert!(plan.lines().any(|line| line.starts_with(what)), "{plan}");
    };
    assert_planned("keep    a:");
    yard.sandbox(&["up", "a", "--ttl", "0m"]).ok();
    assert_planned("remove  a: expired at 2");
    yard.sandbox(&["up", "a", "--ttl", "never"]).ok();
    assert_planned("keep    a:");
    yard.sandbox(&["up", "a", "--ttl", "0m"]).ok();
    assert_eq!(yard.has("container", "a"), containers);
    yard.sandbox(&["gc", "--yes"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn what_is_left_of_a_repository_that_is_gone_is_taken_from_another_one() {
    let yard = Yard::new("gc-repository");
    let gone = yard.directory.join("gone");
    yard.make_repository(&gone);
    yard.sandbox(&["-C", gone.to_str().unwrap(), "up", "a"]).ok();
    let labels = [format!("sandbox.repo={}", gone.join(".git").display())];
    assert_eq!(labelled("container", &labels).len(), 2);
    fs::remove_dir_all(&gone).unwrap();
    // Its worktree is still there: nobody knows what is in it.
    yard.sandbox(&["gc", "--yes", "--machine"]).ok();
    assert_eq!(labelled("container", &labels).len(), 2);
    fs::remove_dir_all(yard.directory.join("gone-wt")).unwrap();
    assert_eq!(yard.sandbox(&["gc", "--yes"]).ok().stdout, "");
    yard.sandbox(&["gc", "--yes", "--machine"]).ok();
    for kind in crate::yard::KINDS {
        assert_eq!(labelled(kind, &labels), [""; 0], "{kind}s");
    }
    assert!(yard.claimed().is_empty());
}
