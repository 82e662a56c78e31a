//! `sandbox merge TASK`

use serde_json::json;

use super::{Context, completions, rm, task_name};
use crate::error::{Error, Kind, Result};
use crate::git::{Merge, MergeStyle, Merged, Objection, resolved};
use crate::plan::Removal;
use crate::processes;
use crate::report;
use crate::site::{Sandbox, Site};
use crate::world::Real;

/// Merge a task's branch, then remove the sandbox.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task; inside a sandbox's worktree it may be left out
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// The branch to merge into, instead of the default branch
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,
    #[command(flatten)]
    style: Style,
    /// The message of the commit that is made
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Keep the sandbox
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Style {
    /// Go forward, or do nothing
    #[arg(long)]
    ff_only: bool,
    /// Make a merge commit in any case
    #[arg(long)]
    no_ff: bool,
    /// Make one commit of it all
    #[arg(long)]
    squash: bool,
}

impl Style {
    fn decided(&self) -> MergeStyle {
        match self {
            Style { ff_only: true, .. } => MergeStyle::FastForwardOnly,
            Style { no_ff: true, .. } => MergeStyle::NoFastForward,
            Style { squash: true, .. } => MergeStyle::Squash,
            _ => MergeStyle::Configured,
        }
    }
}

/// Runs the verb. That the sandbox can be removed afterwards is seen to before anything is merged.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let named = task_name(args.task.as_deref())?;
    let site = context.site_anyway()?;
    let sandbox = site.get(&site.task(named.as_ref())?)?;
    let task = sandbox.task().clone();
    let merge = Merge {
        branch: task.to_string(),
        into: target(&site, args.into, &task.to_string())?,
        style: args.style.decided(),
        message: args.message,
    };
    let engine = if args.keep { None } else { Some(context.engine().await?) };
    let identity = site.identity(&task)?;
    let lock = match &engine {
        Some(engine) => context.hold(&site, engine, &identity, "merge").await?,
        None => site.lock(&identity, "merge", &context.events).await?,
    };
    // The first Ctrl-C does not end it in the middle of the user's checkout.
    let walk = context.stop.walk();
    let result = merged(&site, &sandbox, &merge, args.keep).await;
    drop(walk);
    lock.let_go(&result);
    let merged = result?;
    if !context.globals.json {
        report::data(&sentence(&merge, &merged))?;
    }
    let removed = match &engine {
        Some(engine) => {
            let removal = Removal { merged: true, ..rm::plain_removal(&site) };
            let world = Real { engine, site: &site };
            let removed = rm::remove(&world, &task, &removal, &rm::News::default(), context).await?;
            removed.tell(context).await?;
            // What cannot go yet goes with another.
            let _ = world.tidy_layers().await;
            Some(removed.proof)
        }
        None => None,
    };
    if !context.globals.json {
        return Ok(());
    }
    let (how, commit) = match &merged {
        Merged::UpToDate => ("up-to-date", None),
        Merged::FastForward(commit) => ("fast-forward", Some(commit)),
        Merged::Commit(commit) => ("commit", Some(commit)),
    };
    let document = json!({ "task": task, "into": merge.into, "how": how, "commit": commit, "removed": removed });
    report::document("merged", &document)
}

fn target(site: &Site, named: Option<String>, branch: &str) -> Result<String> {
    let target = match named {
        Some(target) => target,
        None => site.repo.default_branch()?.map(|default| default.name).ok_or_else(|| {
            Error::new(Kind::NoBase, format!("{} has no default branch to merge into", site.repo.name()))
                .hint("name one with --into BRANCH")
        })?,
    };
    if target == branch {
        return Err(
            Error::new(Kind::Usage, format!("{branch} cannot be merged into itself")).hint("name another branch")
        );
    }
    Ok(target)
}

async fn merged(site: &Site, sandbox: &Sandbox, merge: &Merge, keep: bool) -> Result<Merged> {
    let (task, path) = (sandbox.task(), &sandbox.worktree.path);
    let spared = site.spared(Some(&sandbox.record.env_file));
    let objections = site.repo.removal_objections(path, task.as_str(), &spared).await?;
    let dirty = |it: &Objection| {
        matches!(it, Objection::Modified { .. } | Objection::Untracked { .. } | Objection::UnderWay { .. })
    };
    let counts = |it: &&Objection| match it {
        // That is what is merged, unless another branch, or none, is checked out.
        Objection::Commits { .. } => sandbox.worktree.branch.as_deref() != Some(task.as_str()) && !keep,
        _ => dirty(it) || !keep,
    };
    let mut list: Vec<String> = objections.iter().filter(counts).map(ToString::to_string).collect();
    let at_work = if keep { Vec::new() } else { processes::working_in(&resolved(path)) };
    list.extend(at_work.iter().map(|process| format!("at work in it: {process}")));
    if list.is_empty() {
        return site.repo.merge(merge).await;
    }
    let error = Error::new(Kind::WouldLoseWork, format!("{task} is not ready to be merged")).because(list.join("\n"));
    let error = error.hint(format!("commit what is worth keeping in {}, and clear away the rest", path.display()));
    let keeping_helps = !keep && !objections.iter().any(dirty);
    Err(if keeping_helps { error.hint("--keep merges the commits alone and keeps the sandbox") } else { error })
}

fn sentence(merge: &Merge, merged: &Merged) -> String {
    let Merge { branch, into, .. } = merge;
    match merged {
        Merged::UpToDate => format!("{into} has all of {branch} already\n"),
        Merged::FastForward(commit) => format!("{into} went forward to {branch}, at {}\n", commit.short()),
        Merged::Commit(commit) => format!("{branch} is merged into {into}, at {}\n", commit.short()),
    }
}
