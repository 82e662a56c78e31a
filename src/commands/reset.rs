//! `sandbox reset TASK [SNAPSHOT]`

use serde_json::json;

use super::{Context, completions, snapshot, task_name, up};
use crate::engine::labels;
use crate::error::{Kind, Result};
use crate::plan::desired::CloneWanted;
use crate::record::{Data, On};
use crate::report;
use crate::resolve::{self, Ask};
use crate::setup::Setup;
use crate::snapshot::is_upper;
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
    // On other data none has been run.
    let setup = Setup::of(&site).filter(|_| !args.no_setup && !args.dry_run);
    if let Some(setup) = &setup {
        let ground = resolve::ask_git(&site, &Ask::again(task.clone()), false, &context.events).await?;
        setup.consent(&site, &ground).await?.require(&site, task.as_str())?;
    }
    let engine = context.engine().await?;
    let snapshot = match &args.snapshot {
        Some(name) => Some(snapshot::find(&site, &engine, name).await?),
        None => None,
    };
    let lock = if args.dry_run { None } else { Some(context.hold(&site, &engine, &identity, "reset").await?) };
    // Under the lock: it may just have been removed.
    if let Err(error) = site.get(&task) {
        lock.into_iter().for_each(crate::locks::Lock::remove);
        return Err(error);
    }
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
        // Who says stop goes on with it later.
        Err(error) if lock.is_some() && error.kind() != Kind::Interrupted => {
            let is_back = matches!(up::take_back_data(&site, &engine, &task).await, Ok(true));
            let hint = format!("its databases are as they were: `sandbox up {task}` goes on with them");
            Err(if is_back { error.hint(hint) } else { error })
        }
        result => result,
    };
    if let Some(lock) = lock {
        lock.let_go(&result);
    }
    let Some(up) = result? else { return Ok(()) };
    // It may have been the last that stood on what others had written. What cannot go yet goes with another.
    let _ = Real { engine: &engine, site: &site }.tidy_layers().await;
    let stack = &up.desired.stack;
    let stands = |key: &str| stack.clones.iter().find(|clone| clone.service == key).map(|clone| clone.snapshot.clone());
    if context.globals.json {
        let services = stack.services.iter().map(|it| (it.name.clone(), stands(&it.name)));
        let services: serde_json::Map<_, _> = services.map(|(name, key)| (name, json!(key))).collect();
        return report::document("reset", &json!({ "task": task, "snapshots": services }));
    }
    let all = snapshot::all(&engine).await?;
    let mut known = stack.clones.iter().filter_map(|clone| all.iter().find(|it| it.key == clone.snapshot));
    let name = known.find_map(|it| it.name.as_ref());
    let is_base = |clone: &CloneWanted| clone.layers.iter().all(|layer| !is_upper(layer));
    let with = match name {
        Some(name) => format!("with the databases of {name}"),
        None if stack.clones.iter().all(is_base) => "with new databases".to_owned(),
        None => "with the databases that it stands on".to_owned(),
    };
    report::data(&format!("{task} is up {with}\n"))
}
