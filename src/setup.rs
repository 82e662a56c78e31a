//! The set-up of a repository: the commands that prepare a worktree, and the user's consent to run them.
//!
//! A repository's settings file may ask for a set-up; its commands run as the user, so the user is asked first, once for what
//! they say: other commands are another question. What the user's own settings say needs no consent.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::event::StepId;
use crate::files;
use crate::hex::hex;
use crate::plan::{Action, Cause, Desired, OnFailure, Plan};
use crate::record::{Record, Stage};
use crate::site::Site;

/// The set-up of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Each for `sh`, in their order.
    pub commands: Vec<String>,
    /// What tells it from every other.
    pub digest: String,
    /// The repository, as it is called in its sandboxes' records.
    repo: String,
    /// The file that is there once the user has consented; none where nobody is asked.
    consent: Option<PathBuf>,
}

impl Setup {
    /// That of a repository; none where there is nothing to be run.
    #[must_use]
    pub fn of(site: &Site) -> Option<Setup> {
        let commands = site.settings.setup.clone();
        if commands.is_empty() {
            return None;
        }
        let repo = site.repo.common_dir().display().to_string();
        let digest = digest(&commands);
        let asked = site.settings.setup_is_repositorys;
        let name = hex(&Sha256::digest(format!("{}\n{repo}\n{digest}", repo.len())));
        let consent = asked.then(|| site.claims.consents().join(name));
        Some(Setup { commands, digest, repo, consent })
    }

    /// Whether the user has to consent to it.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        self.consent.is_some()
    }

    /// Whether it may be run.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.consent.as_ref().is_none_or(|file| file.is_file())
    }

    /// Whether it is yet to be run in a sandbox.
    #[must_use]
    pub fn is_due(&self, record: &Record) -> bool {
        record.setup.as_ref() != Some(&self.digest)
    }

    /// Refuses what nobody has allowed.
    pub fn refuse_unless_allowed(&self) -> Result<()> {
        if self.is_allowed() {
            return Ok(());
        }
        Err(Error::new(Kind::Untrusted, "the repository asks for a set-up that nobody has allowed")
            .because(self.commands.join("\n"))
            .hint("`sandbox trust`, in a terminal, shows it and asks")
            .hint("`--no-setup` goes without"))
    }

    /// Notes the user's consent.
    pub fn allow(&self) -> Result<()> {
        let Some(file) = &self.consent else { return Ok(()) };
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).map_err(|cause| {
                Error::new(Kind::Files, format!("cannot make {}", directory.display())).because(cause)
            })?;
        }
        let text = json!({ "repository": self.repo, "setup": self.commands });
        files::replace(file, &format!("{text:#}\n"))
    }

    /// Withdraws it. Whether there was one.
    pub fn withdraw(&self) -> Result<bool> {
        let Some(file) = self.consent.as_ref().filter(|file| file.is_file()) else { return Ok(false) };
        fs::remove_file(file)
            .map(|()| true)
            .map_err(|cause| Error::new(Kind::Files, format!("cannot remove {}", file.display())).because(cause))
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
        for command in &self.commands {
            let (command, record) = (command.clone(), Box::new(record.clone()));
            let action = Action::RunSetup { command, worktree: worktree.clone(), record };
            after = vec![plan.add(action, Cause::Requested, &after)];
        }
        let record = Box::new(record.set_up(&self.digest));
        let action = Action::WriteRecord { worktree: worktree.clone(), record };
        plan.add(action, Cause::FollowsFrom("the set-up"), &after);
    }
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
