//! What worktrees a repository has.
//!
//! Read from git's own administration, a few small files each, so that a list costs no run of the program. The record
//! of a sandbox lies in a worktree's admin directory; what is in it is not known here.

use std::fs;
use std::path::{Path, PathBuf};

use super::discover::path;
use super::program::Program;
use super::store::Store;
use super::trash::ON_ITS_WAY;
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

/// A worktree as git has it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Where its files are, or were.
    pub path: PathBuf,
    /// Where git keeps what belongs to it alone: `HEAD`, index. Goes when git removes the worktree.
    pub admin_dir: PathBuf,
    /// The branch checked out; `None` when its head is detached.
    pub branch: Option<String>,
    /// The commit checked out; `None` before the first one.
    pub head: Option<CommitId>,
    /// The reason it is locked for, empty when none was given; `None` when it is not locked. Git itself locks one that it is
    /// just making, as `initializing`.
    pub lock: Option<String>,
    /// Whether its directory is there.
    pub presence: Presence,
    /// Whether it is the main checkout.
    pub is_main: bool,
}

/// Whether a directory is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Here,
    /// It is not, or is empty, and what it stands in can be looked into.
    Gone,
    /// It cannot be seen, which says little: its disk may not be mounted.
    Unknown,
}

/// What a `HEAD` says.
enum Head {
    Branch(String),
    Detached(CommitId),
    Unreadable,
}

impl Worktree {
    /// Whether git, asked in the directory, answers about this worktree: not when the `.git` there is gone, and git would
    /// look further up, nor when it belongs to something else by now.
    pub(super) fn is_linked(&self) -> bool {
        links_to(&self.path, &self.admin_dir)
    }

    /// The commit that was checked out first, as its log has it; none where no log is kept.
    #[must_use]
    pub fn first_head(&self) -> Option<CommitId> {
        let log = fs::read_to_string(self.admin_dir.join("logs/HEAD")).ok()?;
        log.lines().next()?.split(' ').nth(1).and_then(CommitId::parse)
    }

    /// Whether its directory is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.presence == Presence::Gone
    }

    /// Whether its files have come: git writes the index last.
    #[must_use]
    pub fn is_checked_out(&self) -> bool {
        self.admin_dir.join("index").exists()
    }

    /// Whether it is what a killed `git worktree add` left: locked by git itself, without files.
    #[must_use]
    pub fn is_half_made(&self) -> bool {
        self.lock.as_deref() == Some("initializing") && !self.is_checked_out()
    }
}

/// How git's log of a head says that a commit was made: not where it was only moved.
const MADE: [&str; 9] = [
    "commit",
    "cherry-pick",
    "revert",
    "am:",
    "rebase (pick)",
    "rebase (continue)",
    "rebase (squash)",
    "rebase (reword)",
    "rebase (edit)",
];

impl Repo {
    /// Whether a commit that was made in a worktree, as its log has it, is in a history: what is only moved to, or was thrown
    /// away again, is nobody's work there.
    pub async fn has_work_in(&self, worktree: &Worktree, tip: &CommitId) -> Result<bool> {
        let list = ["reflog", "show", "--format=%H %gs", "HEAD", "--"];
        let log = Program::at(&worktree.admin_dir).args(list).run().await?;
        let made = |how: &str| MADE.iter().any(|it| how.starts_with(it)) || how.contains("Merge made by");
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        let commits = log.lines().filter_map(|line| line.split_once(' ')).filter(|(_, how)| made(how));
        let store = self.store();
        Ok(commits.filter_map(|(commit, _)| CommitId::parse(commit)).any(|commit| store.contains(tip, &commit)))
    }
}

impl Repo {
    /// Every worktree, the main checkout first; a bare repository itself is none.
    pub fn worktrees(&self) -> Result<Vec<Worktree>> {
        let store = self.store();
        let main =
            self.main_checkout().map(|path| self.read(path.to_owned(), self.common_dir().to_owned(), true, &store));
        let mut linked: Vec<Worktree> = self
            .admin_dirs()?
            .into_iter()
            .filter_map(|dir| Some(self.read(recorded_path(&dir)?, dir, false, &store)))
            .collect::<Result<_>>()?;
        linked.sort_by(|a, b| a.path.cmp(&b.path));
        main.into_iter().chain(linked.into_iter().map(Ok)).collect()
    }

    /// The worktree registered at a path, whether or not its directory is there.
    pub fn worktree_at(&self, path: &Path) -> Result<Option<Worktree>> {
        let wanted = resolved(path);
        Ok(self.worktrees()?.into_iter().find(|worktree| resolved(&worktree.path) == wanted))
    }

    /// Where a branch is checked out, or held by a rebase or bisection under way; git has it in one place at most.
    pub fn checked_out_at(&self, branch: &str) -> Result<Option<PathBuf>> {
        let holds = |worktree: &Worktree| worktree.branch.as_deref() == Some(branch) || held(worktree, branch);
        Ok(self.worktrees()?.into_iter().find(holds).map(|worktree| worktree.path))
    }

    fn read(&self, path: PathBuf, admin_dir: PathBuf, is_main: bool, store: &Store) -> Result<Worktree> {
        let (branch, head) = match head(&admin_dir, store)? {
            Head::Branch(name) => {
                let commit = store.commit(&format!("refs/heads/{name}"))?;
                (Some(name), commit)
            }
            Head::Detached(commit) => (None, Some(commit)),
            Head::Unreadable => (None, None),
        };
        let lock = if is_main { None } else { fs::read(admin_dir.join("locked")).ok() };
        Ok(Worktree {
            presence: presence(&path, self.common_dir()),
            lock: lock
                .map(|reason| String::from_utf8_lossy(reason.trim_ascii()).into_owned())
                .filter(|reason| reason != ON_ITS_WAY),
            path,
            admin_dir,
            branch,
            head,
            is_main,
        })
    }

    fn admin_dirs(&self) -> Result<Vec<PathBuf>> {
        let dir = self.common_dir().join("worktrees");
        match fs::read_dir(&dir) {
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::new(Kind::Repository, format!("cannot list {}", dir.display())).because(e)),
        }
    }
}

/// Whether a directory says of itself that it is the worktree of an admin directory.
pub(super) fn links_to(directory: &Path, admin_dir: &Path) -> bool {
    link_of(directory).is_some_and(|target| resolved(&directory.join(target)) == resolved(admin_dir))
}

/// Where the file `.git` of a directory says that git has the rest of it.
pub(super) fn link_of(directory: &Path) -> Option<PathBuf> {
    let link = fs::read(directory.join(".git")).ok()?;
    link.trim_ascii_end().strip_prefix(b"gitdir: ").map(path)
}

/// A path to compare by: links and `..` resolved as far as the path exists.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    })
}

/// Where an admin directory says that its worktree is; relative to itself with `worktree.useRelativePaths`.
/// `None` while git is just making it.
pub(super) fn recorded_path(admin_dir: &Path) -> Option<PathBuf> {
    let recorded = fs::read(admin_dir.join("gitdir")).ok()?;
    let link = admin_dir.join(path(recorded.trim_ascii_end()));
    let worktree = link.parent()?;
    Some(if recorded.starts_with(b"/") { worktree.to_owned() } else { resolved_dots(worktree) })
}

/// A path without `..`, also where it does not exist.
fn resolved_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        if component == std::path::Component::ParentDir {
            plain.pop();
        } else {
            plain.push(component);
        }
    }
    plain
}

/// Whether a directory is there. It is gone only where what it stood in is there: its parent, or, where that went too, a
/// directory that holds the repository as well.
fn presence(path: &Path, common_dir: &Path) -> Presence {
    match path.symlink_metadata() {
        // One that was emptied, `.git` and all, has nothing of the worktree left.
        Ok(_) if is_empty(path) => return Presence::Gone,
        Ok(_) => return Presence::Here,
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Presence::Unknown,
        Err(_) => {}
    }
    let standing = path.ancestors().skip(1).find(|dir| dir.symlink_metadata().is_ok());
    let gone = standing.is_some_and(|dir| {
        let holds_both = dir.parent().is_some() && common_dir.starts_with(dir);
        (Some(dir) == path.parent() || holds_both) && fs::read_dir(dir).is_ok()
    });
    if gone { Presence::Gone } else { Presence::Unknown }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

fn head(admin_dir: &Path, store: &Store) -> Result<Head> {
    let content = match fs::read(admin_dir.join("HEAD")) {
        Ok(content) => String::from_utf8_lossy(content.trim_ascii_end()).into_owned(),
        Err(_) => return Ok(Head::Unreadable),
    };
    // What reftable leaves in the file for older gits.
    if content == "ref: refs/heads/.invalid" {
        let own = Store::Program(admin_dir.to_owned());
        return Ok(match own.symbolic("HEAD")?.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) {
            Some(name) => Head::Branch(name.to_owned()),
            None => own.commit("HEAD")?.map_or(Head::Unreadable, Head::Detached),
        });
    }
    Ok(match content.strip_prefix("ref: ") {
        Some(name) => match name.strip_prefix("refs/heads/") {
            Some(branch) => Head::Branch(branch.to_owned()),
            None => store.commit(name)?.map_or(Head::Unreadable, Head::Detached),
        },
        None => CommitId::parse(&content).map_or(Head::Unreadable, Head::Detached),
    })
}

fn held(worktree: &Worktree, branch: &str) -> bool {
    let says = |file: &str| fs::read_to_string(worktree.admin_dir.join(file)).unwrap_or_default();
    let full = format!("refs/heads/{branch}");
    says("rebase-merge/head-name").trim() == full
        || says("rebase-apply/head-name").trim() == full
        || says("BISECT_START").trim() == branch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    #[test]
    fn a_list_says_what_git_says() {
        let scratch = Scratch::with_commit("myapp");
        let (a, b, c) = (scratch.linked("a"), scratch.linked("b"), scratch.linked("c"));
        git(&a, &["checkout", "--quiet", "--detach"]);
        git(&b, &["worktree", "lock", "--reason", "on a stick", "."]);
        fs::remove_dir_all(&c).unwrap();
        let head = scratch.repo().branch("main").unwrap();
        let list = scratch.repo().worktrees().unwrap();
        let paths: Vec<&Path> = list.iter().map(|worktree| &*worktree.path).collect();
        assert_eq!(paths, [&*scratch.main(), &a, &b, &c]);
        let branches: Vec<_> = list.iter().map(|worktree| worktree.branch.as_deref()).collect();
        assert_eq!(branches, [Some("main"), None, Some("b"), Some("c")]);
        assert!(list.iter().all(|worktree| worktree.head == head));
        assert_eq!(list[2].lock.as_deref(), Some("on a stick"));
        assert_eq!(list.iter().map(Worktree::is_gone).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(list.iter().map(|w| w.is_main).collect::<Vec<_>>(), [true, false, false, false]);
        assert_eq!(list[1].admin_dir, scratch.main().join(".git/worktrees/a"));
    }

    #[test]
    fn a_worktree_with_relative_paths_is_listed_where_it_is() {
        let scratch = Scratch::with_commit("myapp");
        let a = scratch.linked("a");
        fs::write(scratch.main().join(".git/worktrees/a/gitdir"), "../../../../a/.git\n").unwrap();
        fs::write(a.join(".git"), "gitdir: ../myapp/.git/worktrees/a\n").unwrap();
        assert_eq!(scratch.repo().worktrees().unwrap()[1].path, a);
        assert_eq!(Repo::discover(&a).unwrap().current_worktree(), Some(&*a));
    }

    #[test]
    fn a_branch_is_held_by_a_rebase_under_way() {
        let scratch = Scratch::with_commit("myapp");
        let a = scratch.linked("a");
        commit(&a, "README", "theirs");
        commit(&scratch.main(), "README", "ours");
        let rebase = super::super::program::Program::within(&a).args(["rebase", "--quiet", "main"]).run_blocking();
        assert!(!rebase.unwrap().ok, "the two conflict");
        assert_eq!(scratch.repo().checked_out_at("a").unwrap(), Some(a));
        assert_eq!(scratch.repo().checked_out_at("b").unwrap(), None);
    }

    #[test]
    fn worktrees_of_a_reftable_repository_are_listed() {
        let scratch = Scratch::empty();
        git(scratch.path(), &["init", "--quiet", "--ref-format=reftable", "-b", "main", "x"]);
        let dir = scratch.path().join("x");
        let head = commit(&dir, "a", "1");
        git(&dir, &["worktree", "add", "--quiet", "-b", "y", "../y"]);
        let list = Repo::discover(&dir).unwrap().worktrees().unwrap();
        assert_eq!(list[1].branch.as_deref(), Some("y"));
        assert_eq!(list[1].head, Some(head));
    }
}
