//! A request whose connection becomes the process's own streams.
//!
//! Made by hand because the client library's decoder guesses at frames by their first byte, and so mangles a terminal's
//! output whenever it begins with one of three control characters.

use std::path::Path;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::failure::Failure;

/// A refusal is a short JSON text.
const LONGEST_HEAD: usize = 64 * 1024;

/// A connection that now belongs to a process, and what of its output came with the answer.
pub(super) struct Hijacked {
    pub(super) stream: UnixStream,
    pub(super) early_output: Vec<u8>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Posts a JSON body and takes the connection over. `path` carries the API version.
pub(super) async fn post(socket: &Path, path: &str, body: &str) -> Result<Hijacked, Failure> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n\
         Upgrade: tcp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if let Some(head_end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = answer.split_off(head_end + 4);
            return match status(&answer) {
                101 | 200 => Ok(Hijacked { stream, early_output: rest }),
                status => Err(refused(status, rest, stream).await),
            };
        }
        if answer.len() > LONGEST_HEAD || stream.read_buf(&mut answer).await? == 0 {
            return Err(Failure::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)));
        }
    }
}

fn status(head: &[u8]) -> u16 {
    String::from_utf8_lossy(head).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// The engine keeps the connection open after a refusal: its text is complete once it is valid JSON.
async fn refused(status: u16, mut text: Vec<u8>, mut stream: UnixStream) -> Failure {
    loop {
        if let Some(message) = message(&text) {
            return Failure::Refused { status, message };
        }
        if text.len() > LONGEST_HEAD || !matches!(stream.read_buf(&mut text).await, Ok(length) if length > 0) {
            return Failure::Refused { status, message: String::from_utf8_lossy(&text).trim().to_owned() };
        }
    }
}

/// The text between the outermost braces, since it may come in one chunk with its length before it.
fn message(text: &[u8]) -> Option<String> {
    let begin = text.iter().position(|byte| *byte == b'{')?;
    let end = text.iter().rposition(|byte| *byte == b'}')?;
    serde_json::from_slice::<Refusal>(text.get(begin..=end)?).ok().map(|refusal| refusal.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_from_plain_and_chunked_answers() {
        assert_eq!(message(b"{\"message\":\"no\"}\n").as_deref(), Some("no"));
        assert_eq!(message(b"11\r\n{\"message\":\"no\"}\n\r\n0\r\n\r\n").as_deref(), Some("no"));
        assert_eq!(message(b"{\"mess"), None);
    }

    #[test]
    fn the_status_is_the_second_word() {
        assert_eq!(status(b"HTTP/1.1 101 UPGRADED\r\n\r\n"), 101);
    }
}
