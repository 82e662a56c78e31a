//! Writing small files so that they are there whole or not at all, and readable to their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// What matches the scratch files of [`replace`], in the words of `.gitignore`. They may hold a password.
pub const SCRATCH_PATTERN: &str = "/.sandbox-*.tmp";

/// Replaces a file by rename: a reader sees the old text or the new, and a full disk loses nothing.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let scratch = scratch_beside(path);
    let written = write_private(&scratch, text).and_then(|()| fs::rename(&scratch, path));
    written.map_err(|cause| {
        let _ = fs::remove_file(&scratch);
        Error::new(Kind::Files, format!("cannot write {}", path.display())).because(cause)
    })
}

/// The text of a file, or nothing where there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound || cause.kind() == io::ErrorKind::NotADirectory => {
            Ok(None)
        }
        Err(cause) => Err(Error::new(Kind::Files, format!("cannot read {}", path.display())).because(cause)),
    }
}

/// Named so that [`SCRATCH_PATTERN`] keeps one that a killed run left behind out of git's sight.
fn scratch_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(format!(".sandbox-{}-", std::process::id()));
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // A scratch file of a dead process with our number is in the way of nobody else.
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    // Some file systems report a full disk only here.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        replace(&path, "old").unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("new"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let error = replace(&directory.path().join("missing/x"), "text").unwrap_err();
        assert_eq!(error.kind(), Kind::Files);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
