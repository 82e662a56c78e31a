//! `sandbox up TASK`

mod prepared;
mod source;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Context, completions, task_name};
use crate::apply::{World, apply};
use crate::converge::{Converged, Learnt, converge};
use crate::engine::{Engine, Volume, labels};
use crate::error::Result;
use crate::git::BranchSource;
use crate::plan::{Desired, reconcile};
use crate::report;
use crate::resolve::{self, Ask, COMPOSE_FILE, Expiry};
use crate::setup::Setup;
use crate::site::Site;
use crate::task::{Identity, TaskName};
use crate::world::Real;
use source::Source;

/// Bring a task's sandbox up.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Begin the new branch at this commit, branch or tag instead of the default branch
    #[arg(long, value_name = "REF")]
    from: Option<String>,
    /// Move to other ports, also when the sandbox has its own already
    #[arg(long)]
    renumber: bool,
    /// From when on `sandbox gc` may remove it: 45m, 8h, 3d, 2w from now, or `never`; again: changes it
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    ttl: Option<Expiry>,
    /// Begin with the databases of this snapshot
    #[arg(long, value_name = "NAME", conflicts_with = "from_sandbox")]
    snapshot: Option<String>,
    /// Begin with the databases of another sandbox as they are now; it is away for about a second
    #[arg(long, value_name = "TASK", add = completions::tasks())]
    from_sandbox: Option<String>,
    /// Begin with new databases, and not with what a set-up has made before
    #[arg(long, conflicts_with_all = ["snapshot", "from_sandbox"])]
    fresh: bool,
    /// Do not run the set-up of the settings
    #[arg(long)]
    no_setup: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// `3d` from now, or `never`.
fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let wrong = || "a number and one of m, h, d, w, as in 8h, or `never`".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let from_now = jiff::SignedDuration::from_secs(i64::from(count) * seconds);
    let moment = jiff::Timestamp::now().checked_add(from_now).map_err(|_| "too far in the future".to_owned())?;
    Ok(Expiry::At(moment.strftime("%FT%TZ").to_string()))
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let source = Source::of(args.snapshot, args.from_sandbox.as_deref())?;
    let task = site.task(named.as_ref())?;
    let setup = Setup::of(&site).filter(|_| !args.no_setup);
    let known = site.find(&task)?;
    let is_due = |setup: &&Setup| known.as_ref().is_none_or(|sandbox| setup.is_due(&sandbox.record));
    setup.as_ref().filter(is_due).map_or(Ok(()), Setup::refuse_unless_allowed)?;
    let ask = Ask { task, from: args.from, renumber: args.renumber, expiry: args.ttl, data: None };
    let engine = context.engine().await?;
    if args.dry_run {
        let data = Box::pin(source.planned(&site, &engine, &ask.task, context)).await?;
        return plan(&site, &engine, &Ask { data, ..ask }, setup.as_ref(), context).await;
    }
    let identity = site.identity(&ask.task)?;
    let lock = context.hold(&site, &engine, &identity, "up").await?;
    let result = Box::pin(bring_up_from(&site, &engine, source, ask, args.fresh, setup.as_ref(), context)).await;
    if result.is_err() && nothing_is_left(&site, &identity) {
        lock.remove();
    } else {
        lock.let_go(&result);
    }
    report(&result?, context)
}

/// Brings it up with the databases that it is to begin with, and runs the set-up in it.
async fn bring_up_from(
    site: &Site,
    engine: &Engine,
    source: Source,
    ask: Ask,
    fresh: bool,
    setup: Option<&Setup>,
    context: &Context,
) -> Result<Converged> {
    let is_usual = matches!(source, Source::Usual) && source::is_new(site, &ask.task)?;
    let Some(setup) = setup else { return source.bring_up(site, engine, ask, context).await };
    let (shaped, found) = if is_usual {
        let (shaped, found) = prepared::look(site, engine, &ask, setup, context).await?;
        (Some(shaped), found.filter(|_| !fresh))
    } else {
        (None, None)
    };
    let source = found.map_or(source, |found| Source::Prepared(Box::new(found)));
    let mut converged = source.bring_up(site, engine, ask, context).await?;
    converged.steps += run_setup(site, engine, &converged.desired, setup, context).await?;
    if let Some(shaped) = shaped {
        prepared::keep(site, engine, &converged.desired, setup, shaped, context).await;
    }
    Ok(converged)
}

/// Runs the set-up in a sandbox that is up, unless it has been run on the data that it has. The answer is in how many steps. What
/// fails leaves the sandbox as it is.
pub(super) async fn run_setup(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    setup: &Setup,
    context: &Context,
) -> Result<usize> {
    // Who has lost the databases meanwhile has lost what it made.
    if !setup.is_due(&desired.record) {
        return Ok(0);
    }
    setup.refuse_unless_allowed()?;
    let plan = setup.plan(desired);
    let outcome = apply(&Real { engine, site }, &plan, &context.events, context.stop.clone()).await;
    let task = &desired.record.claim.identity.task;
    outcome.into_result().map_err(|error| {
        error.hint(format!("{task} is up: `sandbox up {task}` runs the set-up again, with `--no-setup` it is left out"))
    })?;
    Ok(plan.steps.len())
}

/// Where the claims cannot be read, this run has entered none.
fn nothing_is_left(site: &Site, identity: &Identity) -> bool {
    let has_claim = site.claims.read().is_ok_and(|registry| registry.of(identity).is_some());
    !has_claim && site.find(&identity.task).is_ok_and(|sandbox| sandbox.is_none())
}

/// Converges: also what `start` does.
pub async fn bring_up(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Converged> {
    let (ground, networks) = tokio::join!(resolve::ask_git(site, ask, true, &context.events), engine.networks());
    engine.check_loopback(&networks?).await?;
    let ground = ground?;
    site.register().await?;
    let world = Real { engine, site };
    // After a reboot nothing that stands on it could start.
    if let Err(error) = world.attach_pool().await {
        context.events.warn(format!("the pool cannot be attached, and what stands on it will not start: {error}"));
    }
    let resolve = async |learnt: &Learnt| resolve::resolve(site, engine, ask, &ground, learnt, &context.events).await;
    let converged = Box::pin(converge(&world, resolve, &context.events, &context.stop)).await?;
    if let (BranchSource::New { name, at }, None) = (&ground.branch, &ask.from) {
        let base = site.repo.base_for_new_branch().ok().filter(|base| base.commit == *at);
        let from = base.map_or_else(|| at.short().to_owned(), |base| format!("{} ({})", base.from, at.short()));
        context.events.info(format!("the new branch {name} began at {from}"));
    }
    Ok(converged)
}

/// Goes back to the databases that a sandbox had, after a failure to replace them, where all of them still stand and none of those to
/// come does. Whether it could. The caller holds the sandbox.
pub async fn take_back_data(site: &Site, engine: &Engine, task: &TaskName) -> Result<bool> {
    let Some(sandbox) = site.find(task)? else { return Ok(false) };
    let Some(pending) = &sandbox.record.pending else { return Ok(false) };
    let own = engine.volumes(&labels::of(&sandbox.record.claim.identity)).await?;
    let is_data = |volume: &&Volume| volume.labels.contains_key(labels::compose::VOLUME);
    let there: BTreeSet<String> = own.iter().filter(is_data).map(|volume| volume.name.clone()).collect();
    let replaced: BTreeSet<String> =
        own.iter().map(|volume| volume.name.clone()).filter(|name| pending.replace.contains(name)).collect();
    if pending.replace.is_empty() || replaced != pending.replace || !there.is_subset(&pending.replace) {
        return Ok(false);
    }
    sandbox.record.clone().settled().write(&sandbox.worktree.admin_dir)?;
    Ok(true)
}

/// Whether it could be brought up, as far as can be told without doing anything.
pub async fn check(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<()> {
    decided(site, engine, ask, context).await.map(drop)
}

async fn decided(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Desired> {
    engine.check_loopback(&engine.networks().await?).await?;
    let ground = resolve::ask_git(site, ask, false, &context.events).await?;
    resolve::resolve(site, engine, ask, &ground, &Learnt::default(), &context.events).await
}

/// Prints what would be done.
pub async fn plan(site: &Site, engine: &Engine, ask: &Ask, setup: Option<&Setup>, context: &Context) -> Result<()> {
    let desired = decided(site, engine, ask, context).await?;
    let observed = Real { engine, site }.observe(&desired.scope()).await?;
    let mut plan = reconcile(&desired, &observed);
    if let Some(setup) = setup.filter(|setup| setup.is_due(&desired.record)) {
        setup.add_to(&mut plan, &desired);
    }
    context.dry_run(&[plan])
}

fn report(converged: &Converged, context: &Context) -> Result<()> {
    let desired = &converged.desired;
    if context.globals.json {
        return report::document("sandbox", &document(desired, converged.steps));
    }
    let claim = &desired.record.claim;
    let task = &claim.identity.task;
    let mut fields = vec![("worktree", desired.worktree_path().display().to_string())];
    fields.extend(claim.app_url().map(|url| ("app", format!("{url}, once you start it there"))));
    for service in &desired.stack.services {
        let ports: Vec<String> =
            service.container.ports.iter().map(|port| format!("{}:{}", port.host_ip, port.host_port)).collect();
        fields.push((&service.name, ports.join(", ")));
    }
    fields.push(("next", format!("sandbox shell {task}")));
    let state = if converged.steps == 0 { "is up already" } else { "is up" };
    report::data(&format!("{task} {state}\n{}", report::fields(&fields)))
}

fn document(desired: &Desired, steps: usize) -> Value {
    let claim = &desired.record.claim;
    json!({
        "task": claim.identity.task,
        "worktree": desired.worktree_path(),
        "compose_file": desired.worktree_path().join(COMPOSE_FILE),
        "env_file": desired.worktree_path().join(&desired.record.env_file),
        "project": claim.names.project,
        "slot": claim.slot,
        "subnet": claim.subnet,
        "ports": claim.ports,
        "app_url": claim.app_url(),
        "steps": steps,
    })
}
