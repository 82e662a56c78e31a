//! `sandbox pool create | show | grow | trim | rm`

use serde_json::json;

use super::{Context, snapshot};
use crate::compose;
use crate::engine::{Engine, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::report;
use crate::resolve;
use crate::settings::Storage;
use crate::snapshot::{Clone, Kind as SnapshotKind, Snapshot, is_pooled, tasks_of};
use crate::world::Real;

/// What a pool may hold unless said otherwise: its file takes no more than what is in it.
const USUAL_SIZE: &str = "64g";

/// XFS makes none that is smaller.
const LEAST_BYTES: u64 = 512 << 20;

/// Keep databases in a file system with reflinks: no query copies a file, whatever its size.
///
/// The pool is XFS in one sparse file of the engine's, attached as a loop device; none is made where the engine's own storage has
/// reflinks. What is made from now on is in it, and saved
/// snapshots are put into it; sandboxes that stood elsewhere go on there until they are reset.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make the pool
    Create {
        /// How much it may hold, as 64g
        #[arg(long, default_value = USUAL_SIZE, value_parser = size)]
        size: u64,
    },
    /// Show how full it is, and what is in it
    Show,
    /// Make it larger
    Grow {
        /// How much it may hold from now on, as 128g
        #[arg(value_parser = size)]
        size: u64,
    },
    /// Give the disk back what is free in it
    Trim,
    /// Take it away; refused while anything stands on what is in it
    Rm,
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = compose::parse_bytes(text).ok_or_else(|| format!("{text:?} is no amount of bytes, as in 64g"))?;
    if bytes < LEAST_BYTES {
        return Err(format!("a pool has at least {}", report::size(LEAST_BYTES)));
    }
    Ok(bytes)
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let engine = context.engine().await?;
    let world = Real { engine: &engine, site: &site };
    if let Verb::Create { size } = &args.verb {
        return create(&world, *size, context).await;
    }
    if matches!(args.verb, Verb::Rm) && world.has_pool().await? {
        return rm(&world, context).await;
    }
    if !world.attach_pool().await? {
        return Err(Error::new(Kind::NoSuchSnapshot, "there is no pool").hint("`sandbox pool create` makes one"));
    }
    match &args.verb {
        Verb::Create { .. } | Verb::Show | Verb::Rm => {}
        Verb::Grow { size } => {
            let before = world.pool_usage().await?.size_bytes;
            if *size < before {
                let what = format!("the pool has {}, and cannot be made smaller", report::size(before));
                return Err(Error::new(Kind::Usage, what).hint("`sandbox pool trim` gives the disk back what is free"));
            }
            world.grow_pool(*size).await?;
        }
        Verb::Trim => world.trim_pool().await?,
    }
    show(&world, context).await
}

async fn create(world: &Real<'_>, size: u64, context: &Context) -> Result<()> {
    let was_there = world.attach_pool().await?;
    if !was_there {
        world.create_pool(size, &Ticker::new(context.events.clone(), 0)).await?;
    }
    // With copies new sandboxes go on beginning with those outside.
    if world.site.settings.storage == Storage::Auto {
        let_go_of_prepared(world, context).await;
    }
    if !move_in(world, context).await? && was_there {
        return Err(Error::new(Kind::SnapshotExists, "there is a pool already")
            .hint("`sandbox pool show` shows it; `sandbox pool grow SIZE` makes it larger"));
    }
    show(world, context).await
}

/// Those outside are known by base snapshots that new sandboxes begin with no more: the next set-up makes others, in the pool. What
/// sandboxes stand on stays until these are gone.
async fn let_go_of_prepared(world: &Real<'_>, context: &Context) {
    let gone = async {
        let all = snapshot::all(world.engine).await?;
        for snapshot in all.iter().filter(|it| it.kind == SnapshotKind::Prepared && !it.is_pooled()) {
            world.remove_snapshot(snapshot).await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = gone.await {
        context.events.warn(format!("what set-ups have made outside the pool is still there: {error}"));
    }
}

/// Puts all saved snapshots into the pool that are elsewhere: also those that a run which was killed had left there. Whether
/// there were any.
async fn move_in(world: &Real<'_>, context: &Context) -> Result<bool> {
    let (standing, layers) = tokio::try_join!(
        world.engine.volumes(&[(labels::LAYERS, None)]),
        world.engine.volumes(&[(labels::LAYER, None)])
    )?;
    let is_outside = |it: &Snapshot| it.kind == SnapshotKind::Saved && !it.is_pooled();
    let outside = standing.iter().filter_map(Snapshot::of).filter(is_outside);
    let (whole, broken): (Vec<Snapshot>, Vec<Snapshot>) = outside.partition(|it| it.is_whole(&layers));
    for snapshot in broken {
        context.events.warn(format!("the snapshot {} stays where it is: it is not whole", snapshot.title()));
    }
    let nonce = resolve::nonce()?;
    let mut moved = false;
    for snapshot in whole {
        let title = snapshot.title();
        let done = world.move_into_pool(&snapshot, &nonce, &Ticker::new(context.events.clone(), 0)).await;
        let was_there = done.map_err(|error| {
            error.hint(format!("{title} stays where it is, as do those after it: `sandbox pool create` goes on"))
        })?;
        if was_there {
            moved = true;
            context.events.info(format!("the snapshot {title} is in the pool now"));
        }
    }
    if moved && standing.iter().filter_map(Clone::of).any(|clone| !is_pooled(&clone.upper)) {
        context.events.info("sandboxes that are there go on where they are".to_owned());
    }
    Ok(moved)
}

/// What is in the pool: snapshots, and clones with the sandboxes that they are of.
async fn inside(engine: &Engine) -> Result<(Vec<Snapshot>, Vec<String>)> {
    let snapshots = snapshot::all(engine).await?.into_iter().filter(|it| it.layers().any(is_pooled)).collect();
    let all = engine.volumes(&[(labels::UPPER, None)]).await?;
    let pooled = |clone: &Clone| is_pooled(&clone.upper) || clone.layers.iter().any(|layer| is_pooled(layer));
    Ok((snapshots, tasks_of(&all, pooled).into_iter().collect()))
}

async fn show(world: &Real<'_>, context: &Context) -> Result<()> {
    let usage = world.pool_usage().await?;
    let (snapshots, tasks) = inside(world.engine).await?;
    if context.globals.json {
        return report::document(
            "pool",
            &json!({
                "size_bytes": usage.size_bytes,
                "used_bytes": usage.used_bytes,
                "disk_bytes": usage.disk_bytes,
                "free_bytes": usage.free_bytes,
                "snapshots": snapshots.len(),
                "tasks": tasks,
            }),
        );
    }
    let size = report::size;
    let used = format!("{} of {}", size(usage.used_bytes), size(usage.size_bytes));
    let disk = format!("{}, {} free there", size(usage.disk_bytes), size(usage.free_bytes));
    let fields = [
        ("used", used),
        ("disk", disk),
        ("snapshots", snapshots.len().to_string()),
        ("sandboxes", if tasks.is_empty() { "none".to_owned() } else { tasks.join(", ") }),
    ];
    report::data(&format!("the pool\n{}", report::fields(&fields)))
}

/// Snapshots that nobody has saved by hand go with it: they are made again where they are needed.
async fn rm(world: &Real<'_>, context: &Context) -> Result<()> {
    let (snapshots, tasks) = inside(world.engine).await?;
    let saved: Vec<String> =
        snapshots.iter().filter(|it| it.kind == SnapshotKind::Saved).map(Snapshot::title).collect();
    if !tasks.is_empty() || !saved.is_empty() {
        let mut error = Error::new(Kind::SnapshotInUse, "the pool stays: it is in use");
        if !tasks.is_empty() {
            error = error.hint(format!(
                "these sandboxes stand on it: {}; `sandbox rm`, in the repository of each, removes it",
                tasks.join(", ")
            ));
        }
        if !saved.is_empty() {
            error =
                error.hint(format!("these snapshots are in it: {}; see `sandbox snapshot ls --all`", saved.join(", ")));
        }
        return Err(error);
    }
    for snapshot in &snapshots {
        world.remove_snapshot(snapshot).await?;
    }
    world.tidy_snapshots().await?;
    if let Some(left) = world.remove_pool().await? {
        return Err(Error::new(Kind::SnapshotInUse, format!("the pool stays: {left} is in it"))
            .hint("somebody has just begun to use it: see `sandbox pool show`"));
    }
    if context.globals.json {
        return report::document("removed", &json!(["pool"]));
    }
    report::data("the pool is gone\n")
}
