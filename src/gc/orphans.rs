//! What is left of sandboxes that no worktree stands for any more: containers, networks and volumes by their labels, and
//! claims.
//!
//! Gone is only what is proven to be: the labels' machine and user are ours, what the worktree stood in is there, on the
//! file system it was on, the worktree is not, and git no longer lists it. Anything less is unknown, and stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::held_by;
use super::verdict::{Facts, Reason};
use jiff::{SignedDuration, Timestamp};

use crate::engine::{Engine, labels};
use crate::error::Result;
use crate::resolve::machine_id;
use crate::site::{Site, file_system};
use crate::task::{Identity, TaskName};

/// What the engine and the claims have, by sandbox.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// The labels of everything in the engine.
    by_identity: BTreeMap<(String, String), Vec<BTreeMap<String, String>>>,
    /// Who has a claim.
    claimed: BTreeSet<(String, String)>,
    /// From when on what is made is too young to be judged without a claim.
    young: Option<Timestamp>,
}

/// What is made before there is a worktree, by a run that has claimed its numbers in a registry that is not ours, looks like
/// an orphan for a while.
const YOUTH: SignedDuration = SignedDuration::from_hours(1);

impl Left {
    /// Everything that bears our labels, and every claim of this user.
    pub async fn on_this_machine(engine: &Engine, site: &Site) -> Result<Left> {
        let ours = [(labels::REPO, None), (labels::TASK, None)];
        let (containers, networks, volumes) =
            tokio::try_join!(engine.containers(&ours), engine.networks(), engine.volumes(&ours))?;
        let all = containers.into_iter().map(|it| it.labels).chain(networks.into_iter().map(|it| it.labels));
        let mut left = Left { young: Timestamp::now().checked_sub(YOUTH).ok(), ..Left::default() };
        for its in all.chain(volumes.into_iter().map(|it| it.labels)) {
            if let (Some(repo), Some(task)) = (its.get(labels::REPO), its.get(labels::TASK)) {
                left.by_identity.entry((repo.clone(), task.clone())).or_default().push(its);
            }
        }
        let claims = site.claims.read()?.claims.into_iter().map(|claim| claim.identity);
        left.claimed = claims.map(|identity| (identity.repo, identity.task.to_string())).collect();
        Ok(left)
    }

    /// The repositories that anything is of.
    #[must_use]
    pub fn repositories(&self) -> BTreeSet<String> {
        self.keys().map(|(repo, _)| repo.clone()).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &(String, String)> {
        self.by_identity.keys().chain(&self.claimed)
    }

    /// What is left of sandboxes of a repository that git has no worktree of.
    pub async fn of_repository(&self, site: &Site) -> Result<Vec<(Identity, Facts)>> {
        let repos = site.repo_identities()?;
        let known: BTreeSet<Identity> = site.sandboxes()?.into_iter().map(|it| it.record.claim.identity).collect();
        let damaged = site.survey()?.damaged;
        let of_it: BTreeSet<_> = self.keys().filter(|(repo, _)| repos.contains(repo)).cloned().collect();
        let mut found = Vec::new();
        for (repo, task) in of_it {
            // A task that is none was not labelled by us.
            let Ok(name) = TaskName::parse(&task) else { continue };
            let identity = Identity { repo: repo.clone(), task: name };
            // One whose record cannot be read is there all the same.
            let is_damaged = damaged.iter().any(|(worktree, _)| worktree.branch.as_deref() == Some(&task));
            if known.contains(&identity) || is_damaged {
                continue;
            }
            let mut facts = match self.by_identity.get(&(repo, task)) {
                Some(all) if self.is_young(&identity, all) => {
                    Facts { unknown: Some("it was made just now"), ..Facts::default() }
                }
                Some(all) => judged(all, |worktree| match site.repo.worktree_at(worktree) {
                    Ok(None) => Some("git knows no worktree of it".to_owned()),
                    _ => None,
                }),
                None => Facts { reasons: vec![Reason::ClaimAlone], ..Facts::default() },
            };
            let losses = site.repo.branch_objections(identity.task.as_str()).await?;
            facts.losses = losses.iter().map(ToString::to_string).collect();
            facts.held_by = held_by(site, &identity).await;
            found.push((identity, facts));
        }
        Ok(found)
    }

    fn is_young(&self, identity: &Identity, all: &[BTreeMap<String, String>]) -> bool {
        let made = |its: &BTreeMap<String, String>| its.get(labels::CREATED)?.parse::<Timestamp>().ok();
        let youngest = all.iter().map(made).max().flatten();
        !self.claimed.contains(&(identity.repo.clone(), identity.task.to_string())) && youngest >= self.young
    }

    /// What is left of sandboxes of a repository that is itself not there.
    #[must_use]
    pub fn of_missing_repository(&self, repo: &str) -> Vec<(Identity, Facts)> {
        let of_it: BTreeSet<_> = self.keys().filter(|(it, _)| it == repo).cloned().collect();
        let parsed = |(repo, task): (String, String)| {
            let identity = Identity { repo: repo.clone(), task: TaskName::parse(&task).ok()? };
            let standing = top(Path::new(&repo)).parent().map(Path::to_owned);
            let facts = match self.by_identity.get(&(repo.clone(), task)) {
                Some(all) => judged(all, |_| {
                    let there = standing.as_deref().filter(|dir| dir.is_dir()).and_then(file_system);
                    let was = all.iter().find_map(|its| its.get(labels::FILE_SYSTEM));
                    (there.as_ref() == was).then(|| format!("the repository {repo} is gone"))
                }),
                // Where it stood can still be looked into, so it is not on a disk that is away.
                None if standing.is_some_and(|dir| dir.is_dir()) => {
                    Facts { reasons: vec![Reason::ClaimAlone], ..Facts::default() }
                }
                None => Facts { unknown: Some(super::OUT_OF_SIGHT), ..Facts::default() },
            };
            Some((identity, facts))
        };
        of_it.into_iter().filter_map(parsed).collect()
    }
}

/// Whether all that is left of a sandbox is proven to be without its worktree.
fn judged(all: &[BTreeMap<String, String>], gone: impl Fn(&Path) -> Option<String>) -> Facts {
    let ours = [(labels::MACHINE, machine_id()), (labels::UID, rustix::process::getuid().as_raw().to_string())];
    // What was made for one purpose and is left of a run that was killed says only whose it is.
    let mut marked = all.iter().filter(|its| its.contains_key(labels::MACHINE)).peekable();
    let is_ours =
        marked.peek().is_some() && marked.all(|its| ours.iter().all(|(label, value)| its.get(*label) == Some(value)));
    let places: BTreeSet<PathBuf> = all.iter().filter_map(|its| its.get(labels::WORKTREE).map(PathBuf::from)).collect();
    let was = all.iter().find_map(|its| its.get(labels::FILE_SYSTEM));
    let proven = |place: &PathBuf| if is_absent(place, was) { gone(place) } else { None };
    let why: Option<Vec<String>> = places.iter().map(proven).collect();
    match why {
        Some(why) if is_ours && !why.is_empty() => {
            Facts { reasons: vec![Reason::Orphaned(why.join("; "))], ..Facts::default() }
        }
        _ => Facts { unknown: Some(super::OUT_OF_SIGHT), ..Facts::default() },
    }
}

/// The directory that a repository's git directory makes a repository.
fn top(common_dir: &Path) -> &Path {
    if common_dir.ends_with(".git") { common_dir.parent().unwrap_or(common_dir) } else { common_dir }
}

/// Whether a worktree is not there, while what it stood in is, on the file system that it was on. Of directories that went
/// with the last worktree the one above speaks.
fn is_absent(worktree: &Path, was: Option<&String>) -> bool {
    let missing = worktree.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let standing = worktree.ancestors().skip(1).take(2).find(|dir| dir.is_dir());
    missing && was.is_some() && standing.is_some_and(|dir| dir.read_dir().is_ok() && file_system(dir).as_ref() == was)
}
