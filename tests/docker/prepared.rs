//! What a set-up has made, kept so that the next sandbox begins with it.

use std::fs;

use serde_json::{Value, json};

use crate::snapshots::{never_opens, port_to_be, volume};
use crate::yard::{Ran, Yard, docker, labelled};

/// Applies the migrations that have not been applied yet, and says which.
const SET_UP: &str = r#"set -eu
ask() { psql -XqAt -v ON_ERROR_STOP=1 "$DATABASE_URL" "$@"; }
ask -c 'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)' 2>/dev/null
mkdir -p tmp
for file in db/migrate/*.sql; do
  name=$(basename "$file" .sql)
  [ -z "$(ask -c "SELECT name FROM migrations WHERE name = '$name'")" ] || continue
  ask -f "$file" -c "INSERT INTO migrations VALUES ('$name')"
  echo "$name" >>tmp/applied
done
"#;

/// A yard whose repository has a set-up.
fn yard(scenario: &str, connections: u8) -> Yard {
    let yard = Yard::new(scenario);
    add_set_up(&yard, &format!("variables: {{POSTGRES_MAX_CONNECTIONS: '{connections}'}}"));
    yard
}

/// Gives a repository a migration and a set-up that applies it, which the user has allowed.
pub(crate) fn add_set_up(yard: &Yard, settings: &str) {
    yard.set(&format!("setup: [sh bin/setup]\n{settings}\n"));
    for directory in ["bin", "db/migrate"] {
        fs::create_dir_all(yard.repo.join(directory)).unwrap();
    }
    fs::write(yard.repo.join("bin/setup"), SET_UP).unwrap();
    fs::write(yard.repo.join(".gitignore"), "tmp/\n.sandbox.yaml\n").unwrap();
    migrate(yard, "1");
    yard.in_a_terminal("trust", "y\n").ok();
}

/// Commits another migration.
fn migrate(yard: &Yard, name: &str) {
    let text = format!("CREATE TABLE at_{name} AS SELECT 1 AS number;\n");
    fs::write(yard.repo.join(format!("db/migrate/{name}.sql")), text).unwrap();
    yard.git(&["add", "."]);
    yard.git(&["commit", "-q", "-m", &format!("Migration {name}")]);
}

/// The migrations that were applied in a worktree itself.
fn applied(yard: &Yard, task: &str) -> String {
    let text = fs::read_to_string(yard.worktree(task).join("tmp/applied")).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(" ")
}

fn tables(yard: &Yard, task: &str) -> String {
    yard.sql(task, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'at\\_%'")
}

/// The prepared snapshots of a repository.
pub(crate) fn prepared(yard: &Yard) -> Vec<Value> {
    let all = yard.sandbox(&["snapshot", "ls", "--all", "--json"]).ok().json()["snapshots"].clone();
    let repo = yard.repo.join(".git").display().to_string();
    let is_own = |it: &&Value| it["kind"] == "prepared" && it["repository"] == repo;
    all.as_array().unwrap().iter().filter(is_own).cloned().collect()
}

fn assert_its_own(yard: &Yard, task: &str) {
    let own = yard.env(task);
    let listed = yard.sql(task, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1");
    assert_eq!(listed.lines().collect::<Vec<_>>(), [&own["DB_NAME"], &own["TEST_DB_NAME"], "postgres"]);
    yard.assert_as_desired(task);
}

fn remove(yard: &Yard, tasks: &[&str]) -> Ran {
    yard.sandbox(&[&["rm"][..], tasks].concat()).ok()
}

/// Intent: without its record a sandbox looks as if it had never been.
#[test]
fn databases_that_outlived_their_record_stay_where_there_is_a_set_up() {
    let yard = yard("prepared-lost", 68);
    yard.up("a");
    yard.leave_a_note("a");
    fs::remove_file(yard.repo.join(".git/worktrees/a/sandbox.json")).unwrap();
    yard.up("a");
    yard.assert_note_is_kept("a");
    yard.git(&["worktree", "remove", "--force", yard.worktree("a").to_str().unwrap()]);
    let up = yard.sandbox(&["up", "a"]).ok();
    assert!(up.stderr.contains("the set-up is not run: `sandbox up --setup a` runs it"), "{up}");
    yard.assert_note_is_kept("a");
    yard.sandbox(&["rm", "--keep-volumes", "a"]).ok();
    yard.up("a");
    yard.assert_note_is_kept("a");
    // A cache that is gone is nothing to the set-up.
    yard.sandbox(&["down", "a"]).ok();
    fs::remove_dir_all(yard.worktree("a").join("tmp")).unwrap_or_default();
    docker(&["volume", "rm", volume(&yard, "a", "redis-data")["Name"].as_str().unwrap()]);
    yard.up("a");
    assert_eq!((yard.sql("a", "SELECT text FROM notes"), applied(&yard, "a")), ("kept".into(), String::new()));
    assert!(!yard.worktree("a").join("tmp").exists());
    remove(&yard, &["a"]);
}

#[test]
fn a_sandbox_begins_with_what_the_set_up_made_for_another_and_goes_on_from_there() {
    let yard = yard("prepared", 61);
    let up = yard.up("a");
    assert!(up.stderr.contains("for other sandboxes to begin with"), "{up}");
    assert_eq!((applied(&yard, "a"), tables(&yard, "a")), ("1".into(), "at_1".into()));
    assert_its_own(&yard, "a");
    assert_eq!(prepared(&yard).len(), 1);
    yard.sql("a", "CREATE TABLE at_mine (number int)");
    let planned = yard.sandbox(&["up", "--dry-run", "b"]).ok();
    assert!(planned.stderr.contains("as the set-up made them before, at"), "{planned}");
    // The same commit: nothing is left to be applied, and nobody's password but its own opens it.
    let others = [yard.env("a")["PGPASSWORD"].clone(), String::new()];
    let port = port_to_be(&yard, "b", "a");
    never_opens(port, &others, || {
        let up = yard.up("b");
        assert!(up.stderr.contains("as the set-up made them before, at"), "{up}");
        assert!(!up.stderr.contains("for other sandboxes"), "{up}");
    });
    assert_eq!((applied(&yard, "b"), tables(&yard, "b")), (String::new(), "at_1".into()));
    assert_its_own(&yard, "b");
    // A later one: the nearest ancestor's, and forward from there.
    migrate(&yard, "2");
    let up = yard.up("c");
    assert!(up.stderr.contains(", and it goes on from there"), "{up}");
    assert_eq!((applied(&yard, "c"), tables(&yard, "c")), ("2".into(), "at_1 at_2".into()));
    assert_its_own(&yard, "c");
    assert_eq!(prepared(&yard).len(), 2);
    // What shapes no data changes nothing.
    fs::write(yard.repo.join("README"), "Another notebook\n").unwrap();
    yard.git(&["commit", "-q", "-a", "-m", "Words"]);
    yard.up("d");
    assert_eq!((applied(&yard, "d"), prepared(&yard).len()), (String::new(), 2));
    let up = yard.sandbox(&["up", "--fresh", "e"]).ok();
    assert_eq!((applied(&yard, "e"), prepared(&yard).len()), ("1 2".into(), 2), "{up}");
    // A worktree that is new has to be set up whatever its databases begin with.
    let up = yard.sandbox(&["up", "f", "--from-sandbox", "a"]).ok();
    assert_eq!((applied(&yard, "f"), tables(&yard, "f")), ("2".into(), "at_1 at_2 at_mine".into()), "{up}");
    assert_eq!((tables(&yard, "a"), prepared(&yard).len()), ("at_1 at_mine".into(), 2));
    // On other data the set-up is run again.
    yard.sandbox(&["reset", "d"]).ok();
    assert_eq!((applied(&yard, "d"), tables(&yard, "d")), (String::new(), "at_1 at_2".into()));
    yard.sandbox(&["reset", "--fresh", "d"]).ok();
    assert_eq!(applied(&yard, "d"), "1 2");
    yard.sandbox(&["down", "-v", "d"]).ok();
    yard.up("d");
    assert_eq!((applied(&yard, "d"), tables(&yard, "d")), ("1 2 1 2".into(), "at_1 at_2".into()));
    assert_its_own(&yard, "d");
    remove(&yard, &["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn so_many_are_kept_and_no_more() {
    let yard = yard("prepared-many", 62);
    for name in 2..=7 {
        let task = format!("t{name}");
        yard.up(&task);
        remove(&yard, &[&task]);
        migrate(&yard, &name.to_string());
    }
    assert_eq!(prepared(&yard).len(), 5);
    // What nobody stands on any more is gone with them.
    let uppers = labelled("volume", &yard.upper_labels(None));
    let standing: usize =
        prepared(&yard).iter().map(|it| usize::try_from(it["layers"].as_u64().unwrap()).unwrap()).max().unwrap();
    assert!(uppers.len() <= 2 * standing, "{uppers:?}");
}

#[test]
fn what_migrations_do_not_lead_on_from_is_begun_anew() {
    let yard = yard("prepared-edited", 64);
    yard.up("a");
    fs::write(yard.repo.join("db/migrate/1.sql"), "CREATE TABLE at_other (number int);\n").unwrap();
    yard.git(&["commit", "-q", "-a", "-m", "Another first migration"]);
    yard.up("b");
    assert_eq!((applied(&yard, "b"), tables(&yard, "b")), ("1".into(), "at_other".into()));
    // Nor is it kept what is made of anything but a commit.
    migrate(&yard, "2");
    yard.sandbox(&["up", "--no-setup", "c"]).ok();
    fs::write(yard.worktree("c").join("db/migrate/3.sql"), "CREATE TABLE at_3 (number int);\n").unwrap();
    yard.sandbox(&["up", "--setup", "c"]).ok();
    assert_eq!((tables(&yard, "c"), prepared(&yard).len()), ("at_2 at_3 at_other".into(), 2));
    let unnamed = prepared(&yard)[0]["key"].as_str().unwrap().to_owned();
    remove(&yard, &["--force", "a", "b", "c"]);
    yard.sandbox(&["snapshot", "rm", &unnamed]).ok();
    assert_eq!(prepared(&yard).len(), 1);
}

#[test]
fn a_set_up_that_fails_leaves_the_sandbox_up_and_is_run_again() {
    let yard = yard("setup-fails", 63);
    fs::write(yard.repo.join("db/migrate/1.sql"), "SELECT 1 / 0;\n").unwrap();
    yard.git(&["commit", "-q", "-a", "-m", "A bad migration"]);
    let words = ["`sh bin/setup` ended with exit code", "division by zero", "a is up"];
    yard.sandbox(&["up", "a"]).ends_with(22).says(&words);
    let view = yard.view("a");
    assert_eq!((&view["state"], &view["mend"]), (&"partial".into(), &"sandbox up a".into()));
    assert!(view["services"].as_array().unwrap().iter().all(|it| it["running"] == true), "{view}");
    assert!(prepared(&yard).is_empty());
    yard.sandbox(&["up", "a"]).ends_with(22);
    assert!(yard.plan("a").contains("run sh bin/setup"), "{}", yard.plan("a"));
    fs::write(yard.worktree("a").join("db/migrate/1.sql"), "CREATE TABLE at_1 (number int);\n").unwrap();
    yard.up("a");
    assert_eq!(tables(&yard, "a"), "at_1");
    yard.assert_as_desired("a");
    assert!(prepared(&yard).is_empty());
    // Without it, it stays without it: somebody may work in these databases.
    yard.sandbox(&["up", "--no-setup", "b"]).ok();
    yard.assert_as_desired("b");
    yard.up("b");
    assert_eq!(applied(&yard, "b"), "");
    yard.sandbox(&["up", "--setup", "b"]).ends_with(22);
    remove(&yard, &["--force", "a", "b"]);
}

#[test]
fn a_set_up_is_run_with_consent_alone() {
    let yard = Yard::new("setup-trust");
    let script = |text: &str| {
        fs::write(yard.repo.join("prepare"), text).unwrap();
        yard.git(&["add", "."]);
        yard.git(&["commit", "-q", "-m", "How it is prepared"]);
    };
    script("touch ran\n");
    yard.set("setup: [sh ./prepare]\n");
    yard.sandbox(&["up", "a"]).ends_with(21).says(&["sh ./prepare", "# prepare as of", "sandbox trust a"]);
    yard.assert_no_trace("a");
    yard.sandbox(&["up", "--no-setup", "a"]).ok();
    assert!(!yard.worktree("a").join("ran").exists());
    yard.sandbox(&["trust"]).ends_with(21).says(&["in a terminal"]);
    let asked = yard.sandbox(&["trust", "--json"]).json()["trust"].clone();
    assert_eq!((&asked["allowed"], &asked["setup"][0]), (&json!(false), &json!("sh ./prepare")));
    yard.in_a_terminal("trust", "n\n").ends_with(21);
    yard.sandbox(&["up", "b"]).ends_with(21);
    let said = yard.in_a_terminal("trust", "y\n").ok();
    assert!(said.stdout.contains("sh ./prepare") && said.stdout.contains("Allow that? [y/N]"), "{said}");
    yard.up("b");
    assert!(yard.worktree("b").join("ran").exists());
    // Another file that it names is another question, and so are other commands.
    script("touch more\n");
    yard.sandbox(&["up", "c"]).ends_with(21);
    yard.set("setup: [touch other]\n");
    yard.sandbox(&["up", "c"]).ends_with(21);
    yard.assert_no_trace("c");
    // What is there is left alone.
    let up = yard.up("b");
    assert!(up.stderr.contains("`sandbox up --setup b` runs it"), "{up}");
    assert!(!yard.worktree("b").join("other").exists());
    yard.sandbox(&["up", "--setup", "b"]).ends_with(21);
    // Nor does it hold for what another has pushed, but for the commit that was looked at.
    let remote = yard.directory.join("remote.git");
    yard.git(&["clone", "-q", "--bare", ".", remote.to_str().unwrap()]);
    yard.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    yard.git(&["checkout", "-q", "--detach"]);
    fs::write(yard.repo.join("theirs"), "theirs\n").unwrap();
    yard.git(&["add", "theirs"]);
    yard.git(&["commit", "-q", "-m", "Theirs"]);
    yard.git(&["push", "-q", "origin", "HEAD:refs/heads/theirs"]);
    yard.git(&["checkout", "-q", "main"]);
    yard.git(&["fetch", "-q", "origin"]);
    yard.in_a_terminal("trust", "y\n").ok();
    yard.up("d");
    yard.sandbox(&["up", "theirs"]).ends_with(21).says(&["# on theirs of origin, at", "sandbox trust theirs"]);
    yard.in_a_terminal("trust theirs", "y\n").ok();
    let kept = || prepared(&yard).iter().map(|it| it["commit"].to_string()).collect::<Vec<_>>();
    let before = kept();
    yard.up("theirs");
    assert!(yard.worktree("theirs").join("other").exists());
    // What it has made of the databases is for nobody else.
    assert!(before == kept() && !before.is_empty(), "{:?}", kept());
    yard.sandbox(&["trust", "--revoke"]).ok();
    yard.sandbox(&["up", "e"]).ends_with(21);
    yard.assert_no_trace("e");
    remove(&yard, &["--force", "a", "b", "d", "theirs"]);
}
