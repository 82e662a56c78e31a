//! The record of a sandbox: a small JSON file in its worktree's admin directory, where git removes it with its owner.
//!
//! Mode 0600, since it holds the sandbox's password. Everything `env`, `exec` and `show` need is in it, so that they
//! work without an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::claims::Claim;
use crate::engine::Volume;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::settings::Dependencies;
use crate::snapshot::{self, Snapshot};

/// The record's name in the admin directory.
pub const FILE: &str = "sandbox.json";

const SCHEMA_VERSION: u32 = 1;

/// How far `up` has come, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Git knows the worktree; its files are not all there yet.
    Registered,
    /// The files are there.
    CheckedOut,
    /// One `up` has succeeded. From now on the slot stays.
    Established,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Registered => "registered",
            Stage::CheckedOut => "checked out",
            Stage::Established => "established",
        })
    }
}

/// What the databases of a sandbox begin with. All of them together: what was begun is gone on with, whoever comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The volumes in whose place new ones come.
    pub replace: BTreeSet<String>,
    /// What new ones stand on.
    pub on: On,
}

impl Data {
    /// For all of a sandbox's own volumes.
    #[must_use]
    pub fn in_place_of(volumes: Vec<Volume>, on: On) -> Data {
        Data { replace: volumes.into_iter().map(|volume| volume.name).collect(), on }
    }

    /// The same where something else had been begun: back to what they stand on is then to what they were about to, since some
    /// may and some may not yet.
    #[must_use]
    pub fn after(&self, begun: Option<Data>) -> Data {
        match begun {
            Some(begun) if self.on == On::Same => {
                Data { replace: self.replace.union(&begun.replace).cloned().collect(), on: begun.on }
            }
            _ => self.clone(),
        }
    }
}

/// What new data volumes stand on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Their base snapshots: the databases are new.
    #[default]
    Base,
    /// What those in whose place they come stood on, as far as it is there.
    Same,
    /// A snapshot; where it has nothing of theirs, their base snapshots.
    Snapshot(Box<Snapshot>),
}

/// How it is with the set-up of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetUp {
    /// Nobody has asked for one, or the user does without: somebody may have worked in the databases.
    #[default]
    NotAsked,
    /// The databases are new, and it is yet to be run, or has failed.
    Owed,
    /// It has been run: the digest of its commands.
    Done(String),
}

/// What a sandbox is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema_version: u32,
    /// What it claimed.
    pub claim: Claim,
    /// How far it has come.
    pub stage: Stage,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// When it may be collected: RFC 3339, UTC; none when never. Changes without anything being made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The file system that its worktree is on; where another is in its place, nobody can tell whether it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<String>,
    /// Its own password, for Postgres and Redis alike: letters and digits.
    pub password: String,
    /// Whether the application is Rails, which decides the form of `DATABASE_URL`.
    pub rails: bool,
    /// The name of the env file.
    pub env_file: String,
    /// Whether it has installed dependencies of its own.
    pub dependencies: Dependencies,
    /// What its databases are about to begin with; none once they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Data>,
    /// How it is with the set-up, for the data that it has.
    #[serde(default)]
    pub setup: SetUp,
    /// Its services, and the image that each runs: a data directory stays with the image that made it.
    pub images: BTreeMap<String, String>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { claim, stage, created, expires, rails, dependencies, pending, images, .. } = self;
        let mut text = f.debug_struct("Record");
        text.field("claim", claim).field("stage", stage).field("created", created).field("expires", expires);
        // Without the password.
        text.field("rails", rails).field("dependencies", dependencies).field("pending", pending);
        text.field("images", images).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: u32,
}

impl Record {
    /// A record at its beginning.
    #[must_use]
    pub fn new(claim: Claim, created: String, password: String, rails: bool, env_file: String) -> Record {
        Record {
            schema_version: SCHEMA_VERSION,
            claim,
            stage: Stage::Registered,
            created,
            expires: None,
            file_system: None,
            password,
            rails,
            env_file,
            dependencies: Dependencies::Share,
            pending: None,
            setup: SetUp::NotAsked,
            images: BTreeMap::new(),
        }
    }

    /// The record at a later stage.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Record {
        Record { stage, ..self.clone() }
    }

    /// The record once its databases are as they are to be.
    #[must_use]
    pub fn settled(self) -> Record {
        Record { pending: None, ..self }
    }

    /// The record where its databases are as they were before, or are about to be what they were about to be.
    #[must_use]
    pub fn with_data_of(self, before: &Record) -> Record {
        Record { pending: before.pending.clone(), setup: before.setup.clone(), ..self }
    }

    /// The record of databases that are new to the sandbox, unless it only goes on with its own.
    #[must_use]
    pub fn with_new_data(self, setup: SetUp, is_established: bool) -> Record {
        let is_frozen = |data: &Data| matches!(&data.on, On::Snapshot(on) if on.kind == snapshot::Kind::Passing);
        let goes_on = is_established && self.pending.as_ref().is_some_and(is_frozen);
        if goes_on { self } else { Record { setup, ..self } }
    }

    /// The record once a set-up has been run.
    #[must_use]
    pub fn set_up(self, digest: &str) -> Record {
        Record { setup: SetUp::Done(digest.to_owned()), ..self }
    }

    /// The record with another claim.
    #[must_use]
    pub fn with(&self, claim: Claim) -> Record {
        Record { claim, ..self.clone() }
    }

    /// Reads the record from an admin directory; nothing where there is none: then the worktree is not ours.
    pub fn read(admin_dir: &Path) -> Result<Option<Record>> {
        let path = admin_dir.join(FILE);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let damaged = |cause| {
            Error::new(Kind::Files, format!("the sandbox's record {} is damaged", path.display()))
                .because(cause)
                .hint("if the worktree holds nothing of worth: `git worktree remove` it, then `sandbox up` again")
        };
        // The version comes first: what a newer sandbox wrote need not have any other field that we know.
        let Versioned { schema_version } = serde_json::from_str(&text).map_err(damaged)?;
        if schema_version > SCHEMA_VERSION {
            return Err(Error::new(
                Kind::Files,
                format!("the sandbox's record {} was written by a newer sandbox", path.display()),
            )
            .hint("use that version"));
        }
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Writes the record into an admin directory.
    pub fn write(&self, admin_dir: &Path) -> Result<()> {
        files::replace(&admin_dir.join(FILE), &self.to_json()?)
    }

    fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|cause| Error::new(Kind::Unexpected, "cannot put the record into JSON").because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacing(names: &[&str], on: On) -> Data {
        Data { replace: names.iter().map(|&name| name.to_owned()).collect(), on }
    }

    #[test]
    fn a_reset_after_one_that_was_cut_short_goes_to_where_that_one_went() {
        let begun = replacing(&["a"], On::Base);
        let same = replacing(&["a.2", "b"], On::Same);
        assert_eq!(same.after(Some(begun.clone())), replacing(&["a", "a.2", "b"], On::Base));
        assert_eq!(same.after(None), same);
        let fresh = replacing(&["a.2", "b"], On::Base);
        assert_eq!(fresh.after(Some(replacing(&["a"], On::Same))), fresh);
    }
}
