//! Many at one time, and many of one name.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::yard::{Ran, Running, Yard, inspect};

fn outcomes(ups: Vec<Running>) -> Vec<Ran> {
    ups.into_iter().map(Running::output).collect()
}

/// Checks that no value is there twice, and answers with how many there are.
#[track_caller]
fn count_once(values: impl Iterator<Item = String>) -> usize {
    let mut seen = BTreeSet::new();
    for value in values {
        assert!(seen.insert(value.clone()), "{value} is there twice");
    }
    seen.len()
}

/// Intent: the lock, the check by binding and the second tries hold when everybody comes at once.
#[test]
fn twenty_tasks_brought_up_at_once_share_no_port_and_no_subnet() {
    let yard = Yard::new("twenty");
    let tasks: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let ups = tasks.iter().map(|task| yard.begin(&["up", task])).collect();
    for ran in outcomes(ups) {
        ran.ok();
    }
    let claims = yard.claimed();
    let ports = claims.iter().flat_map(|claim| claim["ports"].as_object().unwrap().values().map(Value::to_string));
    assert_eq!(count_once(ports), 80);
    assert_eq!(count_once(claims.iter().map(|claim| claim["subnet"].to_string())), 20);
    assert_eq!(count_once(claims.iter().map(|claim| claim["slot"].to_string())), 20);
    let networks: Vec<String> = tasks.iter().flat_map(|task| yard.has("network", task)).collect();
    let subnets = inspect("network", &networks).into_iter().map(|it| it["IPAM"]["Config"][0]["Subnet"].to_string());
    assert_eq!(count_once(subnets), 20, "a network each, each with a subnet of its own");
    let listed = yard.sandbox(&["ls", "--json"]).ok().json();
    let running = listed["sandboxes"].as_array().unwrap().iter().filter(|it| it["state"] == "running");
    assert_eq!(running.count(), 20);

    let (apart, together) = tasks.split_at(10);
    let rms = apart.iter().map(|task| yard.begin(&["rm", task])).collect();
    for ran in outcomes(rms) {
        ran.ok();
    }
    // What is said of each comes in their order, and one that is refused stops none of the others.
    fs::write(yard.worktree(&together[3]).join("notes"), "mine\n").unwrap();
    let refused = yard.sandbox(&["rm", "--all"]).ends_with(8);
    let gone = refused.stdout.lines().filter_map(|line| Some(line.split_once(" is gone")?.0.to_owned()));
    assert_eq!(gone.collect::<Vec<_>>(), [&together[..3], &together[4..]].concat());
    yard.assert_whole(&together[3]);
    yard.sandbox(&["rm", "--all", "--force"]).ok();
    for task in &tasks {
        yard.assert_no_trace(task);
    }
    assert!(yard.claimed().is_empty());
}

#[test]
fn one_task_brought_up_five_times_at_once_is_one_stack() {
    let yard = Yard::new("five");
    let ups = (0..5).map(|_| yard.begin(&["up", "a"])).collect();
    let ran = outcomes(ups);
    for ran in &ran {
        // Done, or another is at work.
        assert!(matches!(ran.code, Some(0 | 15)), "{ran}");
    }
    assert!(ran.iter().any(|ran| ran.code == Some(0)));
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    assert_eq!(yard.claimed().len(), 1);
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn up_and_rm_of_one_task_at_once_leave_all_or_nothing() {
    let yard = Yard::new("up-and-rm");
    yard.up("a");
    let rm = yard.begin(&["rm", "a"]);
    let up = yard.begin(&["up", "a"]);
    let (rm, up) = (rm.output(), up.output());
    assert!(matches!(rm.code, Some(0 | 15)) && matches!(up.code, Some(0 | 15)), "{rm}{up}");
    if yard.claimed().is_empty() {
        yard.assert_no_trace("a");
    } else {
        yard.assert_whole("a");
        yard.assert_as_desired("a");
    }
}

#[test]
fn two_repositories_with_one_directory_name_share_nothing() {
    let mut yard = Yard::empty("twins");
    let repositories = ["x/app", "y/app"].map(|path| yard.directory.join(path));
    let mut seen = Vec::new();
    for repository in &repositories {
        yard.make_repository(repository);
        yard.repo.clone_from(repository);
        yard.up("a");
        yard.assert_whole("a");
        yard.sql("a", &format!("CREATE TABLE home AS SELECT '{}' AS path", repository.display()));
        seen.push(yard.env("a"));
    }
    for name in
        ["COMPOSE_PROJECT_NAME", "DB_NAME", "TEST_DB_NAME", "APP_PORT", "POSTGRES_PORT", "REDIS_PORT", "PGPASSWORD"]
    {
        assert_ne!(seen[0][name], seen[1][name], "{name}");
    }
    for (repository, env) in repositories.iter().zip(&seen) {
        yard.repo.clone_from(repository);
        yard.assert_as_desired("a");
        assert_eq!(yard.env("a"), *env);
        assert_eq!(yard.sql("a", "SELECT path FROM home"), repository.to_str().unwrap());
    }
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
    yard.repo.clone_from(&repositories[0]);
    yard.assert_whole("a");
}

#[test]
fn tasks_whose_names_fold_to_one_are_different_sandboxes() {
    let yard = Yard::new("fold");
    let tasks = ["a-b", "a_b", "A.B", "a/b"];
    let ups = tasks.iter().map(|task| yard.begin(&["up", task])).collect();
    for ran in outcomes(ups) {
        ran.ok();
    }
    let views = tasks.map(|task| yard.view(task));
    for field in ["project", "worktree", "slot", "subnet"] {
        assert_eq!(count_once(views.iter().map(|view| view[field].to_string())), tasks.len(), "{field}");
    }
    for (task, view) in tasks.iter().zip(&views) {
        yard.assert_whole(task);
        assert!(fs::metadata(view["worktree"].as_str().unwrap()).unwrap().is_dir());
        yard.assert_as_desired(task);
    }
    let databases = tasks.iter().map(|task| yard.env(task)["DB_NAME"].clone());
    assert_eq!(count_once(databases), tasks.len());
    yard.sandbox(&[&["rm"], &tasks[..]].concat()).ok();
    for (task, view) in tasks.iter().zip(&views) {
        yard.assert_no_trace(task);
        assert!(!fs::exists(view["worktree"].as_str().unwrap()).unwrap());
    }
}
