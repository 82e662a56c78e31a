//! The one door to git.
//!
//! Reads through libgit2, which answers in microseconds; where libgit2 falls short (filters, LFS, sparse checkout,
//! submodules, fetching with the user's own credentials, extensions it does not know) the git program does the work.
//! Owns worktrees, branches and their provenance. No type of git2 and no process leaves this directory, and nothing here
//! knows of sandboxes, Docker or settings.
//!
//! - `discover`: from a directory to a [`Repo`]
//! - `worktree`: what worktrees there are; `add`, `checkout`, `submodule`: making one; `restore`: making one again;
//!   `weigh`, `ignored`, `modules`, `objection`, `removal`: taking one away; `trash`, `loose`: keeping what was taken, `undo`:
//!   bringing it back; `lock`: one of these at a time; `keep`: the user's lock of a worktree; `repair`: one that was moved
//! - `branch`: default branch, base, look-ups; `ancestry`: what a commit has in it, and how far it is from another;
//!   `provenance`: the branches that we made; `fetch`: the remote's default branch
//! - `landing`: whether a branch's work has arrived on the default one, told by what its commits change (`patch`)
//! - `merge`: a branch into another
//! - `exclude`: `info/exclude`; `version`: whether the git program is new enough
//! - `store`: references and commits, by either of the two ways; `program`: the only place that starts git

mod add;
mod ancestry;
mod branch;
mod checkout;
mod commit;
mod discover;
mod exclude;
mod fetch;
#[cfg(test)]
mod fixture;
mod ignored;
mod keep;
mod landing;
mod lock;
mod loose;
mod merge;
mod modules;
mod mounts;
mod objection;
mod patch;
mod program;
mod provenance;
mod removal;
mod repair;
mod restore;
mod store;
mod submodule;
mod trash;
mod undo;
mod version;
mod weigh;
mod worktree;

pub use add::{AddWorktree, BranchSource};
pub use branch::{Base, DefaultBranch};
pub use commit::CommitId;
pub use discover::Repo;
pub use fetch::Fetched;
pub use ignored::Spared;
pub use landing::{Landed, Landing};
pub use merge::{Merge, MergeStyle, Merged};
pub use objection::{Listing, Objection};
pub use program::{CHILD_MARK, LOCAL_VARIABLES};
pub use provenance::{BranchDeletion, Made};
pub use trash::{DIRECTORY as TRASH, Keep, TrashEntry, TrashKey};
pub use undo::BroughtBack;
pub use version::OLDEST_VERSION;
pub use worktree::{Presence, Worktree, resolved};
