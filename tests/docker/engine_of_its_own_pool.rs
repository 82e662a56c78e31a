//! Databases in a pool, on an engine of a scenario's own: whatever else runs on the machine's would use the pool too.

use serde_json::Value;

use crate::storage::same_results;
use crate::yard::{OwnEngine, Yard, eventually};

/// More than what Postgres writes by itself meanwhile, and of its own checkpoints.
const ROWS_MB: u64 = 60;

/// A table of that size, indexed.
const TABLE: &str = "CREATE TABLE numbers (id int PRIMARY KEY, text text); \
     INSERT INTO numbers SELECT n, repeat('x', 1000) FROM generate_series(1, 60000) n";

/// Makes the table. It is vacuumed, for who reads rows first after they were written writes down in them that they are committed.
fn lay_out(engine: &OwnEngine<'_>, task: &str) {
    sql(engine, task, TABLE);
    vacuum(engine, task);
}

fn vacuum(engine: &OwnEngine<'_>, task: &str) {
    sql(engine, task, "VACUUM");
    sql(engine, task, "CHECKPOINT");
}

fn sql(engine: &OwnEngine<'_>, task: &str, statement: &str) -> String {
    let words = ["exec", task, "--service", "postgres", "--", "psql", "-U", "postgres", "-XqAt", "-c", statement];
    engine.sandbox(&words).ok().stdout.trim().to_owned()
}

fn pool(engine: &OwnEngine<'_>) -> Value {
    engine.sandbox(&["pool", "show", "--json"]).ok().json()["pool"].clone()
}

fn used_mb(engine: &OwnEngine<'_>) -> u64 {
    pool(engine)["used_bytes"].as_u64().unwrap() >> 20
}

/// The volumes, containers and loop devices of the pool itself.
fn remains(engine: &OwnEngine<'_>) -> String {
    let volumes = engine.docker(&["volume", "ls", "--quiet"]);
    volumes + &engine.docker(&["ps", "--all", "--quiet"])
}

#[test]
fn in_a_pool_a_clone_of_a_large_table_takes_no_room_until_it_is_written() {
    let yard = Yard::new("pool");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "show"]).ends_with(18).says(&["sandbox pool create"]);
    engine.sandbox(&["pool", "create", "--size", "1m"]).ends_with(2);
    engine.sandbox(&["pool", "create", "--size", "4g"]).ok();
    engine.sandbox(&["pool", "create"]).ends_with(19);
    same_results(&|words| engine.sandbox(words));
    engine.sandbox(&["up", "a"]).ok();
    lay_out(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "large"]).ok();
    let before = used_mb(&engine);
    assert!(before > ROWS_MB, "{before}");
    engine.sandbox(&["up", "b", "--snapshot", "large"]).ok();
    assert_eq!(sql(&engine, "b", "SELECT length(text) FROM numbers WHERE id = 40000"), "1000");
    let after = used_mb(&engine);
    assert!(after < before + ROWS_MB / 2, "a clone that was read took {} MB", after - before);
    sql(&engine, "b", "DELETE FROM numbers");
    assert_eq!(sql(&engine, "a", "SELECT count(*) FROM numbers"), "60000");
    engine.sandbox(&["reset", "b"]).ok();
    assert_eq!(sql(&engine, "b", "SELECT count(*) FROM numbers"), "60000");
    assert_eq!(engine.sandbox(&["up", "--dry-run", "b"]).ok().stdout, "nothing to do\n");
    engine.sandbox(&["pool", "rm"]).ends_with(20).says(&["a, b", "large"]);
    engine.sandbox(&["rm", "a", "b"]).ok();
    engine.sandbox(&["pool", "rm"]).ends_with(20).says(&["large"]);
    engine.sandbox(&["pool", "grow", "1g"]).ends_with(2);
    engine.sandbox(&["pool", "grow", "8g"]).ok();
    assert!(pool(&engine)["size_bytes"].as_u64().unwrap() > 7 << 30);
    engine.sandbox(&["snapshot", "rm", "large"]).ok();
    let before = pool(&engine)["disk_bytes"].as_u64().unwrap();
    engine.sandbox(&["pool", "trim"]).ok();
    assert!(pool(&engine)["disk_bytes"].as_u64().unwrap() < before - (ROWS_MB << 20) / 2);
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "c"]).ok();
}

#[test]
fn on_storage_with_reflinks_a_clone_of_a_large_table_takes_no_room_either() {
    let yard = Yard::new("reflinks");
    let engine = OwnEngine::start_on_xfs(&yard);
    same_results(&|words| engine.sandbox(words));
    engine.sandbox(&["up", "a"]).ok();
    lay_out(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "large"]).ok();
    engine.sandbox(&["up", "b"]).ok();
    let before = engine.used_bytes() >> 20;
    assert!(before > ROWS_MB, "{before}");
    engine.sandbox(&["reset", "b", "large"]).ok();
    assert_eq!(sql(&engine, "b", "SELECT length(text) FROM numbers WHERE id = 40000"), "1000");
    let after = engine.used_bytes() >> 20;
    assert!(after < before + ROWS_MB / 2, "a clone that was read took {} MB", after - before);
    sql(&engine, "b", "DELETE FROM numbers");
    assert_eq!(sql(&engine, "a", "SELECT count(*) FROM numbers"), "60000");
    engine.sandbox(&["rm", "a", "b"]).ok();
    engine.sandbox(&["snapshot", "rm", "large"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

#[test]
fn an_engine_that_cannot_mount_overlays_copies_and_says_so_once() {
    let yard = Yard::new("no-overlays");
    let engine = OwnEngine::start_without_overlays(&yard);
    let up = engine.sandbox(&["up", "z"]).ok();
    assert_eq!(up.stderr.matches("so each sandbox copies the data of postgres").count(), 1, "{up}");
    let up = engine.sandbox(&["up", "y"]).ok();
    assert!(!up.stderr.contains("cannot mount") && up.stderr.contains("copy the data into volume"), "{up}");
    let doctor = engine.sandbox(&["doctor"]);
    assert!(doctor.stdout.contains("storage: copies: this engine cannot mount one volume over another"), "{doctor}");
    engine.sandbox(&["rm", "y", "z"]).ok();
    same_results(&|words| engine.sandbox(words));
    // In a pool the same engine can.
    engine.sandbox(&["pool", "create", "--size", "2g"]).ok();
    let up = engine.sandbox(&["up", "z"]).ok();
    assert!(!up.stderr.contains("copy the data"), "{up}");
    engine.sandbox(&["rm", "z"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

#[test]
fn after_a_reboot_the_pool_is_attached_before_anything_starts() {
    let yard = Yard::new("pool-reboot");
    let mut engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "create", "--size", "2g"]).ok();
    engine.sandbox(&["up", "a"]).ok();
    sql(&engine, "a", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
    engine.power_off();
    engine.again();
    // Nothing starts on an empty directory.
    let container = engine.docker(&["ps", "--all", "--quiet", "--filter", "label=sandbox.service=postgres"]);
    assert!(engine.refuses(&["start", container.trim()]));
    engine.sandbox(&["up", "a"]).ok();
    assert_eq!(sql(&engine, "a", "SELECT text FROM notes"), "kept");
    engine.docker(&["system", "prune", "--force", "--volumes"]);
    engine.sandbox(&["snapshot", "save", "a", "it"]).ok();
    engine.sandbox(&["up", "b", "--snapshot", "it"]).ok();
    assert_eq!(sql(&engine, "b", "SELECT text FROM notes"), "kept");
    engine.sandbox(&["rm", "a", "b"]).ok();
    engine.sandbox(&["snapshot", "rm", "it"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
}

#[test]
fn snapshots_that_were_there_before_a_pool_are_put_into_it() {
    let yard = Yard::new("pool-later");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["up", "a"]).ok();
    lay_out(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "one"]).ok();
    sql(&engine, "a", "DELETE FROM numbers WHERE id > 30000");
    vacuum(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "two"]).ok();
    let count = |task: &str| sql(&engine, task, "SELECT count(*) FROM numbers");
    let made = engine.sandbox(&["pool", "create", "--size", "4g"]).ok();
    assert!(made.stderr.contains("the snapshot one is in the pool now"), "{made}");
    assert!(made.stderr.contains("sandboxes that are there go on where they are"), "{made}");
    assert_eq!(pool(&engine)["snapshots"], 2);
    // What stands elsewhere goes on there, and lets go of it when it is reset.
    assert_eq!(count("a"), "30000");
    for (task, snapshot, rows) in [("b", "one", "60000"), ("c", "two", "30000")] {
        let before = used_mb(&engine);
        engine.sandbox(&["up", task, "--snapshot", snapshot]).ok();
        assert_eq!(count(task), rows);
        let after = used_mb(&engine);
        assert!(after < before + ROWS_MB / 2, "{task} took {} MB", after - before);
    }
    engine.sandbox(&["reset", "a", "two"]).ok();
    assert_eq!(count("a"), "30000");
    let volumes = engine.docker(&["volume", "ls", "--quiet"]);
    let outside =
        volumes.lines().filter(|name| name.starts_with("sandbox_upper_") || name.starts_with("sandbox_layer_"));
    assert_eq!(outside.filter(|name| !name.starts_with("sandbox_layer_")).count(), 0, "{volumes}");
    engine.sandbox(&["pool", "create"]).ends_with(19);
    engine.sandbox(&["rm", "--force", "a", "b", "c"]).ok();
    engine.sandbox(&["snapshot", "rm", "one", "two"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

/// More than fits into what is left.
const TOO_MUCH: &str = "CREATE TABLE numbers AS SELECT n, repeat('x', 1000) FROM generate_series(1, 1000000) n";

fn two_with_a_note(engine: &OwnEngine<'_>) {
    for task in ["a", "b"] {
        engine.sandbox(&["up", task]).ok();
        sql(engine, task, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
    }
}

fn overfill(engine: &OwnEngine<'_>, task: &str) {
    let words = ["exec", task, "--service", "postgres", "--", "psql", "-U", "postgres", "-XqAt", "-c", TOO_MUCH];
    assert_ne!(engine.sandbox(&words).code, Some(0));
}

#[test]
fn a_full_disk_under_the_pool_is_said_and_costs_nothing_that_was_written() {
    let yard = Yard::new("pool-full");
    let engine = OwnEngine::start_on_xfs(&yard);
    engine.sandbox(&["pool", "create", "--size", "6g"]).ok();
    two_with_a_note(&engine);
    engine.fill_the_disk();
    overfill(&engine, "a");
    engine.sandbox(&["up", "c"]).ends_with(10).says(&["the engine's disk is full", "nothing of it is left"]);
    engine.empty_the_disk();
    for task in ["a", "b"] {
        // The kernel tells each of the writes that failed once more, and the server gives up at each; and what the engine could
        // not write down, it does not know.
        eventually("it is up again", || {
            let up = engine.sandbox(&["up", task]);
            if up.code != Some(0) {
                up.ends_with(13);
                engine.sandbox(&["down", task]).ok();
                return None;
            }
            Some(())
        });
        assert_eq!(sql(&engine, task, "SELECT text FROM notes"), "kept");
    }
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "a", "b", "c"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
}

#[test]
fn a_full_pool_is_said_and_grows_while_others_go_on() {
    let yard = Yard::new("pool-small");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "create", "--size", "700m"]).ok();
    two_with_a_note(&engine);
    overfill(&engine, "a");
    let uses = |task: &str| sql(&engine, task, "INSERT INTO notes VALUES ('more'); SELECT count(*) FROM notes");
    assert_eq!(sql(&engine, "b", "SELECT text FROM notes"), "kept");
    engine.sandbox(&["pool", "grow", "2g"]).ok();
    for task in ["a", "b"] {
        engine.sandbox(&["up", task]).ok();
        assert_eq!(uses(task), "2");
    }
    engine.sandbox(&["rm", "a", "b"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
}
