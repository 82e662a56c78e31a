//! Our own terminal, lent to a program inside a container.

use std::{io, os::fd::AsFd};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use rustix::termios::{self, OptionalActions, Termios};
use tokio::signal::unix::{SignalKind, signal};

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// A terminal in raw mode: every key goes to the program, Ctrl-C too. Dropping it restores the terminal.
#[derive(Debug)]
pub struct RawMode<Fd: AsFd> {
    terminal: Fd,
    before: Termios,
}

impl<Fd: AsFd> RawMode<Fd> {
    /// Puts a terminal into raw mode; `None` when it is none.
    ///
    /// Errors: the operating system's, such as a terminal that has been hung up.
    pub fn enter(terminal: Fd) -> io::Result<Option<RawMode<Fd>>> {
        if !termios::isatty(&terminal) {
            return Ok(None);
        }
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Some(RawMode { terminal, before }))
    }
}

impl<Fd: AsFd> Drop for RawMode<Fd> {
    fn drop(&mut self) {
        // A terminal that has gone away needs no restoring.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The size of a terminal; `None` when it is none or does not know.
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let size = termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(Size { columns: size.ws_col, rows: size.ws_row })
}

/// The size of a terminal now and after each change (`SIGWINCH`); nothing at all when it is none. Call it within the
/// runtime.
pub fn sizes(terminal: impl AsFd + Send + 'static) -> BoxStream<'static, Size> {
    let (Some(now), Ok(changes)) = (size(&terminal), signal(SignalKind::window_change())) else {
        return stream::empty().boxed();
    };
    let later = stream::unfold((terminal, changes), |(terminal, mut changes)| async move {
        loop {
            changes.recv().await?;
            if let Some(size) = size(&terminal) {
                return Some((size, (terminal, changes)));
            }
        }
    });
    stream::once(async move { now }).chain(later).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_terminal_is_left_alone_and_has_no_size() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(RawMode::enter(&file).unwrap().is_none());
        assert_eq!(size(&file), None);
        assert_eq!(sizes(file).count().await, 0);
    }
}
