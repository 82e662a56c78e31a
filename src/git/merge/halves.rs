//! Files that git was writing in a checkout when it failed, a disk being full: git itself leaves them behind.

use std::fs;
use std::path::Path;

use super::{ANYHOW, Program};
use crate::error::Result;
use crate::git::Repo;

impl Repo {
    /// Puts back, as a commit has them, the files that a merge was changing. Only those that are missing, or are a beginning of
    /// what the merge would have made of them: whatever else is there somebody has written meanwhile.
    pub(super) async fn take_back_halves(&self, place: &Path, here: &str, tree: &str) -> Result<()> {
        let added = self.changed(here, tree, "A").await?;
        for name in self.changed(here, tree, ANYHOW).await? {
            let path = place.join(&name);
            let there = path.symlink_metadata().is_ok();
            if there && !self.is_beginning(&path, &format!("{tree}:{name}")).await? {
                continue;
            }
            if !added.contains(&name) {
                let what = format!("cannot put back {}", path.display());
                let back = ["checkout", "--quiet", here, "--", &format!(":(literal){name}")];
                Program::within(place).args(back).stdout(what).await?;
            } else if there {
                // Nothing that was there before: otherwise the merge had been refused.
                let _ = fs::remove_file(&path);
                let inside = path.ancestors().skip(1).take_while(|directory| *directory != place);
                let _ = inside.map(fs::remove_dir).take_while(std::result::Result::is_ok).count();
            }
        }
        Ok(())
    }

    /// Whether a file is the first part of an object, or all of it.
    async fn is_beginning(&self, path: &Path, object: &str) -> Result<bool> {
        let Ok(written) = fs::read(path) else { return Ok(false) };
        let whole = self.git().args(["cat-file", "blob", object]).run().await?;
        Ok(whole.ok && whole.stdout.starts_with(&written))
    }
}
