//! What a set-up has made of the databases, kept so that the next sandbox begins with it.
//!
//! A prepared snapshot is known by what shapes the data: the base snapshots below it, the commands of the set-up and the files that
//! they name, and the files of the commit that migrations, schemas and seeds are in. Where there is none of just that, the one of the
//! nearest ancestor is taken from which the migrations go forward, and nothing else does; and the set-up goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::shape::{goes_forward, key, shaping};
use super::source::Source;
use super::{bring_up, decided_on};
use crate::commands::snapshot::freeze::has_data;
use crate::commands::{Context, snapshot};
use crate::engine::{Engine, labels};
use crate::error::{Kind, Result};
use crate::git::CommitId;
use crate::hex::hex;
use crate::plan::Desired;
use crate::plan::desired::CloneWanted;
use crate::record::{Data, On, Record, Stage};
use crate::resolve::{Ask, Ground};
use crate::setup::Setup;
use crate::site::Site;
use crate::snapshot::{Kind as SnapshotKind, Origin, Snapshot, whole};
use crate::world::Real;

/// How many are kept of a repository, besides what sandboxes stand on.
const KEPT: usize = 5;

/// What those may take of the disk together; the newest is kept whatever it takes.
const KEPT_BYTES: u64 = 20 << 30;

/// What shapes the data of a new sandbox.
pub(super) struct Shaped<'a> {
    setup: &'a Setup,
    /// The repository, as it is called in the sandbox's record.
    repo: String,
    /// The commit.
    commit: CommitId,
    /// All but the files of the commit; none where it cannot be told yet, or the databases are none that can be kept.
    basis: Option<String>,
}

impl Shaped<'_> {
    /// Whether what a set-up makes of it may be kept for other sandboxes: the worktree is as the commit is, and nothing else, and the
    /// commit has nothing in it that others have pushed and nobody has merged. What cannot be told is not so.
    pub(super) async fn may_be_kept(&self, site: &Site, desired: &Desired) -> bool {
        site.repo.is_just(desired.worktree_path(), &self.commit).await.unwrap_or_default()
            && !site.repo.has_unmerged_of_a_remote(&self.commit).await.unwrap_or(true)
    }
}

/// Looks for what a new sandbox may begin with instead of what was asked for, and says so where there is something. The shape is none
/// where nothing made of it is to be kept: it begins at no commit, or with something else.
pub(super) async fn look<'a>(
    site: &Site,
    engine: &Engine,
    asked: Source,
    ask: &Ask,
    ground: &Ground,
    setup: &'a Setup,
    context: &Context,
) -> Result<(Source, Option<Shaped<'a>>)> {
    let known = site.find(&ask.task)?.map(|sandbox| sandbox.record);
    let may_be_kept = asked.is_usual() && !has_begun_otherwise(known.as_ref());
    let Some(commit) = ground.head.clone().filter(|_| may_be_kept) else { return Ok((asked, None)) };
    // Volumes that outlived their record may hold work.
    if known.is_none() && has_data(&engine.volumes(&labels::of(&site.identity(&ask.task)?)).await?) {
        return Ok((asked, None));
    }
    // As it would be with new databases.
    let data = Source::Fresh.planned(site, engine, &ask.task, context).await?;
    let desired = decided_on(site, engine, &Ask { data, ..ask.clone() }, ground, context).await?;
    let repo = desired.record.claim.identity.repo.clone();
    let shaped = Shaped { basis: basis(&desired, setup), setup, repo, commit };
    let found = match &shaped.basis {
        Some(basis) if matches!(asked, Source::Usual) => find(site, engine, &shaped, basis).await?,
        _ => None,
    };
    // It is said which, so that nothing is gone on with that a run which was cut short had chosen.
    let Some((found, is_exact)) = found else { return Ok((Source::Fresh, Some(shaped))) };
    let at: String = found.origin.iter().flat_map(|it| it.commit.chars().take(10)).collect();
    let how = if is_exact { "" } else { ", and it goes on from there" };
    context.events.info(format!("its databases begin as the set-up made them before, at {at}{how}"));
    Ok((Source::Prepared(Box::new(found)), Some(shaped)))
}

/// Whether a sandbox has databases, or a run that was cut short had chosen others for it than are chosen unasked.
fn has_begun_otherwise(known: Option<&Record>) -> bool {
    let Some(record) = known else { return false };
    let is_unasked = |data: &Data| match &data.on {
        On::Snapshot(on) => on.kind == SnapshotKind::Prepared,
        On::Base | On::Same => true,
    };
    record.stage == Stage::Established || !record.pending.as_ref().is_none_or(is_unasked)
}

/// What the databases stand on as they are new, and the commands; none where that cannot be told yet, or they stand on something
/// else.
fn basis(desired: &Desired, setup: &Setup) -> Option<String> {
    let stack = &desired.stack;
    if desired.awaits_images || stack.clones.is_empty() || !stack.has_new_data() {
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

async fn find(site: &Site, engine: &Engine, shaped: &Shaped<'_>, basis: &str) -> Result<Option<(Snapshot, bool)>> {
    let own = of_site(site, engine).await?;
    let own: Vec<Snapshot> =
        own.into_iter().filter(|it| it.origin.as_ref().is_some_and(|it| it.basis == basis)).collect();
    if own.is_empty() {
        return Ok(None);
    }
    let now = shaping(site, shaped.setup, &shaped.commit).await?;
    let key = key(&shaped.repo, basis, &now);
    if let Some(found) = own.iter().find(|it| it.key == key) {
        return Ok(Some((found.clone(), true)));
    }
    let mut best: Option<(u64, Snapshot)> = None;
    for candidate in own {
        let Some(ancestor) = candidate.origin.as_ref().and_then(|it| CommitId::parse(&it.commit)) else { continue };
        let Some(distance) = site.repo.distance(&ancestor, &shaped.commit).await? else { continue };
        if best.as_ref().is_none_or(|(nearest, _)| distance < *nearest)
            && goes_forward(&shaping(site, shaped.setup, &ancestor).await?, &now)?
        {
            best = Some((distance, candidate));
        }
    }
    Ok(best.map(|(_, found)| (found, false)))
}

/// Those of a repository that are whole, the newest first.
async fn of_site(site: &Site, engine: &Engine) -> Result<Vec<Snapshot>> {
    let (standing, layers) =
        tokio::try_join!(engine.volumes(&[(labels::LAYERS, None)]), engine.volumes(&[(labels::LAYER, None)]))?;
    let mut own = snapshot::of_site(site, whole(&standing, &layers), SnapshotKind::Prepared)?;
    own.sort_by(|one, other| other.created.cmp(&one.created));
    Ok(own)
}

/// Keeps what the set-up has made of a sandbox that was new, unless that is there. A failure of that is none of the set-up's, as long
/// as the sandbox is up.
pub(super) async fn keep(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    shaped: Shaped<'_>,
    context: &Context,
) -> Result<()> {
    let task = &desired.record.claim.identity.task;
    match try_keep(site, engine, desired, shaped, context).await {
        Err(error) if error.kind() == Kind::SnapshotExists => Ok(()),
        Err(error) if error.leaves_work_under_way() => Err(error),
        Err(error) => {
            let again = context.unheard();
            Box::pin(bring_up(site, engine, &Ask::again(task.clone()), &again)).await?;
            context.events.warn(format!("what the set-up has made is not kept for other sandboxes: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn try_keep(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    shaped: Shaped<'_>,
    context: &Context,
) -> Result<()> {
    // What it began with may have been decided before the images were here.
    let Some(basis) = shaped.basis.clone().or_else(|| basis(desired, shaped.setup)) else { return Ok(()) };
    let key = key(&shaped.repo, &basis, &shaping(site, shaped.setup, &shaped.commit).await?);
    let own = of_site(site, engine).await?;
    let world = Real { engine, site };
    if let Some(there) = own.iter().find(|it| it.key == key) {
        // What sandboxes stand on stays. Whoever began anew wants it to be another.
        let is_new = desired.stack.has_new_data();
        if !is_new || !world.remove_snapshot(there).await? {
            return Ok(());
        }
    }
    let task = &desired.record.claim.identity.task;
    let time = if desired.stack.clones.iter().any(CloneWanted::is_copied) {
        "while they are copied"
    } else {
        "for about a second"
    };
    context.events.info(format!(
        "the databases are kept as the set-up has made them, for other sandboxes to begin with; {task} is away {time}"
    ));
    let origin = Some(Origin { commit: shaped.commit.to_string(), basis });
    let wanted = Snapshot { origin, ..Snapshot::to_be(SnapshotKind::Prepared, key, shaped.repo, None) };
    Box::pin(snapshot::take(site, engine, task, wanted, context)).await?;
    if let Err(error) = let_go_of_old_ones(site, engine).await {
        context.events.warn(format!("what older set-ups have made may be more than is to be kept: {error}"));
    }
    Ok(())
}

/// Only so many are kept, and of such a size. What sandboxes stand on stays until they are gone.
async fn let_go_of_old_ones(site: &Site, engine: &Engine) -> Result<()> {
    let world = Real { engine, site };
    let own = of_site(site, engine).await?;
    let (kept, old) = own.split_at(own.len().min(KEPT));
    for snapshot in old {
        world.remove_snapshot(snapshot).await?;
    }
    let layers: BTreeSet<String> = kept.iter().flat_map(Snapshot::layers).map(str::to_owned).collect();
    for snapshot in too_large(kept, &world.sizes_of(&layers).await?) {
        world.remove_snapshot(snapshot).await?;
    }
    Ok(())
}

/// Those, of the newest first, with which all before them take more than may be kept. What several stand on is counted once.
fn too_large<'a>(kept: &'a [Snapshot], sizes: &BTreeMap<String, u64>) -> Vec<&'a Snapshot> {
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    let mut bytes = 0;
    let mut too_large = Vec::new();
    for (number, snapshot) in kept.iter().enumerate() {
        let new: Vec<&str> = snapshot.layers().filter(|layer| counted.insert(layer)).collect();
        bytes += new.iter().filter_map(|layer| sizes.get(*layer)).sum::<u64>();
        if number > 0 && bytes > KEPT_BYTES {
            too_large.push(snapshot);
        }
    }
    too_large
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Frozen;

    #[test]
    fn the_newest_is_kept_whatever_it_takes_and_others_as_long_as_there_is_room() {
        let on = |layers: &[&str]| Snapshot {
            frozen: vec![Frozen {
                volume: "data".into(),
                service: "postgres".into(),
                image: "postgres".into(),
                layers: layers.iter().map(|&layer| layer.to_owned()).collect(),
                root: None,
                databases: Vec::new(),
                copied: false,
            }],
            ..Snapshot::to_be(SnapshotKind::Prepared, layers.join(" "), "/repo".into(), None)
        };
        let sizes = |sizes: [(&str, u64); 4]| sizes.map(|(name, size)| (name.to_owned(), size)).into();
        let kept = [on(&["c", "base"]), on(&["b", "base"]), on(&["a", "base"])];
        let gone = |of| too_large(&kept, &sizes(of)).into_iter().map(|it| it.key.clone()).collect::<Vec<_>>();
        let (half, all) = (KEPT_BYTES / 2, KEPT_BYTES);
        assert_eq!(gone([("base", half), ("c", 0), ("b", half), ("a", 0)]), [""; 0]);
        assert_eq!(gone([("base", half), ("c", 1), ("b", half), ("a", 0)]), ["b base", "a base"]);
        assert_eq!(gone([("base", 2 * all), ("c", 0), ("b", 0), ("a", 0)]), ["b base", "a base"]);
    }
}
