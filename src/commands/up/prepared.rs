//! What a set-up has made of the databases, kept so that the next sandbox begins with it.
//!
//! A prepared snapshot is known by what shapes the data: the base snapshots below it, the commands of the set-up, and the files of
//! the commit that migrations, schemas and seeds are in. Where none is of just that, the one of the nearest ancestor is taken, and
//! the set-up goes forward from there.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::decided;
use crate::commands::Context;
use crate::commands::snapshot;
use crate::engine::{Engine, labels};
use crate::error::{Kind, Result};
use crate::git::{BranchSource, CommitId};
use crate::hex::hex;
use crate::plan::Desired;
use crate::resolve::Ask;
use crate::setup::Setup;
use crate::site::Site;
use crate::snapshot::{Kind as SnapshotKind, Origin, Snapshot, is_upper, whole};
use crate::world::Real;

/// How many are kept of a repository.
const KEPT: usize = 5;

/// What they may take of the disk together; the newest is kept whatever it takes.
const KEPT_BYTES: u64 = 20 << 30;

/// What shapes the data of a new sandbox.
pub(super) struct Shaped {
    /// All but the files of the commit.
    basis: Option<String>,
}

/// Looks for what a new sandbox may begin with, and says so where there is something.
pub(super) async fn look(
    site: &Site,
    engine: &Engine,
    ask: &Ask,
    setup: &Setup,
    context: &Context,
) -> Result<(Shaped, Option<Snapshot>)> {
    let desired = Box::pin(decided(site, engine, ask, context)).await?;
    let basis = basis(&desired, setup);
    let found = match (&basis, commit(site, &desired)?) {
        (Some(basis), Some(commit)) => nearest(site, engine, basis, &commit, context).await?,
        _ => None,
    };
    Ok((Shaped { basis }, found))
}

/// What the databases stand on as they are new, and the commands; none where that cannot be told yet, or they stand on something
/// else.
fn basis(desired: &Desired, setup: &Setup) -> Option<String> {
    let stack = &desired.stack;
    let is_base = |layers: &[String]| layers.iter().all(|layer| !is_upper(layer));
    if desired.awaits_images || stack.clones.is_empty() || !stack.clones.iter().all(|clone| is_base(&clone.layers)) {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(format!("{}\n", setup.digest));
    let bases: BTreeSet<[&str; 3]> = stack.clones.iter().map(|it| [&*it.key, &*it.snapshot, &*it.image]).collect();
    for base in bases {
        hash.update(format!("{}\n", base.join(" ")));
    }
    Some(hex(&hash.finalize()))
}

/// The commit that is, or is to be, checked out.
fn commit(site: &Site, desired: &Desired) -> Result<Option<CommitId>> {
    match &desired.worktree.branch {
        BranchSource::New { at, .. } => Ok(Some(at.clone())),
        BranchSource::Local { name } => site.repo.branch(name),
        BranchSource::Remote { name, remote } => {
            let there = site.repo.remote_branches_named(name)?;
            Ok(there.into_iter().find_map(|(of, commit)| (of == *remote).then_some(commit)))
        }
    }
}

/// The key of what a commit's set-up makes.
async fn key(site: &Site, basis: &str, commit: &CommitId) -> Result<String> {
    let files = site.repo.files_of(commit).await?;
    let shaping = site.settings.data_files.among(files.iter().map(|(path, _)| path.as_str()))?;
    let shaping: BTreeSet<&str> = shaping.into_iter().collect();
    let mut hash = Sha256::new();
    hash.update(format!("prepared\n{basis}\n"));
    for (path, content) in files.iter().filter(|(path, _)| shaping.contains(path.as_str())) {
        hash.update(format!("{} {path} {content}\n", path.len()));
    }
    Ok(hex(&hash.finalize()))
}

async fn nearest(
    site: &Site,
    engine: &Engine,
    basis: &str,
    commit: &CommitId,
    context: &Context,
) -> Result<Option<Snapshot>> {
    let own: Vec<Snapshot> = of_site(site, engine).await?;
    let own: Vec<Snapshot> =
        own.into_iter().filter(|it| it.origin.as_ref().is_some_and(|it| it.basis == basis)).collect();
    if own.is_empty() {
        return Ok(None);
    }
    let key = key(site, basis, commit).await?;
    if let Some(found) = own.iter().find(|it| it.key == key) {
        context.events.info(format!("its databases begin as the set-up made them before, at {}", at(found)));
        return Ok(Some(found.clone()));
    }
    let mut best: Option<(u64, Snapshot)> = None;
    for candidate in own {
        let Some(ancestor) = candidate.origin.as_ref().and_then(|it| CommitId::parse(&it.commit)) else { continue };
        let Some(distance) = site.repo.distance(&ancestor, commit).await? else { continue };
        if best.as_ref().is_none_or(|(nearest, _)| distance < *nearest) {
            best = Some((distance, candidate));
        }
    }
    if let Some((distance, found)) = &best {
        let commits = if *distance == 1 { "a commit".to_owned() } else { format!("{distance} commits") };
        context.events.info(format!(
            "its databases begin as the set-up made them at {}, {commits} before, and it goes on from there",
            at(found)
        ));
    }
    Ok(best.map(|(_, found)| found))
}

/// The commit of a prepared snapshot, for people.
fn at(snapshot: &Snapshot) -> String {
    snapshot.origin.as_ref().map(|it| it.commit.chars().take(10).collect()).unwrap_or_default()
}

/// Those of a repository that are whole, the newest first.
async fn of_site(site: &Site, engine: &Engine) -> Result<Vec<Snapshot>> {
    let identities = site.repo_identities()?;
    let (standing, layers) =
        tokio::try_join!(engine.volumes(&[(labels::LAYERS, None)]), engine.volumes(&[(labels::LAYER, None)]))?;
    let is_own = |it: &Snapshot| {
        it.kind == SnapshotKind::Prepared && it.repo.as_ref().is_some_and(|repo| identities.contains(repo))
    };
    let mut own: Vec<Snapshot> = whole(&standing, &layers).into_iter().filter(is_own).collect();
    own.sort_by(|one, other| other.created.cmp(&one.created));
    Ok(own)
}

/// Keeps what the set-up has made of a sandbox that was new, unless that is there. A failure of that is none of the set-up's.
pub(super) async fn keep(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    setup: &Setup,
    shaped: Shaped,
    context: &Context,
) {
    if let Err(error) = try_keep(site, engine, desired, setup, shaped, context).await
        && error.kind() != Kind::SnapshotExists
    {
        context.events.warn(format!("what the set-up has made is not kept for other sandboxes: {error}"));
    }
}

async fn try_keep(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    setup: &Setup,
    shaped: Shaped,
    context: &Context,
) -> Result<()> {
    // What it began with was decided before the images were here, or is a snapshot by now.
    let basis = shaped.basis.or_else(|| basis(desired, setup));
    let (Some(basis), Some(commit)) = (basis, commit(site, desired)?) else { return Ok(()) };
    let key = key(site, &basis, &commit).await?;
    if of_site(site, engine).await?.iter().any(|it| it.key == key) {
        return Ok(());
    }
    let identity = &desired.record.claim.identity;
    let task = &identity.task;
    context.events.info(format!(
        "what the set-up has made is kept for other sandboxes to begin with; {task} is away for about a second"
    ));
    let wanted = Snapshot {
        key,
        kind: SnapshotKind::Prepared,
        repo: Some(identity.repo.clone()),
        name: None,
        created: jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
        frozen: Vec::new(),
        origin: Some(Origin { commit: commit.to_string(), basis }),
    };
    Box::pin(snapshot::take(site, engine, task, wanted, context)).await?;
    let_go_of_old_ones(site, engine).await
}

/// Only so many are kept, and of such a size. What sandboxes stand on stays until they are gone.
async fn let_go_of_old_ones(site: &Site, engine: &Engine) -> Result<()> {
    let world = Real { engine, site };
    let own = of_site(site, engine).await?;
    let layers: BTreeSet<String> = own.iter().flat_map(Snapshot::layers).map(str::to_owned).collect();
    let sizes = world.sizes_of(&layers).await?;
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    let mut bytes = 0;
    for (number, snapshot) in own.iter().enumerate() {
        let new: Vec<&str> = snapshot.layers().filter(|layer| counted.insert(layer)).collect();
        bytes += new.iter().filter_map(|layer| sizes.get(*layer)).sum::<u64>();
        if number > 0 && (number >= KEPT || bytes > KEPT_BYTES) {
            world.remove_snapshot(snapshot).await?;
        }
    }
    Ok(())
}
