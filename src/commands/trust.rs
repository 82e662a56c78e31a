//! `sandbox trust`

use serde_json::json;

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::report;
use crate::setup::Setup;

/// Allow the set-up that the repository asks for, or withdraw that.
///
/// It shows the commands and asks, in a terminal alone. What was allowed holds for these very commands in this repository: when
/// they change, `up` asks for consent anew. They run as you, in the worktrees of sandboxes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Withdraw it
    #[arg(long)]
    revoke: bool,
}

/// Runs the verb.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let site = context.site()?;
    let setup = Setup::of(&site).filter(Setup::needs_consent);
    let Some(setup) = setup else {
        return said(context, None, &format!("{} asks for nothing that has to be allowed\n", site.repo.name()));
    };
    let list = format!("  {}\n", setup.commands.join("\n  "));
    if args.revoke {
        setup.withdraw()?;
        return said(context, Some(&setup), &format!("not allowed in sandboxes of {}:\n{list}", site.repo.name()));
    }
    if !setup.is_allowed() {
        report::narrate(&format!("{} asks to run, in each new sandbox, as you:\n{list}", site.repo.name()));
        match report::confirmed("Allow that?") {
            Some(true) => setup.allow()?,
            Some(false) => return said(context, Some(&setup), "not allowed\n"),
            None => {
                return Err(Error::new(Kind::Untrusted, "consent is read from a terminal alone")
                    .hint("run `sandbox trust` in a terminal")
                    .hint("commands of your own, in ~/.config/sandbox/config.yaml, need no consent"));
            }
        }
    }
    said(context, Some(&setup), &format!("allowed in sandboxes of {}:\n{list}", site.repo.name()))
}

fn said(context: &Context, setup: Option<&Setup>, text: &str) -> Result<()> {
    if !context.globals.json {
        return report::data(text);
    }
    let commands = setup.map(|setup| setup.commands.clone()).unwrap_or_default();
    let is_allowed = setup.is_none_or(Setup::is_allowed);
    report::document("trust", &json!({ "setup": commands, "allowed": is_allowed }))
}
