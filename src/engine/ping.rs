//! The first request to an engine, made by hand.
//!
//! The client library throws away the one header we want (`Api-Version`) and its `/version` makes the engine run
//! `runc` and `docker-init`, 14 ms; `/_ping` takes half a millisecond. Going through the socket ourselves also keeps the
//! operating system's own reason when it cannot be opened.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// What an engine says when it is greeted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pong {
    /// The newest API version it speaks.
    pub(super) api: String,
    /// The process at the other end; 0 when it is in a process namespace that we cannot see.
    pub(super) peer_pid: Option<i32>,
}

const REQUEST: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";

/// An engine's answer is some 300 bytes; what is longer than this is no engine's.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// Greets the engine behind a socket.
pub(super) async fn ping(socket: &Path) -> io::Result<Pong> {
    let mut stream = UnixStream::connect(socket).await?;
    let peer_pid = stream.peer_cred()?.pid();
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    let api = api_version(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what listens there is no Docker Engine"))?;
    Ok(Pong { api, peer_pid })
}

fn api_version(answer: &str) -> Option<String> {
    let mut lines = answer.lines();
    lines.next().filter(|status| status.starts_with("HTTP/1.1 200"))?;
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_version_is_read_from_the_header() {
        let answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nOstype: linux\r\n\r\nOK";
        assert_eq!(api_version(answer).as_deref(), Some("1.41"));
    }

    #[test]
    fn another_server_is_no_engine() {
        assert_eq!(api_version("HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\n\r\n"), None);
        assert_eq!(api_version("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\napi-version: 1.41"), None);
        assert_eq!(api_version("SSH-2.0-OpenSSH_9.2"), None);
    }
}
