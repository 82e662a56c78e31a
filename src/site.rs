//! Where a command works: the repository, its settings, the claims, and the sandboxes that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::claims::file::ClaimsFile;
use crate::claims::{Claim, Registry};
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::files;
use crate::git::{Repo, Spared, TRASH, TrashEntry, Worktree, resolved};
use crate::locks::Lock;
use crate::record::Record;
use crate::resolve::COMPOSE_FILE;
use crate::settings::{self, Settings, Surroundings};
use crate::task::{Identity, TaskName};

/// How long a command waits for another at work on the same sandbox.
const PATIENCE: Duration = Duration::from_mins(10);

/// A repository and everything around it that does not belong to one sandbox.
#[derive(Clone, Debug)]
pub struct Site {
    /// The repository.
    pub repo: Repo,
    /// Its settings.
    pub settings: Settings,
    /// The machine-wide claims.
    pub claims: ClaimsFile,
}

/// A sandbox that git knows: a worktree with our record.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its worktree.
    pub worktree: Worktree,
    /// Its record.
    pub record: Record,
}

/// What git knows of a repository's sandboxes.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those there are.
    pub sandboxes: Vec<Sandbox>,
    /// The worktrees whose record cannot be read, and why not.
    pub damaged: Vec<(Worktree, Error)>,
}

impl Sandbox {
    /// Whether what its worktree stands in, or stood in, is the file system that it was made on: not where a disk is not
    /// mounted, and its mount point is empty.
    #[must_use]
    pub fn is_on_its_file_system(&self) -> bool {
        let there = self.worktree.path.ancestors().skip(1).find_map(file_system);
        self.record.file_system.is_none() || there == self.record.file_system
    }

    /// Its task.
    #[must_use]
    pub fn task(&self) -> &TaskName {
        &self.record.claim.identity.task
    }
}

impl Site {
    /// The site that the surroundings stand in.
    pub fn open(surroundings: &Surroundings) -> Result<Site> {
        let repo = Repo::discover(surroundings.directory())?;
        let settings = settings::load(surroundings, repo.main_checkout())?;
        Site::with(repo, settings, surroundings)
    }

    /// The same for what needs no settings: those that cannot be obeyed stand in nobody's way, and are told.
    pub fn open_anyway(surroundings: &Surroundings, events: &Sink) -> Result<Site> {
        let repo = Repo::discover(surroundings.directory())?;
        let settings = settings::load(surroundings, repo.main_checkout()).or_else(|error| {
            if error.kind() != Kind::Config {
                return Err(error);
            }
            events.warn(format!("going on without settings: {error}"));
            Ok(Settings::defaults())
        })?;
        Site::with(repo, settings, surroundings)
    }

    fn with(repo: Repo, settings: Settings, surroundings: &Surroundings) -> Result<Site> {
        let claims = ClaimsFile::new(surroundings.state_directory()?);
        Ok(Site { repo, settings, claims })
    }

    /// What may go with a worktree without being a loss: what the settings name, and files of ours.
    #[must_use]
    pub fn spared(&self, env_file: Option<&str>) -> Spared {
        let env_file = env_file.unwrap_or(&self.settings.env_file);
        let ours = [format!("/{env_file}"), format!("/{COMPOSE_FILE}"), files::SCRATCH_PATTERN.to_owned()];
        self.settings.regenerable.and(ours)
    }

    /// What the trash has of the repository's sandboxes, the oldest first: beside the worktrees, wherever these are.
    pub fn trash(&self) -> Result<Vec<TrashEntry>> {
        Ok(self.repo.trash(&self.trash_directories()?))
    }

    /// What is left of entries that are none any more.
    pub fn trash_remains(&self) -> Result<Vec<TrashEntry>> {
        self.repo.trash_remains(&self.trash_directories()?)
    }

    fn trash_directories(&self) -> Result<Vec<PathBuf>> {
        let known = self.repo.worktrees()?.into_iter().filter(|it| !it.is_main);
        let known = known.filter_map(|it| it.path.parent().map(Path::to_owned));
        let roots: BTreeSet<PathBuf> =
            known.chain([self.worktrees_root(), resolved(&self.repo.worktrees_root_default())]).collect();
        Ok(roots.into_iter().map(|root| root.join(TRASH)).collect())
    }

    /// Which sandbox a task is, here. One that was made before the repository was moved keeps the identity that its
    /// containers and volumes carry.
    pub fn identity(&self, task: &TaskName) -> Result<Identity> {
        let known = self.find(task)?.map(|sandbox| sandbox.record.claim.identity);
        Ok(known.unwrap_or_else(|| Identity { repo: self.identity_of_repo(), task: task.clone() }))
    }

    fn identity_of_repo(&self) -> String {
        self.repo.common_dir().display().to_string()
    }

    /// The identities of the repository: what it is called now, and what it was when sandboxes were made.
    pub fn repo_identities(&self) -> Result<BTreeSet<String>> {
        let recorded = self.sandboxes()?.into_iter().map(|sandbox| sandbox.record.claim.identity.repo);
        Ok(recorded.chain([self.identity_of_repo()]).collect())
    }

    /// The directory that holds the worktrees.
    #[must_use]
    pub fn worktrees_root(&self) -> PathBuf {
        let root = self.settings.worktrees.clone().unwrap_or_else(|| self.repo.worktrees_root_default());
        // As git records it, with no link and no `..` in it.
        resolved(&root)
    }

    /// Whether a directory is the worktree of a sandbox of another repository, with which we share the root of worktrees.
    #[must_use]
    pub fn is_of_another_repository(&self, worktree: &Path) -> bool {
        let Ok(repo) = Repo::discover(worktree) else { return false };
        let is_itself = repo.current_worktree().is_some_and(|here| worktree.canonicalize().is_ok_and(|it| it == here));
        let theirs = is_itself && repo.common_dir() != self.repo.common_dir();
        let registered = if theirs { repo.worktree_at(worktree).ok().flatten() } else { None };
        registered.is_some_and(|it| Record::read(&it.admin_dir).is_ok_and(|record| record.is_some()))
    }

    /// Every sandbox of the repository that git knows, but for those whose record cannot be read.
    pub fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        Ok(self.survey()?.sandboxes)
    }

    /// Every sandbox of the repository that git knows, and the worktrees whose record cannot be read, with the reason.
    pub fn survey(&self) -> Result<Survey> {
        let Survey { mut sandboxes, mut damaged } = Survey::default();
        let here = self.identity_of_repo();
        for worktree in self.repo.worktrees()?.into_iter().filter(|worktree| !worktree.is_main) {
            match Record::read(&worktree.admin_dir) {
                // In a copy of a repository the records are the original's.
                Ok(Some(record)) if is_from_elsewhere(&record, &here) => {}
                Ok(Some(record)) => sandboxes.push(Sandbox { worktree, record }),
                Ok(None) => {}
                Err(error) => damaged.push((worktree, error)),
            }
        }
        Ok(Survey { sandboxes, damaged })
    }

    /// The sandbox of a task, if git knows it. That another one's record is damaged is none of its concern.
    pub fn find(&self, task: &TaskName) -> Result<Option<Sandbox>> {
        let Survey { sandboxes, damaged } = self.survey()?;
        if let Some(sandbox) = sandboxes.into_iter().find(|sandbox| sandbox.task() == task) {
            return Ok(Some(sandbox));
        }
        let its_own = damaged.into_iter().find(|(worktree, _)| worktree.branch.as_deref() == Some(task.as_str()));
        its_own.map_or(Ok(None), |(_, error)| Err(error))
    }

    /// The sandbox of a task; an error where there is none.
    pub fn get(&self, task: &TaskName) -> Result<Sandbox> {
        self.find(task)?.ok_or_else(|| no_such(task, &self.repo))
    }

    /// Enters every record of the repository in the registry, the oldest first: a claims file that was lost is made good.
    /// Of two that hold one number the later stays out, and moves at its own next `up`.
    pub async fn register(&self) -> Result<()> {
        let registry = self.claims.read()?;
        if self.with_records(registry.clone())? == registry {
            return Ok(());
        }
        let recorded = self.recorded_claims()?;
        self.claims.change(|registry| registry.admit(&recorded)).await
    }

    /// A registry as it would be with every record of the repository in it.
    pub fn with_records(&self, mut registry: Registry) -> Result<Registry> {
        registry.admit(&self.recorded_claims()?);
        Ok(registry)
    }

    fn recorded_claims(&self) -> Result<Vec<Claim>> {
        let mut sandboxes = self.sandboxes()?;
        sandboxes.sort_by(|a, b| a.record.created.cmp(&b.record.created));
        Ok(sandboxes.into_iter().map(|sandbox| sandbox.record.claim).collect())
    }

    /// The task that was named, or that of the worktree we stand in.
    pub fn task(&self, named: Option<&TaskName>) -> Result<TaskName> {
        if let Some(task) = named {
            return Ok(task.clone());
        }
        let here = self.repo.current_worktree();
        let sandbox = self
            .sandboxes()?
            .into_iter()
            .find(|sandbox| here.is_some_and(|here| resolved(&sandbox.worktree.path) == here));
        sandbox.map(|sandbox| sandbox.task().clone()).ok_or_else(|| {
            Error::new(Kind::Usage, "no task was named, and this directory is in no sandbox's worktree")
                .hint("name the task, or go into its worktree; `sandbox ls` lists them")
        })
    }

    /// Where a sandbox is locked.
    #[must_use]
    pub fn lock_path(&self, identity: &Identity) -> PathBuf {
        self.claims.locks().join(format!("{:016x}.lock", identity.spread()))
    }

    /// Keeps every other command away from a sandbox; waits for one that is at work.
    pub async fn lock(&self, identity: &Identity, verb: &str, events: &Sink) -> Result<Lock> {
        let path = self.lock_path(identity);
        let purpose = format!("sandbox {verb} {}", identity.task);
        let waits = |holder: &str| events.info(format!("waiting for {holder} to finish"));
        Lock::acquire(&path, &purpose, PATIENCE, waits).await
    }
}

/// What tells a file system from others, after a reboot too; none where a path is not there.
#[must_use]
pub fn file_system(path: &Path) -> Option<String> {
    rustix::fs::statvfs(path).ok().map(|it| format!("{:x}", it.f_fsid))
}

fn is_from_elsewhere(record: &Record, here: &str) -> bool {
    let repo = Path::new(&record.claim.identity.repo);
    // Where a repository was moved, a link to it may have been left.
    repo != Path::new(here) && repo.canonicalize().is_ok_and(|there| there != Path::new(here))
}

/// The error for a task that has no sandbox.
#[must_use]
pub fn no_such(task: &TaskName, repo: &Repo) -> Error {
    Error::new(Kind::NoSuchSandbox, format!("there is no sandbox {task} in {}", repo.name()))
        .hint(format!("`sandbox up {task}` makes it; `sandbox ls` lists those there are"))
}
