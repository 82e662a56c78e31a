//! What is done with, and may go: sandboxes that are merged, expired, half-made or orphaned, old trash, images of old
//! recipes.
//!
//! [`verdict`] decides, pure, from [`Facts`]; what is gathered here is read from git, the engine and the claims. Removing is
//! [`crate::removal`]'s, which weighs everything once more.

pub mod orphans;
pub mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::catalog;
use crate::claims::Registry;
use crate::engine::{Engine, Image, Volume, labels};
use crate::error::{Kind, Result};
use crate::git::{Landed, Landing, Presence, TrashEntry, resolved};
use crate::locks::Lock;
use crate::processes;
use crate::record::Stage;
use crate::site::{Sandbox, Site};
use crate::snapshot::{self, Snapshot};
use crate::task::Identity;
use verdict::{Facts, Reason};

/// How long a base snapshot is kept that nothing stands on.
const SNAPSHOT_KEPT: Duration = Duration::from_hours(7 * 24);

/// What is said of a worktree that may be there all the same.
const OUT_OF_SIGHT: &str = "its worktree cannot be seen; its disk may not be mounted";

/// What is said of a worktree at which git fails.
const UNREADABLE: &str = "git cannot read its worktree; `git status` there says why";

/// What is known of every sandbox of a repository that git has a worktree of. Of those that are in no registry of ours
/// another user, or another home, may be at work on one.
pub async fn of_sandboxes(site: &Site, registry: &Registry) -> Result<Vec<(Identity, Facts)>> {
    let mut all = Vec::new();
    for sandbox in site.sandboxes()? {
        let identity = sandbox.record.claim.identity.clone();
        let facts = match registry.of(&identity) {
            // What cannot be read of one is no reason to leave the others.
            Some(_) => match of_sandbox(site, &sandbox).await {
                Err(error) if error.kind() == Kind::Git => Facts { unknown: Some(UNREADABLE), ..Facts::default() },
                facts => facts?,
            },
            None => Facts { unknown: Some("its claim is not among those of this user"), ..Facts::default() },
        };
        all.push((identity, facts));
    }
    Ok(all)
}

/// What is known of one.
async fn of_sandbox(site: &Site, sandbox: &Sandbox) -> Result<Facts> {
    let Sandbox { worktree, record } = sandbox;
    let task = sandbox.task().as_str();
    let spared = site.spared(Some(&record.env_file));
    let objections = site.repo.removal_objections(&worktree.path, task, &spared).await?;
    let at_work =
        if worktree.presence == Presence::Here { processes::working_in(&resolved(&worktree.path)) } else { Vec::new() };
    Ok(Facts {
        reasons: reasons(site, sandbox).await?,
        unknown: match worktree.presence {
            Presence::Unknown => Some(OUT_OF_SIGHT),
            Presence::Gone if !sandbox.is_on_its_file_system() => Some(OUT_OF_SIGHT),
            _ => site.repo.moved_to(worktree).map(|_| "its worktree was moved; `sandbox up` tells git where to"),
        },
        losses: objections.iter().map(ToString::to_string).collect(),
        at_work: at_work.iter().map(ToString::to_string).collect(),
        held_by: held_by(site, &record.claim.identity).await,
    })
}

async fn reasons(site: &Site, sandbox: &Sandbox) -> Result<Vec<Reason>> {
    let Sandbox { worktree, record } = sandbox;
    let task = sandbox.task().as_str();
    let mut reasons = Vec::new();
    // With another branch in its worktree the sandbox is about something else by now.
    if worktree.branch.as_deref() == Some(task)
        && let Some(tip) = &worktree.head
    {
        let began = site.repo.made_at(task)?.or_else(|| worktree.first_head());
        // Where that cannot be told (a partial clone without its remote) it has not. What only followed the default branch
        // is on it too, and nothing has been done in it yet.
        let landed = site.repo.landing(tip, began.as_ref()).await.unwrap_or(None);
        let worked = match &landed {
            Some(Landed { how: Landing::Merged, .. }) => site.repo.has_work_in(worktree, tip).await?,
            _ => true,
        };
        reasons.extend(landed.filter(|_| worked).map(|landed| Reason::Landed(landed.sentence())));
    }
    let expired = |moment: &&String| moment.parse::<Timestamp>().is_ok_and(|moment| moment <= Timestamp::now());
    reasons.extend(record.expires.as_ref().filter(expired).map(|moment| Reason::Expired(moment.clone())));
    if worktree.is_gone() {
        reasons.push(Reason::DirectoryGone);
    } else if record.stage < Stage::Established {
        reasons.push(Reason::HalfMade);
    }
    Ok(reasons)
}

/// Who is at work on a sandbox, without waiting.
pub(super) async fn held_by(site: &Site, identity: &Identity) -> Option<String> {
    let path = site.lock_path(identity);
    if !path.exists() {
        return None;
    }
    match Lock::acquire(&path, "sandbox gc", Duration::ZERO, |_| {}).await {
        Err(error) if error.kind() == Kind::Busy => Some(error.what().to_owned()),
        // That an earlier holder was killed is for the next one to know.
        Ok(lock) => {
            lock.put_back();
            None
        }
        Err(_) => None,
    }
}

/// Trash that is older than it is kept, and what is left of such.
pub fn old_trash(site: &Site) -> Result<Vec<TrashEntry>> {
    let oldest = Timestamp::now().checked_sub(site.settings.trash_kept).unwrap_or(Timestamp::MIN);
    let is_old = |entry: &TrashEntry| {
        entry.key.moment().and_then(|moment| moment.parse::<Timestamp>().ok()).is_some_and(|moment| moment < oldest)
    };
    let all = site.trash()?.into_iter().chain(site.trash_remains()?);
    Ok(all.filter(|entry| is_old(entry) && !entry.is_cut_short()).collect())
}

/// Images of recipes as they were in an older version, that no container runs and no sandbox has data of.
pub async fn old_images(engine: &Engine, needed: &BTreeSet<String>) -> Result<Vec<Image>> {
    let (images, containers) = tokio::try_join!(engine.images(&[(labels::RECIPE, None)]), engine.containers(&[]))?;
    let used: BTreeSet<String> = containers.into_iter().map(|container| container.image_id).collect();
    let is_old = |image: &Image| {
        let ours = image
            .tags
            .iter()
            .all(|tag| catalog::RECIPES.iter().chain([&catalog::POOL]).any(|recipe| recipe.has_made(tag)));
        let needed = image.tags.iter().any(|tag| needed.contains(tag));
        ours && !needed && !image.tags.is_empty() && image.tags.iter().all(|tag| catalog::recipe_tagged(tag).is_none())
    };
    Ok(images.into_iter().filter(|image| is_old(image) && !used.contains(&image.id)).collect())
}

/// Snapshots that nobody has saved by hand and no sandbox stands on, and that are not of these days: the next `up` that needs one
/// makes it again.
pub async fn unused_snapshots(engine: &Engine) -> Result<Vec<Snapshot>> {
    let all = engine.volumes(&[(labels::LAYERS, None)]).await?;
    let is_used = |snapshot: &Snapshot| {
        let used = snapshot::standing_on(all.iter().filter(|volume| volume.name != snapshot.manifest_name()));
        snapshot.layers().any(|layer| used.contains(layer))
    };
    let youngest = Timestamp::now().checked_sub(SNAPSHOT_KEPT).unwrap_or(Timestamp::MIN);
    let is_old = |volume: &&Volume| volume.created.is_some_and(|created| created < youngest);
    let old = all.iter().filter(is_old).filter_map(Snapshot::of);
    Ok(old.filter(|snapshot| snapshot.kind != snapshot::Kind::Saved && !is_used(snapshot)).collect())
}
