//! Databases in a pool, on an engine of a scenario's own: whatever else runs on the machine's would use the pool too.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::prepared::add_set_up;
use crate::saved::save_until_flat;
use crate::storage::same_results;
use crate::yard::{OwnEngine, Yard, eventually, inside};

/// More than what Postgres writes by itself meanwhile, and of its own checkpoints.
const ROWS_MB: u64 = 60;

/// A table of that size, indexed.
const TABLE: &str = "CREATE TABLE numbers (id int PRIMARY KEY, text text); \
     INSERT INTO numbers SELECT n, repeat('x', 1000) FROM generate_series(1, 60000) n";

/// Makes the table. It is vacuumed, for who reads rows first after they were written writes down in them that they are committed.
fn lay_out(engine: &OwnEngine<'_>, task: &str) {
    engine.sql(task, TABLE);
    vacuum(engine, task);
}

fn vacuum(engine: &OwnEngine<'_>, task: &str) {
    engine.sql(task, "VACUUM");
    engine.sql(task, "CHECKPOINT");
}

fn pool(engine: &OwnEngine<'_>) -> Value {
    engine.sandbox(&["pool", "show", "--json"]).ok().json()["pool"].clone()
}

fn used_mb(engine: &OwnEngine<'_>) -> u64 {
    pool(engine)["used_bytes"].as_u64().unwrap() >> 20
}

/// What a script in the pool's container says.
fn in_pool(engine: &OwnEngine<'_>, script: &str) -> String {
    engine.docker(&["exec", "sandbox_pool", "sh", "-c", script])
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
    let doctor = engine.sandbox(&["doctor"]);
    assert!(doctor.stdout.contains("storage: a pool: clones of databases copy nothing until they write"), "{doctor}");
    same_results(&|words| engine.sandbox(words), &|words| engine.docker(words));
    engine.sandbox(&["up", "a"]).ok();
    lay_out(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "large"]).ok();
    let said = engine.sandbox(&["snapshot", "ls"]).ok();
    assert!(said.stderr.contains("a pool: clones of databases copy nothing"), "{said}");
    let before = used_mb(&engine);
    assert!(before > ROWS_MB, "{before}");
    engine.sandbox(&["up", "b", "--snapshot", "large"]).ok();
    assert_eq!(engine.sql("b", "SELECT length(text) FROM numbers WHERE id = 40000"), "1000");
    let after = used_mb(&engine);
    assert!(after < before + ROWS_MB / 2, "a clone that was read took {} MB", after - before);
    engine.sql("b", "DELETE FROM numbers");
    assert_eq!(engine.sql("a", "SELECT count(*) FROM numbers"), "60000");
    engine.sandbox(&["reset", "b"]).ok();
    assert_eq!(engine.sql("b", "SELECT count(*) FROM numbers"), "60000");
    assert_eq!(engine.sandbox(&["up", "--dry-run", "b"]).ok().stdout, "nothing to do\n");
    trim_takes_what_nobody_knows(&engine);
    assert_eq!(engine.sql("b", "SELECT count(*) FROM numbers"), "60000");
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

/// What has been there for a while, as all of it, and has no volume; and nothing else.
fn trim_takes_what_nobody_knows(engine: &OwnEngine<'_>) {
    let before = in_pool(engine, "ls /pool");
    in_pool(engine, "mkdir /pool/left && touch -d '2 hours ago' /pool/* && mkdir /pool/begun");
    engine.sandbox(&["pool", "trim"]).ok();
    assert_eq!(in_pool(engine, "rmdir /pool/begun && ls /pool"), before);
}

#[test]
fn on_storage_with_reflinks_a_clone_of_a_large_table_takes_no_room_either() {
    let yard = Yard::new("reflinks");
    let engine = OwnEngine::start_on_xfs(&yard, true);
    let doctor = engine.sandbox(&["doctor"]);
    assert!(doctor.stdout.contains("storage: overlay volumes on xfs: with its reflinks"), "{doctor}");
    engine.sandbox(&["pool", "create"]).ends_with(19).says(&["no pool is made", "has reflinks"]);
    assert_eq!(remains(&engine), "");
    same_results(&|words| engine.sandbox(words), &|words| engine.docker(words));
    engine.sandbox(&["up", "a"]).ok();
    lay_out(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "large"]).ok();
    engine.sandbox(&["up", "b"]).ok();
    let before = engine.used_bytes() >> 20;
    assert!(before > ROWS_MB, "{before}");
    engine.sandbox(&["reset", "b", "large"]).ok();
    assert_eq!(engine.sql("b", "SELECT length(text) FROM numbers WHERE id = 40000"), "1000");
    let after = engine.used_bytes() >> 20;
    assert!(after < before + ROWS_MB / 2, "a clone that was read took {} MB", after - before);
    engine.sql("b", "DELETE FROM numbers");
    assert_eq!(engine.sql("a", "SELECT count(*) FROM numbers"), "60000");
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
    same_results(&|words| engine.sandbox(words), &|words| engine.docker(words));
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
    engine.sql("a", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')");
    engine.power_off();
    engine.again();
    // Nothing starts on an empty directory.
    let container = engine.docker(&["ps", "--all", "--quiet", "--filter", "label=sandbox.service=postgres"]);
    assert!(engine.refuses(&["start", container.trim()]));
    engine.sandbox(&["up", "a"]).ok();
    assert_eq!(engine.sql("a", "SELECT text FROM notes"), "kept");
    engine.docker(&["system", "prune", "--force", "--volumes"]);
    engine.sandbox(&["snapshot", "save", "a", "it"]).ok();
    engine.sandbox(&["up", "b", "--snapshot", "it"]).ok();
    assert_eq!(engine.sql("b", "SELECT text FROM notes"), "kept");
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
    engine.sql("a", "DELETE FROM numbers WHERE id > 30000");
    vacuum(&engine, "a");
    engine.sandbox(&["snapshot", "save", "a", "two"]).ok();
    let count = |task: &str| engine.sql(task, "SELECT count(*) FROM numbers");
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

#[test]
fn what_set_ups_made_before_there_was_a_pool_is_made_anew_in_it() {
    let yard = Yard::new("pool-prepared");
    add_set_up(&yard, "");
    let engine = OwnEngine::start(&yard);
    let prepared = || {
        let all = engine.sandbox(&["snapshot", "ls", "--all", "--json"]).ok().json()["snapshots"].clone();
        all.as_array().unwrap().iter().filter(|it| it["kind"] == "prepared").count()
    };
    engine.sandbox(&["up", "a"]).ok();
    assert_eq!(prepared(), 1);
    engine.sandbox(&["rm", "a"]).ok();
    engine.sandbox(&["pool", "create", "--size", "2g"]).ok();
    assert_eq!(prepared(), 0);
    let up = engine.sandbox(&["up", "b"]).ok();
    assert!(up.stderr.contains("for other sandboxes to begin with"), "{up}");
    let up = engine.sandbox(&["up", "c"]).ok();
    assert!(up.stderr.contains("as the set-up made them before"), "{up}");
    let ask = ["exec", "c", "--", "sh", "-c", r#"psql -XqAtc "SELECT number FROM at_1" "$DATABASE_URL""#];
    assert_eq!(engine.sandbox(&ask).ok().stdout, "1\n");
    engine.sandbox(&["rm", "b", "c"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

#[test]
fn in_a_pool_too_many_layers_become_one_and_all_data_stays() {
    // With a long name the mount's options come to their end sooner.
    let yard = Yard::new(&format!("pool-deep-{}", "x".repeat(24)));
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "create", "--size", "2g"]).ok();
    engine.sandbox(&["up", "a"]).ok();
    let depth = || {
        let filter = ["--filter", "label=sandbox.task=a", "--filter", "label=com.docker.compose.volume=postgres-data"];
        let named = engine.docker(&[&["volume", "ls", "--quiet"][..], &filter].concat());
        let layers =
            engine.docker(&["volume", "inspect", "--format", r#"{{index .Labels "sandbox.layers"}}"#, named.trim()]);
        layers.split(',').count()
    };
    let write =
        |number: usize| drop(engine.sql("a", &format!("CREATE TABLE at_{number} AS SELECT {number} AS number")));
    let saved = save_until_flat(&|words| engine.sandbox(words), "a", 60, depth, write);
    let names: Vec<String> = (1..=saved).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    engine.sandbox(&["up", "b", "--snapshot", names[saved - 1]]).ok();
    for (task, number) in [("a", 1), ("a", saved), ("b", 1), ("b", saved)] {
        assert_eq!(engine.sql(task, &format!("SELECT number FROM at_{number}")), number.to_string());
    }
    engine.sandbox(&["rm", "a", "b"]).ok();
    engine.sandbox(&[&["snapshot", "rm"][..], &names].concat()).ok();
    assert_eq!(in_pool(&engine, "ls /pool").lines().filter(|it| it.contains("upper")).count(), 0);
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
}

/// More than fits into what is left.
const TOO_MUCH: &str = "CREATE TABLE numbers AS SELECT n, repeat('x', 1000) FROM generate_series(1, 1000000) n";

fn two_with_a_note(engine: &OwnEngine<'_>) {
    for task in ["a", "b"] {
        engine.sandbox(&["up", task]).ok();
        engine.leave_a_note(task);
    }
}

fn overfill(engine: &OwnEngine<'_>, task: &str) {
    assert_ne!(engine.sandbox(&inside::words(task, TOO_MUCH)).code, Some(0));
}

#[test]
fn a_full_disk_is_said_and_costs_nothing_that_was_written_in_a_pool_or_outside() {
    let yard = Yard::new("disk-full");
    // A server without room tries to recover again and again.
    yard.set("ready_timeout_s: 10\n");
    let engine = OwnEngine::start_on_xfs(&yard, false);
    let doctor = engine.sandbox(&["doctor"]);
    assert!(doctor.stdout.contains("storage: overlay volumes: the first query"), "{doctor}");
    two_with_a_note(&engine);
    engine.sandbox(&["snapshot", "save", "a", "it"]).ok();
    engine.fill_the_disk(2);
    let tried = |words: &[&str]| {
        let ran = engine.sandbox(words);
        // Of a directory that it could not make itself the engine says only later that it is not there.
        let is_said = ["the engine's disk is full", "overlay2"].iter().any(|it| ran.stderr.contains(it));
        assert!(ran.code == Some(0) || matches!(ran.code, Some(10 | 13)) && is_said, "{ran}");
        ran
    };
    // Which of them still find room nobody can tell before.
    let mut of_b = BTreeSet::from([2]);
    let resets = [(&["reset", "b"][..], 0), (&["reset", "b", "it"], 2)].map(|(words, begins_with)| {
        let ran = tried(words);
        if ran.code == Some(0) {
            of_b.clear();
        }
        if ran.stderr.contains("as they were last on the disk") {
            // Redis had not yet written its note.
            of_b.insert(1);
        } else if !ran.stderr.contains("were not touched") {
            of_b.insert(begins_with);
        }
        ran
    });
    let others = [&["snapshot", "save", "a", "other"][..], &["up", "c"]].map(tried);
    assert!(resets.iter().chain(&others).any(|ran| ran.code != Some(0)));
    engine.empty_the_disk();
    let go_on = |tasks: &[&str]| {
        for task in tasks {
            // The kernel tells each of the writes that failed once more, and the server gives up at each; and what the engine could
            // not write down, it does not know.
            eventually("it is up again", || {
                let up = engine.sandbox(&["up", task]);
                if up.code != Some(0) {
                    up.ends_with(13);
                    engine.sandbox(&["down", task]).ok();
                    return None;
                }
                // And it may be told so only after it has answered.
                let runs =
                    |service| engine.sandbox(&["exec", task, "--service", service, "--", "true"]).code == Some(0);
                ["postgres", "redis"].into_iter().all(runs).then_some(())
            });
        }
    };
    go_on(&["a", "b"]);
    assert_eq!(engine.notes("a"), 2);
    let notes = engine.notes("b");
    assert!(of_b.contains(&notes), "{notes}, {resets:?}");
    engine.sandbox(&["rm", "--all"]).ok();
    for name in engine.sandbox(&["snapshot", "ls", "--quiet"]).ok().stdout.lines() {
        engine.sandbox(&["snapshot", "rm", name]).ok();
    }
    engine.sandbox(&["pool", "create", "--size", "6g"]).ok();
    two_with_a_note(&engine);
    engine.fill_the_disk(16);
    overfill(&engine, "a");
    engine.sandbox(&["up", "c"]).ends_with(10).says(&["the engine's disk is full"]);
    engine.empty_the_disk();
    go_on(&["a", "b"]);
    for task in ["a", "b"] {
        assert_eq!(engine.sql(task, "SELECT text FROM notes"), "kept");
    }
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "a", "b", "c"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(engine.has(None), [""; 0]);
}

#[test]
fn a_full_pool_is_said_and_grows_while_others_go_on() {
    let yard = Yard::new("pool-small");
    let engine = OwnEngine::start(&yard);
    engine.sandbox(&["pool", "create", "--size", "700m"]).ok();
    two_with_a_note(&engine);
    overfill(&engine, "a");
    let uses = |task: &str| engine.sql(task, "INSERT INTO notes VALUES ('more'); SELECT count(*) FROM notes");
    assert_eq!(engine.sql("b", "SELECT text FROM notes"), "kept");
    // Its server gives back what it could not finish, at any moment.
    engine.sandbox(&["down", "a"]).ok();
    in_pool(&engine, "for try in 1 2 3; do cat /dev/zero 2>/dev/null >>/pool/filler || sync; done");
    // Room for directories, and for no server.
    in_pool(&engine, "truncate --size=-256K /pool/filler");
    engine.sandbox(&["up", "c"]).says(&["the pool is full"]);
    in_pool(&engine, "rm /pool/filler");
    engine.sandbox(&["pool", "grow", "2g"]).ok();
    for task in ["a", "b"] {
        engine.sandbox(&["up", task]).ok();
        assert_eq!(uses(task), "2");
    }
    engine.sandbox(&["up", "c"]).ok();
    engine.sandbox(&["rm", "a", "b", "c"]).ok();
    engine.sandbox(&["pool", "rm"]).ok();
    assert_eq!(remains(&engine), "");
}
