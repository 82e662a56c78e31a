//! The env file in shells, and in Rails.

use std::fs;
use std::process::Command;

use crate::yard::{Yard, variables};

fn shells() -> Vec<&'static str> {
    let installed = |shell: &&str| Command::new(shell).args(["-c", ":"]).status().is_ok_and(|status| status.success());
    ["bash", "dash", "zsh"].into_iter().filter(installed).collect()
}

/// Intent: the file means the same to `sandbox env`, to every shell and to whoever reads it as dotenv.
#[test]
fn every_shell_reads_from_the_env_file_what_env_prints() {
    let yard = Yard::new("shells");
    yard.up("a");
    let printed = yard.env("a");
    assert_eq!(variables(&fs::read_to_string(yard.worktree("a").join(".env.worktree")).unwrap()), printed);
    let json = yard.sandbox(&["env", "--format", "json", "a"]).ok().json();
    assert_eq!(json.as_object().unwrap().len(), printed.len());
    assert!(shells().len() >= 2, "bash and dash are everywhere");
    for shell in shells() {
        let seen = variables(&yard.sourced_by(shell, "a", "env").ok().stdout);
        for (name, value) in &printed {
            assert_eq!(seen.get(name), Some(value), "{name} in {shell}");
            assert_eq!(json[name], **value);
        }
        let evaluated = format!("eval \"$({} env --format shell a)\"; env", crate::yard::PROGRAM);
        let seen = variables(&yard.sourced_by(shell, "a", &evaluated).ok().stdout);
        assert!(printed.iter().all(|(name, value)| seen.get(name) == Some(value)), "{shell}");
    }
    let answer = yard.sourced("a", "psql -X -A -t \"$DATABASE_URL\" -c 'SELECT current_database()'").ok();
    assert_eq!(answer.stdout.trim(), printed["DB_NAME"]);
    let answer = yard.sourced("a", "psql -X -A -t \"$TEST_DATABASE_URL\" -c 'SELECT current_database()'").ok();
    assert_eq!(answer.stdout.trim(), printed["TEST_DB_NAME"]);
}

/// Intent: with a full URL Rails would take the development database for the test one, and purge it.
#[test]
fn the_tests_of_rails_leave_the_development_database_alone() {
    let yard = Yard::rails("rails-tests");
    yard.up("a");
    yard.sourced("a", "bin/rails db:prepare").ok();
    yard.sql("a", "INSERT INTO posts VALUES (1, 'Kept', 'a row', 2, now(), now())");
    for shell in shells() {
        yard.sourced_by(shell, "a", "RAILS_ENV=test bin/rails db:prepare").ok();
        let tests = yard.sourced_by(shell, "a", "bin/rails test").ok();
        assert!(tests.stdout.contains("0 failures, 0 errors"), "{tests}");
        assert_eq!(yard.sql("a", "SELECT title FROM posts"), "Kept", "after the tests in {shell}");
    }
    let titles = "psql -X -A -t -d \"$TEST_DB_NAME\" -c \"SELECT count(*) FROM posts WHERE title = 'Kept'\"";
    assert_eq!(yard.sourced("a", titles).ok().stdout.trim(), "0");
}
