//! `sandbox snapshot save | ls | rm`

pub mod freeze;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Context, completions, task_name};
use crate::apply::apply;
use crate::engine::{Engine, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::{Action, Cause, Extent, OnFailure, Plan};
use crate::report::{self, Table};
use crate::site::Site;
use crate::snapshot::{Kind as SnapshotKind, Snapshot, checked_name, manifests, short, tasks_of, whole};
use crate::storage::Kept;
use crate::task::{Identity, TaskName};
use crate::world::Real;
use freeze::Fared;

/// Save the databases of a sandbox, for others to begin with.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Save all databases of a sandbox under a name; it is away for about a second, or while they are copied
    Save(SaveArgs),
    /// List the snapshots of this repository
    Ls(LsArgs),
    /// Remove snapshots on which no sandbox stands
    Rm(RmArgs),
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "sandbox snapshot save [OPTIONS] [TASK] <NAME>")]
struct SaveArgs {
    /// The task, which may be left out inside a sandbox's worktree; and what the snapshot is to be called
    #[arg(required = true, num_args = 1..=2, value_names = ["TASK", "NAME"], add = completions::tasks())]
    words: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Those of all repositories, and the ones that sandbox made of first starts and set-ups
    #[arg(short, long)]
    all: bool,
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
struct RmArgs {
    /// Their names; of one that a set-up has made what `ls --all --quiet` calls it
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.verb {
        Verb::Save(args) => Box::pin(save(args, context)).await,
        Verb::Ls(args) => ls(args, context).await,
        Verb::Rm(args) => rm(args, context).await,
    }
}

async fn save(args: &SaveArgs, context: &Context) -> Result<()> {
    let (task, name) = match &*args.words {
        [task, name] => (Some(task.as_str()), name),
        [name, ..] => (None, name),
        [] => return Err(Error::new(Kind::Usage, "a snapshot needs a name").hint("sandbox snapshot save TASK NAME")),
    };
    let name = checked_name(name)?;
    let named = task_name(task)?;
    let site = context.site()?;
    let task = site.task(named.as_ref()).map_err(|error| {
        error.hint_if(
            named.is_none().then(|| format!("`sandbox snapshot save {name} NAME` saves those of the task {name}")),
        )
    })?;
    let identity = site.get(&task)?.record.claim.identity;
    let engine = context.engine().await?;
    refuse_taken(&engine, &identity, &name).await?;
    let lock = context.hold(&site, &engine, &identity, "snapshot save").await?;
    // Under the lock: it may just have been removed.
    if let Err(error) = site.get(&task) {
        lock.remove();
        return Err(error);
    }
    let key = Snapshot::key_of(&identity.repo, &name);
    let wanted = Snapshot::to_be(SnapshotKind::Saved, key, identity.repo.clone(), Some(name.clone()));
    let result = match refuse_taken(&engine, &identity, &name).await {
        Ok(()) => take(&site, &engine, &task, wanted, context).await,
        Err(error) => Err(error),
    };
    lock.let_go(&result);
    let (snapshot, fared) = result?;
    let (away_s, how) = match fared {
        Fared::Away(away) => (Some(away.as_secs_f64()), format!("was away for {:.1} s", away.as_secs_f64())),
        Fared::AtRest(Extent::Stop) => (None, "is stopped, as before".to_owned()),
        Fared::AtRest(_) => (None, "is down, as before".to_owned()),
    };
    if context.globals.json {
        return report::document(
            "snapshot",
            &json!({ "name": name, "task": task, "services": snapshot.services(),
            "layers": layers(&snapshot), "away_s": away_s }),
        );
    }
    let services = snapshot.services().join(" and ");
    report::data(&format!(
        "{name} is saved: {services} of {task}, which {how}\n  next  sandbox up OTHER --snapshot {name}\n"
    ))
}

async fn refuse_taken(engine: &Engine, identity: &Identity, name: &str) -> Result<()> {
    let is_its = |it: &Snapshot| it.name.as_deref() == Some(name) && it.repo.as_ref() == Some(&identity.repo);
    if !all(engine).await?.iter().any(is_its) {
        return Ok(());
    }
    Err(Error::new(Kind::SnapshotExists, format!("there is a snapshot {name} already"))
        .hint(format!("choose another name, or remove it first: sandbox snapshot rm {name}")))
}

/// The manifest comes last: before it nobody knows the snapshot, and the sandbox has gone on over what would be its layers.
pub(super) async fn take(
    site: &Site,
    engine: &Engine,
    task: &TaskName,
    wanted: Snapshot,
    context: &Context,
) -> Result<(Snapshot, Fared)> {
    let (snapshot, fared) = freeze::freeze(site, engine, task, wanted, context).await?;
    let mut plan = Plan::new(task.as_str(), OnFailure::StopBeginning);
    plan.add(Action::KeepSnapshot(Box::new(snapshot.clone())), Cause::Requested, &[]);
    let kept = apply(&Real { engine, site }, &plan, &context.events, context.stop.clone()).await.into_result();
    // Whether or not it is kept: it did not run before.
    let rested = freeze::put_to_rest(site, engine, task, fared, context).await;
    let rested = rested.map_err(|error| if kept.is_ok() { error.hint("the snapshot is kept") } else { error });
    Error::all(kept.err().into_iter().chain(rested.err()))?;
    Ok((snapshot, fared))
}

/// How deep the deepest of its volumes is.
fn layers(snapshot: &Snapshot) -> usize {
    snapshot.frozen.iter().map(|frozen| frozen.layers.len()).max().unwrap_or_default()
}

pub(super) async fn all(engine: &Engine) -> Result<Vec<Snapshot>> {
    Ok(manifests(&engine.volumes(&[(labels::LAYERS, None)]).await?))
}

/// The snapshot of a name in a repository.
pub(super) async fn find(site: &Site, engine: &Engine, name: &str) -> Result<Snapshot> {
    let own = of_site(site, all(engine).await?, SnapshotKind::Saved)?;
    if let Some(snapshot) = own.iter().find(|it| it.name.as_deref() == Some(name)) {
        return Ok(snapshot.clone());
    }
    let names: BTreeSet<&str> = own.iter().filter_map(|it| it.name.as_deref()).collect();
    let error = Error::new(Kind::NoSuchSnapshot, format!("{} has no snapshot {name}", site.repo.name()));
    Err(if names.is_empty() {
        error.hint("`sandbox snapshot save TASK NAME` makes one")
    } else {
        error.hint(format!("there are: {}", Vec::from_iter(names).join(", ")))
    })
}

/// Those of a kind that were made in a repository, whatever it was called then.
pub(super) fn of_site(site: &Site, all: Vec<Snapshot>, kind: SnapshotKind) -> Result<Vec<Snapshot>> {
    let identities = site.repo_identities()?;
    let is_own = |it: &Snapshot| it.kind == kind && it.repo.as_ref().is_some_and(|it| identities.contains(it));
    Ok(all.into_iter().filter(is_own).collect())
}

async fn ls(args: &LsArgs, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let engine = context.engine().await?;
    let (standing, there) =
        tokio::try_join!(engine.volumes(&[(labels::LAYERS, None)]), engine.volumes(&[(labels::LAYER, None)]))?;
    let every = manifests(&standing);
    let mut listed = if args.all { every } else { of_site(&site, every, SnapshotKind::Saved)? };
    listed.sort_by(|one, other| (&one.name, &one.created).cmp(&(&other.name, &other.created)));
    if args.quiet {
        let names = listed.iter().map(|it| it.name.clone().unwrap_or_else(|| short(&it.key).to_owned()));
        return report::data(&names.map(|name| name + "\n").collect::<String>());
    }
    let world = Real { engine: &engine, site: &site };
    let layers = listed.iter().flat_map(Snapshot::layers).map(str::to_owned).collect();
    let sizes = world.sizes_of(&layers).await?;
    let is_whole: Vec<String> = whole(&standing, &there).into_iter().map(|snapshot| snapshot.key).collect();
    let mut rows = Vec::new();
    for snapshot in &listed {
        let tasks = tasks_of(&standing, |clone| snapshot.is_below(clone)).into_iter().collect();
        rows.push(Row { snapshot, tasks, size: size(snapshot, &sizes), is_whole: is_whole.contains(&snapshot.key) });
    }
    if context.globals.json {
        return report::document("snapshots", &rows.iter().map(Row::document).collect::<Vec<_>>());
    }
    if rows.is_empty() {
        let hint = "`sandbox snapshot save TASK NAME` makes one";
        context.events.info(format!("{} has no snapshots; {hint}", site.repo.name()));
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "SERVICES", "AGE", "SIZE", "LAYERS", "SANDBOXES"]);
    for row in &rows {
        table.row(&row.cells());
    }
    report::data(&table.text())?;
    if let Some(kept) = Kept::look(&engine, site.settings.storage).await? {
        let hint = kept.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        context.events.info(kept.in_words() + &hint);
    }
    Ok(())
}

/// The bytes of all that a snapshot consists of, where they could be counted.
fn size(snapshot: &Snapshot, sizes: &BTreeMap<String, u64>) -> Option<u64> {
    snapshot.layers().map(|layer| sizes.get(layer).copied()).sum()
}

struct Row<'a> {
    snapshot: &'a Snapshot,
    /// The sandboxes that stand on it.
    tasks: Vec<String>,
    size: Option<u64>,
    /// Whether all of it is there.
    is_whole: bool,
}

impl Row<'_> {
    fn cells(&self) -> Vec<String> {
        let Row { snapshot, tasks, size, is_whole } = self;
        let unnamed = || format!("({} {})", snapshot.kind.word(), short(&snapshot.key));
        let name = snapshot.name.clone().unwrap_or_else(unnamed);
        let size = if *is_whole { size.map(report::size).unwrap_or_default() } else { "not whole".to_owned() };
        let age = report::age(&snapshot.created);
        vec![name, snapshot.services().join(", "), age, size, layers(snapshot).to_string(), tasks.join(", ")]
    }

    fn document(&self) -> serde_json::Value {
        let Row { snapshot, tasks, size, is_whole } = self;
        json!({
            "name": snapshot.name,
            "kind": snapshot.kind,
            "key": short(&snapshot.key),
            "commit": snapshot.origin.as_ref().map(|origin| &origin.commit),
            "repository": snapshot.repo,
            "created": snapshot.created,
            "services": snapshot.services(),
            "layers": layers(snapshot),
            "size_bytes": size,
            "whole": is_whole,
            "tasks": tasks,
        })
    }
}

async fn rm(args: &RmArgs, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let engine = context.engine().await?;
    let world = Real { engine: &engine, site: &site };
    // Either all of them can go, or none does.
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for name in args.names.iter().collect::<BTreeSet<_>>() {
        match removable(&world, name).await {
            Ok(snapshot) => found.push((name, snapshot)),
            Err(error) => refused.push(error),
        }
    }
    Error::all(refused)?;
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for (name, snapshot) in found {
        match world.remove_snapshot(&snapshot).await {
            Ok(true) => removed.push(name),
            Ok(false) => failed.push(match tasks_on(&engine, &snapshot).await {
                Ok(tasks) => in_use(name, &tasks),
                Err(error) => error,
            }),
            Err(error) => failed.push(error),
        }
    }
    // What they stood on and nobody else does.
    failed.extend(world.tidy_layers().await.err());
    if context.globals.json {
        report::document("removed", &removed)?;
    } else {
        for name in removed {
            report::data(&format!("the snapshot {name} is gone\n"))?;
        }
    }
    Error::all(failed)
}

/// The snapshot of a name, on which nobody stands.
async fn removable(world: &Real<'_>, name: &str) -> Result<Snapshot> {
    let snapshot = match find(world.site, world.engine, name).await {
        Err(error) if error.kind() == Kind::NoSuchSnapshot => {
            // By what `ls --all --quiet` calls one that has no name.
            let every = all(world.engine).await?;
            if every.iter().any(|it| it.kind == SnapshotKind::Base && short(&it.key) == name) {
                return Err(Error::new(
                    Kind::SnapshotInUse,
                    format!("{name} is a base snapshot, which new sandboxes begin with"),
                )
                .hint("`sandbox gc` removes those that are of no use any more"));
            }
            let unnamed = of_site(world.site, every, SnapshotKind::Prepared)?;
            unnamed.into_iter().find(|it| short(&it.key) == name).ok_or(error)?
        }
        found => found?,
    };
    let tasks = tasks_on(world.engine, &snapshot).await?;
    if tasks.is_empty() { Ok(snapshot) } else { Err(in_use(name, &tasks)) }
}

/// The tasks whose sandboxes stand on a snapshot, wherever it is: one that is on its way into the pool is in two places.
async fn tasks_on(engine: &Engine, snapshot: &Snapshot) -> Result<Vec<String>> {
    let standing = engine.volumes(&[(labels::LAYERS, None)]).await?;
    let everywhere = snapshot.everywhere(&standing);
    Ok(tasks_of(&standing, |clone| everywhere.iter().any(|it| it.is_below(clone))).into_iter().collect())
}

fn in_use(name: &str, tasks: &[String]) -> Error {
    let who = match tasks {
        // It is gone by now.
        [] => "a sandbox stood".to_owned(),
        [task] => format!("{task} stands"),
        _ => format!("{} stand", tasks.join(", ")),
    };
    Error::new(Kind::SnapshotInUse, format!("the snapshot {name} stays: {who} on it"))
        .hint("`sandbox reset --fresh TASK` gives a sandbox new databases; `sandbox rm TASK` removes it")
}
