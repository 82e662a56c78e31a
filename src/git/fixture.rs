//! Real repositories in directories that go with the test.

use std::path::{Path, PathBuf};

use super::Repo;
use super::program::Program;

/// What keeps the user's own configuration out of every git that a test starts.
pub(super) const HERMETIC: [(&str, &str); 9] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "A"),
    ("GIT_AUTHOR_EMAIL", "a@example.org"),
    ("GIT_AUTHOR_DATE", "2030-01-01T00:00:00Z"),
    ("GIT_COMMITTER_NAME", "C"),
    ("GIT_COMMITTER_EMAIL", "c@example.org"),
    ("GIT_COMMITTER_DATE", "2030-01-01T00:00:00Z"),
    // Submodules of tests lie beside the repository.
    ("GIT_ALLOW_PROTOCOL", "file"),
];

/// A directory with, usually, one repository in it.
pub(super) struct Scratch {
    root: PathBuf,
    _dir: tempfile::TempDir,
    name: &'static str,
}

impl Scratch {
    pub(super) fn empty() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        Scratch { root: dir.path().canonicalize().unwrap(), _dir: dir, name: "" }
    }

    /// The same with a repository that the test has made in it.
    pub(super) fn called(self, name: &'static str) -> Scratch {
        Scratch { name, ..self }
    }

    /// A repository on branch `main` without a commit.
    pub(super) fn unborn(name: &'static str) -> Scratch {
        let scratch = Scratch { name, ..Scratch::empty() };
        git(scratch.path(), &["init", "--quiet", "--initial-branch=main", name]);
        scratch
    }

    /// A repository on branch `main` with a commit of a file `README`.
    pub(super) fn with_commit(name: &'static str) -> Scratch {
        let scratch = Scratch::unborn(name);
        commit(&scratch.main(), "README", "read me\n");
        scratch
    }

    /// A clone, called `clone`, of a repository called `origin`.
    pub(super) fn cloned() -> Scratch {
        let origin = Scratch::with_commit("origin");
        git(origin.path(), &["clone", "--quiet", "origin", "clone"]);
        Scratch { name: "clone", ..origin }
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    pub(super) fn main(&self) -> PathBuf {
        self.path().join(self.name)
    }

    pub(super) fn origin(&self) -> PathBuf {
        self.path().join("origin")
    }

    pub(super) fn repo(&self) -> Repo {
        Repo::discover(&self.main()).unwrap()
    }

    /// Another repository, committed as the submodule `lib/leaf` of this one.
    pub(super) fn add_submodule(&self) {
        git(self.path(), &["init", "--quiet", "-b", "main", "leaf"]);
        commit(&self.path().join("leaf"), "file", "leaf");
        let url = self.path().join("leaf").display().to_string();
        git(&self.main(), &["submodule", "--quiet", "add", &url, "lib/leaf"]);
        git(&self.main(), &["commit", "--quiet", "-m", "leaf"]);
    }

    /// A linked worktree beside the main checkout, on a new branch of that name.
    pub(super) fn linked(&self, branch: &str) -> PathBuf {
        let path = self.path().join(branch);
        git(&self.main(), &["worktree", "add", "--quiet", "-b", branch, path.to_str().unwrap()]);
        path
    }
}

/// Runs git and gives what it printed, trimmed.
pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Program::within(dir).args(args).run_blocking().unwrap();
    assert!(output.ok, "git {args:?}: {}", output.stderr);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits one file and gives the commit.
pub(super) fn commit(dir: &Path, file: &str, content: &str) -> super::CommitId {
    std::fs::write(dir.join(file), content).unwrap();
    git(dir, &["add", "--", file]);
    git(dir, &["commit", "--quiet", "--message", &format!("write {file}")]);
    super::CommitId::parse(&git(dir, &["rev-parse", "HEAD"])).unwrap()
}
