//! `info/exclude`: what git does not see in any worktree of the repository.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use super::Repo;
use crate::error::{Error, Kind, Result};

impl Repo {
    /// Adds a pattern to the repository's `info/exclude`, once. What is there stays as it is.
    pub fn exclude(&self, pattern: &str) -> Result<()> {
        let path = self.common_dir().join("info/exclude");
        append_once(&path, pattern)
            .map_err(|e| Error::new(Kind::Files, format!("cannot add {pattern} to {}", path.display())).because(e))
    }
}

impl Repo {
    /// Whether a pattern is in the repository's `info/exclude`.
    pub fn excludes(&self, pattern: &str) -> Result<bool> {
        let path = self.common_dir().join("info/exclude");
        match fs::read(&path) {
            Ok(content) => Ok(lists(&content, pattern)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(Error::new(Kind::Files, format!("cannot read {}", path.display())).because(cause)),
        }
    }
}

fn append_once(path: &Path, pattern: &str) -> io::Result<()> {
    // A repository made from an empty template has no `info`.
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // Most often it is there, and then the file need not be writable.
    if fs::read(path).is_ok_and(|content| lists(&content, pattern)) {
        return Ok(());
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    file.lock()?;
    append(&mut file, pattern)
}

/// Appended in one write, under the lock that goes with the file: nobody sees half a line.
fn append(file: &mut File, pattern: &str) -> io::Result<()> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    if lists(&content, pattern) {
        return Ok(());
    }
    let unfinished = content.last().is_some_and(|&last| last != b'\n');
    let line = format!("{}{pattern}\n", if unfinished { "\n" } else { "" });
    file.write_all(line.as_bytes())
}

fn lists(content: &[u8], pattern: &str) -> bool {
    content.split(|&b| b == b'\n').any(|line| line.trim_ascii_end() == pattern.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, git};

    #[test]
    fn a_pattern_is_added_once_and_holds_in_every_worktree() {
        let scratch = Scratch::with_commit("myapp");
        let linked = scratch.linked("x");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let repo = scratch.repo();
                std::thread::spawn(move || repo.exclude("/.env.worktree").unwrap())
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let content = fs::read_to_string(scratch.main().join(".git/info/exclude")).unwrap();
        assert_eq!(content.lines().filter(|line| *line == "/.env.worktree").count(), 1);
        fs::write(linked.join(".env.worktree"), "").unwrap();
        assert_eq!(git(&linked, &["status", "--porcelain"]), "");
    }

    #[test]
    fn what_was_there_stays_even_without_a_final_newline() {
        let scratch = Scratch::with_commit("myapp");
        let path = scratch.main().join(".git/info/exclude");
        fs::write(&path, "mine").unwrap();
        scratch.repo().exclude("/ours").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n/ours\n");
    }

    #[test]
    fn a_missing_directory_is_made() {
        let scratch = Scratch::with_commit("myapp");
        fs::remove_dir_all(scratch.main().join(".git/info")).unwrap();
        scratch.repo().exclude("/ours").unwrap();
        assert_eq!(fs::read_to_string(scratch.main().join(".git/info/exclude")).unwrap(), "/ours\n");
    }
}
