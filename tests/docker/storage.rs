//! Wherever the data of clones is kept, the same comes of it.

use crate::snapshots::{PICTURE, label, volume, yard_of_its_own};
use crate::yard::{Ran, Yard, docker, inside, labelled};

/// What is in the layers of the snapshot `it`: names, modes, owners and contents of all files.
fn picture(sandbox: &dyn Fn(&[&str]) -> Ran, docker: &dyn Fn(&[&str]) -> String) -> String {
    let listed = sandbox(&["snapshot", "ls", "--json"]).ok().json()["snapshots"][0].clone();
    let repository = format!("label=sandbox.repo={}", listed["repository"].as_str().unwrap());
    let named = ["volume", "ls", "--quiet", "--filter", "label=sandbox.name=it", "--filter", &repository];
    let layers =
        docker(&["volume", "inspect", "--format", r#"{{index .Labels "sandbox.layers"}}"#, docker(&named).trim()]);
    let image = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "sandbox-postgres"]);
    let mounts: Vec<String> =
        layers.trim().split(',').map(|layer| format!("--volume={layer}:/layers/{layer}:ro")).collect();
    let script = format!("cd /layers && {PICTURE}");
    let mut words = vec!["run", "--rm", "--network=none", "--user=0", "--entrypoint=sh"];
    words.extend(mounts.iter().map(String::as_str));
    docker(&[&words[..], &[image.lines().next().unwrap(), "-c", &script]].concat())
}

/// Saves, begins with what was saved, branches, resets and removes; leaves nothing, and what was saved as it was.
pub(crate) fn same_results(sandbox: &dyn Fn(&[&str]) -> Ran, docker: &dyn Fn(&[&str]) -> String) {
    let sql = |task: &str, statement: &str| inside::sql(sandbox, task, statement);
    let redis = |task: &str, words: &[&str]| inside::redis(sandbox, task, words);
    let note = |task: &str, text: &str| {
        sql(task, &format!("CREATE TABLE IF NOT EXISTS notes (text text); INSERT INTO notes VALUES ('{text}')"));
        redis(task, &["SET", text, task]);
    };
    let notes = |task: &str| {
        let kept = redis(task, &["EVAL", KEPT, "3", "first", "second", "of-b"]);
        format!("{} {kept}", sql(task, "SELECT string_agg(text, ',' ORDER BY text) FROM notes"))
    };
    let databases = |task: &str| {
        let env = sandbox(&["env", task]).ok().stdout;
        let own = |name: &str| env.lines().find_map(|it| it.strip_prefix(name)).unwrap().to_owned();
        let listed = sql(task, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1");
        let mut wanted = [own("DB_NAME="), own("TEST_DB_NAME="), "postgres".to_owned()];
        wanted.sort();
        assert_eq!(listed.lines().collect::<Vec<_>>(), wanted);
    };
    sandbox(&["up", "a"]).ok();
    note("a", "first");
    sandbox(&["snapshot", "save", "a", "it"]).ok();
    let saved = picture(sandbox, docker);
    assert!(saved.contains("PG_VERSION") && saved.contains(".rdb"), "{saved}");
    note("a", "second");
    assert_eq!(notes("a"), "first,second 110");
    sandbox(&["up", "b", "--snapshot", "it"]).ok();
    sandbox(&["up", "c", "--from-sandbox", "a"]).ok();
    note("b", "of-b");
    for task in ["a", "b", "c"] {
        databases(task);
        assert_eq!(sandbox(&["up", "--dry-run", task]).ok().stdout, "nothing to do\n");
    }
    assert_eq!([notes("a"), notes("b"), notes("c")], ["first,second 110", "first,of-b 101", "first,second 110"]);
    assert_eq!(sandbox(&["reset", "b"]).ok().stdout, "b is up with the databases of it\n");
    assert_eq!(sandbox(&["reset", "c", "it"]).ok().stdout, "c is up with the databases of it\n");
    assert_eq!([notes("b"), notes("c")], ["first 100", "first 100"]);
    sandbox(&["snapshot", "rm", "it"]).ends_with(20).says(&["b, c stand on it"]);
    sandbox(&["rm", "a"]).ok();
    for task in ["b", "c"] {
        sandbox(&["stop", task]).ok();
        sandbox(&["start", task]).ok();
        databases(task);
        assert_eq!(notes(task), "first 100");
    }
    sandbox(&["reset", "--fresh", "c"]).ok();
    assert_eq!(sql("c", "SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    sandbox(&["rm", "b", "c"]).ok();
    assert_eq!(picture(sandbox, docker), saved);
    sandbox(&["snapshot", "rm", "it"]).ok();
    assert_eq!(sandbox(&["ls", "--quiet"]).ok().stdout, "");
    assert_eq!(sandbox(&["snapshot", "ls", "--quiet"]).ok().stdout, "");
}

/// Of each key whether it is there.
const KEPT: &str =
    "local kept = '' for _, key in ipairs(KEYS) do kept = kept .. redis.call('EXISTS', key) end return kept";

#[test]
fn as_overlays() {
    let yard = yard_of_its_own("overlays", 51);
    same_results(&|words| yard.sandbox(words), &|words| docker(words));
    assert_eq!(labelled("volume", &yard.upper_labels(None)), [""; 0]);
}

#[test]
fn as_copies_where_the_settings_say_so() {
    let yard = Yard::new("copies");
    yard.set("{storage: copy, variables: {POSTGRES_MAX_CONNECTIONS: '52'}}\n");
    same_results(&|words| yard.sandbox(words), &|words| docker(words));
    assert_eq!(labelled("volume", &yard.upper_labels(None)), [""; 0]);
    yard.up("a");
    yard.leave_a_note("a");
    let data = volume(&yard, "a", "postgres-data");
    assert_eq!(data["Options"]["o"], "bind", "{data}");
    let doctor = yard.sandbox(&["doctor"]);
    assert!(doctor.stdout.contains("storage: copies, as the setting `storage` says"), "{doctor}");
    // What a copy was made of may go: it has all of it.
    yard.sandbox(&["down", "a"]).ok();
    docker(&["volume", "rm", &label(&data, "sandbox.layers")]);
    yard.up("a");
    yard.assert_note_is_kept("a");
    yard.assert_as_desired("a");
    yard.sandbox(&["reset", "a"]).ok();
    assert_eq!(yard.sql("a", "SELECT count(*) FROM pg_class WHERE relname = 'notes'"), "0");
    yard.assert_as_desired("a");
    yard.sandbox(&["rm", "a"]).ok();
    yard.assert_no_trace("a");
}
