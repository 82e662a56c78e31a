//! `sandbox up TASK`

mod back;
mod prepared;
mod shape;
mod source;

use serde_json::{Value, json};

use super::{Context, completions, task_name};
use crate::apply::{World, apply};
use crate::converge::{Converged, Learnt, converge};
use crate::engine::Engine;
use crate::error::Result;
use crate::git::BranchSource;
use crate::moment;
use crate::plan::{Desired, reconcile};
use crate::record::{SetUp, Stage};
use crate::report;
use crate::resolve::{self, Ask, COMPOSE_FILE, Expiry, Ground, Resolver};
use crate::setup::Setup;
use crate::site::Site;
use crate::task::Identity;
use crate::world::Real;
pub use back::{Back, take_back_data};
pub(super) use source::Source;

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
    /// Begin a new sandbox with new databases, and not with what a set-up has made before
    #[arg(long, conflicts_with_all = ["snapshot", "from_sandbox"])]
    fresh: bool,
    /// Run the set-up of the settings, also where it has been run
    #[arg(long)]
    setup: bool,
    /// Do not run the set-up of the settings
    #[arg(long, conflicts_with = "setup")]
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
    let expires = jiff::Timestamp::now().checked_add(from_now).map_err(|_| "too far in the future".to_owned())?;
    Ok(Expiry::At(moment::written(expires)))
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site()?;
    let source = Source::of(args.snapshot, args.from_sandbox.as_deref(), args.fresh)?;
    let task = site.task(named.as_ref())?;
    let (no_setup, renumber) = (args.no_setup, args.renumber);
    let ask = Ask { task, from: args.from, renumber, expiry: args.ttl, data: None, no_setup };
    let engine = context.engine().await?;
    if args.dry_run {
        return Box::pin(plan_from(&site, &engine, source, ask, args.setup, context)).await;
    }
    let identity = site.identity(&ask.task)?;
    let lock = context.hold(&site, &engine, &identity, "up").await?;
    let result = Box::pin(bring_up_from(&site, &engine, source, ask, args.setup, context)).await;
    if result.is_err() && nothing_is_left(&site, &identity) {
        lock.remove();
    } else {
        lock.let_go(&result);
    }
    report(&result?, context)
}

/// Prints what would be done, with the databases that it would begin with.
async fn plan_from(
    site: &Site,
    engine: &Engine,
    source: Source,
    ask: Ask,
    is_wanted: bool,
    context: &Context,
) -> Result<()> {
    let ground = look_at_ground(site, engine, &ask, context).await?;
    let source = match Setup::of(site).filter(|_| !ask.no_setup) {
        Some(setup) => prepared::look(site, engine, source, &ask, &ground, &setup, context).await?.0,
        None => source,
    };
    let data = source.planned(site, engine, &ask.task, context).await?;
    if data.is_some()
        && let Some(words) = source.in_words(site, engine).await?
    {
        context.events.info(words);
    }
    let desired = decided_on(site, engine, &Ask { data, ..ask }, &ground, context).await?;
    print_plan(site, engine, &desired, &ground, is_wanted, context).await
}

/// Brings it up with the databases that it is to begin with, and runs the set-up in it.
pub(super) async fn bring_up_from(
    site: &Site,
    engine: &Engine,
    source: Source,
    ask: Ask,
    is_wanted: bool,
    context: &Context,
) -> Result<Converged> {
    let Some(setup) = Setup::of(site).filter(|_| !ask.no_setup) else {
        if is_wanted {
            context.events.info("there is no set-up to be run: `setup` in the settings names its commands");
        }
        return source.bring_up(site, engine, ask, None, context).await;
    };
    let known = site.find(&ask.task)?.map(|sandbox| sandbox.record);
    let is_due =
        is_wanted || known.as_ref().is_none_or(|record| record.stage < Stage::Established || Setup::is_due(record));
    if !is_due {
        let mut converged = source.bring_up(site, engine, ask, None, context).await?;
        let record = &converged.desired.record;
        if setup.has_changed(record) {
            let task = &record.claim.identity.task;
            context
                .events
                .info(format!("the set-up is another than was run here: `sandbox up --setup {task}` runs it"));
        }
        let how = Run { is_wanted, is_allowed: false };
        converged.steps += run_setup(site, engine, &converged.desired, &setup, how, context).await?;
        return Ok(converged);
    }
    let ground = prepare(site, engine, &ask, context).await?;
    setup.consent(site, &ground).await?.require(site, ask.task.as_str())?;
    let (source, shaped) = prepared::look(site, engine, source, &ask, &ground, &setup, context).await?;
    let mut converged = source.bring_up(site, engine, ask, Some(&ground), context).await?;
    // Asked before it runs: it could change what git says.
    let may_be_kept = match &shaped {
        Some(shaped) => shaped.may_be_kept(site, &converged.desired).await,
        None => false,
    };
    if known.is_none() && converged.desired.record.setup == SetUp::NotAsked && !is_wanted {
        let task = &converged.desired.record.claim.identity.task;
        let why = "its databases were there before, so the set-up is not run";
        context.events.info(format!("{why}: `sandbox up --setup {task}` runs it"));
    }
    let how = Run { is_wanted, is_allowed: true };
    converged.steps += run_setup(site, engine, &converged.desired, &setup, how, context).await?;
    if let Some(shaped) = shaped.filter(|_| may_be_kept) {
        prepared::keep(site, engine, &converged.desired, shaped, context).await?;
    }
    Ok(converged)
}

/// How the set-up is to be run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Whether somebody wants it, also where the databases are not new.
    pub(super) is_wanted: bool,
    /// Whether it is known that the user has consented.
    pub(super) is_allowed: bool,
}

/// Runs the set-up in a sandbox that is up, where that is due. The answer is in how many steps. What fails leaves the sandbox as it
/// is.
pub(super) async fn run_setup(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    setup: &Setup,
    how: Run,
    context: &Context,
) -> Result<usize> {
    if !how.is_wanted && !Setup::is_due(&desired.record) {
        return Ok(0);
    }
    let task = &desired.record.claim.identity.task;
    // The databases were gone, which could not be foreseen.
    if !how.is_allowed {
        let ground = resolve::ask_git(site, &Ask::again(task.clone()), false, &context.events).await?;
        setup.consent(site, &ground).await?.require(site, task.as_str())?;
    }
    let plan = setup.plan(desired);
    let outcome = apply(&Real { engine, site }, &plan, &context.events, context.stop.clone()).await;
    let is_new = desired.stack.has_new_data();
    let bears = || {
        format!(
            "it ran on databases that were not empty, which its commands must bear: `sandbox reset --fresh {task}` begins without"
        )
    };
    outcome.into_result().map_err(|error| {
        let next = format!(
            "{task} is up: `sandbox up --setup {task}` runs the set-up again, with `--no-setup` it is left out"
        );
        error.hint(next).hint_if((!is_new).then(bears))
    })?;
    Ok(plan.steps.len())
}

/// Says which data has begun anew although nobody asked for that here.
fn say_bereft(desired: &Desired, context: &Context) {
    let is_bereft = |service: &&str| desired.bereft.iter().any(|it| it == service);
    let clones = desired.stack.clones.iter();
    let (gone, there): (Vec<&str>, Vec<&str>) = clones.map(|it| it.service.as_str()).partition(is_bereft);
    match (&*gone, &*there) {
        ([], _) => {}
        (_, []) => context.events.info("the databases were gone: they are new"),
        _ => context.events.warn(format!(
            "the data of {} was gone and is new, that of {} is as it was: `sandbox reset --fresh {}` gives it new data \
             of both",
            gone.join(" and "),
            there.join(" and "),
            desired.record.claim.identity.task
        )),
    }
}

/// Where the claims cannot be read, this run has entered none.
fn nothing_is_left(site: &Site, identity: &Identity) -> bool {
    let has_claim = site.claims.read().is_ok_and(|registry| registry.of(identity).is_some());
    !has_claim && site.find(&identity.task).is_ok_and(|sandbox| sandbox.is_none())
}

/// Converges: also what `start` does.
pub async fn bring_up(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Converged> {
    let ground = prepare(site, engine, ask, context).await?;
    bring_up_on(site, engine, ask, &ground, context).await
}

/// Sees to all that has to be before anything is decided: what git says, with news from the remote, and the pool.
async fn prepare(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Ground> {
    // The facts are for later, when whoever needs them says so where they cannot be had.
    let (ground, networks, _) =
        tokio::join!(resolve::ask_git(site, ask, true, &context.events), engine.networks(), engine.facts());
    engine.check_loopback(&networks?).await?;
    let ground = ground?;
    site.register().await?;
    // After a reboot nothing that stands on it could start.
    if let Err(error) = (Real { engine, site }).attach_pool().await {
        context.events.warn(format!("the pool cannot be attached, and what stands on it will not start: {error}"));
    }
    Ok(ground)
}

async fn bring_up_on(site: &Site, engine: &Engine, ask: &Ask, ground: &Ground, context: &Context) -> Result<Converged> {
    let world = Real { engine, site };
    let resolver = Resolver { site, engine, ask, ground, events: &context.events };
    let resolve = async |learnt: &Learnt| resolver.resolve(learnt).await;
    let converged = Box::pin(converge(&world, resolve, &context.events, &context.stop)).await?;
    say_bereft(&converged.desired, context);
    if let (BranchSource::New { name, at }, None) = (&ground.branch, &ask.from) {
        let base = site.repo.base_for_new_branch().ok().filter(|base| base.commit == *at);
        let from = base.map_or_else(|| at.short().to_owned(), |base| format!("{} ({})", base.from, at.short()));
        context.events.info(format!("the new branch {name} began at {from}"));
    }
    Ok(converged)
}

/// Whether it could be brought up, as far as can be told without doing anything.
pub async fn check(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<()> {
    decided(site, engine, ask, context).await.map(drop)
}

async fn decided(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Desired> {
    let ground = look_at_ground(site, engine, ask, context).await?;
    decided_on(site, engine, ask, &ground, context).await
}

async fn decided_on(site: &Site, engine: &Engine, ask: &Ask, ground: &Ground, context: &Context) -> Result<Desired> {
    let resolver = Resolver { site, engine, ask, ground, events: &context.events };
    Box::pin(resolver.resolve(&Learnt::default())).await
}

/// What [`prepare`] finds, with nothing done for it.
async fn look_at_ground(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<Ground> {
    engine.check_loopback(&engine.networks().await?).await?;
    resolve::ask_git(site, ask, false, &context.events).await
}

/// Prints what would be done.
pub async fn plan(site: &Site, engine: &Engine, ask: &Ask, context: &Context) -> Result<()> {
    let ground = look_at_ground(site, engine, ask, context).await?;
    let desired = decided_on(site, engine, ask, &ground, context).await?;
    print_plan(site, engine, &desired, &ground, false, context).await
}

async fn print_plan(
    site: &Site,
    engine: &Engine,
    desired: &Desired,
    ground: &Ground,
    is_wanted: bool,
    context: &Context,
) -> Result<()> {
    let observed = Real { engine, site }.observe(&desired.scope()).await?;
    let mut plan = reconcile(desired, &observed);
    if let Some(setup) = Setup::of(site).filter(|_| is_wanted || Setup::is_due(&desired.record)) {
        setup.add_to(&mut plan, desired);
        let task = &desired.record.claim.identity.task;
        if !setup.consent(site, ground).await?.is_given(site)? {
            context.events.info(format!("nobody has allowed the set-up yet: `sandbox trust {task}` asks"));
        }
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
