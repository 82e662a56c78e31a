//! What `git status` does not show and a removal would take all the same: ignored files, and empty directories.

use std::fs;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::discover::path;
use super::program::Program;
use crate::error::{Error, Kind, Result};

/// Places in a worktree, in the words of `.gitignore`: as those whose content is made again by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spared(Vec<String>);

impl Spared {
    /// The places that any of these patterns matches. One that cannot be understood is an error about the setting.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Result<Spared> {
        let spared = Spared(patterns.into_iter().collect());
        spared.matcher().map(|_| spared)
    }

    /// These, and more.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = String>) -> Spared {
        Spared(self.0.iter().cloned().chain(more).collect())
    }

    /// Of some files, relative to the top, those that are in such places.
    pub fn among<'a>(&self, files: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>> {
        let matcher = self.matcher()?;
        Ok(files.into_iter().filter(|file| is_spared(Path::new(file), false, &matcher)).collect())
    }

    fn matcher(&self) -> Result<Gitignore> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in &self.0 {
            builder
                .add_line(None, pattern)
                .map_err(|e| Error::new(Kind::Config, format!("{pattern:?} is no pattern of .gitignore")).because(e))?;
        }
        builder.build().map_err(|e| Error::new(Kind::Config, "these are too many patterns").because(e))
    }
}

/// The ignored files of a worktree outside of the spared places; a directory of nothing else is one, with a slash.
pub(super) async fn ignored(worktree: &Path, spared: &Spared, index: Option<&Path>) -> Result<Vec<String>> {
    let matcher = spared.matcher()?;
    let all = others(worktree, &["--ignored"], index).await?;
    let counts = |name: &Vec<u8>| {
        let relative = path(name.strip_suffix(b"/").unwrap_or(name));
        holds_any(worktree, &relative, name.ends_with(b"/"), &matcher)
    };
    let found: Vec<&Vec<u8>> = all.iter().filter(|name| counts(name)).collect();
    // A directory that ignores itself is listed with what is in it.
    let is_in =
        |name: &[u8]| found.iter().any(|dir| dir.ends_with(b"/") && name.len() > dir.len() && name.starts_with(dir));
    Ok(found.iter().filter(|name| !is_in(name)).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// The directories with nothing in them, which git does not see, outside of the spared places.
pub(super) async fn empty_directories(worktree: &Path, spared: &Spared, index: Option<&Path>) -> Result<Vec<String>> {
    let matcher = spared.matcher()?;
    let all = others(worktree, &[], index).await?;
    let counts = |name: &Vec<u8>| {
        let Some(relative) = name.strip_suffix(b"/").map(path) else { return false };
        !is_spared(&relative, true, &matcher) && is_hollow(&worktree.join(relative))
    };
    Ok(all.iter().filter(|name| counts(name)).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

async fn others(worktree: &Path, more: &[&str], index: Option<&Path>) -> Result<Vec<Vec<u8>>> {
    let list = ["ls-files", "-z", "--others", "--directory", "--exclude-standard"];
    let mut git = Program::within(worktree).args(list).args(more);
    if let Some(index) = index {
        git = git.env("GIT_INDEX_FILE", index);
    }
    let listed = git.stdout(format!("cannot list the files of {}", worktree.display())).await?;
    Ok(listed.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

fn is_spared(relative: &Path, is_dir: bool, matcher: &Gitignore) -> bool {
    matcher.matched_path_or_any_parents(relative, is_dir).is_ignore()
}

/// Whether a path is, or has in it, a file that is not spared.
fn holds_any(worktree: &Path, relative: &Path, is_dir: bool, matcher: &Gitignore) -> bool {
    // A link to a directory is spared as that is.
    let is_link = || worktree.join(relative).symlink_metadata().is_ok_and(|it| it.is_symlink());
    if is_spared(relative, is_dir, matcher) || is_link() && is_spared(relative, true, matcher) {
        return false;
    }
    if !is_dir {
        return true;
    }
    let Ok(entries) = fs::read_dir(worktree.join(relative)) else { return true };
    entries.flatten().any(|entry| {
        let is_dir = entry.file_type().is_ok_and(|it| it.is_dir());
        holds_any(worktree, &relative.join(entry.file_name()), is_dir, matcher)
    })
}

/// Whether there is nothing below a directory but directories, or nothing that we may see: git passes both over.
fn is_hollow(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return true };
    entries.flatten().all(|entry| entry.file_type().is_ok_and(|it| it.is_dir()) && is_hollow(&entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    async fn found(dir: &Path, patterns: &[&str]) -> (Vec<String>, Vec<String>) {
        let spared = Spared::new(patterns.iter().map(|pattern| (*pattern).to_owned())).unwrap();
        (ignored(dir, &spared, None).await.unwrap(), empty_directories(dir, &spared, None).await.unwrap())
    }

    #[tokio::test]
    async fn what_is_made_again_by_itself_does_not_count_and_the_rest_does() {
        let scratch = Scratch::with_commit("myapp");
        let dir = scratch.main();
        commit(&dir, ".gitignore", "node_modules/\n*.log\n.env\nstorage/\nvendor/\n");
        for (file, text) in [
            ("node_modules/a/index.js", ""),
            ("debug.log", ""),
            (".env", "SECRET=1"),
            ("storage/deep/upload", "mine"),
            ("vendor/bundle/gem", ""),
        ] {
            fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs::write(dir.join(file), text).unwrap();
        }
        for empty in ["hollow/inner", "tmp/pids"] {
            fs::create_dir_all(dir.join(empty)).unwrap();
        }
        assert_eq!(git(&dir, &["status", "--porcelain"]), "");
        let spared = ["node_modules/", "*.log", "tmp/", "vendor/bundle/"];
        assert_eq!(found(&dir, &spared).await, (vec![".env".into(), "storage/".into()], vec!["hollow/".into()]));
        assert_eq!(found(&dir, &[]).await.0.len(), 5);
        fs::write(dir.join("vendor/patch"), "mine").unwrap();
        assert!(found(&dir, &spared).await.0.contains(&"vendor/".to_owned()));
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = Spared::new(["a{".to_owned()]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
    }
}
