//! `sandbox show TASK`

use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, completions, snapshot, task_name};
use crate::engine::{Engine, labels};
use crate::error::Result;
use crate::overview::{self, View};
use crate::report::{self, Table};
use crate::site::{Site, no_such};
use crate::snapshot::{Clone, Kind, Snapshot, short};
use crate::task::TaskName;

/// Show one sandbox.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
}

/// Runs the verb. Without an engine it shows what git knows, in state `unknown`.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site_anyway()?;
    let task = site.task(named.as_ref())?;
    let engine = context.engine_if_any().await;
    let views = overview::all(&site, engine.as_ref()).await?;
    let view = views.into_iter().find(|view| view.task == task.as_str()).ok_or_else(|| no_such(&task, &site.repo))?;
    let stands_on = match &engine {
        Some(engine) => stands_on(&site, engine, &task).await?,
        None => None,
    };
    if context.globals.json {
        let snapshot = stands_on.as_ref().map(|it| json!({ "kind": it.kind, "name": it.name, "key": key(it) }));
        return report::document("sandbox", &Document { view: &view, snapshot });
    }
    report::data(&text(&view, stands_on.as_ref()))
}

/// The view, with what only this verb shows.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    view: &'a View,
    snapshot: Option<Value>,
}

/// The snapshot that the databases stand on, where it is one that is known: what was branched for another is not, nor one that was
/// saved anew under the same name. None while others take their place.
async fn stands_on(site: &Site, engine: &Engine, task: &TaskName) -> Result<Option<Snapshot>> {
    let Some(sandbox) = site.find(task)?.filter(|it| it.record.pending.is_none()) else { return Ok(None) };
    let ours = labels::of(&sandbox.record.claim.identity);
    let (own, known) = tokio::try_join!(engine.volumes(&ours), snapshot::all(engine))?;
    let clones: Vec<Clone> = own.iter().filter_map(Clone::of).collect();
    let is_below = |it: &Snapshot| clones.iter().any(|clone| clone.snapshot == it.key && it.is_below(clone));
    let mut on: Vec<Snapshot> = known.into_iter().filter(is_below).collect();
    // A saved or prepared one says more than a server's base snapshot.
    on.sort_by_key(|it| it.kind == Kind::Base);
    Ok(on.into_iter().next())
}

/// None for a base snapshot: each server has its own.
fn key(on: &Snapshot) -> Option<&str> {
    (on.kind != Kind::Base).then(|| short(&on.key))
}

fn begun(on: &Snapshot) -> String {
    match (&on.name, &on.origin) {
        (Some(name), _) => format!("stand on the snapshot {name}"),
        (None, Some(origin)) => format!("stand on what the set-up made at {}", short(&origin.commit)),
        (None, None) => "were new".to_owned(),
    }
}

fn text(view: &View, on: Option<&Snapshot>) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let mut fields = vec![
        ("state", mended(view)),
        ("worktree", view.worktree.clone()),
        ("branch", optional(&view.branch)),
        ("project", optional(&view.project)),
        ("app", optional(&view.app_url)),
        ("subnet", optional(&view.subnet)),
        ("created", optional(&view.created)),
    ];
    fields.extend(on.map(|on| ("databases", begun(on))));
    fields.extend(view.locked.as_ref().map(|reason| ("locked", format!("{reason} (`sandbox unlock {}`)", view.task))));
    fields.extend(view.ports.iter().map(|(variable, port)| (variable.as_str(), port.to_string())));
    let mut text = format!("{}\n{}", view.task, report::fields(&fields));
    if !view.services.is_empty() {
        let mut table = Table::new(&["SERVICE", "STATUS", "PORTS", "IMAGE", "CONTAINER"]);
        for it in &view.services {
            let cells = [&it.service, &it.status, &it.ports.join(", "), &it.image, &it.container];
            table.row(&cells.map(String::clone));
        }
        text.push('\n');
        text.push_str(&table.text());
    }
    text
}

/// The state, and the one command that mends it.
fn mended(view: &View) -> String {
    let state = view.state.as_str();
    view.mend.as_ref().map_or_else(|| state.to_owned(), |command| format!("{state} (`{command}`)"))
}
