//! Waiting until a service is ready: by asking it, and by watching that it does not end meanwhile.

use std::time::Duration;

use futures::TryStreamExt;

use super::{Real, pool};
use crate::engine::{Exit, Health, LogOptions, disk_full};
use crate::error::{Error, Kind, Result};
use crate::plan::action::{Login, Question};
use crate::probe::{self, Asked};

/// How many of a container's last lines an error shows.
const LAST_LINES: u64 = 12;

/// Between two looks at a health check, whose own interval is longer anyway.
const HEALTH_POLL: Duration = Duration::from_millis(100);

/// How long a service without a question must have run before it counts as running.
const SETTLE: Duration = Duration::from_millis(300);

pub(super) async fn await_ready(world: &Real<'_>, service: &str, container: &str, question: &Question) -> Result<()> {
    let limit = world.ready_timeout();
    if *question == Question::Ended {
        return await_end(world, service, container, limit).await;
    }
    tokio::select! {
        exit = world.engine.watch(container) => Err(ended(world, service, container, exit?).await),
        ready = tokio::time::timeout(limit, asked(world, container, question, limit)) => match ready {
            Ok(asked) => explained(world, service, container, asked).await,
            Err(_) => Err(late(world, service, container, limit).await),
        }
    }
}

async fn asked(world: &Real<'_>, container: &str, question: &Question, limit: Duration) -> Result<()> {
    match question {
        Question::Postgres(login) => {
            probe::await_ready(container, limit, || probe::postgres_accepts(login.address, &login.user)).await?;
        }
        Question::Redis(login) => {
            probe::await_ready(container, limit, || probe::redis_accepts(login.address, Some(&login.password.0)))
                .await?;
        }
        Question::Health => loop {
            let health = world.engine.inspect(container).await?.and_then(|details| details.health);
            if matches!(health, Some(Health::Healthy) | None) {
                break;
            }
            tokio::time::sleep(HEALTH_POLL).await;
        },
        Question::Running => tokio::time::sleep(SETTLE).await,
        Question::Ended => {}
    }
    Ok(())
}

async fn await_end(world: &Real<'_>, service: &str, container: &str, limit: Duration) -> Result<()> {
    match tokio::time::timeout(limit, world.engine.watch(container)).await {
        Ok(Ok(Exit::Code(0))) => Ok(()),
        Ok(Ok(Exit::Code(code))) => {
            Err(failure(world, service, container, &format!("ended with exit code {code}")).await)
        }
        Ok(Ok(Exit::Gone)) => Err(failure(world, service, container, "was removed").await),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(failure(world, service, container, &format!("had not ended after {} s", limit.as_secs())).await),
    }
}

async fn ended(world: &Real<'_>, service: &str, container: &str, exit: Exit) -> Error {
    let how = match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Gone => "was removed".to_owned(),
    };
    failure(world, service, container, &format!("{how} before it was ready")).await
}

async fn late(world: &Real<'_>, service: &str, container: &str, limit: Duration) -> Error {
    let error = failure(world, service, container, &format!("was not ready after {} s", limit.as_secs())).await;
    error.hint(probe::NEEDS_LONGER)
}

/// What happened to a service, with the last it said.
pub(super) async fn failure(world: &Real<'_>, service: &str, container: &str, what: &str) -> Error {
    let error = Error::new(Kind::Service, format!("{service} {what}"));
    let options = LogOptions { tail: Some(LAST_LINES), ..LogOptions::default() };
    let lines: Vec<_> = world.engine.logs(container, &options).try_collect().await.unwrap_or_default();
    let text: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(&line.line).into_owned()).collect();
    let text = text.join("\n");
    // Who has no room may have none to say so, and does not know whose it is.
    let hint = match pool::full(world.engine).await.or_else(|| disk_full(&text)) {
        None => world.engine.disk_full().await,
        said => said,
    };
    let said = if text.is_empty() { "it wrote nothing".to_owned() } else { format!("its last lines:\n{text}") };
    error.because(said).hint_if(hint)
}

/// What a server was asked; where that failed with the last it said, for that says more than that it closed the connection.
pub(super) async fn explained(world: &Real<'_>, service: &str, container: &str, asked: Result<()>) -> Result<()> {
    let Err(error) = asked else { return Ok(()) };
    if error.kind() != Kind::Service {
        return Err(error);
    }
    let told = failure(world, service, container, &format!("failed: {error}")).await;
    Err(error.hints().iter().cloned().fold(told, Error::hint))
}

/// Databases that are to be in a server, which is to accept our password.
pub(super) struct Databases<'a> {
    pub(super) service: &'a str,
    pub(super) container: &'a str,
    pub(super) login: &'a Login,
    pub(super) names: &'a [String],
    pub(super) renamed_from: &'a [String],
    pub(super) is_new: bool,
}

/// Makes our password open the server, and the databases exist.
///
/// A volume that outlived its record has another password than ours, a clone has none.
pub(super) async fn prepare_databases(world: &Real<'_>, wanted: &Databases<'_>) -> Result<()> {
    let Databases { login: Login { address, user, password }, names, is_new, .. } = wanted;
    let is_set = match is_new {
        true => false,
        false => match probe::postgres_databases(*address, user, &password.0).await? {
            Asked::Databases(there) if names.iter().all(|name| there.contains(name)) => return Ok(()),
            Asked::PasswordRefused => false,
            Asked::Databases(_) | Asked::NotYet(_) => true,
        },
    };
    if !is_set {
        set_password(world, wanted).await?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = probe::create_databases(*address, user, &password.0, &names).await;
    explained(world, wanted.service, wanted.container, made).await
}

/// Waits for a server inside its container, then has `psql` run what comes in.
const WHEN_READY: &str = "until pg_isready --quiet --username \"$1\"; do sleep 0.02; done; \
     exec psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username \"$1\" --dbname postgres";

/// Inside the container the server trusts its own socket, so our password can be set there, the last of all: whoever logs in finds
/// the databases. It goes in on standard input.
async fn set_password(world: &Real<'_>, wanted: &Databases<'_>) -> Result<()> {
    let Databases { service, container, login: Login { user, password, .. }, names, renamed_from, .. } = wanted;
    // The server may be set to log statements, or those that fail.
    // Nothing waits for the disk: what a crash of the machine undoes the next `up` does again.
    let quiet = "SET synchronous_commit = off; SET log_statement = none; SET log_min_duration_statement = -1; SET log_min_error_statement = panic;";
    let renamed: Vec<String> = renamed_from.iter().zip(*names).map(|(from, to)| renaming(from, to)).collect();
    let renamed = renamed.concat();
    let statement = format!("{quiet}\n{renamed}ALTER ROLE \"{user}\" PASSWORD '{}';\n", password.0);
    let command = ["sh", "-c", WHEN_READY, "sh", user];
    let limit = world.ready_timeout();
    let set = world.engine.exec_capture(container, &command, Some(statement.as_bytes()), None);
    tokio::select! {
        // Ended, it ends what is run in it too: that it has is to be seen first.
        biased;
        exit = world.engine.watch(container) => Err(ended(world, service, container, exit?).await),
        set = tokio::time::timeout(limit, set) => match set {
            Ok(Ok(set)) if set.exit_code == 0 => Ok(()),
            Ok(Ok(set)) => {
                let said = String::from_utf8_lossy(&set.stderr).trim().to_owned();
                let why = if said.is_empty() { format!("psql ended with exit code {}", set.exit_code) } else { said };
                let what = format!("its databases cannot be made the sandbox's own: {why}");
                Err(failure(world, service, container, &format!("failed: {what}")).await)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(late(world, service, container, limit).await),
        }
    }
}

/// Renames a database that is there, unless the new name is taken: for `psql`, which runs what the question answers.
fn renaming(from: &str, to: &str) -> String {
    let [from, to] = [from, to].map(|name| format!("'{}'", name.replace('\'', "''")));
    let there = |name: &str| format!("EXISTS (SELECT FROM pg_database WHERE datname = {name})");
    let (is_there, is_free) = (there(&from), there(&to));
    format!(
        "SELECT format('ALTER DATABASE %I RENAME TO %I', {from}, {to}) WHERE {is_there} AND NOT {is_free} \\gexec\n"
    )
}
