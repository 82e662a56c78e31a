//! `sandbox rm TASK…`

use std::collections::BTreeSet;

use futures::future::ready;
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, oneshot};

use super::{Context, completions};
use crate::apply::World;
use crate::error::{Error, Kind, Result};
use crate::event::Turns;
use crate::git::{Fetched, Objection, TrashEntry};
use crate::overview;
use crate::plan::observed::Scope;
use crate::plan::{Observed, Removal};
use crate::removal;
use crate::report;
use crate::resolve;
use crate::site::{Site, no_such};
use crate::task::TaskName;
use crate::world::Real;

/// How many go at one time: more would only wait for the engine.
const AT_ONCE: usize = 4;

/// Remove sandboxes whole.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each, as they are typed")]
pub struct Args {
    /// The tasks; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    tasks: Vec<String>,
    /// Every sandbox of this repository
    #[arg(long, conflicts_with = "tasks")]
    all: bool,
    /// Go on although work would be lost: files and commits are moved into the trash, for `sandbox undo`; databases go
    #[arg(short, long)]
    force: bool,
    /// Leave the branch, as one of yours
    #[arg(long)]
    keep_branch: bool,
    /// Leave the volumes, and the databases in them
    #[arg(long)]
    keep_volumes: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb. Every name is looked up before anything is removed, and one that is refused stops none of the others.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site_anyway()?;
    let mut tasks: Vec<TaskName> = args.tasks.iter().map(|task| TaskName::parse(task)).collect::<Result<_>>()?;
    if tasks.is_empty() && !args.all {
        tasks.push(site.task(None)?);
    }
    let mut named = BTreeSet::new();
    tasks.retain(|task| named.insert(task.clone()));
    let engine = context.engine().await?;
    if args.all {
        let views = overview::all(&site, Some(&engine)).await?;
        tasks = views.iter().map(|view| TaskName::parse(&view.task)).collect::<Result<_>>()?;
    }
    let world = Real { engine: &engine, site: &site };
    let removal = removal(args, &site);
    // What `--all` takes was seen just now.
    if !args.all {
        for task in &tasks {
            if world.observe(&Scope::of(&site.identity(task)?)).await?.is_nothing() {
                return Err(nothing_there(&site, task));
            }
        }
    }
    if args.dry_run {
        return print_plans(&world, &tasks, &removal, context).await;
    }
    let result = remove_all(&world, &tasks, &removal, context).await;
    if !context.stop.requested() {
        // They may have been the last that stood on what others had written. What cannot go yet goes with another.
        let _ = world.tidy_layers().await;
    }
    result
}

fn removal(args: &Args, site: &Site) -> Removal {
    Removal {
        forced: args.force,
        keep_branch: args.keep_branch,
        keep_volumes: args.keep_volumes,
        ..plain_removal(site)
    }
}

/// One at this moment that refuses to lose work and keeps nothing.
pub(super) fn plain_removal(site: &Site) -> Removal {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    Removal { worktrees: site.worktrees_root(), time, ..Removal::default() }
}

async fn print_plans(world: &Real<'_>, tasks: &[TaskName], removal: &Removal, context: &Context) -> Result<()> {
    let mut plans = Vec::new();
    for task in tasks {
        let planned = removal::plan(world, &world.site.identity(task)?, removal).await?;
        plans.extend(planned.map(|(plan, _)| plan));
    }
    context.dry_run(&plans)
}

/// Removes several side by side. What each says comes in their order.
async fn remove_all(world: &Real<'_>, tasks: &[TaskName], removal: &Removal, context: &Context) -> Result<()> {
    let mut turns = Turns::into(context.events.clone());
    let news = News::default();
    let (mut going, mut results) = (Vec::new(), Vec::new());
    for task in tasks {
        let (done, ended) = oneshot::channel();
        let (context, news) = (context.telling(turns.hand_out()), &news);
        let go = async move {
            if !context.stop.requested() {
                // Whoever prints it is there until all have ended.
                let _ = done.send(remove(world, task, removal, news, &context).await);
            }
        };
        going.push(go.boxed_local());
        results.push((task, ended));
    }
    let go = stream::iter(going).buffer_unordered(AT_ONCE).for_each(ready);
    let tell = async {
        let (mut removed, mut failed, mut begun, mut walk) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut unsaid = None;
        for (task, ended) in results {
            turns.next().await;
            match ended.await {
                Ok(Ok(it)) => {
                    unsaid = it.tell(context).await.err().or(unsaid);
                    removed.push(it.proof);
                }
                Ok(Err(error)) if error.kind() == Kind::Interrupted => begun.push(task.as_str()),
                Ok(Err(error)) => failed.push(error),
                // It was not begun.
                Err(_) => {}
            }
            // From now on there is something to be said at the end, whoever says stop.
            walk.get_or_insert_with(|| context.stop.walk());
        }
        let is_stopped = removed.len() + failed.len() < tasks.len();
        let stopped = is_stopped.then(|| stopped(removed.len(), tasks.len(), &begun, removal));
        if context.globals.json && !removed.is_empty() {
            unsaid = report::document("removed", &removed).err().or(unsaid);
        }
        Error::all(stopped.into_iter().chain(failed).chain(unsaid))
    };
    tokio::join!(go, tell).1
}

/// That not all of them were begun, or brought to an end.
fn stopped(removed: usize, of: usize, begun: &[&str], removal: &Removal) -> Error {
    let error = Error::new(Kind::Interrupted, format!("stopped, with {removed} of {of} removed"));
    if begun.is_empty() {
        return error;
    }
    let flags = [
        (removal.forced, " --force"),
        (removal.keep_branch, " --keep-branch"),
        (removal.keep_volumes, " --keep-volumes"),
    ];
    let flags: String = flags.into_iter().filter_map(|(is_given, flag)| is_given.then_some(flag)).collect();
    error.hint(format!("`sandbox rm{flags} {}` goes on from here", begun.join(" ")))
}

/// Whether the remote's default branch has moved since we last looked, which is asked once whoever wants to know.
#[derive(Debug, Default)]
pub(super) struct News(OnceCell<bool>);

impl News {
    async fn has_come(&self, site: &Site) -> bool {
        let fetch = async || {
            let fetched = site.repo.fetch_default(site.settings.fetch_timeout).await;
            matches!(fetched, Fetched::Fetched { moved: true, .. })
        };
        *self.0.get_or_init(fetch).await
    }
}

/// One that is gone.
pub(super) struct Removed {
    said: String,
    /// What there was, for machines.
    pub(super) proof: Value,
}

impl Removed {
    /// Says so, after all that came before.
    pub(super) async fn tell(&self, context: &Context) -> Result<()> {
        context.events.shown().await;
        if context.globals.json { Ok(()) } else { report::data(&self.said) }
    }
}

/// Removes one, and proves it: also what `merge` and `gc` end with. What others had written and it alone stood on is left to
/// [`Real::tidy_layers`].
pub(super) async fn remove(
    world: &Real<'_>,
    task: &TaskName,
    removal: &Removal,
    news: &News,
    context: &Context,
) -> Result<Removed> {
    let identity = world.site.identity(task)?;
    let mut stop = context.stop.clone();
    let lock = tokio::select! {
        biased;
        // Another may be at it for long; and what is seen to before anything is removed can be seen to again.
        () = stop.said() => {
            let stopped = Error::new(Kind::Interrupted, format!("stopped before {task} was removed"));
            return Err(stopped.hint(format!("`sandbox rm {task}` removes it")));
        }
        lock = context.hold(world.site, world.engine, &identity, "rm") => lock?,
    };
    let go = || Box::pin(removal::remove(world, &identity, removal, &context.events, &context.stop));
    let mut result = go().await;
    if refused(&result) && may_have_landed(world.site, task, news).await.unwrap_or_default() {
        result = go().await;
    }
    if result.is_ok() {
        lock.remove();
    } else {
        lock.let_go(&result);
    }
    let before = result?.ok_or_else(|| nothing_there(world.site, task))?;
    let trash = world.site.trash()?;
    let entry = trash.iter().find(|entry| entry.key.name == task.as_str() && entry.key.time == removal.time);
    for stash in world.site.repo.stashes_on(task.as_str()).await? {
        context.events.info(format!("{stash} was made on {task}, and stays: stashes are the repository's"));
    }
    let kept = entry.map(|entry| kept(task, entry)).unwrap_or_default();
    let said = format!("{task} is gone: {}\n{kept}", gone(&before, removal));
    let volumes = if removal.keep_volumes { 0 } else { before.volumes.len() };
    let branch = before.made_branch.filter(|made| made.at.is_some() && !removal.keep_branch);
    let proof = json!({
        "task": task,
        "containers": before.containers.len(),
        "networks": before.networks.len(),
        "volumes": volumes,
        "worktree": before.worktree.map(|seen| seen.path),
        "branch": branch.map(|made| made.name),
        "trash": entry.map(|entry| &entry.place),
        "left": [],
    });
    Ok(Removed { said, proof })
}

fn refused<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == Kind::WouldLoseWork)
}

/// Commits that stand in the way may have been merged at the remote since we last looked. Whether there is news of it.
async fn may_have_landed(site: &Site, task: &TaskName, news: &News) -> Result<bool> {
    let commits = |it: &Objection| matches!(it, Objection::Commits { .. });
    Ok(site.repo.branch_objections(task.as_str()).await?.iter().any(commits) && news.has_come(site).await)
}

/// The user's own branches are no sandboxes, which is more than that there is none.
fn nothing_there(site: &Site, task: &TaskName) -> Error {
    resolve::refuse_protected(site, task).err().unwrap_or_else(|| no_such(task, &site.repo))
}

/// What can be brought back, and how.
fn kept(task: &TaskName, entry: &TrashEntry) -> String {
    let what = if entry.files {
        format!("its files and commits are in {}", entry.place.display())
    } else {
        "its commits are kept".to_owned()
    };
    format!("  {what}; `sandbox undo {task}` brings it back\n")
}

fn gone(before: &Observed, removal: &Removal) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![count(before.containers.len(), "container"), count(before.networks.len(), "network")];
    if !removal.keep_volumes {
        parts.push(count(before.volumes.len(), "volume"));
    }
    let worktree = |missing| if missing { "what git knew of the worktree" } else { "worktree" };
    parts.extend(before.worktree.as_ref().map(|seen| worktree(seen.missing).to_owned()));
    let branch = before.made_branch.as_ref().filter(|made| made.at.is_some() && !removal.keep_branch);
    parts.extend(branch.map(|_| "branch".to_owned()));
    parts.extend(before.claim.as_ref().map(|_| "claim".to_owned()));
    let mut stays: Vec<String> = Vec::new();
    if removal.keep_volumes && !before.volumes.is_empty() {
        stays.push(count(before.volumes.len(), "volume"));
    }
    stays.extend(
        before.made_branch.as_ref().filter(|_| removal.keep_branch).map(|made| format!("branch {}", made.name)),
    );
    let proof = match &*stays {
        [] => "Docker and git have nothing of it left".to_owned(),
        stays => format!("kept, as asked: {}; Docker and git have nothing else of it left", stays.join(", ")),
    };
    format!("{}; {proof}", parts.join(", "))
}
