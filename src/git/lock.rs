//! One change of the list of worktrees at a time.
//!
//! Git lists all worktrees while it adds or removes one, and dies when another's admin directory is only half written
//! ("failed to read …/commondir"). Ours take turns; where the user's own git came between, we try again.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use super::Repo;
use super::program::{Output, Program};
use crate::error::Result;

/// Tries in all, when others keep coming between.
const TRIES: u32 = 5;

/// The longest wait for our turn. Each takes milliseconds; after this time somebody hangs, and the tries must do.
const TURN_CAP: Duration = Duration::from_secs(10);

/// Time between two tries; git writes an admin directory in less.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a command that changes the list of worktrees; the caller holds the turn.
pub(super) async fn run_in_turn(command: impl Fn() -> Program) -> Result<Output> {
    let mut output = command().run().await?;
    for _ in 1..TRIES {
        if output.ok || !output.stderr.contains("/commondir") {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        output = command().run().await?;
    }
    Ok(output)
}

impl Repo {
    /// Our turn, until it is dropped; the kernel takes it from the dead. A lock on the directory itself leaves no file
    /// behind. Where the file system has no such locks there are still the tries.
    pub(super) async fn turn(&self) -> Option<File> {
        let directory = File::open(self.common_dir()).ok()?;
        let deadline = Instant::now() + TURN_CAP;
        loop {
            match directory.try_lock() {
                Ok(()) => return Some(directory),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(PAUSE / 4).await,
                Err(_) => return None,
            }
        }
    }
}
