//! The set-up of a repository: the commands that prepare a worktree, and the user's consent to run them.
//!
//! They run as the user, so the user is asked first, for each repository, and for what is to be run: the commands, and the files of
//! the commit that they name. What another has pushed is asked for commit by commit. When any of that is another, so is the
//! question. A consent is a file in the user's state directory, called after what was consented to; a repository that comes to be
//! in the place of another has another mark, and none of its consents.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::event::StepId;
use crate::files;
use crate::git::BranchSource;
use crate::hex::hex;
use crate::plan::{Action, Cause, Desired, OnFailure, Plan};
use crate::record::{Record, SetUp, Stage};
use crate::resolve::{self, Ground};
use crate::site::Site;

/// In the repository's git directory: what tells it from another in its place.
const MARK: &str = "sandbox-mark";

/// The set-up of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Each for `sh`, in their order.
    pub commands: Vec<String>,
    /// What tells them from others.
    pub digest: String,
}

/// What the user is asked.
#[derive(Clone, Debug)]
pub struct Consent {
    /// All that would be run, as far as it can be shown: a line each.
    pub shown: Vec<String>,
    /// What is called after it once the user has consented.
    name: String,
}

impl Setup {
    /// That of a repository; none where there is nothing to be run.
    #[must_use]
    pub fn of(site: &Site) -> Option<Setup> {
        let commands = site.settings.setup.clone();
        let digest = digest(&commands);
        (!commands.is_empty()).then_some(Setup { commands, digest })
    }

    /// What is to be consented to where it is run at a commit.
    pub async fn consent(&self, site: &Site, ground: &Ground) -> Result<Consent> {
        let mut shown: Vec<String> = self.commands.iter().flat_map(|it| it.lines()).map(str::to_owned).collect();
        let mut hash = Sha256::new();
        hash.update(format!("{}\n", self.digest));
        if let Some(head) = &ground.head {
            for (path, content) in self.named(&site.repo.files_of(head).await?) {
                shown.push(format!("# {path} as of {}", head.short()));
                hash.update(format!("{} {path} {content}\n", path.len()));
            }
            if let BranchSource::Remote { name, remote } = &ground.branch {
                shown.push(format!("# on {name} of {remote}, at {}", head.short()));
                hash.update(format!("at {}\n", head.as_str()));
            }
        }
        Ok(Consent { shown, name: hex(&hash.finalize()) })
    }

    /// Of the files of a commit those that the commands name, with what git calls their contents.
    #[must_use]
    pub fn named(&self, files: &[(String, String)]) -> BTreeMap<String, String> {
        let is_part = |c: char| c.is_whitespace() || ";&|()<>'\"`$=".contains(c);
        let words = self.commands.iter().flat_map(|command| command.split(is_part));
        let words: Vec<&str> = words.map(|word| word.trim_start_matches("./")).collect();
        files.iter().filter(|(path, _)| words.contains(&path.as_str())).cloned().collect()
    }

    /// Whether it is to be run in a sandbox.
    #[must_use]
    pub fn is_due(record: &Record) -> bool {
        record.setup == SetUp::Owed
    }

    /// Whether another was run in a sandbox than this.
    #[must_use]
    pub fn has_changed(&self, record: &Record) -> bool {
        matches!(&record.setup, SetUp::Done(digest) if *digest != self.digest)
    }

    /// Runs it in a sandbox that is up, and writes down that it has been.
    #[must_use]
    pub fn plan(&self, desired: &Desired) -> Plan {
        let mut plan = Plan::new(desired.record.claim.identity.task.as_str(), OnFailure::StopBeginning);
        self.add_to(&mut plan, desired);
        plan
    }

    /// Appends that to what brings it up: one command after another.
    pub fn add_to(&self, plan: &mut Plan, desired: &Desired) {
        let worktree = desired.worktree_path();
        let record = desired.record.at(Stage::Established).settled();
        let mut after: Vec<Option<StepId>> = (0..plan.steps.len()).map(Some).collect();
        for (number, command) in self.commands.iter().enumerate() {
            let (command, record) = (command.clone(), Box::new(record.clone()));
            let action = Action::RunSetup { command, worktree: worktree.clone(), record, is_first: number == 0 };
            after = vec![plan.add(action, Cause::Requested, &after)];
        }
        let record = Box::new(record.set_up(&self.digest));
        let action = Action::WriteRecord { worktree: worktree.clone(), record };
        plan.add(action, Cause::FollowsFrom("the set-up"), &after);
    }
}

impl Consent {
    /// Whether the user has consented.
    pub fn is_given(&self, site: &Site) -> Result<bool> {
        Ok(directory(site)?.is_some_and(|directory| directory.join(&self.name).is_file()))
    }

    /// Refuses what nobody has allowed.
    pub fn require(&self, site: &Site, task: &str) -> Result<()> {
        if self.is_given(site)? {
            return Ok(());
        }
        Err(Error::new(Kind::Untrusted, "the set-up is one that nobody has allowed")
            .because(self.shown.join("\n"))
            .hint(format!("`sandbox trust {task}`, in a terminal, shows it and asks"))
            .hint(format!("`sandbox up --no-setup {task}` goes without")))
    }

    /// Notes that the user has consented.
    pub fn give(&self, site: &Site) -> Result<()> {
        let marked = site.repo.common_dir().join(MARK);
        if files::read(&marked)?.is_none() {
            files::replace(&marked, &format!("{}\n", resolve::nonce()?))?;
        }
        let Some(directory) = directory(site)? else { return Ok(()) };
        fs::create_dir_all(&directory)
            .map_err(|cause| Error::new(Kind::Files, format!("cannot make {}", directory.display())).because(cause))?;
        let text = json!({ "repository": site.repo.common_dir(), "setup": self.shown });
        files::replace(&directory.join(&self.name), &format!("{text:#}\n"))
    }
}

/// Withdraws all that the user has consented to in a repository.
pub fn withdraw(site: &Site) -> Result<()> {
    let Some(directory) = directory(site)?.filter(|directory| directory.is_dir()) else { return Ok(()) };
    fs::remove_dir_all(&directory)
        .map_err(|cause| Error::new(Kind::Files, format!("cannot remove {}", directory.display())).because(cause))
}

/// Where the consents of a repository are; none where it has no mark yet.
fn directory(site: &Site) -> Result<Option<PathBuf>> {
    let common_dir = site.repo.common_dir();
    let Some(mark) = files::read(&common_dir.join(MARK))? else { return Ok(None) };
    let place = common_dir.display().to_string();
    let name = hex(&Sha256::digest(format!("{}\n{place}\n{mark}", place.len())));
    Ok(Some(site.claims.consents().join(name)))
}

fn digest(commands: &[String]) -> String {
    let mut hash = Sha256::new();
    for command in commands {
        // Lengths keep one's end from being another's beginning.
        hash.update(format!("{}\n{command}\n", command.len()));
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_commands_are_another_setup() {
        let of = |commands: &[&str]| digest(&commands.iter().map(|&it| it.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [&["b", "a"][..], &["a"], &["ab"], &["a\n1\nb"]] {
            assert_ne!(of(&["a", "b"]), of(other));
        }
    }
}
