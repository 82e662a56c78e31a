//! What a set-up has made of the databases, kept so that the next sandbox begins with it.
//!
//! A prepared snapshot is known by what shapes the data: the base snapshots below it, the commands of the set-up and the files that
//! they name, and the files of the commit that migrations, schemas and seeds are in. Where there is none of just that, the one of the
//! nearest ancestor is taken from which the migrations go forward, and nothing else does; and the set-up goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::source::Source;
use super::{bring_up, decided_on};
use crate::commands::{Context, snapshot};
use crate::engine::{Engine, labels};
use crate::error::{Kind, Result};
use crate::git::{CommitId, Spared};
use crate::hex::hex;
use crate::plan::Desired;
use crate::plan::desired::CloneWanted;
use crate::record::{Data, On, Record, Stage};
use crate::resolve::{Ask, Ground};
use crate::setup::Setup;
use crate::site::Site;
use crate::snapshot::{Kind as SnapshotKind, Origin, Snapshot, is_upper, whole};
use crate::world::Real;

/// How many are kept of a repository, besides what sandboxes stand on.
const KEPT: usize = 5;

/// What those may take of the disk together; the newest is kept whatever it takes.
const KEPT_BYTES: u64 = 20 << 30;

/// What the data is gone forward from by adding to it.
const MIGRATIONS: [&str; 7] =
    ["*migrate/", "migration/", "migrations/", "flyway/", "drizzle/", "alembic/", "alembic_versions/"];

/// What says how the data is as a whole, or with what it is made: an ancestor may have others.
const MAY_DIFFER: [&str; 11] = [
    "schema.rb",
    "*_schema.rb",
    "*structure.sql",
    "schema.sql",
    "schema.prisma",
    "*.lock",
    "package-lock.json",
    "pnpm-lock.yaml",
    "requirements*.txt",
    "go.sum",
    "alembic.ini",
];

/// What shapes the data of a new sandbox.
pub(super) struct Shaped {
    /// The repository, as it is called in the sandbox's record.
    repo: String,
    /// The commit.
    commit: CommitId,
    /// All but the files of the commit; none where it cannot be told yet, or the databases are none that can be kept.
    basis: Option<String>,
}

impl Shaped {
    /// Whether what a set-up makes of it may be kept for other sandboxes: the worktree is as the commit is, and nothing else, and the
    /// commit has nothing in it that others have pushed and nobody has merged. What cannot be told is not so.
    pub(super) async fn may_be_kept(&self, site: &Site, desired: &Desired) -> bool {
        site.repo.is_just(desired.worktree_path(), &self.commit).await.unwrap_or_default()
            && !site.repo.has_unmerged_of_a_remote(&self.commit).await.unwrap_or(true)
    }
}

/// Looks for what a new sandbox may begin with instead of what was asked for, and says so where there is something. The shape is none
/// where nothing made of it is to be kept: it begins at no commit, or with something else.
pub(super) async fn look(
    site: &Site,
    engine: &Engine,
    asked: Source,
    ask: &Ask,
    ground: &Ground,
    setup: &Setup,
    context: &Context,
) -> Result<(Source, Option<Shaped>)> {
    let known = site.find(&ask.task)?.map(|sandbox| sandbox.record);
    let may_be_kept = asked.is_usual() && !has_begun_otherwise(known.as_ref());
    let Some(commit) = ground.head.clone().filter(|_| may_be_kept) else { return Ok((asked, None)) };
    // As it would be with new databases.
    let data = Source::Fresh.planned(site, engine, &ask.task, context).await?;
    let desired = decided_on(site, engine, &Ask { data, ..ask.clone() }, ground, context).await?;
    let repo = desired.record.claim.identity.repo.clone();
    let shaped = Shaped { basis: basis(&desired, setup), repo, commit };
    let found = match &shaped.basis {
        Some(basis) if matches!(asked, Source::Usual) => find(site, engine, &shaped, basis, setup).await?,
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

/// The files of a commit that shape the data, with what git calls their contents. Where none is known to, all of them may.
async fn shaping(site: &Site, setup: &Setup, commit: &CommitId) -> Result<BTreeMap<String, String>> {
    let files = site.repo.files_of(commit).await?;
    let matching = |places: &Spared| -> Result<BTreeSet<String>> {
        Ok(places.among(files.iter().map(|(path, _)| path.as_str()))?.into_iter().map(str::to_owned).collect())
    };
    let known = matching(&site.settings.data_files)?;
    let may_differ = matching(&Spared::default().and(MAY_DIFFER.map(str::to_owned)))?;
    if known.is_subset(&may_differ) {
        return Ok(files.into_iter().collect());
    }
    let mut shaping = setup.named(&files);
    shaping.extend(files.into_iter().filter(|(path, _)| known.contains(path)));
    Ok(shaping)
}

fn key(repo: &str, basis: &str, shaping: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("prepared\n{} {repo}\n{basis}\n", repo.len()));
    for (path, content) in shaping {
        hash.update(format!("{} {path} {content}\n", path.len()));
    }
    hex(&hash.finalize())
}

async fn find(
    site: &Site,
    engine: &Engine,
    shaped: &Shaped,
    basis: &str,
    setup: &Setup,
) -> Result<Option<(Snapshot, bool)>> {
    let own = of_site(site, engine).await?;
    let own: Vec<Snapshot> =
        own.into_iter().filter(|it| it.origin.as_ref().is_some_and(|it| it.basis == basis)).collect();
    if own.is_empty() {
        return Ok(None);
    }
    let now = shaping(site, setup, &shaped.commit).await?;
    let key = key(&shaped.repo, basis, &now);
    if let Some(found) = own.iter().find(|it| it.key == key) {
        return Ok(Some((found.clone(), true)));
    }
    let mut best: Option<(u64, Snapshot)> = None;
    for candidate in own {
        let Some(ancestor) = candidate.origin.as_ref().and_then(|it| CommitId::parse(&it.commit)) else { continue };
        let Some(distance) = site.repo.distance(&ancestor, &shaped.commit).await? else { continue };
        if best.as_ref().is_none_or(|(nearest, _)| distance < *nearest)
            && goes_forward(&shaping(site, setup, &ancestor).await?, &now)?
        {
            best = Some((distance, candidate));
        }
    }
    Ok(best.map(|(_, found)| (found, false)))
}

/// Whether migrations alone lead from what one commit shapes to what a later one does.
fn goes_forward(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Result<bool> {
    let other: Vec<&str> = from
        .iter()
        .filter(|(path, content)| to.get(*path) != Some(content))
        .chain(to.iter().filter(|(path, _)| !from.contains_key(*path)))
        .map(|(path, _)| path.as_str())
        .collect();
    let may_differ = Spared::default().and(MAY_DIFFER.map(str::to_owned));
    let migrations = Spared::default().and(MIGRATIONS.map(str::to_owned));
    let added: Vec<&str> = other.iter().copied().filter(|path| !from.contains_key(*path)).collect();
    let fine = [may_differ.among(other.iter().copied())?, migrations.among(added)?].concat();
    Ok(other.iter().all(|path| fine.contains(path)))
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
    setup: &Setup,
    shaped: Shaped,
    context: &Context,
) -> Result<()> {
    let task = &desired.record.claim.identity.task;
    match try_keep(site, engine, desired, setup, shaped, context).await {
        Err(error) if error.kind() == Kind::SnapshotExists => Ok(()),
        Err(error) if error.kind() == Kind::Interrupted || error.leaves_work_under_way() => Err(error),
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
    setup: &Setup,
    shaped: Shaped,
    context: &Context,
) -> Result<()> {
    let Shaped { repo, commit, basis: before } = shaped;
    // What it began with may have been decided before the images were here.
    let Some(basis) = before.or_else(|| basis(desired, setup)) else { return Ok(()) };
    let key = key(&repo, &basis, &shaping(site, setup, &commit).await?);
    let own = of_site(site, engine).await?;
    let world = Real { engine, site };
    if let Some(there) = own.iter().find(|it| it.key == key) {
        // What sandboxes stand on stays. Whoever began anew wants it to be another.
        let is_new = desired.stack.clones.iter().all(|clone| clone.layers.iter().all(|layer| !is_upper(layer)));
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
    let origin = Some(Origin { commit: commit.to_string(), basis });
    let wanted = Snapshot { origin, ..Snapshot::to_be(SnapshotKind::Prepared, key, repo, None) };
    Box::pin(snapshot::take(site, engine, task, wanted, context)).await?;
    let_go_of_old_ones(site, engine).await
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
    let sizes = world.sizes_of(&layers).await?;
    let mut counted: BTreeSet<&str> = BTreeSet::new();
    let mut bytes = 0;
    for (number, snapshot) in kept.iter().enumerate() {
        let new: Vec<&str> = snapshot.layers().filter(|layer| counted.insert(layer)).collect();
        bytes += new.iter().filter_map(|layer| sizes.get(*layer)).sum::<u64>();
        if number > 0 && bytes > KEPT_BYTES {
            world.remove_snapshot(snapshot).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(listed: &[(&str, &str)]) -> BTreeMap<String, String> {
        listed.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn only_migrations_that_were_added_are_gone_forward_from() {
        let from =
            files(&[("db/migrate/1.rb", "a"), ("db/seeds.rb", "s"), ("db/schema.rb", "1"), ("Gemfile.lock", "l")]);
        let with = |path: &str, content: &str| {
            let mut to = from.clone();
            to.insert(path.to_owned(), content.to_owned());
            goes_forward(&from, &to).unwrap()
        };
        assert!(with("db/migrate/2.rb", "b") && with("db/schema.rb", "2") && with("Gemfile.lock", "m"));
        assert!(with("backend/db/queue_migrate/2.rb", "b") && with("app/migrations/0002.py", "b"));
        for (path, content) in
            [("db/migrate/1.rb", "other"), ("db/seeds.rb", "t"), ("db/seeds/more.rb", "x"), ("bin/setup", "x")]
        {
            assert!(!with(path, content), "{path}");
        }
        let mut less = from.clone();
        less.remove("db/migrate/1.rb");
        assert!(!goes_forward(&from, &less).unwrap());
    }

    #[test]
    fn one_shape_in_two_repositories_is_two() {
        let shape = files(&[("db/schema.rb", "1")]);
        assert_eq!(key("/a", "b", &shape), key("/a", "b", &shape));
        assert_ne!(key("/a", "b", &shape), key("/c", "b", &shape));
        assert_ne!(key("/a", "b", &shape), key("/a", "b", &files(&[("db/schema.rb", "2")])));
    }
}
