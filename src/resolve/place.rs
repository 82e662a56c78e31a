//! Where a sandbox's worktree is, or is to be.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::git::Presence;
use crate::record::Record;
use crate::site::{Sandbox, Site};

/// How many others may take a name before us.
const RIVALS: usize = 20;

/// The record that is proposed, and where its worktree is or can be.
pub(super) async fn settled(
    site: &Site,
    sandbox: Option<&Sandbox>,
    propose: impl AsyncFn() -> Result<Record>,
) -> Result<(Record, PathBuf)> {
    for _ in 0..RIVALS {
        let record = propose().await?;
        let path = worktree_path(site, sandbox, &record)?;
        let checked = check_place(site, sandbox, &path);
        // Another may have taken the name since the claims were read, and made its worktree there: the next look sees that.
        if checked.is_ok() || site.claims.read()?.rival(&record.claim).is_none() {
            return checked.map(|()| (record, path));
        }
    }
    Err(Error::new(Kind::Numbers, "others keep taking the names first").hint("try again"))
}

/// Where there is no worktree yet, one must be able to be.
fn check_place(site: &Site, sandbox: Option<&Sandbox>, path: &Path) -> Result<()> {
    if sandbox.is_some() || site.repo.worktree_at(path)?.is_some() { Ok(()) } else { check_target(site, path) }
}

/// The worktree's directory must be free, and its parent ours to write.
fn check_target(site: &Site, path: &Path) -> Result<()> {
    if let Some(outer) = site.repo.enclosing_linked_worktree()
        && path.ancestors().find_map(|there| there.canonicalize().ok()).is_some_and(|there| there.starts_with(&outer))
    {
        return Err(Error::new(
            Kind::Repository,
            format!("this repository lies inside the worktree {}", outer.display()),
        )
        .hint("its sandboxes would be deleted together with that worktree")
        .hint("set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory outside of it"));
    }
    // The path has no link in it, as far as it exists.
    let inside = site.repo.worktrees()?.into_iter().find(|it| !it.is_main && path.starts_with(&it.path));
    if let Some(outer) = inside.filter(|it| it.path != path) {
        return Err(Error::new(
            Kind::Config,
            format!("{} lies inside the worktree {}", path.display(), outer.path.display()),
        )
        .hint("a sandbox there would be deleted together with that worktree")
        .hint("set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory outside of it"));
    }
    // What leads there is looked at apart: a file in the way is not a thing at the place itself.
    let is_there = std::fs::symlink_metadata(path).is_ok();
    if !is_there || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
        check_parent(path)
    } else {
        Err(Error::new(Kind::NotOurs, format!("{} exists and is not a worktree of ours", path.display()))
            .hint("move it away, or choose another name for the task"))
    }
}

fn check_parent(path: &Path) -> Result<()> {
    let existing: Option<PathBuf> = path.ancestors().skip(1).find(|ancestor| ancestor.exists()).map(Path::to_path_buf);
    let Some(parent) = existing else { return Ok(()) };
    let refused = |why: &str| {
        Error::new(Kind::Files, format!("cannot make {}: {} {why}", path.display(), parent.display()))
            .hint("set SANDBOX_WORKTREES, or `worktrees` in the settings, to a directory you may write to")
    };
    if !parent.is_dir() {
        return Err(refused("is no directory"));
    }
    rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK)
        .map_err(|cause| refused("is not writable").because(std::io::Error::from(cause)))
}

/// Where the worktree is, or is to be.
fn worktree_path(site: &Site, sandbox: Option<&Sandbox>, record: &Record) -> Result<PathBuf> {
    let Some(sandbox) = sandbox else { return Ok(site.worktrees_root().join(&record.claim.names.directory)) };
    let worktree = &sandbox.worktree;
    if worktree.presence == Presence::Unknown || worktree.is_gone() && !sandbox.is_on_its_file_system() {
        return Err(out_of_sight(sandbox));
    }
    Ok(worktree.path.clone())
}

fn out_of_sight(sandbox: &Sandbox) -> Error {
    let place = &sandbox.worktree.path;
    Error::new(Kind::Files, format!("the worktree of {} cannot be seen at {}", sandbox.task(), place.display()))
        .because("what it stood in is not there; its disk may not be mounted")
        .hint(format!(
            "mount the disk; or, if it is gone for good: `git worktree prune`, then `sandbox rm {}`",
            sandbox.task()
        ))
}
