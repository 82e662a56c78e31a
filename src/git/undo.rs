//! Bringing back what a removal put into the trash: branch, commits, index, an operation under way, files.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::checkout::clear_index_lock;
use super::program::Program;
use super::trash::MadeBranch;
use super::worktree::recorded_path;
use super::{Repo, TrashEntry, resolved};
use crate::error::{Error, Kind, Result};

/// What came back, and what could not come back as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BroughtBack {
    /// A branch of the user's that is elsewhere by now: the worktree's head is where it was, on no branch.
    pub moved_branch: Option<String>,
}

impl Repo {
    /// Why an entry cannot come back now: its place or its branch is taken.
    pub fn refuse_taken(&self, entry: &TrashEntry) -> Result<()> {
        let what = format!("cannot bring {} back", entry.key.name);
        let taken = |why: String, hint: String| Err(Error::new(Kind::NotOurs, what.clone()).because(why).hint(hint));
        if let Some(made) = &entry.made
            && let Some(here) = self.branch(&made.name)?
            && here != made.at
        {
            let name = &made.name;
            return taken(
                format!("there is a branch {name} already, at {}", here.short()),
                format!("rename that one: git branch -m {name} NEW-NAME"),
            );
        }
        if entry.admin.is_none() {
            return Ok(());
        }
        let place = entry.worktree.display();
        if let Some(there) = self.worktree_at(&entry.worktree)? {
            let branch = there.branch.as_deref().unwrap_or("a detached HEAD");
            return taken(
                format!("there is a worktree at {place} already, on {branch}"),
                "remove that one first, or move it: git worktree move".to_owned(),
            );
        }
        if fs::read_dir(&entry.worktree).map_or(entry.worktree.symlink_metadata().is_ok(), |mut it| it.next().is_some())
        {
            return taken(format!("something is at {place} already"), "move it away".to_owned());
        }
        match &entry.branch {
            Some(branch) => match self.checked_out_at(branch)? {
                Some(there) => taken(
                    format!("its branch {branch} is checked out at {}", there.display()),
                    "switch that worktree to another branch".to_owned(),
                ),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Brings an entry back, and drops it. Killed anywhere between, the entry is still there, or
    /// [`mend_trash`](Repo::mend_trash) completes it.
    ///
    /// Fails with [`Kind::NotOurs`] where its place or its branch is taken.
    pub async fn bring_back(&self, entry: &TrashEntry) -> Result<BroughtBack> {
        if entry.is_cut_short() {
            self.mend_trash(entry).await?;
            self.restore_if_gone(&entry.worktree).await?;
            return Ok(BroughtBack::default());
        }
        self.refuse_taken(entry)?;
        if let Some(admin) = entry.admin.as_ref().filter(|admin| !admin.kept.is_dir()) {
            return Err(Error::new(Kind::Files, format!("cannot bring {} back", entry.key.name))
                .because(format!("what git had of it is gone: {}", admin.kept.display()))
                .hint(format!(
                    "its files are in {}, its commits under refs/sandbox/trash",
                    entry.kept_files().display()
                )));
        }
        self.unpack_loose_ends(&entry.place)?;
        if let Some(made) = &entry.made {
            self.make_again(made, &entry.place).await?;
        }
        let Some(admin) = &entry.admin else {
            return self.drop_trash(entry).await.map(|()| BroughtBack::default());
        };
        let turn = self.turn().await;
        let place = free_name(&admin.was);
        fs::create_dir_all(place.parent().unwrap_or(&place))
            .and_then(|()| fs::rename(&admin.kept, &place))
            .and_then(|()| point_out(&entry.worktree, &place))
            .map_err(|e| Error::new(Kind::Files, format!("cannot bring {} back", entry.key.name)).because(e))?;
        drop(turn);
        let moved_branch = self.point_head(entry, &place).await?;
        if let Some(parent) = entry.worktree.parent() {
            // Where the last sandbox went, its parent went too.
            let _ = fs::create_dir_all(parent);
        }
        entry.put_files_back()?;
        entry.arrived();
        clear_index_lock(&place, &entry.worktree)?;
        self.restore_if_gone(&entry.worktree).await?;
        self.drop_trash(entry).await?;
        Ok(BroughtBack { moved_branch })
    }

    /// Of a clean worktree no files were kept.
    async fn restore_if_gone(&self, worktree: &Path) -> Result<()> {
        match self.worktree_at(worktree)? {
            Some(registered) if registered.is_gone() => self.restore_worktree(worktree).await,
            _ => Ok(()),
        }
    }

    /// The branch that we made, its note, its log and its settings, all of them or none but the last two.
    pub(super) async fn make_again(&self, made: &MadeBranch, entry: &Path) -> Result<()> {
        let MadeBranch { name, at, made_at, settings } = made;
        let what = format!("cannot bring the branch {name} back");
        let note = format!("refs/sandbox/made/{name}");
        let mut commands = String::new();
        let is_gone = self.branch(name)?.is_none();
        if is_gone {
            let _ = write!(commands, "create refs/heads/{name}\0{at}\0");
        }
        let _ = write!(commands, "update {note}\0{made_at}\0\0");
        self.update_refs(commands, &what).await?;
        if is_gone {
            self.bring_branch_log(name, entry).map_err(|e| Error::new(Kind::Files, what).because(e))?;
        }
        let mut cleared = BTreeSet::new();
        for (key, value) in settings {
            let full = format!("branch.{name}.{key}");
            // A key may have several values; an undo that was killed may have written some.
            if cleared.insert(key) && !self.branch_settings(name).await?.iter().all(|(there, _)| there != key) {
                self.configure(&["--unset-all", &full]).await?;
            }
            self.configure(&["--add", &full, value]).await?;
        }
        Ok(())
    }

    /// Where the branch of the head is gone it comes again; where it is elsewhere by now, the head stands on its commit.
    async fn point_head(&self, entry: &TrashEntry, admin_dir: &Path) -> Result<Option<String>> {
        let (Some(branch), Some(head)) = (&entry.branch, &entry.head) else { return Ok(None) };
        match self.branch(branch)? {
            Some(here) if here == *head => Ok(None),
            Some(_) => {
                // Through git: where references are in tables, the file `HEAD` says nothing.
                let what = format!("cannot put the head of {} where it was", entry.worktree.display());
                let git = Program::at(admin_dir).args(["update-ref", "--no-deref", "HEAD", head.as_str()]);
                git.stdout(what).await.map(|_| Some(branch.clone()))
            }
            None => {
                let create = format!("create refs/heads/{branch}\0{head}\0");
                self.update_refs(create, &format!("cannot bring the branch {branch} back")).await.map(|()| None)
            }
        }
    }
}

/// Says in an admin directory where its worktree is, should it say otherwise: the repository was moved, and all around it.
fn point_out(worktree: &Path, admin_dir: &Path) -> io::Result<()> {
    if recorded_path(admin_dir).is_some_and(|there| resolved(&there) == resolved(worktree)) {
        return Ok(());
    }
    let link = [worktree.join(".git").as_os_str().as_bytes(), b"\n"].concat();
    fs::write(admin_dir.join("gitdir"), link)
}

/// A name that no other worktree's admin directory has, as git itself chooses one.
fn free_name(wanted: &Path) -> PathBuf {
    let numbered = (1..).map(|number| {
        let mut name = wanted.file_name().unwrap_or_default().to_owned();
        name.push(number.to_string());
        wanted.with_file_name(name)
    });
    std::iter::once(wanted.to_owned()).chain(numbered).find(|path| !path.exists()).unwrap_or_else(|| wanted.to_owned())
}
