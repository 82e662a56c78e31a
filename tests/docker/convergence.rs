//! `up` on what is there already: nothing where all is well, and repair of what is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::yard::{Ran, Yard, docker, inspect};

/// A sandbox that is up, with a note in both of its servers.
fn noted(scenario: &str) -> Yard {
    let yard = Yard::new(scenario);
    yard.up("a");
    yard.leave_a_note("a");
    yard
}

/// Brings it up again, and checks that all is there and nothing is left to do.
#[track_caller]
fn assert_repaired(yard: &Yard) -> Ran {
    let plan = yard.plan("a");
    assert_ne!(plan, "nothing to do\n");
    let up = yard.sandbox(&["up", "a"]).ok();
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    up
}

fn admin(yard: &Yard) -> std::path::PathBuf {
    yard.git_in(&yard.worktree("a"), &["rev-parse", "--absolute-git-dir"]).into()
}

#[test]
fn an_unchanged_up_is_an_empty_plan_and_touches_no_container() {
    let yard = noted("unchanged");
    let before = inspect("container", &yard.has("container", "a"));
    yard.assert_as_desired("a");
    let again = yard.sandbox(&["up", "--json", "a"]).ok().json();
    assert_eq!(again["sandbox"]["steps"], 0);
    let after = inspect("container", &yard.has("container", "a"));
    let begun = |containers: &[serde_json::Value]| -> Vec<_> {
        containers.iter().map(|it| (it["Id"].clone(), it["State"]["StartedAt"].clone())).collect()
    };
    assert_eq!(begun(&before), begun(&after));
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let yard = Yard::new("dry-run");
    let plan = yard.plan("a");
    assert!(plan.contains("add worktree") && plan.contains("start container"), "{plan}");
    yard.assert_no_trace("a");
    assert!(!yard.claims().exists());
}

#[test]
fn a_container_that_was_stopped_or_killed_is_started() {
    let yard = noted("stopped");
    let ids = yard.has("container", "a");
    docker(&["stop", &yard.container("a", "redis")]);
    docker(&["kill", &yard.container("a", "postgres")]);
    assert_repaired(&yard);
    assert_eq!(yard.has("container", "a"), ids);
    yard.assert_note_is_kept("a");
}

#[test]
fn a_container_that_was_removed_is_made_again_over_its_data() {
    let yard = noted("no-container");
    let redis = yard.container("a", "redis");
    docker(&["rm", "-f", &yard.container("a", "postgres")]);
    assert_repaired(&yard);
    assert_eq!(yard.container("a", "redis"), redis);
    yard.assert_note_is_kept("a");
}

#[test]
fn a_network_that_was_removed_is_made_again() {
    let yard = noted("no-network");
    let network = yard.has("network", "a").remove(0);
    for id in yard.has("container", "a") {
        docker(&["network", "disconnect", "--force", &network, &id]);
    }
    docker(&["network", "rm", &network]);
    assert_repaired(&yard);
    yard.assert_note_is_kept("a");
}

#[test]
fn a_container_that_was_taken_off_its_network_is_put_back() {
    let yard = noted("off-network");
    let network = yard.has("network", "a").remove(0);
    docker(&["network", "disconnect", &network, &yard.container("a", "redis")]);
    assert_repaired(&yard);
    yard.assert_note_is_kept("a");
}

#[test]
fn a_volume_that_was_removed_is_made_again_and_the_other_one_kept() {
    let yard = noted("no-volume");
    docker(&["rm", "-f", &yard.container("a", "postgres")]);
    let data = yard.has("volume", "a").into_iter().find(|name| name.contains("postgres")).unwrap();
    docker(&["volume", "rm", &data]);
    let said = assert_repaired(&yard);
    assert!(said.stderr.contains("the data of postgres was gone and is new, that of redis is as it was"), "{said}");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM pg_tables WHERE tablename = 'notes'"), "0");
    assert_eq!(yard.redis("a", "GET note"), "kept");
}

#[test]
fn an_env_file_that_was_deleted_or_edited_is_restored() {
    let yard = noted("env-file");
    let path = yard.worktree("a").join(".env.worktree");
    let text = fs::read_to_string(&path).unwrap();
    let ids = yard.has("container", "a");
    fs::remove_file(&path).unwrap();
    assert_repaired(&yard);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, text.replace("PGPORT", "NOPORT")).unwrap();
    assert_repaired(&yard);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(yard.has("container", "a"), ids);
    assert_eq!(yard.git_in(&yard.worktree("a"), &["status", "--porcelain"]), "");
}

#[test]
fn a_worktree_that_was_deleted_by_hand_comes_back_with_its_branch() {
    let yard = noted("no-worktree");
    let (worktree, env, ids) = (yard.worktree("a"), yard.env("a"), yard.has("container", "a"));
    fs::write(worktree.join("work"), "a day's\n").unwrap();
    yard.git_in(&worktree, &["add", "."]);
    yard.git_in(&worktree, &["commit", "-q", "-m", "Work"]);
    fs::write(worktree.join("staged"), "an hour's\n").unwrap();
    yard.git_in(&worktree, &["add", "."]);
    fs::remove_dir_all(&worktree).unwrap();
    assert_eq!(yard.view("a")["state"], "missing-worktree");
    yard.sandbox(&["rm", "a"]).ends_with(8).says(&["1 modified file: staged", "Work"]);
    assert_repaired(&yard);
    assert_eq!(fs::read_to_string(worktree.join("work")).unwrap(), "a day's\n");
    assert_eq!(fs::read_to_string(worktree.join("staged")).unwrap(), "an hour's\n");
    assert_eq!(yard.git_in(&worktree, &["status", "--porcelain", "--branch"]), "## a\nA  staged");
    assert_eq!((yard.env("a"), yard.has("container", "a")), (env, ids));
    yard.assert_note_is_kept("a");
}

#[test]
fn a_changed_setting_makes_anew_what_it_concerns_and_keeps_the_data() {
    let yard = noted("setting");
    let (postgres, redis) = (yard.container("a", "postgres"), yard.container("a", "redis"));
    yard.set("variables: {REDIS_MAXMEMORY: 100mb}\n");
    assert_repaired(&yard);
    assert_eq!(yard.container("a", "postgres"), postgres);
    assert_ne!(yard.container("a", "redis"), redis);
    assert!(yard.redis("a", "CONFIG GET maxmemory").ends_with("104857600"));
    yard.assert_note_is_kept("a");
}

#[test]
fn a_lost_claims_file_is_written_again_with_the_same_numbers() {
    let yard = noted("no-claims");
    yard.up("b");
    let (env, claims) = (yard.env("a"), yard.claimed());
    fs::remove_file(yard.claims()).unwrap();
    // Whoever comes first registers all of the repository again.
    yard.up("c");
    yard.up("a");
    yard.up("b");
    assert_eq!(yard.env("a"), env);
    assert!(claims.iter().all(|claim| yard.claimed().contains(claim)));
    assert_eq!(yard.claimed().len(), 3);
    yard.assert_note_is_kept("a");
}

#[test]
fn a_lost_record_is_written_again_with_the_same_numbers_and_the_old_data() {
    let yard = noted("no-record");
    let (ports, claims) = (yard.view("a")["ports"].clone(), yard.claimed());
    fs::remove_file(admin(&yard).join("sandbox.json")).unwrap();
    assert_repaired(&yard);
    assert_eq!((yard.view("a")["ports"].clone(), yard.claimed()), (ports, claims));
    yard.assert_note_is_kept("a");
}

#[test]
fn volumes_that_outlived_their_worktree_get_the_new_password_and_keep_the_data() {
    let yard = noted("old-volumes");
    let password = yard.env("a")["PGPASSWORD"].clone();
    yard.git(&["worktree", "remove", "--force", yard.worktree("a").to_str().unwrap()]);
    yard.git(&["worktree", "prune"]);
    assert_repaired(&yard);
    assert_ne!(yard.env("a")["PGPASSWORD"], password);
    yard.assert_note_is_kept("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn a_container_that_was_renamed_or_paused_is_put_right() {
    let yard = noted("renamed");
    docker(&["rename", &yard.container("a", "redis"), &format!("{}-elsewhere", yard.env("a")["COMPOSE_PROJECT_NAME"])]);
    docker(&["pause", &yard.container("a", "postgres")]);
    assert_repaired(&yard);
    docker(&["pause", &yard.container("a", "postgres")]);
    yard.sandbox(&["stop", "a"]).ok();
    assert_eq!(docker(&["inspect", "--format", "{{.State.Running}}", &yard.container("a", "postgres")]), "false");
    yard.up("a");
    yard.assert_note_is_kept("a");
}
