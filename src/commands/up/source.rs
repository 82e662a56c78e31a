//! What the databases of a new sandbox begin with.

use super::{bring_up, bring_up_on, decided};
use crate::commands::snapshot::{self, freeze};
use crate::commands::{Context, task_name};
use crate::converge::Converged;
use crate::engine::{Engine, labels};
use crate::error::{Error, Kind, Result};
use crate::record::{Data, On, Stage};
use crate::resolve::{Ask, Ground};
use crate::settings::Storage;
use crate::site::Site;
use crate::snapshot::{Clone, Kind as SnapshotKind, Snapshot};
use crate::storage;
use crate::task::TaskName;

/// As it was asked for.
pub(in crate::commands) enum Source {
    /// Nothing was said.
    Usual,
    /// A snapshot of that name.
    Snapshot(String),
    /// Another sandbox, as it is now.
    Sandbox(TaskName),
    /// New databases.
    Fresh,
    /// What a set-up has made before.
    Prepared(Box<Snapshot>),
}

impl Source {
    pub(super) fn of(snapshot: Option<String>, sandbox: Option<&str>, is_fresh: bool) -> Result<Source> {
        Ok(match (snapshot, task_name(sandbox)?) {
            (Some(name), _) => Source::Snapshot(name),
            (None, Some(task)) => Source::Sandbox(task),
            (None, None) if is_fresh => Source::Fresh,
            (None, None) => Source::Usual,
        })
    }

    /// What it begins with and does to others, for people: where that was asked for.
    pub(super) async fn in_words(&self, site: &Site, engine: &Engine) -> Result<Option<String>> {
        Ok(match self {
            Source::Snapshot(name) => Some(format!("its databases begin with those of the snapshot {name}")),
            Source::Sandbox(other) => {
                let runs = freeze::rest_of(engine, &site.identity(other)?).await?.is_none();
                let away = if runs { ", which is away meanwhile: its connections are cut off" } else { "" };
                Some(format!("its databases begin with those of {other}{away}"))
            }
            Source::Usual | Source::Fresh | Source::Prepared(_) => None,
        })
    }

    /// Whether the databases are to be those of the project, and no others.
    pub(super) fn is_usual(&self) -> bool {
        matches!(self, Source::Usual | Source::Fresh)
    }

    /// What it would be, with nothing done for it.
    pub(super) async fn planned(
        &self,
        site: &Site,
        engine: &Engine,
        task: &TaskName,
        context: &Context,
    ) -> Result<Option<Data>> {
        match self {
            Source::Usual => Ok(None),
            Source::Snapshot(name) => of_snapshot(site, engine, task, name).await,
            Source::Fresh if !is_new(site, task)? => {
                Err(has_its_own(task).hint(format!("`sandbox reset --fresh {task}` replaces them")))
            }
            Source::Fresh => begin_with(site, engine, task, On::Base).await.map(Some),
            Source::Prepared(snapshot) => data(site, engine, task, (**snapshot).clone()).await.map(Some),
            Source::Sandbox(other) => {
                refuse_own(site, task, other)?;
                freeze::require_data(engine, &site.identity(other)?).await?;
                let there = decided(site, engine, &Ask::again(other.clone()), context).await?;
                let passing = freeze::taken_from(&there, passing(site, other)?)?;
                Ok(Some(data(site, engine, task, passing).await?))
            }
        }
    }

    /// Brings a sandbox up on it, and says what that costs later. The caller holds that sandbox.
    pub(super) async fn bring_up(
        self,
        site: &Site,
        engine: &Engine,
        ask: Ask,
        ground: Option<&Ground>,
        context: &Context,
    ) -> Result<Converged> {
        let may_be_large = !self.is_usual();
        let converged = self.begin(site, engine, ask, ground, context).await?;
        if may_be_large
            && converged.steps > 0
            && let Some(cost) = storage::first_queries(engine, &converged.desired.stack).await
        {
            context.events.info(cost);
        }
        Ok(converged)
    }

    async fn begin(
        self,
        site: &Site,
        engine: &Engine,
        ask: Ask,
        ground: Option<&Ground>,
        context: &Context,
    ) -> Result<Converged> {
        let Source::Sandbox(other) = self else {
            let data = self.planned(site, engine, &ask.task, context).await?;
            let ask = Ask { data, ..ask };
            return match ground {
                Some(ground) => bring_up_on(site, engine, &ask, ground, context).await,
                None => bring_up(site, engine, &ask, context).await,
            };
        };
        refuse_own(site, &ask.task, &other)?;
        let identity = site.get(&other)?.record.claim.identity;
        // Held until the new sandbox stands on it: removed meanwhile, it would take that along.
        let lock = context.hold(site, engine, &identity, "up --from-sandbox").await?;
        let branched = async {
            let own = freeze::require_data(engine, &identity).await?;
            let is_copied = site.settings.storage == Storage::Copy
                || own.iter().filter_map(Clone::of).any(|clone| clone.is_copied());
            let time = if is_copied { "while its databases are copied" } else { "for about a second" };
            if freeze::rest_of(engine, &identity).await?.is_none() {
                context.events.info(format!("{other} is away {time}: its connections are cut off"));
            }
            let (frozen, fared) = freeze::freeze(site, engine, &other, passing(site, &other)?, context).await?;
            let data = Some(data(site, engine, &ask.task, frozen).await?);
            let result = bring_up(site, engine, &Ask { data, ..ask }, context).await;
            let rested = freeze::put_to_rest(site, engine, &other, fared, context).await;
            match (result, rested) {
                (result, Ok(())) => result,
                (Ok(_), Err(error)) => Err(error),
                (Err(first), Err(error)) => Err(first.besides(error)),
            }
        };
        let result = Box::pin(branched).await;
        lock.let_go(&result);
        result
    }
}

/// What is frozen of a sandbox for another, and nobody else.
fn passing(site: &Site, other: &TaskName) -> Result<Snapshot> {
    let identity = site.get(other)?.record.claim.identity;
    let name = format!("of {other}");
    let key = Snapshot::key_of(&identity.repo, &name);
    Ok(Snapshot::to_be(SnapshotKind::Passing, key, identity.repo, Some(name)))
}

/// Whether a sandbox has no databases of its own yet. One that has keeps them.
fn is_new(site: &Site, task: &TaskName) -> Result<bool> {
    Ok(site.find(task)?.is_none_or(|sandbox| sandbox.record.stage < Stage::Established))
}

/// Only what has none yet can begin with those of another.
fn refuse_own(site: &Site, task: &TaskName, other: &TaskName) -> Result<()> {
    if task == other {
        return Err(Error::new(Kind::Usage, format!("{task} cannot begin with its own databases"))
            .hint(format!("`sandbox snapshot save {task} NAME` keeps them as they are")));
    }
    site.get(other)?;
    if is_new(site, task)? {
        return Ok(());
    }
    Err(has_its_own(task)
        .hint(format!("`sandbox snapshot save {other} NAME`, then `sandbox reset {task} NAME`, replaces them")))
}

fn has_its_own(task: &TaskName) -> Error {
    Error::new(Kind::Usage, format!("{task} has databases already"))
}

async fn of_snapshot(site: &Site, engine: &Engine, task: &TaskName, name: &str) -> Result<Option<Data>> {
    let snapshot = snapshot::find(site, engine, name).await?;
    if is_new(site, task)? {
        return data(site, engine, task, snapshot).await.map(Some);
    }
    let own = engine.volumes(&labels::of(&site.identity(task)?)).await?;
    if own.is_empty() {
        return data(site, engine, task, snapshot).await.map(Some);
    }
    // It may have been put into the pool since.
    if own.iter().filter_map(Clone::of).all(|clone| snapshot.is_below(&clone) || clone.snapshot == snapshot.key) {
        return Ok(None);
    }
    Err(has_its_own(task).hint(format!("`sandbox reset {task} {name}` replaces them")))
}

async fn data(site: &Site, engine: &Engine, task: &TaskName, on: Snapshot) -> Result<Data> {
    begin_with(site, engine, task, On::Snapshot(Box::new(on))).await
}

async fn begin_with(site: &Site, engine: &Engine, task: &TaskName, on: On) -> Result<Data> {
    // What a run that was killed has made of them is replaced.
    let own = engine.volumes(&labels::of(&site.identity(task)?)).await?;
    Ok(Data::in_place_of(own, on))
}
