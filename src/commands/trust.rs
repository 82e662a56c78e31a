//! `sandbox trust [TASK]`

use serde_json::{Value, json};

use super::{Context, completions, task_name};
use crate::error::{Error, Kind, Result};
use crate::report;
use crate::resolve::{self, Ask};
use crate::setup::{self, Setup};
use crate::site::Site;
use crate::task::TaskName;

/// What a task may be called that is only asked about.
const ANY: &str = "sandbox-trust";

/// Allow the set-up that the settings ask for, or withdraw that.
///
/// It shows what would be run in a new sandbox, and asks, in a terminal alone. What was allowed holds in this repository for these
/// very commands and the files that they name; of a branch of a remote, for its commit. When any of that changes, `up` asks anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The task whose branch it would be run on, where that is there already, here or at a remote
    #[arg(add = completions::tasks())]
    task: Option<String>,
    /// Withdraw all that was allowed in this repository
    #[arg(long, conflicts_with = "task")]
    revoke: bool,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site()?;
    if args.revoke {
        setup::withdraw(&site)?;
        return said(context, &[], false, &format!("nothing is allowed in sandboxes of {}\n", site.repo.name()));
    }
    let Some(setup) = Setup::of(&site) else {
        return said(context, &[], true, &format!("{} has no set-up that had to be allowed\n", site.repo.name()));
    };
    let ground = resolve::ask_git(&site, &Ask::again(task(args, &site)?), false, &context.events).await?;
    let consent = setup.consent(&site, &ground).await?;
    let list = format!("  {}\n", consent.shown.join("\n  "));
    if !consent.is_given(&site)? {
        let asked = format!("in each new sandbox of {}, this is to be run as you:\n{list}", site.repo.name());
        match answer(context, &asked) {
            Some(true) => consent.give(&site)?,
            Some(false) => return Err(Error::new(Kind::Untrusted, "it is not allowed, as you said")),
            None => {
                if context.globals.json {
                    report::document("trust", &document(&consent.shown, false))?;
                }
                return Err(Error::new(Kind::Untrusted, "consent is read from a terminal alone")
                    .hint("run `sandbox trust` in a terminal, without --json"));
            }
        }
    }
    said(context, &consent.shown, true, &format!("allowed in sandboxes of {}:\n{list}", site.repo.name()))
}

/// What a person says to it. A program is not asked.
fn answer(context: &Context, asked: &str) -> Option<bool> {
    if context.globals.json {
        return None;
    }
    report::narrate(asked);
    report::confirmed("Allow that?")
}

/// One that is named, or the one that we stand in; else any that would begin at the default branch.
fn task(args: &Args, site: &Site) -> Result<TaskName> {
    match task_name(args.task.as_deref())? {
        Some(task) => Ok(task),
        None => site.task(None).or_else(|_| TaskName::parse(ANY)),
    }
}

fn said(context: &Context, shown: &[String], is_allowed: bool, text: &str) -> Result<()> {
    if context.globals.json {
        return report::document("trust", &document(shown, is_allowed));
    }
    report::data(text)
}

fn document(shown: &[String], is_allowed: bool) -> Value {
    json!({ "setup": shown, "allowed": is_allowed })
}
