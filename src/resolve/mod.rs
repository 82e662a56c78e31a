//! From a task and its surroundings to [`Desired`]: every default taken, every name computed, numbers proposed.
//!
//! Looks at git, the claims and the engine, and writes nothing; what it fetches, it fetches before anything else and
//! only when it may.

mod branch;
mod clones;
mod image;
mod numbers;
mod place;
mod stack;

use std::collections::BTreeMap;
use std::path::Path;

use crate::catalog::{self, Template};
use crate::claims::Claim;
use crate::compose::{self, Project};
use crate::converge::Learnt;
use crate::engine::{Engine, labels};
use crate::env;
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::files;
use crate::git::{AddWorktree, BranchSource, CommitId};
use crate::plan::action::Secret;
use crate::plan::desired::{Desired, FileWanted};
use crate::record::{Data, Record, SetUp, Stage};
use crate::settings::Dependencies;
use crate::site::{Sandbox, Site, file_system};
use crate::task::TaskName;

pub use branch::{ask_git, refuse_protected};
use clones::Clones;

/// The name of the rendered Compose file in the worktree.
pub const COMPOSE_FILE: &str = ".compose.worktree.yaml";

/// How long a password is: 24 of 62 letters and digits are more than 140 bits.
const PASSWORD_CHARS: usize = 24;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The task.
    pub task: TaskName,
    /// Where a new branch begins, unless from the default branch.
    pub from: Option<String>,
    /// Whether the sandbox may move to other ports although it is established.
    pub renumber: bool,
    /// From when on it may be collected; as before where nothing is said.
    pub expiry: Option<Expiry>,
    /// What its databases begin with; none where those that are there stay.
    pub data: Option<Data>,
    /// Whether no set-up is wanted.
    pub no_setup: bool,
}

impl Ask {
    /// For a sandbox that is there: as it is.
    #[must_use]
    pub fn again(task: TaskName) -> Ask {
        Ask { task, from: None, renumber: false, expiry: None, data: None, no_setup: false }
    }
}

/// From when on a sandbox may be collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It does not expire.
    Never,
    /// From this moment: RFC 3339, UTC.
    At(String),
}

/// What does not change between rounds: where a new branch begins, and what a new sandbox is given.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where the branch comes from.
    pub branch: BranchSource,
    /// The commit that is checked out, or is to be.
    pub head: Option<CommitId>,
    /// Whether the application is Rails.
    pub rails: bool,
    /// The password it will have, unless its record has one.
    password: Secret,
    /// When it is made, unless its record says.
    created: String,
    /// What tells the layers that are made in this run from those of others.
    nonce: String,
}

/// What one sandbox is resolved from; it stays from round to round.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// The repository and what we know of it.
    pub site: &'a Site,
    /// The engine that it is to run on.
    pub engine: &'a Engine,
    /// What was asked for.
    pub ask: &'a Ask,
    /// Where its branch begins, and what it is given if it is new.
    pub ground: &'a Ground,
    /// Who is told what cannot stay as it is.
    pub events: &'a Sink,
}

impl Resolver<'_> {
    /// Decides everything about the sandbox, with what earlier rounds have taught.
    pub async fn resolve(&self, learnt: &Learnt) -> Result<Desired> {
        let Resolver { site, engine, ask, ground, .. } = *self;
        let identity = site.identity(&ask.task)?;
        let template = template(site)?;
        numbers::refuse_equal_bases(site, template)?;
        // Looked up each time: an earlier round may have made it.
        let sandbox = site.find(&ask.task)?;
        let known = sandbox.as_ref().map(|sandbox| &sandbox.record);
        let (mut record, path) = place::settled(site, sandbox.as_ref(), async || {
            let claim = numbers::claim(self, &identity, template, known, learnt).await?;
            Ok(record(site, claim, ground, known))
        })
        .await?;
        match &ask.expiry {
            Some(Expiry::Never) => record.expires = None,
            Some(Expiry::At(moment)) => record.expires = Some(moment.clone()),
            None => {}
        }
        if let Some(data) = &ask.data {
            record.pending = Some(data.after(record.pending.take()));
        }
        if sandbox.as_ref().is_none_or(|sandbox| !sandbox.worktree.is_gone()) {
            record.file_system = path.ancestors().find_map(file_system);
        }
        let mut project = project(site, template, &record)?;
        image::choose(engine, &record, &mut project, learnt).await?;
        record.images = images(&project);
        record.dependencies = site.settings.dependencies;
        let is_established = known.is_some_and(|known| known.stage == Stage::Established);
        let clones = clones::choose(self, &record, &project, learnt).await?;
        let is_owed = !site.settings.setup.is_empty() && !ask.no_setup;
        if clones.are_new {
            record = record.with_new_data(if is_owed { SetUp::Owed } else { SetUp::NotAsked }, is_established);
        } else if ask.no_setup && record.setup == SetUp::Owed {
            record.setup = SetUp::NotAsked;
        }
        clones.put_into(&mut project);
        concrete(&mut project, &record, &path, &clones)?;
        let compose_file = path.join(COMPOSE_FILE);
        let variables = env::variables(&record, &compose_file);
        let files = vec![
            FileWanted {
                what: "the env file",
                path: path.join(&record.env_file),
                text: Secret(env::file(&variables)?),
            },
            FileWanted { what: "the Compose file", path: compose_file, text: Secret(compose::render(&project)) },
        ];
        let mut stack = stack::lower(&project, &record, &path)?;
        let awaits_images = clones.awaits_images;
        let bereft = if is_established { clones.bereft.clone() } else { Vec::new() };
        clones.put_onto(&mut stack, &record);
        if is_established && known.is_some_and(|known| known.claim.slot == record.claim.slot) {
            numbers::refuse_taken(&record, &path, &stack)?;
        }
        Ok(Desired {
            excludes: excludes(&record),
            stack,
            awaits_images,
            bereft: learnt.bereft.clone().unwrap_or(bereft),
            is_unused: learnt.is_unused,
            worktree: AddWorktree { path, branch: ground.branch.clone() },
            record,
            files,
        })
    }
}

/// The patterns that keep our files out of git's sight.
fn excludes(record: &Record) -> Vec<String> {
    let mut all = vec![format!("/{}", record.env_file), format!("/{COMPOSE_FILE}"), files::SCRATCH_PATTERN.to_owned()];
    if record.dependencies == Dependencies::Isolate {
        all.push(format!("/{}/ruby/", env::GEMS));
    }
    all
}

/// The Compose project of a record, as `sandbox config` shows it and as it stands in the worktree.
pub async fn rendered(site: &Site, engine: &Engine, sandbox: &Sandbox) -> Result<Project> {
    let mut project = project(site, template(site)?, &sandbox.record)?;
    image::choose(engine, &sandbox.record, &mut project, &Learnt::default()).await?;
    let clones = clones::there(engine, &sandbox.record, &project).await?;
    clones.put_into(&mut project);
    concrete(&mut project, &sandbox.record, &sandbox.worktree.path, &clones)?;
    Ok(project)
}

/// The project of the site's template with no sandbox: every variable at its default.
pub fn raw(site: &Site) -> Result<Project> {
    let template = template(site)?;
    let lookup = |name: &str| site.settings.variables.get(name).cloned();
    Ok(compose::load(&[source(template)], &lookup)?.project)
}

fn images(project: &Project) -> BTreeMap<String, String> {
    let services = project.services.iter();
    services.map(|(name, service)| (name.clone(), service.image.clone().unwrap_or_default())).collect()
}

fn template(site: &Site) -> Result<&'static Template> {
    let template = catalog::template(&site.settings.template).ok_or_else(|| {
        let known: Vec<&str> = catalog::TEMPLATES.iter().map(|template| template.name).collect();
        Error::new(Kind::Config, format!("there is no template {:?}", site.settings.template))
            .hint(format!("the setting `template` may be: {}", known.join(", ")))
    })?;
    let unknown = site.settings.variables.keys().find(|name| !template.variables.contains(&name.as_str()));
    match unknown {
        None => Ok(template),
        Some(name) => {
            Err(Error::new(Kind::Config, format!("variables: the template {} has no {name} to be set", template.name))
                .hint(format!("`variables` may set: {}", template.variables.join(", "))))
        }
    }
}

fn source(template: &Template) -> compose::Source<'static> {
    compose::Source { name: template.name, text: template.text }
}

fn record(site: &Site, claim: Claim, ground: &Ground, known: Option<&Record>) -> Record {
    let record = match known {
        Some(record) => record.with(claim),
        None => Record::new(
            claim,
            ground.created.clone(),
            ground.password.0.clone(),
            ground.rails,
            site.settings.env_file.clone(),
        ),
    };
    record.at(Stage::Established)
}

/// The template with this sandbox's own values in it. Nothing of the caller's environment gets in: in a shell that has
/// sourced another sandbox's env file, it would be that one's.
fn project(site: &Site, template: &Template, record: &Record) -> Result<Project> {
    let names = &record.claim.names;
    let lookup = |name: &str| match name {
        "POSTGRES_PASSWORD" | "REDIS_PASSWORD" => Some(record.password.clone()),
        "POSTGRES_USER" => Some(env::POSTGRES_USER.to_owned()),
        "DB_NAME" => Some(names.database.clone()),
        "TEST_DB_NAME" => Some(names.test_database.clone()),
        _ => record.claim.ports.get(name).map(u16::to_string).or_else(|| site.settings.variables.get(name).cloned()),
    };
    Ok(compose::load(&[source(template)], &lookup)?.project)
}

/// Gives everything the name, the addresses and the labels that it has on this machine, so that a client of Compose
/// that applies the file to our project finds what is there, and makes nothing that we would not find.
fn concrete(project: &mut Project, record: &Record, worktree: &Path, clones: &Clones) -> Result<()> {
    let name = &record.claim.names.project;
    let ours = own_labels(record, worktree);
    project.name = Some(name.clone());
    for (key, volume) in project.volumes.iter_mut().filter(|(_, volume)| !volume.external) {
        volume.name = Some(clones.name(key).cloned().unwrap_or_else(|| format!("{name}_{key}")));
        volume.labels.extend(ours.clone());
    }
    stack::give_subnet(project, record.claim.subnet)?;
    for (key, network) in &mut project.networks {
        let hash = network.config_hash();
        network.name = Some(format!("{name}_{key}"));
        network.labels.extend(ours.clone());
        network.labels.insert(labels::CONFIG_HASH.into(), hash);
    }
    for (key, service) in &mut project.services {
        for port in service.ports.iter_mut().filter(|port| port.host_ip.is_none()) {
            port.host_ip = Some(stack::LOOPBACK);
        }
        let hash = service.config_hash();
        service.labels.extend(ours.clone());
        service.labels.insert(labels::SERVICE.into(), key.clone());
        service.labels.insert(labels::CONFIG_HASH.into(), hash);
    }
    Ok(())
}

fn own_labels(record: &Record, worktree: &Path) -> BTreeMap<String, String> {
    let more = [
        (labels::WORKTREE, worktree.display().to_string()),
        (labels::CREATED, record.created.clone()),
        (labels::MACHINE, machine_id()),
        (labels::UID, rustix::process::getuid().as_raw().to_string()),
        (labels::FILE_SYSTEM, worktree.ancestors().find_map(file_system).unwrap_or_default()),
    ]
    .map(|(label, value)| (label.to_owned(), value));
    labels::owned_by(&record.claim.identity).into_iter().chain(more).collect()
}

/// The machine's own id, empty where it has none.
#[must_use]
pub fn machine_id() -> String {
    files::read(Path::new("/etc/machine-id")).ok().flatten().unwrap_or_default().trim().to_owned()
}

/// A word that no other run has.
pub fn nonce() -> Result<String> {
    Ok(password()?.to_ascii_lowercase().chars().take(8).collect())
}

/// Letters and digits, evenly spread.
fn password() -> Result<String> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut password = String::with_capacity(PASSWORD_CHARS);
    while password.len() < PASSWORD_CHARS {
        let mut bytes = [0; PASSWORD_CHARS];
        getrandom::fill(&mut bytes).map_err(|cause| {
            Error::new(Kind::Unexpected, "the operating system has no random numbers").because(cause.to_string())
        })?;
        // Bytes from 248 on would favour the first letters.
        let even = bytes.iter().filter(|byte| usize::from(**byte) < ALPHABET.len() * 4);
        password.extend(even.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])));
    }
    password.truncate(PASSWORD_CHARS);
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_letters_and_digits_and_never_the_same() {
        let password = || super::password().unwrap();
        assert_eq!(password().len(), PASSWORD_CHARS);
        assert!(password().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(password(), password());
    }
}
