//! Lines put together from the pieces in which output arrives.

use bytes::{Bytes, BytesMut};

use super::frames::Source;

/// What is held of a line that does not end. The engine itself cuts lines into pieces of 16 KiB.
const LONGEST_LINE: usize = 1024 * 1024;

/// The unfinished line of each stream.
#[derive(Default)]
pub(super) struct Lines {
    stdout: BytesMut,
    stderr: BytesMut,
}

impl Lines {
    /// Takes in a piece of one stream's output, and hands out the lines that it ends, without their ends.
    pub(super) fn push(&mut self, source: Source, piece: &[u8]) -> Vec<Bytes> {
        let pending = self.of(source);
        let mut searched = pending.len();
        pending.extend_from_slice(piece);
        let mut lines = Vec::new();
        while let Some(at) = pending[searched..].iter().position(|byte| *byte == b'\n') {
            let line = pending.split_to(searched + at + 1).freeze();
            lines.push(trimmed(&line));
            searched = 0;
        }
        if pending.len() > LONGEST_LINE {
            lines.push(pending.split().freeze());
        }
        lines
    }

    /// What is left when the output has ended.
    pub(super) fn finish(&mut self) -> Vec<(Source, Bytes)> {
        [Source::Stdout, Source::Stderr]
            .into_iter()
            .map(|source| (source, self.of(source).split().freeze()))
            .filter(|(_, rest)| !rest.is_empty())
            .collect()
    }

    fn of(&mut self, source: Source) -> &mut BytesMut {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

/// A terminal ends its lines with two characters.
fn trimmed(line: &Bytes) -> Bytes {
    let end = line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len);
    let end = if line[..end].ends_with(b"\r") { end - 1 } else { end };
    line.slice(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_pieces_is_one_line() {
        let mut lines = Lines::default();
        assert!(lines.push(Source::Stdout, b"hal").is_empty());
        assert_eq!(lines.push(Source::Stdout, b"lo\r\n\nrest"), ["hallo", ""]);
        assert_eq!(lines.finish(), [(Source::Stdout, "rest".into())]);
    }

    #[test]
    fn the_two_streams_do_not_run_into_each_other() {
        let mut lines = Lines::default();
        lines.push(Source::Stdout, b"a");
        assert_eq!(lines.push(Source::Stderr, b"b\n"), ["b"]);
        assert_eq!(lines.push(Source::Stdout, b"c\n"), ["ac"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(Source::Stdout, &vec![b'x'; LONGEST_LINE + 1]).len(), 1);
        assert!(lines.finish().is_empty());
    }
}
