//! Reasons not to remove a worktree and its branch, as they are told.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How many names of a list are kept; the count tells of the rest.
const NAMES_KEPT: usize = 10;

/// The first few of many, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Ten at most.
    pub first: Vec<String>,
    /// All of them.
    pub count: usize,
}

/// A reason not to remove a worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "objection", rename_all = "kebab-case")]
pub enum Objection {
    /// Tracked files, or submodules, differ from the last commit.
    Modified {
        /// Which, relative to the worktree.
        files: Listing,
    },
    /// Files that git neither tracks nor ignores. A directory of nothing else is one, with a slash.
    Untracked {
        /// Which, relative to the worktree.
        files: Listing,
    },
    /// Files that git ignores, outside of the places whose content is made again by itself.
    Ignored {
        /// Which, relative to the worktree.
        files: Listing,
    },
    /// Commits on no other branch and no remote.
    Commits {
        /// Abbreviated name and subject of each, newest first.
        commits: Listing,
        /// Whether they are on the sandbox's branch, all of them: where that stays, they do.
        on_branch: bool,
    },
    /// Commits of submodules, stashed ones too, on no remote: a worktree's submodules go with it.
    SubmoduleCommits {
        /// Name of the submodule, abbreviated name and subject of each.
        commits: Listing,
    },
    /// A rebase or the like has not been finished.
    UnderWay {
        /// Which: `rebase`, `merge`, `cherry-pick`, `revert`, `bisection`.
        operation: &'static str,
    },
    /// Other worktrees of the repository inside of it.
    Worktrees {
        /// Where.
        places: Listing,
    },
    /// Something is mounted in it, or it is a mount point itself: what is there belongs to another.
    Mounted {
        /// Where.
        places: Listing,
    },
    /// Its `.git` is gone, or another's: what has changed in it cannot be told.
    Unlinked,
    /// Its directory cannot be seen, and what it stood in neither: its disk may not be mounted.
    OutOfSight,
    /// The branch that would go is checked out in another worktree.
    CheckedOutElsewhere {
        /// Where.
        place: PathBuf,
    },
    /// The user locked it.
    Locked {
        /// Why; empty when no reason was given.
        reason: String,
    },
}

impl Listing {
    pub(super) fn of(all: &[String]) -> Option<Listing> {
        let names = Listing { first: all.iter().take(NAMES_KEPT).cloned().collect(), count: all.len() };
        (!all.is_empty()).then_some(names)
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.first.iter().map(|name| shown(name)).collect();
        f.write_str(&shown.join(", "))?;
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A name as it may be printed: a terminal would obey what is in some.
fn shown(name: &str) -> String {
    if name.contains(char::is_control) { name.escape_debug().to_string() } else { name.to_owned() }
}

impl Objection {
    /// Whether a forced removal may go on in spite of it, since all that would be lost is kept. A lock is the user's to
    /// undo; what is in other worktrees, or cannot be seen, is not kept.
    #[must_use]
    pub fn yields_to_force(&self) -> bool {
        match self {
            Objection::Modified { .. }
            | Objection::Untracked { .. }
            | Objection::Ignored { .. }
            | Objection::Commits { .. }
            | Objection::SubmoduleCommits { .. }
            | Objection::UnderWay { .. }
            | Objection::Unlinked => true,
            Objection::Worktrees { .. }
            | Objection::Mounted { .. }
            | Objection::OutOfSight
            | Objection::CheckedOutElsewhere { .. }
            | Objection::Locked { .. } => false,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        match self {
            Objection::Modified { files } => write!(f, "{}: {files}", counted(files.count, "modified file")),
            Objection::Untracked { files } => write!(f, "{}: {files}", counted(files.count, "untracked file")),
            Objection::Ignored { files } => write!(f, "{}: {files}", counted(files.count, "ignored file")),
            Objection::Commits { commits, .. } => {
                write!(f, "{} on no other branch and no remote: {commits}", counted(commits.count, "commit"))
            }
            Objection::SubmoduleCommits { commits } => {
                write!(f, "{} of submodules on no remote: {commits}", counted(commits.count, "commit"))
            }
            Objection::UnderWay { operation } => write!(f, "a {operation} that has not been finished"),
            Objection::Unlinked => f.write_str("its .git is gone, so that nobody knows what has changed in it"),
            Objection::Worktrees { places } => {
                write!(f, "{} inside of it: {places}", counted(places.count, "other worktree"))
            }
            Objection::Mounted { places } => write!(f, "mounted in it: {places}"),
            Objection::OutOfSight => f.write_str("its directory cannot be seen; its disk may not be mounted"),
            Objection::CheckedOutElsewhere { place } => {
                write!(f, "its branch is checked out at {} too", place.display())
            }
            Objection::Locked { reason } if reason.is_empty() => f.write_str("it is locked"),
            Objection::Locked { reason } => write!(f, "it is locked: {reason}"),
        }
    }
}
