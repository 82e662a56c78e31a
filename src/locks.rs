//! Locks between processes: `flock` on a file, whose text only says who holds it.
//!
//! The kernel frees a dead owner's lock, so there is none to break by hand. Whoever ends in order wipes the text; where it
//! still stands, the holder before was killed or gave up in the middle.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// What parts the purpose from the process in a lock's text.
const PID: &str = " (pid ";

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    was_abandoned: bool,
}

impl Lock {
    /// Takes the lock, waiting for a live holder up to `patience`. `on_wait` hears who that is.
    pub async fn acquire(path: &Path, purpose: &str, patience: Duration, on_wait: impl Fn(&str)) -> Result<Lock> {
        let failed = |cause| Error::new(Kind::Files, format!("cannot lock {}", path.display())).because(cause);
        loop {
            let file = open(path)?;
            let file = match file.try_lock() {
                Ok(()) => file,
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
                Err(TryLockError::WouldBlock) => {
                    on_wait(&holder(path));
                    wait(file, path, patience).await?
                }
            };
            // The holder before us may have removed the file while we waited: then others lock a new one.
            if is_still_there(&file, path) {
                let was_abandoned = file.metadata().is_ok_and(|file| file.len() > 0);
                let mut lock = Lock { file, path: path.to_owned(), was_abandoned };
                lock.name_holder(purpose);
                return Ok(lock);
            }
        }
    }

    /// Whether the holder before us ended without [`release`](Lock::release): what it asked others for may be under way.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        self.was_abandoned
    }

    /// Frees the lock as it was found: for whoever only looked.
    pub fn put_back(self) {
        if !self.was_abandoned {
            self.release();
        }
    }

    /// Frees the lock, and says that nothing is left under way.
    pub fn release(self) {
        // At worst the next holder looks twice.
        let _ = self.file.set_len(0);
    }

    /// Frees the lock at the end of whatever came of it. Only where something may be under way the text stays.
    pub fn let_go<T>(self, result: &Result<T>) {
        if result.as_ref().err().is_none_or(|error| !error.leaves_work_under_way()) {
            self.release();
        }
    }

    /// Takes the file away with the lock, for a thing that is gone itself.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    fn name_holder(&mut self, purpose: &str) {
        // Only a courtesy to whoever waits: that it cannot be written changes nothing.
        let _ = self.file.set_len(0);
        let _ = self.file.rewind();
        let _ = write!(self.file, "{purpose}{PID}{})", std::process::id());
    }
}

/// Opens or makes the file of a lock, and its directory.
fn open(path: &Path) -> Result<File> {
    let failed = |cause| {
        Error::new(Kind::Files, format!("cannot open the lock file {}", path.display()))
            .because(cause)
            .hint("set XDG_STATE_HOME to a directory you may write to")
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)
}

async fn wait(file: File, path: &Path, patience: Duration) -> Result<File> {
    let blocking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    match tokio::time::timeout(patience, blocking).await {
        Ok(Ok(Ok(file))) => Ok(file),
        Ok(Ok(Err(cause))) => Err(Error::new(Kind::Files, format!("cannot lock {}", path.display())).because(cause)),
        Ok(Err(cause)) => Err(Error::new(Kind::Unexpected, "waiting for a lock ended early").because(cause)),
        Err(_) => {
            Err(Error::new(Kind::Busy, format!("{} is still at work after {} s", holder(path), patience.as_secs()))
                .hint("wait for it to end, or end it, and try again"))
        }
    }
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_string(&mut text));
    match text.rsplit_once(PID) {
        Some((purpose, pid)) if read.is_ok() => format!("`{purpose}`{PID}{pid}"),
        _ => "another sandbox process".into(),
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_live_holder_is_named_and_waited_for_no_longer_than_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let held = Lock::acquire(&path, "sandbox up fix", Duration::ZERO, |_| {}).await.unwrap();
        let seen = std::sync::Mutex::new(String::new());
        let error =
            Lock::acquire(&path, "me", Duration::from_millis(20), |who| who.clone_into(&mut seen.lock().unwrap()))
                .await;
        assert_eq!(error.unwrap_err().kind(), Kind::Busy);
        assert_eq!(*seen.lock().unwrap(), format!("`sandbox up fix` (pid {})", std::process::id()));
        drop(held);
        Lock::acquire(&path, "me", Duration::from_secs(5), |_| {}).await.unwrap();
    }

    #[tokio::test]
    async fn a_holder_that_did_not_end_in_order_is_told_from_one_that_did() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let take = async || Lock::acquire(&path, "sandbox up fix", Duration::ZERO, |_| {}).await.unwrap();
        let first = take().await;
        assert!(!first.was_abandoned());
        drop(first);
        let second = take().await;
        assert!(second.was_abandoned());
        second.release();
        assert!(!take().await.was_abandoned());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lock_file_removed_by_its_holder_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let held = Lock::acquire(&path, "first", Duration::ZERO, |_| {}).await.unwrap();
        let waiting = {
            let path = path.clone();
            tokio::spawn(async move { Lock::acquire(&path, "second", Duration::from_secs(5), |_| {}).await })
        };
        held.remove();
        waiting.await.unwrap().unwrap();
        assert!(path.exists());
    }
}
