//! `sandbox undo [TASK]`

use serde_json::{Value, json};

use super::{Context, completions, task_name, up};
use crate::error::{Error, Kind, Result};
use crate::git::{BroughtBack, TrashEntry};
use crate::report::{self, Table};
use crate::resolve::Ask;
use crate::site::Site;
use crate::task::TaskName;

/// Bring back what `rm` took.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; without it, the last that was removed
    #[arg(add = completions::trashed())]
    task: Option<String>,
    /// Which removal of the task, as `--list` shows it, instead of the last
    #[arg(long, value_name = "TIME", requires = "task")]
    at: Option<String>,
    /// Bring its stack up too
    #[arg(long, conflicts_with = "list")]
    up: bool,
    /// List what can be brought back, and bring back nothing
    #[arg(long)]
    list: bool,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site_anyway()?;
    let entries: Vec<TrashEntry> = site
        .trash()?
        .into_iter()
        .filter(|entry| named.as_ref().is_none_or(|it| it.as_str() == entry.key.name))
        .collect();
    if args.list {
        return list(&entries, context);
    }
    let wanted = |entry: &&TrashEntry| args.at.as_ref().is_none_or(|at| *at == entry.key.time);
    let entry =
        entries.iter().rfind(wanted).ok_or_else(|| nothing_to_undo(named.as_ref(), args.at.as_deref(), &site))?;
    let task = TaskName::parse(&entry.key.name)?;
    let lock = site.lock(&site.identity(&task)?, "undo", &context.events).await?;
    let result = bring_back(&site, entry, context).await;
    lock.let_go(&result);
    let back = result?;
    if args.up {
        let engine = context.engine().await?;
        let lock = context.hold(&site, &engine, &site.identity(&task)?, "up").await?;
        let ask = Ask::again(task.clone());
        let result = Box::pin(up::bring_up_from(&site, &engine, up::Source::Usual, ask, false, context)).await;
        lock.let_go(&result);
        let place = entry.worktree.display();
        result.map_err(|error| error.hint(format!("{task} is back, in {place}: `sandbox up {task}` goes on")))?;
    }
    answer(entry, &back, args.up, context)
}

/// Under the sandbox's lock.
async fn bring_back(site: &Site, entry: &TrashEntry, context: &Context) -> Result<BroughtBack> {
    let back = site.repo.bring_back(entry).await?;
    if let Some(branch) = &back.moved_branch {
        context.events.warn(format!("{branch} is elsewhere by now: the worktree stands where it was, on no branch"));
    }
    site.register().await?;
    Ok(back)
}

fn nothing_to_undo(named: Option<&TaskName>, at: Option<&str>, site: &Site) -> Error {
    let what = match named {
        Some(task) if at.is_some() => format!("the trash has nothing of {task} from {}", at.unwrap_or_default()),
        Some(task) => format!("the trash has nothing of {task}"),
        None => format!("the trash of {} is empty", site.repo.name()),
    };
    Error::new(Kind::NoSuchSandbox, what)
        .hint("`sandbox undo --list` lists what can be brought back")
        .hint("of a sandbox in which nothing had been done nothing is kept: `sandbox up TASK` makes it again")
}

fn answer(entry: &TrashEntry, back: &BroughtBack, up: bool, context: &Context) -> Result<()> {
    let task = &entry.key.name;
    if context.globals.json {
        let document = json!({ "task": task, "worktree": entry.worktree, "branch": entry.branch,
            "moved_branch": back.moved_branch, "files": entry.files, "up": up });
        return report::document("undone", &document);
    }
    let what = if entry.has_worktree() { format!("in {}", entry.worktree.display()) } else { "its branch".to_owned() };
    let next =
        if up || !entry.has_worktree() { String::new() } else { format!("; `sandbox up {task}` starts its stack") };
    report::data(&format!("{task} is back: {what}{next}\n"))
}

fn list(entries: &[TrashEntry], context: &Context) -> Result<()> {
    if context.globals.json {
        let all: Vec<Value> = entries.iter().map(document).collect();
        return report::document("trash", &all);
    }
    if entries.is_empty() {
        context.events.info("the trash is empty");
        return Ok(());
    }
    let mut table = Table::new(&["TASK", "REMOVED", "TIME", "KEPT", "SIZE", "PLACE"]);
    for entry in entries {
        table.row(&[
            entry.key.name.clone(),
            entry.key.moment().map(|moment| format!("{} ago", report::age(&moment))).unwrap_or_default(),
            entry.key.time.clone(),
            kept(entry).to_owned(),
            report::size(entry.size_bytes()),
            entry.place.display().to_string(),
        ]);
    }
    report::data(&table.text())
}

fn kept(entry: &TrashEntry) -> &'static str {
    match (entry.files, entry.has_worktree()) {
        (true, _) => "all files",
        (false, true) => "commits, index",
        (false, false) => "commits",
    }
}

fn document(entry: &TrashEntry) -> Value {
    json!({
        "task": entry.key.name,
        "time": entry.key.time,
        "removed": entry.key.moment(),
        "kept": kept(entry),
        "size_bytes": entry.size_bytes(),
        "place": entry.place,
        "worktree": entry.worktree,
        "branch": entry.branch,
    })
}
