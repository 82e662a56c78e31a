//! Where a request to the engine begins and ends.

use std::io::{self, BufRead, Read};

/// One request, whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Its first line, for messages.
    pub(super) line: String,
    /// As it was sent.
    pub(super) bytes: Vec<u8>,
    /// Whether the connection belongs to a process of a container from here on.
    pub(super) upgrades: bool,
}

impl Request {
    /// The next request on a connection; none at its end.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let Some(mut request) = Request::read_head(from)? else { return Ok(None) };
        if request.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            request.read_chunks(from)?;
        } else if let Some(length) = request.header("content-length") {
            request.read_exactly(from, length.parse().map_err(io::Error::other)?)?;
        }
        Ok(Some(request))
    }

    fn read_head(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut request = Request { line: String::new(), bytes: Vec::new(), upgrades: false };
        while !request.bytes.ends_with(b"\r\n\r\n") {
            match request.read_line(from) {
                // Between two requests a connection may end.
                Err(_) if request.bytes.is_empty() => return Ok(None),
                line => line?,
            };
        }
        let head = String::from_utf8_lossy(&request.bytes);
        let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        request.line = line;
        request.upgrades = request.header("upgrade").is_some();
        Ok(Some(request))
    }

    /// The value of a header. Nothing in a body looks like one: it is asked for before that is read.
    fn header(&self, wanted: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.bytes);
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    }

    /// Chunks up to the empty one, and the line that ends them. Trailers nobody sends.
    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let size = self.read_line(from)?;
            let digits = size.trim().split(';').next().unwrap_or_default();
            let length = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            self.read_exactly(from, length + 2)?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self, from: &mut impl BufRead) -> io::Result<String> {
        let begin = self.bytes.len();
        from.read_until(b'\n', &mut self.bytes)?;
        match self.bytes.get(begin..) {
            Some(line) if line.ends_with(b"\n") => Ok(String::from_utf8_lossy(line).into_owned()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn read_exactly(&mut self, from: &mut impl BufRead, length: u64) -> io::Result<()> {
        let read = from.take(length).read_to_end(&mut self.bytes)?;
        if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The requests of a connection that ends in order, by their first lines.
fn lines(mut sent: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(request) = Request::read(&mut sent).unwrap() {
        found.push(request.line);
    }
    found
}

#[test]
fn requests_on_one_connection_are_told_apart_whatever_their_bodies() {
    let sent = b"GET /a HTTP/1.1\r\nHost: d\r\n\r\n\
        POST /b HTTP/1.1\r\ncontent-length: 20\r\n\r\nGET /c HTTP/1.1\r\n\r\n!\
        POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n0\r\n\r\r\n0\r\n\r\n\
        DELETE /e HTTP/1.1\r\n\r\n";
    assert_eq!(lines(sent), ["GET /a", "POST /b", "POST /d", "DELETE /e"]);
}

#[test]
fn a_request_that_is_cut_off_is_none() {
    for mut sent in [&b"GET /a HTTP/1.1\r\nHost"[..], b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"] {
        assert_eq!(Request::read(&mut sent).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn a_connection_that_is_taken_over_is_known_by_its_request() {
    let mut sent = &b"POST /exec/1/start HTTP/1.1\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}typed"[..];
    assert!(Request::read(&mut sent).unwrap().unwrap().upgrades);
    assert_eq!(sent, b"typed");
}
