//! `sandbox reset TASK [SNAPSHOT]`

use serde_json::json;

use super::up::{self, Back};
use super::{Context, completions, snapshot, task_name};
use crate::engine::{Engine, labels};
use crate::error::{Error, Result};
use crate::plan::desired::Stack;
use crate::record::{Data, On, Record};
use crate::report;
use crate::resolve::{self, Ask};
use crate::setup::Setup;
use crate::site::Site;
use crate::snapshot::short;
use crate::storage;
use crate::task::TaskName;
use crate::world::Real;

/// Give a sandbox the databases that it stands on, as they were, or those of a snapshot; the worktree and all numbers stay.
///
/// It stands on what it began with, until it is saved, or another begins with it: then on that.
///
/// What was written into its databases since is gone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// The snapshot to stand on from now on, instead of the one that it stands on
    snapshot: Option<String>,
    /// Begin with new databases
    #[arg(long, conflicts_with = "snapshot")]
    fresh: bool,
    /// Do not run the set-up of the settings
    #[arg(long)]
    no_setup: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb. Killed in the middle, all databases are the old ones, or `up` makes all of the new ones.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let task = site.task(named.as_ref())?;
    let identity = site.identity(&task)?;
    let engine = context.engine().await?;
    if let Err(error) = site.get(&task) {
        // Inside a worktree the one word that is given looks like the snapshot.
        let is_snapshot = args.snapshot.is_none() && snapshot::find(&site, &engine, task.as_str()).await.is_ok();
        let hint = || format!("{task} is a snapshot: `sandbox reset TASK {task}` gives a sandbox its databases");
        return Err(error.hint_if(is_snapshot.then(hint)));
    }
    // On other data none has been run.
    let setup = Setup::of(&site).filter(|_| !args.no_setup && !args.dry_run);
    if let Some(setup) = &setup {
        let ground = resolve::ask_git(&site, &Ask::again(task.clone()), false, &context.events).await?;
        setup.consent(&site, &ground).await?.require(&site, task.as_str())?;
    }
    let snapshot = match &args.snapshot {
        Some(name) => Some(snapshot::find(&site, &engine, name).await?),
        None => None,
    };
    let lock = if args.dry_run { None } else { Some(context.hold(&site, &engine, &identity, "reset").await?) };
    // Under the lock: it may just have been removed.
    let before = match site.get(&task) {
        Ok(sandbox) => sandbox.record,
        Err(error) => {
            lock.into_iter().for_each(crate::locks::Lock::remove);
            return Err(error);
        }
    };
    let on = match &snapshot {
        Some(snapshot) => On::Snapshot(Box::new(snapshot.clone())),
        None if args.fresh => On::Base,
        None => On::Same,
    };
    let begun = async {
        let volumes = engine.volumes(&labels::of(&identity)).await?;
        let data = Some(Data::in_place_of(volumes, on));
        let ask = Ask { data, no_setup: args.no_setup, ..Ask::again(task.clone()) };
        if args.dry_run {
            return up::plan(&site, &engine, &ask, context).await.map(|()| None);
        }
        let up = Box::pin(up::bring_up(&site, &engine, &ask, context)).await?;
        if let Some(setup) = &setup {
            let how = up::Run { is_wanted: false, is_allowed: true };
            up::run_setup(&site, &engine, &up.desired, setup, how, context).await?;
        }
        Ok(Some(up))
    };
    let result = match begun.await {
        Err(error) if lock.is_some() => Err(taken_back(&site, &engine, &before, error).await),
        result => result,
    };
    if let Some(lock) = lock {
        lock.let_go(&result);
    }
    let Some(up) = result? else { return Ok(()) };
    // It may have been the last that stood on what others had written. What cannot go yet goes with another.
    let _ = Real { engine: &engine, site: &site }.tidy_layers().await;
    let stack = &up.desired.stack;
    if !args.fresh
        && let Some(cost) = storage::first_queries(&engine, stack).await
    {
        context.events.info(cost);
    }
    report(&engine, &task, stack, context).await
}

async fn report(engine: &Engine, task: &TaskName, stack: &Stack, context: &Context) -> Result<()> {
    let stands = |key: &str| stack.clones.iter().find(|clone| clone.service == key).map(|clone| short(&clone.snapshot));
    if context.globals.json {
        let services = stack.services.iter().map(|it| (it.name.clone(), stands(&it.name)));
        let services: serde_json::Map<_, _> = services.map(|(name, key)| (name, json!(key))).collect();
        return report::document("reset", &json!({ "task": task, "snapshots": services }));
    }
    let all = snapshot::all(engine).await?;
    let mut known = stack.clones.iter().filter_map(|clone| all.iter().find(|it| it.key == clone.snapshot));
    let name = known.find_map(|it| it.name.as_ref());
    let with = match name {
        Some(name) => format!("with the databases of {name}"),
        None if stack.has_new_data() => "with new databases".to_owned(),
        None => "with the databases that it stands on".to_owned(),
    };
    report::data(&format!("{task} is up {with}\n"))
}

/// A failure, after which the databases are the old ones, where they still can be.
async fn taken_back(site: &Site, engine: &Engine, before: &Record, error: Error) -> Error {
    // Who says stop goes on with it later, and what was asked for and not answered may still come: the next `up` sees which data is
    // there then.
    if error.leaves_work_under_way() {
        return error;
    }
    let back = match up::take_back_data(site, engine, before).await {
        Ok(back) => back,
        Err(failed) => return error.besides(failed),
    };
    let task = &before.claim.identity.task;
    error.hint_if(match (back, &before.pending) {
        (Back::No, _) => None,
        (_, Some(_)) => Some(format!("`sandbox up {task}` goes on with what had been begun before")),
        (Back::Untouched, None) => Some("its databases are still the old ones, and were not touched".to_owned()),
        (Back::OnDisk, None) => Some(format!(
            "its databases are still the old ones, as they were last on the disk: `sandbox up {task}` goes on with them"
        )),
    })
}
