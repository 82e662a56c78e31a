//! Snapshots that are saved by hand, sandboxes that begin with them or with one another, and those that go back to them.

use serde_json::{Value, json};

use crate::snapshots::{label, never_opens, picture, port_to_be, volume, yard_of_its_own};
use crate::yard::{Ran, Yard, docker, eventually, labelled};

/// The databases that a task has, but those that every server has.
fn databases(yard: &Yard, task: &str) -> Vec<String> {
    let listed = yard.sql(task, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1");
    listed.lines().map(str::to_owned).collect()
}

/// Checks that a task's databases are called what its env file says, and that its password opens them.
fn assert_its_own(yard: &Yard, task: &str) {
    let own = yard.env(task);
    assert_eq!(databases(yard, task), [&own["DB_NAME"], &own["TEST_DB_NAME"], "postgres"]);
    yard.assert_as_desired(task);
}

fn listed(yard: &Yard) -> Vec<Value> {
    yard.sandbox(&["snapshot", "ls", "--json"]).ok().json()["snapshots"].as_array().unwrap().clone()
}

/// All that is left in the engine of what the clones of a yard wrote.
fn uppers(yard: &Yard) -> Vec<String> {
    labelled("volume", &yard.upper_labels(None))
}

#[test]
fn what_is_saved_is_what_others_begin_with_and_is_changed_by_nobody() {
    let yard = yard_of_its_own("saved", 41);
    yard.up("a");
    yard.leave_a_note("a");
    let before = (yard.env("a"), yard.has("network", "a"));
    let said = yard.sandbox(&["snapshot", "save", "a", "seeded"]).ok();
    assert!(said.stdout.starts_with("seeded is saved: postgres and redis of a, which was away for "), "{said}");
    assert_eq!((yard.env("a"), yard.has("network", "a")), before);
    yard.assert_note_is_kept("a");
    yard.assert_whole_beside("a", 2);
    assert_its_own(&yard, "a");
    let layers = ["postgres-data", "redis-data"].map(|name| label(&volume(&yard, "a", name), "sandbox.layers"));
    let newest = layers.map(|layers| layers.split(',').next().unwrap().to_owned());
    let pictures = || newest.clone().map(|layer| picture(&yard, &layer));
    let saved = pictures();
    yard.sql("a", "INSERT INTO notes VALUES ('later')");
    for task in ["b", "c"] {
        yard.sandbox(&["up", task, "--snapshot", "seeded"]).ok();
        yard.assert_note_is_kept(task);
        assert_its_own(&yard, task);
    }
    yard.sql("b", "INSERT INTO notes VALUES ('of b')");
    yard.redis("b", "SET other b");
    assert_eq!(yard.sql("c", "SELECT count(*) FROM notes"), "1");
    assert_eq!(yard.redis("c", "EXISTS other"), "0");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM notes"), "2");
    yard.sandbox(&["stop", "b"]).ok();
    assert_eq!(pictures(), saved);
    // What does not run is left so.
    let said = yard.sandbox(&["snapshot", "save", "b", "of-b"]).ok();
    assert!(said.stdout.starts_with("of-b is saved: postgres and redis of b, which is stopped, as before\n"), "{said}");
    assert_eq!(yard.view("b")["state"], "stopped");
    yard.sandbox(&["snapshot", "rm", "of-b"]).ends_with(20).says(&["b stands on it"]);
    yard.sandbox(&["down", "b"]).ok();
    let said = yard.sandbox(&["snapshot", "save", "b", "down", "--json"]).ok().json();
    assert_eq!((&said["snapshot"]["away_s"], yard.has("container", "b")), (&Value::Null, Vec::new()));
    yard.sandbox(&["reset", "--fresh", "b"]).ok();
    yard.sandbox(&["snapshot", "rm", "of-b", "seeded"]).ends_with(20).says(&["a, c stand on it"]);
    assert_eq!(listed(&yard).len(), 3, "all of them or none");
    yard.sandbox(&["snapshot", "rm", "of-b", "down"]).ok();
    yard.sandbox(&["reset", "b", "seeded"]).ok();
    let [snapshot] = &*listed(&yard) else { panic!("{:?}", listed(&yard)) };
    assert_eq!((&snapshot["name"], &snapshot["layers"]), (&"seeded".into(), &2.into()));
    assert_eq!(snapshot["tasks"], serde_json::json!(["a", "b", "c"]));
    assert!(snapshot["size_bytes"].as_u64().unwrap() > 1_000_000, "{snapshot}");
    yard.sandbox(&["snapshot", "rm", "seeded"]).ends_with(20).says(&["a, b, c"]);
    yard.sandbox(&["rm", "a", "b", "c"]).ok();
    assert_eq!(uppers(&yard).len(), 2);
    yard.sandbox(&["up", "d", "--snapshot", "seeded"]).ok();
    yard.assert_note_is_kept("d");
    yard.sandbox(&["rm", "d"]).ok();
    yard.sandbox(&["snapshot", "rm", "seeded"]).ok();
    assert_eq!((uppers(&yard), listed(&yard)), (Vec::new(), Vec::new()));
}

#[test]
fn a_sandbox_begins_with_another_as_it_is_and_both_go_on_apart() {
    let yard = yard_of_its_own("branched", 42);
    yard.up("a");
    yard.leave_a_note("a");
    // What was not ended cleanly recovers before it is frozen.
    docker(&["kill", &yard.container("a", "postgres")]);
    let said = yard.sandbox(&["up", "b", "--from-sandbox", "a"]).ok();
    assert!(said.stderr.contains("a is away for about a second"), "{said}");
    for task in ["a", "b"] {
        yard.assert_note_is_kept(task);
        assert_its_own(&yard, task);
    }
    yard.sql("a", "INSERT INTO notes VALUES ('of a')");
    yard.sql("b", "DELETE FROM notes");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM notes"), "2");
    // What b stands on was a's, and stays as long as b does.
    yard.sandbox(&["rm", "a"]).ok();
    yard.sandbox(&["stop", "b"]).ok();
    yard.sandbox(&["start", "b"]).ok();
    assert_eq!(yard.sql("b", "SELECT count(*) FROM notes"), "0");
    assert_eq!(yard.redis("b", "GET note"), "kept");
    yard.sandbox(&["rm", "b"]).ok();
    assert_eq!(uppers(&yard), [""; 0]);
    assert!(listed(&yard).is_empty());
}

#[test]
fn a_reset_goes_back_to_what_it_stands_on_or_was_told() {
    let yard = yard_of_its_own("reset", 43);
    yard.up("a");
    yard.leave_a_note("a");
    yard.sandbox(&["snapshot", "save", "a", "first"]).ok();
    yard.sql("a", "INSERT INTO notes VALUES ('second')");
    yard.redis("a", "SET note changed");
    let said = yard.sandbox(&["reset", "a"]).ok();
    assert_eq!(said.stdout, "a is up with the databases of first\n");
    yard.assert_note_is_kept("a");
    assert_eq!(yard.sql("a", "SELECT count(*) FROM notes"), "1");
    assert_its_own(&yard, "a");
    yard.up("b");
    assert_eq!(yard.sandbox(&["reset", "b", "first"]).ok().stdout, "b is up with the databases of first\n");
    yard.assert_note_is_kept("b");
    assert_eq!(yard.view("b")["snapshot"]["name"], "first");
    assert_its_own(&yard, "b");
    assert_eq!(yard.sandbox(&["reset", "--fresh", "b"]).ok().stdout, "b is up with new databases\n");
    assert_eq!(yard.sql("b", "SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    assert_eq!(yard.redis("b", "EXISTS note"), "0");
    yard.assert_whole("b");
    // Each server has its own.
    assert_eq!(yard.view("b")["snapshot"], json!({ "kind": "base", "name": null, "key": null }));
    assert_eq!(yard.sandbox(&["down", "-v", "b"]).ok().stdout, "b is down; its databases are gone\n");
    yard.sandbox(&["snapshot", "save", "b", "none"]).ends_with(13).says(&["it has none", "sandbox up b"]);
    yard.sandbox(&["up", "c", "--from-sandbox", "b"]).ends_with(13);
    yard.sandbox(&["reset", "first"]).ends_with(7).says(&["first is a snapshot", "sandbox reset TASK first"]);
    let said = yard.sandbox(&["up", "c", "--snapshot", "first", "--dry-run"]).ok();
    assert!(said.stderr.contains("begin with those of the snapshot first"), "{said}");
    yard.sandbox(&["rm", "a", "b"]).ok();
    yard.sandbox(&["snapshot", "rm", "first", "first"]).ok();
    assert_eq!(uppers(&yard), [""; 0]);
}

#[test]
fn the_password_of_the_source_opens_none_of_its_clones() {
    let yard = yard_of_its_own("source-password", 44);
    yard.up("a");
    yard.sandbox(&["snapshot", "save", "a", "it"]).ok();
    let others = [yard.env("a")["PGPASSWORD"].clone(), String::new()];
    let port = port_to_be(&yard, "b", "a");
    never_opens(port, &others, || drop(yard.sandbox(&["up", "b", "--from-sandbox", "a"]).ok()));
    assert_eq!(yard.env("b")["PGPORT"], port.to_string());
    never_opens(port, &others, || drop(yard.sandbox(&["reset", "b"]).ok()));
    never_opens(port, &others, || drop(yard.sandbox(&["reset", "b", "it"]).ok()));
    let port = port_to_be(&yard, "c", "a");
    never_opens(port, &others, || drop(yard.sandbox(&["up", "c", "--snapshot", "it"]).ok()));
    assert_eq!(yard.env("c")["PGPORT"], port.to_string());
    assert_eq!(yard.sql("c", "SELECT 1"), "1");
    let ping = |task: &str, password: &str| {
        yard.sourced(task, &format!("redis-cli --no-auth-warning -h 127.0.0.1 -p $REDIS_PORT -a '{password}' PING"))
            .stdout
    };
    let redis_password = |task: &str| yard.env(task)["PGPASSWORD"].clone();
    assert!(ping("c", &redis_password("c")).contains("PONG"));
    assert!(!ping("c", &redis_password("a")).contains("PONG"));
    yard.sandbox(&["rm", "a", "b", "c"]).ok();
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
}

/// Counts in Postgres and then in Redis, until one of them is away.
const COUNT: &str = r#"number=0
while number=$((number + 1)) && psql -Xqc "UPDATE counter SET number = $number" "$DB_NAME" &&
  redis-cli --no-auth-warning -u "$REDIS_URL" SET number $number; do :; done"#;

#[test]
fn all_servers_are_frozen_at_one_point_in_time() {
    let yard = Yard::new("one-time");
    yard.up("a");
    yard.sql("a", "CREATE TABLE counter AS SELECT 0 AS number");
    let writer = yard.begin(&["exec", "a", "--", "sh", "-c", COUNT]);
    let counted = |task: &str| yard.redis(task, "GET number").parse::<u64>().unwrap_or_default();
    eventually("it counts", || (counted("a") > 20).then_some(()));
    yard.sandbox(&["snapshot", "save", "a", "it"]).ok();
    drop(writer.output());
    yard.sandbox(&["up", "b", "--snapshot", "it"]).ok();
    let (postgres, redis) = (yard.sql("b", "SELECT number FROM counter").parse::<u64>().unwrap(), counted("b"));
    assert!(redis > 20 && (redis..=redis + 1).contains(&postgres), "{postgres}, {redis}");
    assert_eq!(yard.sql("a", "SELECT number FROM counter"), postgres.to_string());
    yard.sandbox(&["rm", "a", "b"]).ok();
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
}

/// Intent: Postgres looks at every file of its directory when it recovers, and one that is opened for writing is copied.
#[test]
fn a_clone_that_recovers_from_a_crash_copies_nothing_of_what_is_below() {
    let yard = Yard::new("recovers");
    yard.up("a");
    yard.sql("a", "CREATE TABLE large WITH (autovacuum_enabled = false) AS SELECT repeat('x', 900) FROM generate_series(1, 80000)");
    yard.sandbox(&["snapshot", "save", "a", "it"]).ok();
    yard.sandbox(&["up", "b", "--snapshot", "it"]).ok();
    let own_mb = || {
        let listed = yard.sandbox(&["ls", "--usage", "--json"]).ok().json()["sandboxes"].clone();
        let of_b = listed.as_array().unwrap().iter().find(|it| it["task"] == "b").unwrap().clone();
        of_b["usage"]["disk_own_bytes"].as_u64().unwrap() >> 20
    };
    yard.sql("b", "CREATE TABLE notes AS SELECT 'kept' AS text");
    let before = own_mb();
    docker(&["kill", &yard.container("b", "postgres")]);
    yard.up("b");
    assert_eq!(yard.sql("b", "SELECT text FROM notes"), "kept");
    let after = own_mb();
    assert!(after < before + 40, "{before} MB have become {after}");
    assert_eq!(yard.sql("b", "SELECT count(*) FROM large"), "80000");
    assert!(own_mb() > after + 60, "a query copies the table");
    yard.sandbox(&["rm", "a", "b"]).ok();
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
}

#[test]
fn what_cannot_be_is_said_and_changes_nothing() {
    let yard = yard_of_its_own("saved-badly", 45);
    yard.up("a");
    yard.leave_a_note("a");
    yard.sandbox(&["snapshot", "save", "a", "it"]).ok();
    let up = yard.sandbox(&["up", "a", "--snapshot", "it"]).ok();
    assert!(up.stdout.starts_with("a is up already"), "{up}");
    yard.sandbox(&["snapshot", "save", "a", "it"]).ends_with(19).says(&["sandbox snapshot rm it"]);
    yard.sandbox(&["snapshot", "save", "a", "-x y"]).ends_with(2);
    yard.sandbox(&["snapshot", "save", "a", "x y"]).ends_with(2).says(&["cannot be the name of a snapshot"]);
    yard.sandbox(&["snapshot", "save", "nobody", "x"]).ends_with(7);
    yard.sandbox(&["snapshot", "save", "x"]).ends_with(2).says(&["no task was named"]);
    yard.sandbox(&["snapshot", "rm", "other"]).ends_with(18).says(&["there are: it"]);
    yard.sandbox(&["up", "b", "--snapshot", "other"]).ends_with(18).says(&["there are: it"]);
    yard.sandbox(&["up", "b", "--from-sandbox", "nobody"]).ends_with(7);
    yard.sandbox(&["up", "b", "--from-sandbox", "b"]).ends_with(2);
    yard.assert_no_trace("b");
    yard.up("b");
    yard.sandbox(&["up", "b", "--snapshot", "it"]).ends_with(2).says(&["sandbox reset b it"]);
    yard.sandbox(&["up", "b", "--from-sandbox", "a"]).ends_with(2).says(&["sandbox reset b NAME"]);
    yard.sandbox(&["reset", "b", "other"]).ends_with(18);
    yard.sandbox(&["rm", "b"]).ok();
    // Half of it is no snapshot.
    let layers = label(&volume(&yard, "a", "redis-data"), "sandbox.layers");
    let newest = layers.split(',').next().unwrap();
    yard.sandbox(&["rm", "a"]).ok();
    docker(&["volume", "rm", newest]);
    assert_eq!(listed(&yard)[0]["whole"], false);
    yard.sandbox(&["up", "b", "--snapshot", "it"]).ends_with(13).says(&[newest, "is gone"]);
    yard.assert_no_trace("b");
    yard.sandbox(&["snapshot", "rm", "it"]).ok();
    assert_eq!(uppers(&yard), [""; 0]);
}

/// Saves a sandbox as `s1`, `s2` and so on, each time with something written before, until its layers become one, which is before they
/// are too many to be mounted. How often that is; it has to be less than so many times.
pub(crate) fn save_until_flat(
    sandbox: &dyn Fn(&[&str]) -> Ran,
    task: &str,
    limit: usize,
    depth: impl Fn() -> usize,
    write: impl Fn(usize),
) -> usize {
    let (mut deepest, mut saved) = (0, 0);
    while depth() >= deepest {
        deepest = depth();
        saved += 1;
        assert!(saved < limit, "{deepest} layers, and none has become one");
        write(saved);
        sandbox(&["snapshot", "save", task, &format!("s{saved}")]).ok();
    }
    assert!(deepest > 12, "{deepest}");
    assert_eq!(depth(), 2);
    saved
}

/// Saves a new sandbox again and again, until its layers become one; all its data stays. The answer is the last snapshot before that.
pub(crate) fn save_until_it_is_flat(yard: &Yard, task: &str) -> String {
    yard.up(task);
    let depth = || label(&volume(yard, task, "postgres-data"), "sandbox.layers").split(',').count();
    let write = |number: usize| {
        yard.sql(task, &format!("CREATE TABLE at_{number} AS SELECT {number} AS number"));
        yard.redis(task, &format!("SET at_{number} {number}"));
    };
    let saved = save_until_flat(&|words| yard.sandbox(words), task, 40, depth, write);
    for number in [1, saved] {
        assert_eq!(yard.sql(task, &format!("SELECT number FROM at_{number}")), number.to_string());
        assert_eq!(yard.redis(task, &format!("GET at_{number}")), number.to_string());
    }
    assert_its_own(yard, task);
    let last = format!("s{}", saved - 1);
    yard.sandbox(&["up", "b", "--snapshot", &last]).ok();
    assert_eq!(yard.sql("b", &format!("SELECT number FROM at_{}", saved - 1)), (saved - 1).to_string());
    yard.sandbox(&["rm", task, "b"]).ok();
    let others: Vec<String> =
        (1..=saved).filter(|number| *number != saved - 1).map(|number| format!("s{number}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    yard.sandbox(&[&["snapshot", "rm"][..], &others].concat()).ok();
    // What none of the two services' layers of the last is, is gone.
    let [kept] = &*listed(yard) else { panic!("{:?}", listed(yard)) };
    let layers = usize::try_from(kept["layers"].as_u64().unwrap()).unwrap();
    assert_eq!((kept["name"].as_str(), uppers(yard).len()), (Some(&*last), 2 * (layers - 1)));
    last
}
