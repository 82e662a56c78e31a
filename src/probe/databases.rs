//! Databases of a Postgres server: which there are, and making the missing ones.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use crate::error::{Error, Kind, Result};

/// How long a connection may take, and a question that only reads.
const ASK: Duration = Duration::from_secs(2);

/// Making a database copies the template: some 30 ms, seconds on a disk at work.
const CREATE: Duration = Duration::from_mins(1);

/// Writing down all of a memory's worth.
const CHECKPOINT: Duration = Duration::from_mins(5);

/// What a server said when asked for its databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Their names, templates left out.
    Databases(Vec<String>),
    /// It does not serve yet, for this reason.
    NotYet(String),
    /// It serves and does not take the password.
    PasswordRefused,
}

/// Asks a Postgres server for its databases, with a password, which proves more than that it accepts connections.
///
/// Errors: [`Kind::Service`] for every refusal that waiting and another password cannot mend.
pub async fn postgres_databases(addr: SocketAddr, user: &str, password: &str) -> Result<Asked> {
    match timeout(ASK, names(addr, user, password)).await {
        Ok(Ok(names)) => Ok(Asked::Databases(names)),
        Ok(Err(error)) => {
            judge(&error).ok_or_else(|| failed(format!("cannot ask Postgres at {addr} for its databases"), error))
        }
        Err(_) => Ok(Asked::NotYet(format!("no answer within {} s", ASK.as_secs()))),
    }
}

async fn names(addr: SocketAddr, user: &str, password: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    names_of(&connect(addr, user, password).await?).await
}

async fn names_of(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.simple_query("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname").await?;
    Ok(rows
        .into_iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect())
}

/// A refusal that is an outcome.
fn judge(error: &tokio_postgres::Error) -> Option<Asked> {
    let Some(state) = error.code() else {
        // Not the server's word but the connection's: closed, refused, reset.
        let before_the_server = error.is_closed() || has_io_cause(error);
        return before_the_server.then(|| Asked::NotYet(words(error)));
    };
    let says = |states: &[&SqlState]| states.contains(&state);
    if says(&[&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]) {
        Some(Asked::PasswordRefused)
    } else if says(&[
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::TOO_MANY_CONNECTIONS,
    ]) {
        Some(Asked::NotYet(words(error)))
    } else {
        None
    }
}

fn has_io_cause(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |told| told.message().to_owned())
}

async fn connect(addr: SocketAddr, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::new()
        .host(addr.ip().to_string())
        .port(addr.port())
        .user(user)
        .password(password)
        .dbname("postgres")
        .application_name("sandbox")
        .connect(NoTls)
        .await?;
    // It ends with the client; what it has to report, the client's own calls report too.
    tokio::spawn(connection);
    Ok(client)
}

/// Makes the databases that are missing, owned by `user`; those that are there are left as they are.
///
/// One after the other on one connection: a second connection costs its authentication, and two copies at once write
/// to one disk, so that two databases took as long either way.
///
/// Errors: [`Kind::Service`], naming the database.
pub async fn create_databases(addr: SocketAddr, user: &str, password: &str, names: &[&str]) -> Result<()> {
    let act = |name: &str| format!("cannot create database {name}");
    let late = |name: &str| Error::new(Kind::Service, act(name)).because("no answer from the server in time");
    let all = names.join(", ");
    let client = timeout(ASK, connect(addr, user, password)).await.map_err(|_| late(&all))?;
    let client = client.map_err(|error| failed(act(&all), error))?;
    let there = timeout(ASK, names_of(&client)).await.map_err(|_| late(&all))?;
    let there = there.map_err(|error| failed(act(&all), error))?;
    for name in names.iter().filter(|name| !there.iter().any(|known| known == *name)) {
        let made = timeout(CREATE, create(&client, name)).await.map_err(|_| late(name))?;
        made.map_err(|error| failed(act(name), error))?;
    }
    Ok(())
}

/// How many bytes all databases of a server are.
///
/// Errors: [`Kind::Service`].
pub async fn databases_size(addr: SocketAddr, user: &str, password: &str) -> Result<u64> {
    let act = || format!("cannot ask Postgres at {addr} how much it holds");
    let asked = async {
        let client = connect(addr, user, password).await?;
        client.query_one("SELECT sum(pg_database_size(oid))::bigint FROM pg_database", &[]).await?.try_get::<_, i64>(0)
    };
    let late = |_| Error::new(Kind::Service, act()).because("no answer from the server in time");
    let size = timeout(ASK, asked).await.map_err(late)?.map_err(|error| failed(act(), error))?;
    Ok(u64::try_from(size).unwrap_or_default())
}

/// Leaves a role without a password: from then on none opens the server to it.
///
/// Errors: [`Kind::Service`].
pub async fn forget_password(addr: SocketAddr, user: &str, password: &str) -> Result<()> {
    let act = || format!("cannot take the password from {user}");
    let late = || Error::new(Kind::Service, act()).because("no answer from the server in time");
    let client = timeout(ASK, connect(addr, user, password)).await.map_err(|_| late())?;
    let client = client.map_err(|error| failed(act(), error))?;
    let forgotten = timeout(ASK, client.batch_execute(&format!("ALTER ROLE {} PASSWORD NULL", quoted(user)))).await;
    forgotten.map_err(|_| late())?.map_err(|error| failed(act(), error))
}

/// Has the server write down what it holds in memory: ending it takes no time then.
///
/// Errors: [`Kind::Service`].
pub async fn checkpoint(addr: SocketAddr, user: &str, password: &str) -> Result<()> {
    let act = || format!("cannot have Postgres at {addr} write down what it holds");
    let late = || Error::new(Kind::Service, act()).because("no answer from the server in time");
    let client = timeout(ASK, connect(addr, user, password)).await.map_err(|_| late())?;
    let client = client.map_err(|error| failed(act(), error))?;
    let written = timeout(CHECKPOINT, client.batch_execute("CHECKPOINT")).await;
    written.map_err(|_| late())?.map_err(|error| failed(act(), error))
}

async fn create(client: &Client, name: &str) -> Result<(), tokio_postgres::Error> {
    match client.batch_execute(&format!("CREATE DATABASE {}", quoted(name))).await {
        Err(error) if is_there(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Two who make one database at the same moment meet in the catalogue's index instead.
fn is_there(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::DUPLICATE_DATABASE)
        || (error.code() == Some(&SqlState::UNIQUE_VIOLATION)
            && error.as_db_error().and_then(|told| told.constraint()) == Some("pg_database_datname_index"))
}

fn failed(act: String, error: tokio_postgres::Error) -> Error {
    match error.as_db_error().map(|told| told.message().to_owned()) {
        Some(told) => Error::new(Kind::Service, act).because(told),
        None => Error::new(Kind::Service, act).because(error),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_quote_stays_one_name() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_not_ready_yet() {
        let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(postgres_databases(addr, "postgres", "x").await.unwrap(), Asked::NotYet(_)));
    }
}
