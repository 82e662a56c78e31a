//! The verbs, one a file: its arguments, then resolve → call → report.

pub mod completions;
pub mod config;
pub mod doctor;
pub mod down;
pub mod env;
pub mod exec;
pub mod gc;
pub mod images;
pub mod lock;
pub mod logs;
pub mod ls;
pub mod man;
pub mod merge;
pub mod pool;
pub mod reset;
pub mod rm;
pub mod shell;
pub mod show;
pub mod snapshot;
pub mod start;
pub mod stop;
pub mod trust;
pub mod undo;
pub mod up;

use std::collections::BTreeMap;

use crate::apply::Stop;
use crate::cli::{Command, Globals};
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::event::Sink;
use crate::locks::Lock;
use crate::plan::Plan;
use crate::report;
use crate::settings::Surroundings;
use crate::site::Site;
use crate::task::{Identity, TaskName};
use crate::world::Real;

/// What every verb is given.
#[derive(Clone)]
pub struct Context {
    /// The global flags.
    pub globals: Globals,
    /// The environment and the directory.
    pub surroundings: Surroundings,
    /// Where progress goes.
    pub events: Sink,
    /// Whether the user has said stop.
    pub stop: Stop,
}

impl Context {
    /// The same for what is to be done although the user has said stop.
    #[must_use]
    pub fn unheard(&self) -> Context {
        Context { stop: self.stop.unheard(), ..self.clone() }
    }

    /// The same whose progress goes elsewhere.
    #[must_use]
    pub fn telling(&self, events: Sink) -> Context {
        Context { events, ..self.clone() }
    }

    /// The repository we stand in, and around it.
    pub fn site(&self) -> Result<Site> {
        Site::open(&self.surroundings)
    }

    /// The same for a verb that works from labels and git alone.
    pub fn site_anyway(&self) -> Result<Site> {
        Site::open_anyway(&self.surroundings, &self.events)
    }

    /// The engine of this host.
    pub async fn engine(&self) -> Result<Engine> {
        Engine::connect(&engine::Surroundings::from_env()).await
    }

    /// The engine, or a warning that states are unknown without it.
    pub async fn engine_if_any(&self) -> Option<Engine> {
        let engine = self.engine().await;
        engine
            .map_err(|error| self.events.warn(format!("the engine does not answer, so states are unknown: {error}")))
            .ok()
    }

    /// Keeps every other command away from a sandbox, and waits for what one that was killed has left under way.
    pub async fn hold(&self, site: &Site, engine: &Engine, identity: &Identity, verb: &str) -> Result<Lock> {
        let lock = site.lock(identity, verb, &self.events).await?;
        if lock.was_abandoned() {
            Box::pin(Real { engine, site }.settle(identity)).await?;
        }
        if let Some(sandbox) = site.find(&identity.task)?
            && let Some(place) = site.repo.moved_to(&sandbox.worktree)
        {
            site.repo.repair_worktree(&place).await?;
            self.events.info(format!(
                "the worktree of {} was moved: git knows it at {}",
                identity.task,
                place.display()
            ));
        }
        // A removal into the trash that was cut short has not happened: the worktree is there to be gone on with.
        for entry in site.trash()?.iter().filter(|entry| entry.key.name == identity.task.as_str()) {
            if entry.is_cut_short() {
                site.repo.mend_trash(entry).await?;
            }
        }
        Ok(lock)
    }

    /// Prints plans instead of walking them; of one alone nothing needs to be said but its steps.
    pub fn dry_run(&self, plans: &[Plan]) -> Result<()> {
        match plans {
            [plan] if self.globals.json => report::document("plan", &plan.titles()),
            [plan] => report::data(&plan.to_string()),
            several if self.globals.json => {
                let by_task: BTreeMap<&str, _> =
                    several.iter().map(|plan| (plan.task.as_str(), plan.titles())).collect();
                report::document("plans", &by_task)
            }
            several => {
                let texts: Vec<String> = several.iter().map(|plan| format!("{}:\n{plan}", plan.task)).collect();
                report::data(&texts.concat())
            }
        }
    }
}

/// Parses a task that was named, keeping one that was not.
pub fn task_name(named: Option<&str>) -> Result<Option<TaskName>> {
    named.map(TaskName::parse).transpose()
}

/// Runs a verb. The answer is the exit code of a child that was run for the user, else 0.
pub async fn run(command: Command, context: &Context) -> Result<u8> {
    match command {
        Command::Up(args) => Box::pin(up::run(args, context)).await.map(|()| 0),
        Command::Ls(args) => ls::run(&args, context).await.map(|()| 0),
        Command::Show(args) => show::run(&args, context).await.map(|()| 0),
        Command::Env(args) => env::run(&args, context).map(|()| 0),
        Command::Exec(args) => exec::run(args, context).await,
        Command::Shell(args) => shell::run(&args, context).map(|()| 0),
        Command::Logs(args) => logs::run(&args, context).await.map(|()| 0),
        Command::Stop(args) => stop::run(&args, context).await.map(|()| 0),
        Command::Start(args) => start::run(&args, context).await.map(|()| 0),
        Command::Down(args) => down::run(&args, context).await.map(|()| 0),
        Command::Snapshot(args) => snapshot::run(&args, context).await.map(|()| 0),
        Command::Pool(args) => Box::pin(pool::run(&args, context)).await.map(|()| 0),
        Command::Reset(args) => Box::pin(reset::run(&args, context)).await.map(|()| 0),
        Command::Rm(args) => rm::run(&args, context).await.map(|()| 0),
        Command::Merge(args) => Box::pin(merge::run(args, context)).await.map(|()| 0),
        Command::Gc(args) => gc::run(&args, context).await.map(|()| 0),
        Command::Undo(args) => undo::run(&args, context).await.map(|()| 0),
        Command::Lock(args) => lock::run(&args, context).await.map(|()| 0),
        Command::Unlock(args) => lock::run_unlock(&args, context).await.map(|()| 0),
        Command::Trust(args) => trust::run(&args, context).await.map(|()| 0),
        Command::Config(args) => config::run(&args, context).await.map(|()| 0),
        Command::Images(args) => images::run(&args, context).await.map(|()| 0),
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Completions(args) => completions::run(&args, context).map(|()| 0),
        Command::Man(args) => man::run(&args).map(|()| 0),
    }
}
