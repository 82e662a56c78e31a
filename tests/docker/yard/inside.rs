//! Asking the servers of a sandbox from inside their containers, on whatever engine these are.

use super::Ran;

/// The password is in no argument.
const ASK_REDIS: &str = r#"REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli "$@""#;

/// What a task's Postgres answers.
#[track_caller]
pub(crate) fn sql(sandbox: impl Fn(&[&str]) -> Ran, task: &str, statement: &str) -> String {
    sandbox(&words(task, statement)).ok().stdout.trim().to_owned()
}

/// The words that ask a task's Postgres.
pub(crate) fn words<'a>(task: &'a str, statement: &'a str) -> [&'a str; 11] {
    ["exec", task, "--service", "postgres", "--", "psql", "-U", "postgres", "-XqAt", "-c", statement]
}

/// What a task's Redis answers.
#[track_caller]
pub(crate) fn redis(sandbox: impl Fn(&[&str]) -> Ran, task: &str, words: &[&str]) -> String {
    sandbox(&redis_words(task, words)).ok().stdout.trim().to_owned()
}

/// The words that ask a task's Redis.
pub(crate) fn redis_words<'a>(task: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["exec", task, "--service", "redis", "--", "sh", "-c", ASK_REDIS, "sh"][..], words].concat()
}
