//! The engine's framing of two streams in one: a header of eight bytes (source, three zeros, length), then the bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Which of a process's two streams of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Its standard output; with a terminal, all there is.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Takes bytes in as they come and hands frames out.
#[derive(Default)]
pub(super) struct Frames {
    pending: BytesMut,
    source: Option<Source>,
    left: usize,
}

impl Frames {
    /// Takes in what has come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next piece of output. A frame is handed out as far as it has come, so a large one needs no room.
    pub(super) fn next(&mut self) -> Option<(Source, Bytes)> {
        loop {
            match self.source {
                Some(source) if self.left > 0 => {
                    let length = self.left.min(self.pending.len());
                    self.left -= length;
                    return (length > 0).then(|| (source, self.pending.split_to(length).freeze()));
                }
                _ if self.pending.len() < 8 => return None,
                _ => self.header(),
            }
        }
    }

    fn header(&mut self) {
        // 3 is the engine's own complaint.
        self.source = Some(if self.pending[0] >= 2 { Source::Stderr } else { Source::Stdout });
        self.pending.advance(4);
        self.left = self.pending.get_u32() as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(source: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        [&[source, 0, 0, 0][..], &length.to_be_bytes(), text.as_bytes()].concat()
    }

    fn drained(frames: &mut Frames) -> Vec<(Source, Bytes)> {
        std::iter::from_fn(|| frames.next()).collect()
    }

    #[test]
    fn two_streams_come_apart() {
        let mut frames = Frames::default();
        frames.push(&[frame(1, "out"), frame(1, ""), frame(2, "err")].concat());
        assert_eq!(drained(&mut frames), [(Source::Stdout, "out".into()), (Source::Stderr, "err".into())]);
    }

    #[test]
    fn bytes_that_come_one_by_one_make_the_same_output() {
        let mut frames = Frames::default();
        let mut text = Vec::new();
        for byte in [frame(2, "one"), frame(2, "two")].concat() {
            frames.push(&[byte]);
            text.extend(drained(&mut frames).into_iter().flat_map(|(_, bytes)| bytes));
        }
        assert_eq!(text, b"onetwo");
    }
}
