//! `sandbox show TASK`

use super::{Context, completions, task_name};
use crate::error::Result;
use crate::overview::{self, View};
use crate::report::{self, Table};
use crate::site::no_such;

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
    if context.globals.json { report::document("sandbox", &view) } else { report::data(&text(&view)) }
}

fn text(view: &View) -> String {
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
    fields.extend(view.locked.as_ref().map(|reason| ("locked", format!("{reason} (`sandbox unlock {}`)", view.task))));
    fields.extend(view.ports.iter().map(|(variable, port)| (variable.as_str(), port.to_string())));
    let mut text = format!("{}\n{}", view.task, report::fields(&fields));
    if !view.services.is_empty() {
        let mut table = Table::new(&["SERVICE", "STATUS", "PORTS", "IMAGE", "CONTAINER"]);
        for it in &view.services {
            let cells = [&it.service, &it.status, &it.ports.join(", "), &it.image, &it.container];
            table.row(&cells.map(Clone::clone));
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
