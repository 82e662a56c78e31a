//! From the directory that the user stands in to the repository.
//!
//! The directory alone decides, never `GIT_DIR`: in a hook that names the repository that git was at work on. libgit2
//! finds it where it can; what it refuses (an extension it does not know, an owner it does not trust) the git program
//! is asked about, whose word is final.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use git2::{Repository, RepositoryOpenFlags};

use super::program::Program;
use crate::error::{Error, Kind, Result};

/// A repository: its git directory and every worktree of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Repo {
    layout: Arc<Layout>,
    /// Asked of git once, for it is asked by several, and a program costs more than all that is read here.
    configured_branch: Arc<OnceLock<String>>,
}

/// Where things lie. All paths are canonical.
#[derive(Debug)]
struct Layout {
    common_dir: PathBuf,
    name: String,
    /// The directory that stands for the repository: the main checkout, or the one a bare repository is named after.
    home: PathBuf,
    main_checkout: Option<PathBuf>,
    current_worktree: Option<PathBuf>,
}

/// What was found, before any of it is canonical.
struct Found {
    common_dir: PathBuf,
    main_checkout: Option<PathBuf>,
    worktree: Option<PathBuf>,
}

impl Repo {
    /// The repository around a directory: a main checkout, a linked worktree, a subdirectory of either, or a bare one.
    ///
    /// Fails with [`Kind::Repository`] where there is none, or one that git itself refuses: owned by another user, or
    /// with an extension that it does not know.
    pub fn discover(cwd: &Path) -> Result<Repo> {
        let what = || format!("cannot look for a git repository from {}", cwd.display());
        let cwd = cwd.canonicalize().map_err(|e| Error::new(Kind::Repository, what()).because(e))?;
        let found = match find_by_library(&cwd) {
            Ok(found) => found,
            Err(_) => find_by_program(&cwd)?,
        };
        let layout = Layout::of(found, &cwd).map_err(|e| Error::new(Kind::Repository, what()).because(e))?;
        Ok(Repo { layout: Arc::new(layout), configured_branch: Arc::default() })
    }

    /// What `init.defaultBranch` says, or nothing.
    pub(super) fn configured_branch(&self) -> Result<&str> {
        if let Some(known) = self.configured_branch.get() {
            return Ok(known);
        }
        let said = self.git().args(["config", "--get", "init.defaultBranch"]).run_blocking()?;
        let name = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        Ok(self.configured_branch.get_or_init(|| name))
    }

    /// The git directory that all worktrees share, canonical: the repository's identity.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.layout.common_dir
    }

    /// The repository's name: `myapp` for `~/src/myapp/.git`, `~/src/myapp.git` and `~/src/myapp/.bare`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.layout.name
    }

    /// The main checkout; `None` when the repository is bare.
    #[must_use]
    pub fn main_checkout(&self) -> Option<&Path> {
        self.layout.main_checkout.as_deref()
    }

    /// Where worktrees go unless configured: `~/src/myapp-wt`, for `~/src/myapp` and for `~/src/myapp/.bare`.
    #[must_use]
    pub fn worktrees_root_default(&self) -> PathBuf {
        let parent = self.layout.home.parent().unwrap_or(&self.layout.home);
        parent.join(format!("{}-wt", self.layout.name))
    }

    /// The worktree, linked or main, that the caller stands in.
    #[must_use]
    pub fn current_worktree(&self) -> Option<&Path> {
        self.layout.current_worktree.as_deref()
    }

    /// The linked worktree of another repository that this whole repository lies in; it would be deleted with it.
    #[must_use]
    pub fn enclosing_linked_worktree(&self) -> Option<PathBuf> {
        self.layout.home.ancestors().skip(1).find(|dir| is_linked_worktree(dir)).map(Path::to_owned)
    }

    /// The git program, in this repository.
    pub(super) fn git(&self) -> Program {
        match self.main_checkout() {
            Some(checkout) if checkout.is_dir() => Program::within(checkout),
            _ => Program::at(self.common_dir()),
        }
    }
}

impl Layout {
    fn of(found: Found, cwd: &Path) -> std::io::Result<Layout> {
        let common_dir = found.common_dir.canonicalize()?;
        // A submodule's checkout may be absent while its git directory is here.
        let main_checkout = found.main_checkout.and_then(|path| path.canonicalize().ok());
        let worktree = found.worktree.and_then(|path| path.canonicalize().ok());
        let home = main_checkout.clone().unwrap_or_else(|| bare_home(&common_dir).to_owned());
        Ok(Layout {
            name: name_of(&home),
            // Inside `.git` one stands in no worktree.
            current_worktree: worktree.filter(|path| cwd.starts_with(path) && !cwd.starts_with(&common_dir)),
            common_dir,
            home,
            main_checkout,
        })
    }
}

/// A bare repository is named after itself, unless its own name is none: `.bare`, `.git`.
fn bare_home(common_dir: &Path) -> &Path {
    let hidden = common_dir.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
    if hidden { common_dir.parent().unwrap_or(common_dir) } else { common_dir }
}

fn name_of(home: &Path) -> String {
    let name = home.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

fn find_by_library(cwd: &Path) -> Result<Found, git2::Error> {
    let ceilings = std::env::var_os("GIT_CEILING_DIRECTORIES").unwrap_or_default();
    let repo = Repository::open_ext(cwd, RepositoryOpenFlags::empty(), std::env::split_paths(&ceilings))?;
    let common_dir = repo.commondir().to_owned();
    let worktree = repo.workdir().map(Path::to_owned);
    let main_checkout = if repo.is_worktree() {
        Repository::open(&common_dir)?.workdir().map(Path::to_owned)
    } else {
        worktree.clone()
    };
    Ok(Found { common_dir, main_checkout, worktree })
}

fn find_by_program(cwd: &Path) -> Result<Found> {
    let ask = |args: &[&str]| Program::within(cwd).args(args).run_blocking();
    let common_dir = ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    if !common_dir.ok {
        return Err(refusal(cwd, &common_dir.stderr));
    }
    let worktree = ask(&["rev-parse", "--show-toplevel"])?;
    let list = ask(&["worktree", "list", "--porcelain", "-z"])?.or_error("cannot list the worktrees")?;
    let mut main = list.split(|&b| b == 0).take_while(|line| !line.is_empty());
    let path = main.next().and_then(|line| line.strip_prefix(b"worktree ")).map(path);
    Ok(Found {
        common_dir: path_line(&common_dir.stdout),
        main_checkout: path.filter(|_| main.all(|line| line != b"bare")),
        worktree: worktree.ok.then(|| path_line(&worktree.stdout)),
    })
}

fn path_line(line: &[u8]) -> PathBuf {
    path(line.strip_suffix(b"\n").unwrap_or(line))
}

pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Why git will not have this repository, and what the user can do.
fn refusal(cwd: &Path, stderr: &str) -> Error {
    let refused = |why: &str| Error::new(Kind::Repository, format!("{} {why}", cwd.display()));
    if stderr.contains("dubious ownership") {
        let advice = stderr.lines().map(str::trim).find(|line| line.starts_with("git config"));
        let advice =
            advice.map_or_else(|| format!("git config --global --add safe.directory {}", cwd.display()), str::to_owned);
        return refused("is in a git repository that belongs to another user").hint(advice);
    }
    if let Some((_, names)) = stderr.split_once("repository extension") {
        let names: Vec<&str> = names.lines().skip(1).map(str::trim).filter(|name| !name.is_empty()).collect();
        return refused(&format!("is in a repository with an extension that git does not know: {}", names.join(", ")))
            .hint("a newer git may know it");
    }
    if stderr.contains("not a git repository") && !stderr.contains("not a git repository: ") {
        return refused("is not in a git repository").hint("git init, or change to a repository");
    }
    refused("is in a repository that git cannot read").because(stderr.trim().trim_start_matches("fatal: ").to_owned())
}

/// Whether a directory's `.git` is the file of a linked worktree (a submodule's is a file too).
fn is_linked_worktree(dir: &Path) -> bool {
    let Ok(link) = std::fs::read(dir.join(".git")) else { return false };
    let Some(target) = link.strip_prefix(b"gitdir: ") else { return false };
    let admin_dir = dir.join(path_line(target));
    admin_dir.parent().and_then(Path::file_name).is_some_and(|name| name == "worktrees")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, git};

    #[test]
    fn a_repository_is_found_from_its_checkout_a_subdirectory_and_a_worktree() {
        let scratch = Scratch::with_commit("myapp");
        let linked = scratch.linked("feature");
        std::fs::create_dir(scratch.main().join("sub")).unwrap();
        for (cwd, current) in
            [(scratch.main(), scratch.main()), (scratch.main().join("sub"), scratch.main()), (linked.clone(), linked)]
        {
            let repo = Repo::discover(&cwd).unwrap();
            assert_eq!(repo.common_dir(), scratch.main().join(".git"));
            assert_eq!(repo.name(), "myapp");
            assert_eq!(repo.main_checkout(), Some(&*scratch.main()));
            assert_eq!(repo.current_worktree(), Some(&*current));
            assert_eq!(repo.worktrees_root_default(), scratch.path().join("myapp-wt"));
            assert_eq!(repo.enclosing_linked_worktree(), None);
        }
        assert_eq!(Repo::discover(&scratch.main().join(".git")).unwrap().current_worktree(), None);
    }

    #[test]
    fn a_bare_repository_is_named_after_its_directory_or_its_parent() {
        let scratch = Scratch::with_commit("origin");
        for bare in ["a/myapp.git", "b/myapp/.bare", "c/myapp/.git"] {
            let path = scratch.path().join(bare);
            git(&scratch.main(), &["clone", "--quiet", "--bare", ".", path.to_str().unwrap()]);
            let repo = Repo::discover(&path).unwrap();
            assert_eq!((repo.name(), repo.main_checkout(), repo.current_worktree()), ("myapp", None, None), "{bare}");
            assert_eq!(repo.worktrees_root_default(), scratch.path().join(&bare[..1]).join("myapp-wt"));
            git(&path, &["worktree", "add", "--quiet", "../wt", "-b", "x"]);
            let linked = Repo::discover(&path.join("../wt")).unwrap();
            assert_eq!((linked.name(), linked.main_checkout()), ("myapp", None), "{bare}");
            assert_eq!(linked.common_dir(), path);
        }
    }

    #[test]
    fn a_repository_that_libgit2_refuses_is_found_by_the_program() {
        let scratch = Scratch::with_commit("myapp");
        git(&scratch.main(), &["config", "core.repositoryFormatVersion", "1"]);
        git(&scratch.main(), &["config", "extensions.partialClone", "origin"]);
        let linked = scratch.linked("feature");
        assert!(find_by_library(&linked).is_err());
        let repo = Repo::discover(&linked).unwrap();
        assert_eq!(repo.common_dir(), scratch.main().join(".git"));
        assert_eq!(repo.main_checkout(), Some(&*scratch.main()));
        assert_eq!(repo.current_worktree(), Some(&*linked));
    }

    #[test]
    fn an_extension_that_git_does_not_know_is_refused_by_its_name() {
        let scratch = Scratch::with_commit("myapp");
        git(&scratch.main(), &["config", "core.repositoryFormatVersion", "1"]);
        git(&scratch.main(), &["config", "extensions.timeTravel", "true"]);
        let error = Repo::discover(&scratch.main()).unwrap_err();
        assert_eq!(error.kind(), Kind::Repository);
        assert!(error.to_string().contains("timetravel"), "{error}");
    }

    #[test]
    fn where_there_is_no_repository_git_init_is_the_next_move() {
        let scratch = Scratch::empty();
        let error = Repo::discover(scratch.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Repository);
        assert!(error.hints()[0].starts_with("git init"));
        assert_eq!(Repo::discover(&scratch.path().join("gone")).unwrap_err().kind(), Kind::Repository);
    }

    #[test]
    fn another_users_repository_is_refused_with_the_command_that_trusts_it() {
        let stderr = "fatal: detected dubious ownership in repository at '/src/x'\nTo add an exception for this \
                      directory, call:\n\n\tgit config --global --add safe.directory /src/x\n";
        let error = refusal(Path::new("/src/x/sub"), stderr);
        assert_eq!(error.hints(), ["git config --global --add safe.directory /src/x"]);
    }

    #[test]
    fn a_repository_inside_a_linked_worktree_says_so() {
        let scratch = Scratch::with_commit("outer");
        let linked = scratch.linked("feature");
        git(&linked, &["init", "--quiet", "vendor/inner"]);
        let repo = Repo::discover(&linked.join("vendor/inner")).unwrap();
        assert_eq!(repo.enclosing_linked_worktree(), Some(linked));
    }
}
