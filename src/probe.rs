//! Asking servers directly whether they are ready, on the ports that a sandbox publishes.
//!
//! A health check answers at its own interval; a start-up message answers in a millisecond. Knows the beginnings of two
//! protocols and nothing of containers.

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::error::{Error, Kind, Result};

mod databases;
pub use databases::{Asked, checkpoint, create_databases, databases_size, forget_password, postgres_databases};

/// How long one attempt may take. A server that is ready answers in a few milliseconds; one that is busy recovering
/// is better asked again.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Between two attempts: at first as often as is of use, later less of a burden to a machine at work.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It serves.
    Accepting,
    /// It does not serve yet, for this reason.
    NotYet(String),
    /// It serves, but not us: waiting will not help. The server's words.
    Refused(String),
}

impl Probe {
    fn not_yet(why: impl Into<String>) -> Probe {
        Probe::NotYet(why.into())
    }
}

/// Whether a Postgres server accepts connections, asked with a start-up message for `user`; no password is needed.
pub async fn postgres_accepts(addr: SocketAddr, user: &str) -> Probe {
    attempt(async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(&startup_message(user)).await?;
        let mut answer = Vec::new();
        // Either a five-byte header and an authentication request, or an error of a few hundred bytes.
        let mut header = [0; 5];
        if stream.read_exact(&mut header).await.is_err() {
            return Ok(Probe::not_yet("the connection was closed"));
        }
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]).saturating_sub(4);
        (&mut stream).take(u64::from(length.min(8192))).read_to_end(&mut answer).await?;
        // No farewell: to a server that awaits a password it is a protocol error, and logged; silence is not.
        Ok(postgres_answer(header[0], &answer))
    })
    .await
}

/// Protocol 3.0: length, version, then pairs of words.
fn startup_message(user: &str) -> Vec<u8> {
    let words = format!("user\0{user}\0database\0postgres\0application_name\0sandbox\0\0");
    let length = u32::try_from(words.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), words.as_bytes()].concat()
}

fn postgres_answer(kind: u8, body: &[u8]) -> Probe {
    match kind {
        b'R' => Probe::Accepting,
        b'E' => {
            let message = field(body, b'M').unwrap_or_else(|| "an error without words".to_owned());
            match field(body, b'C').as_deref() {
                // All its slots are taken: it serves, and others.
                Some("53300") => Probe::Accepting,
                // Starting up, shutting down, recovering from a crash.
                Some("57P01" | "57P02" | "57P03") => Probe::NotYet(message),
                _ => Probe::Refused(message),
            }
        }
        other => Probe::Refused(format!("what listens there is no Postgres: it began with byte {other:#04x}")),
    }
}

/// One field of an error: a letter, then text up to a zero.
fn field(body: &[u8], letter: u8) -> Option<String> {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&letter))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

/// Whether a Redis server serves, asked with `PING` after `AUTH` where there is a password.
pub async fn redis_accepts(addr: SocketAddr, password: Option<&str>) -> Probe {
    attempt(async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(&redis_request(password)).await?;
        let expected = 1 + usize::from(password.is_some());
        let mut answer = Vec::new();
        while answer.split(|byte| *byte == b'\n').count() <= expected && answer.len() < 8192 {
            if stream.read_buf(&mut answer).await? == 0 {
                return Ok(Probe::not_yet("the connection was closed"));
            }
        }
        Ok(redis_answer(&String::from_utf8_lossy(&answer)))
    })
    .await
}

fn redis_request(password: Option<&str>) -> Vec<u8> {
    let auth = password.map(|password| format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len()));
    format!("{}*1\r\n$4\r\nPING\r\n", auth.unwrap_or_default()).into_bytes()
}

fn redis_answer(answer: &str) -> Probe {
    let complaint = answer.lines().find(|line| !matches!(*line, "+OK" | "+PONG"));
    match complaint {
        None => Probe::Accepting,
        Some(line) if ["-LOADING", "-MASTERDOWN"].iter().any(|word| line.starts_with(word)) => {
            Probe::not_yet(line.trim_start_matches('-'))
        }
        // A script is running: it serves, and is at work.
        Some(line) if line.starts_with("-BUSY") => Probe::Accepting,
        Some(line) => Probe::Refused(line.trim_start_matches('-').to_owned()),
    }
}

/// One attempt, bounded. A connection that fails is a server that is not there yet.
async fn attempt(ask: impl Future<Output = std::io::Result<Probe>>) -> Probe {
    match timeout(ATTEMPT, ask).await {
        Ok(Ok(probe)) => probe,
        Ok(Err(error)) => Probe::not_yet(error.to_string()),
        Err(_) => Probe::not_yet(format!("no answer within {} s", ATTEMPT.as_secs())),
    }
}

/// What helps a server that only needs more time.
pub const NEEDS_LONGER: &str = "set `ready_timeout_s` in the settings if it needs longer";

/// Asks again and again until the server accepts: how long that took.
///
/// `server` names it in the error, which is [`Kind::Service`]: when it refuses us, at once; when `limit` has passed,
/// with its last answer.
pub async fn await_ready<F: Future<Output = Probe>>(
    server: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<Duration> {
    let began = Instant::now();
    let mut pause = SHORTEST_PAUSE;
    loop {
        let why = match ask().await {
            Probe::Accepting => return Ok(began.elapsed()),
            Probe::Refused(why) => {
                return Err(Error::new(Kind::Service, format!("{server} answers and refuses us")).because(why));
            }
            Probe::NotYet(why) => why,
        };
        if began.elapsed() + pause > limit {
            let waited = limit.as_secs_f64();
            let what = format!("{server} is not ready after {waited:.0} s");
            return Err(Error::new(Kind::Service, what).because(why).hint(NEEDS_LONGER));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that says one thing to everybody.
    async fn server(says: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 512];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(says).await;
            }
        });
        addr
    }

    #[tokio::test]
    async fn a_postgres_that_asks_for_a_password_accepts() {
        let addr = server(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await;
        assert_eq!(postgres_accepts(addr, "postgres").await, Probe::Accepting);
    }

    #[tokio::test]
    async fn a_postgres_that_starts_up_is_not_ready_yet() {
        let addr = server(b"E\0\0\0\x3eSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0").await;
        let probe = postgres_accepts(addr, "postgres").await;
        assert_eq!(probe, Probe::NotYet("the database system is starting up".into()));
    }

    #[tokio::test]
    async fn a_forwarder_that_closes_at_once_is_not_ready_yet() {
        let addr = server(b"").await;
        assert!(matches!(postgres_accepts(addr, "postgres").await, Probe::NotYet(_)));
        assert!(matches!(redis_accepts(addr, None).await, Probe::NotYet(_)));
    }

    #[tokio::test]
    async fn nobody_listening_is_not_ready_yet() {
        let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(postgres_accepts(addr, "postgres").await, Probe::NotYet(_)));
    }

    #[tokio::test]
    async fn another_server_on_the_port_is_not_waited_for() {
        let addr = server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let error = await_ready("db", Duration::from_secs(5), || postgres_accepts(addr, "postgres")).await.unwrap_err();
        assert!(error.to_string().contains("no Postgres"), "{error}");
    }

    #[tokio::test]
    async fn a_redis_is_ready_once_it_has_loaded() {
        assert_eq!(redis_accepts(server(b"+OK\r\n+PONG\r\n").await, Some("secret")).await, Probe::Accepting);
        let loading = server(b"+OK\r\n-LOADING Redis is loading the dataset in memory\r\n").await;
        assert!(matches!(redis_accepts(loading, Some("secret")).await, Probe::NotYet(_)));
    }

    #[tokio::test]
    async fn a_redis_with_another_password_refuses() {
        let addr = server(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH x\r\n").await;
        assert!(
            matches!(redis_accepts(addr, Some("wrong")).await, Probe::Refused(why) if why.starts_with("WRONGPASS"))
        );
    }

    #[tokio::test]
    async fn waiting_ends_with_the_servers_last_words() {
        let never = || async { Probe::NotYet("still loading".into()) };
        let error = await_ready("redis", Duration::from_millis(20), never).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Service);
        assert!(error.to_string().ends_with("still loading"), "{error}");
    }

    #[test]
    fn the_start_up_message_counts_its_own_length() {
        let message = startup_message("me");
        assert_eq!(message[..4], u32::try_from(message.len()).unwrap().to_be_bytes());
        assert!(message.ends_with(b"\0\0"));
    }
}
