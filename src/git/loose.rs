//! What only a worktree's admin directory knows: staged files, and commits that nothing but its log or an operation
//! under way leads to. Out of the repository, git's collection of garbage takes them for such; in a pack of their own
//! they keep.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::program::Program;
use super::{CommitId, Repo};
use crate::error::{Error, Kind, Result};

/// The name of the packs begins so.
const PACK: &str = "objects";

/// The log of the branch, in an entry.
const BRANCH_LOG: &str = "branch.log";

impl Repo {
    /// Copies into a directory, as a pack, what an admin directory or the log of a branch leads to and no reference does.
    pub(super) async fn pack_loose_ends(
        &self,
        admin_dir: Option<&Path>,
        branch: Option<&str>,
        into: &Path,
    ) -> Result<()> {
        let what = "cannot keep what was staged";
        let mut ends = BTreeSet::new();
        if let Some(admin_dir) = admin_dir {
            ends.extend(names_in(admin_dir));
            // Where references are in tables, no file says where the head was.
            ends.extend(logged(Program::at(admin_dir), "HEAD").await?);
        }
        if let Some(branch) = branch {
            ends.extend(logged(self.git(), &format!("refs/heads/{branch}")).await?);
        }
        if let Some(admin_dir) = admin_dir.filter(|dir| dir.join("index").exists()) {
            ends.extend(staged_blobs(admin_dir).await?);
        }
        if ends.is_empty() {
            return Ok(());
        }
        // All of the input is read before anything is printed. What was collected already is passed over.
        let input = ends.into_iter().collect::<Vec<_>>().join("\n");
        let list = ["rev-list", "--objects", "--ignore-missing", "--stdin", "--not", "--all"];
        let listed = self.git().args(list).input(input + "\n").stdout(what).await?;
        let ids: Vec<u8> = listed
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.split(|&byte| byte == b' ').next())
            .filter(|id| !id.is_empty())
            .flat_map(|id| [id, b"\n"].concat())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        // Git renames the pack to its place, which may be on another file system.
        let failed = |e: io::Error| Error::new(Kind::Files, what).because(e);
        let scratch = tempfile::tempdir_in(self.common_dir()).map_err(failed)?;
        let pack = scratch.path().join(PACK);
        self.git().args(["pack-objects", "--quiet"]).arg(pack).input(ids).stdout(what).await?;
        for made in fs::read_dir(scratch.path()).map_err(failed)?.flatten() {
            fs::copy(made.path(), into.join(made.file_name())).map_err(failed)?;
        }
        Ok(())
    }

    /// Copies the log of a branch that goes, where it is a file: with the branch git deletes it.
    pub(super) fn keep_branch_log(&self, branch: Option<&str>, into: &Path) -> io::Result<()> {
        let log = branch.map(|branch| self.branch_log(branch)).filter(|log| log.is_file());
        log.map_or(Ok(()), |log| fs::copy(log, into.join(BRANCH_LOG)).map(drop))
    }

    /// Gives a branch that came again its log.
    pub(super) fn bring_branch_log(&self, branch: &str, from: &Path) -> io::Result<()> {
        let kept = from.join(BRANCH_LOG);
        if kept.is_file() { fs::copy(kept, self.branch_log(branch)).map(drop) } else { Ok(()) }
    }

    fn branch_log(&self, branch: &str) -> PathBuf {
        self.common_dir().join("logs/refs/heads").join(branch)
    }

    /// Puts the packs of a directory among the repository's own.
    pub(super) fn unpack_loose_ends(&self, from: &Path) -> Result<()> {
        let packs = self.common_dir().join("objects/pack");
        let failed = |e: io::Error| Error::new(Kind::Files, "cannot bring back what was staged").because(e);
        let mut found: Vec<PathBuf> = fs::read_dir(from).into_iter().flatten().flatten().map(|it| it.path()).collect();
        // `.pack` before `.idx`, `.rev` between: git looks for the index.
        found.sort_by_key(|path| path.extension().is_some_and(|it| it == "idx"));
        for path in found {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(rest) = name.strip_prefix(PACK) {
                fs::create_dir_all(&packs).map_err(failed)?;
                let place = packs.join(format!("pack{rest}"));
                if !place.exists() {
                    let fresh = packs.join(format!("tmp_sandbox{rest}"));
                    fs::copy(&path, &fresh).and_then(|_| fs::rename(&fresh, &place)).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// The commits that a reference was at, as far as its log goes. A commit that is gone already may end it early.
async fn logged(git: Program, reference: &str) -> Result<Vec<String>> {
    let log = git.args(["reflog", "show", "--format=%H", reference, "--"]).run().await?;
    Ok(String::from_utf8_lossy(&log.stdout).lines().map(str::to_owned).collect())
}

/// The objects that an index lists and the head's tree does not; of a conflict all sides.
async fn staged_blobs(admin_dir: &Path) -> Result<Vec<String>> {
    let what = "cannot list what was staged";
    let git = || Program::at(admin_dir).env("GIT_WORK_TREE", admin_dir);
    let unmerged = git().args(["ls-files", "--unmerged", "-z"]).stdout(what).await?;
    let diff = ["diff-index", "--cached", "--raw", "--no-renames", "--no-abbrev", "-z", "HEAD"];
    // Without a first commit there is no head, and all of the index is staged.
    let staged = git().args(diff).run().await?;
    let staged = if staged.ok { staged.stdout } else { git().args(["ls-files", "--stage", "-z"]).stdout(what).await? };
    let text = [unmerged, staged].concat();
    let entries = text.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    let blobs = entries.flat_map(|entry| {
        let is_link = entry.starts_with("160000 ") || entry.contains(" 160000 ");
        let words = entry.split(['\t', ' ']).filter_map(CommitId::parse).map(String::from).collect::<Vec<_>>();
        // A submodule's commit is in the submodule's own repository.
        if is_link { Vec::new() } else { words }
    });
    Ok(blobs.filter(|id| id.bytes().any(|digit| digit != b'0')).collect())
}

/// Every full object name that stands in the small files of an admin directory: heads, logs, operations under way.
fn names_in(admin_dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut paths: Vec<PathBuf> = fs::read_dir(admin_dir).into_iter().flatten().flatten().map(|it| it.path()).collect();
    while let Some(path) = paths.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() && !path.ends_with("modules") {
            paths.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|it| it.path()));
        } else if metadata.is_file() && !path.ends_with("index") {
            let text = fs::read(&path).unwrap_or_default();
            let words =
                text.split(|byte| !byte.is_ascii_alphanumeric()).filter_map(|word| std::str::from_utf8(word).ok());
            let found = words.filter_map(CommitId::parse).map(String::from);
            names.extend(found.filter(|id| id.bytes().any(|digit| digit != b'0')));
        }
    }
    names
}
