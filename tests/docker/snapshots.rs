//! Databases that stand on base snapshots: made once, shared by all, and changed by nobody.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::yard::{Yard, docker, inspect, labelled};

/// A yard whose servers are like nobody else's, so that their base snapshots are its own.
pub(crate) fn yard_of_its_own(scenario: &str, connections: u8) -> Yard {
    let yard = Yard::new(scenario);
    yard.set(&format!("variables: {{POSTGRES_MAX_CONNECTIONS: '{connections}'}}\n"));
    yard
}

/// A volume of a task, as the engine tells it.
pub(crate) fn volume(yard: &Yard, task: &str, name: &str) -> Value {
    let found = inspect("volume", &yard.has("volume", task));
    let is_it = |it: &&Value| it["Labels"]["com.docker.compose.volume"] == name;
    found.iter().find(is_it).unwrap_or_else(|| panic!("{task} has no volume {name}")).clone()
}

pub(crate) fn label(volume: &Value, label: &str) -> String {
    volume["Labels"][label].as_str().unwrap_or_default().to_owned()
}

/// Says of all files of a directory: names, modes, owners and contents.
pub(crate) const PICTURE: &str =
    "find . -printf '%p %m %u %g %s\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum";

/// What is in a volume: names, modes, owners and contents of all files.
pub(crate) fn picture(yard: &Yard, volume: &str) -> String {
    let image = inspect("container", &[yard.container("a", "postgres")])[0]["Config"]["Image"].clone();
    let mount = format!("{volume}:/it:ro");
    let script = format!("cd /it && {PICTURE}");
    let stray = yard.stray_label();
    let label = format!("--label={stray}");
    let words = ["run", "--rm", &label, "--network=none", "-v", &mount, "--entrypoint", "sh"];
    docker(&[&words[..], &[image.as_str().unwrap(), "-c", &script]].concat())
}

#[test]
fn two_that_come_up_at_once_make_one_base_and_later_ones_stand_on_it() {
    let yard = yard_of_its_own("base-once", 31);
    let both = ["a", "b"].map(|task| yard.begin(&["up", task]));
    for up in both {
        drop(up.output().ok());
    }
    yard.up("c");
    let keys = ["a", "b", "c"].map(|task| label(&volume(&yard, task, "postgres-data"), "sandbox.snapshot"));
    assert!(keys.iter().all(|key| *key == keys[0] && !key.is_empty()), "{keys:?}");
    let layers = labelled("volume", &[format!("sandbox.layer={}", keys[0])]);
    assert_eq!(layers.len(), 1, "{layers:?}");
    assert!(labelled("container", &[format!("sandbox.base={}", keys[0])]).is_empty());
    for task in ["a", "b", "c"] {
        let own = yard.env(task);
        let databases = yard.sql(task, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1");
        assert_eq!(databases.lines().collect::<Vec<_>>(), [&own["DB_NAME"], &own["TEST_DB_NAME"], "postgres"]);
        yard.assert_as_desired(task);
    }
}

#[test]
fn what_is_written_in_one_is_in_no_other_and_not_in_the_snapshot() {
    let yard = yard_of_its_own("isolated", 32);
    yard.up("a");
    let layers = ["postgres-data", "redis-data"].map(|name| label(&volume(&yard, "a", name), "sandbox.layers"));
    let before = layers.clone().map(|layer| picture(&yard, &layer));
    assert!(before[0].contains("PG_VERSION"), "{}", before[0]);
    yard.leave_a_note("a");
    yard.up("b");
    assert_eq!(yard.sql("b", "SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    assert_eq!(yard.redis("b", "EXISTS note"), "0");
    yard.sandbox(&["stop", "a"]).ok();
    yard.sandbox(&["start", "a"]).ok();
    yard.assert_note_is_kept("a");
    yard.sandbox(&["down", "a"]).ok();
    yard.up("a");
    yard.assert_note_is_kept("a");
    assert_eq!(layers.map(|layer| picture(&yard, &layer)), before);
    let before = (yard.env("a"), yard.has("network", "a"));
    yard.sandbox(&["reset", "a"]).ok();
    assert_eq!((yard.env("a"), yard.has("network", "a")), before);
    assert_eq!(yard.sql("a", "SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    assert_eq!(yard.redis("a", "EXISTS note"), "0");
}

#[test]
fn no_password_but_its_own_ever_opens_a_clone() {
    let yard = yard_of_its_own("password", 33);
    yard.up("a");
    let others = [yard.env("a")["PGPASSWORD"].clone(), "postgres".to_owned(), String::new()];
    let port = port_to_be(&yard, "b", "a");
    never_opens(port, &others, || {
        yard.up("b");
        yard.sandbox(&["stop", "b"]).ok();
        yard.sandbox(&["start", "b"]).ok();
    });
    assert_eq!(yard.env("b")["PGPORT"], port.to_string());
    assert_eq!(yard.sql("b", "SELECT 1"), "1");
}

/// Tries passwords at a port all the while that something is done.
pub(crate) fn never_opens(port: u16, passwords: &[String], act: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let ask = |password: &String| {
        let mut asked = 0;
        while !over.load(Ordering::SeqCst) {
            let mut psql = Command::new("psql");
            psql.args(["-X", "-w", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-c", "SELECT 1"]);
            // One that is heard before the server listens would wait for longer.
            psql.env("PGPASSWORD", password)
                .env("PGCONNECT_TIMEOUT", "2")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            assert!(!psql.status().unwrap().success(), "a password of another opened it");
            asked += 1;
        }
        asked
    };
    thread::scope(|scope| {
        // Two for each: while one waits for an answer the other asks.
        let asks: Vec<_> = passwords.iter().chain(passwords).map(|password| scope.spawn(|| ask(password))).collect();
        act();
        over.store(true, Ordering::SeqCst);
        let asked: Vec<usize> = asks.into_iter().map(|ask| ask.join().unwrap()).collect();
        let (one, other) = asked.split_at(passwords.len());
        assert!(one.iter().zip(other).all(|(one, other)| one + other > 5), "{asked:?}");
    });
}

/// The port that a task's Postgres is going to have, unless somebody takes it meanwhile.
pub(crate) fn port_to_be(yard: &Yard, task: &str, like: &str) -> u16 {
    let plan = yard.plan(task);
    let slot = plan.split("claim slot ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    yard.env(like)["PGPORT"].parse::<u16>().unwrap() - slot_of(yard, like) + slot.parse::<u16>().unwrap()
}

fn slot_of(yard: &Yard, task: &str) -> u16 {
    let claims = yard.claimed();
    let its = claims.iter().find(|claim| claim["identity"]["task"] == task).unwrap();
    its["slot"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn nothing_starts_on_half_of_its_data() {
    let yard = yard_of_its_own("half", 34);
    yard.up("a");
    let layer = label(&volume(&yard, "a", "postgres-data"), "sandbox.layers");
    let upper = label(&volume(&yard, "a", "redis-data"), "sandbox.upper");
    yard.sandbox(&["down", "a"]).ok();
    docker(&["volume", "rm", &layer]);
    yard.sandbox(&["up", "a"]).ends_with(13).says(&["postgres", &layer, "sandbox reset --fresh a"]);
    assert!(yard.has("container", "a").is_empty());
    docker(&["volume", "rm", &upper]);
    yard.sandbox(&["reset", "a"]).ok();
    yard.assert_whole("a");
    yard.assert_as_desired("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}

#[test]
fn a_base_that_was_cut_short_is_made_anew_and_leaves_nothing() {
    // Also where a run before this one has left the base of another.
    let yard = yard_of_its_own("base-killed", 100 + u8::try_from(std::process::id() % 100).unwrap());
    let up = yard.begin(&["up", "a"]);
    // Of other scenarios some may be made at the same time.
    let lock = yard.directory.display().to_string();
    let is_own = |line: &str| line.starts_with(&lock);
    let format = "{{.Label \"sandbox.lock\"}}";
    let building = || docker(&["ps", "--all", "--filter", "label=sandbox.base", "--format", format]);
    crate::yard::eventually("a base is being made", || building().lines().any(is_own).then_some(()));
    up.signal(rustix::process::Signal::KILL);
    drop(up.output());
    yard.sandbox(&["rm", "a"]).ok();
    yard.up("b");
    let key = label(&volume(&yard, "b", "postgres-data"), "sandbox.snapshot");
    assert_eq!(labelled("volume", &[format!("sandbox.layer={key}")]).len(), 1);
    assert!(labelled("container", &[format!("sandbox.base={key}")]).is_empty());
}
