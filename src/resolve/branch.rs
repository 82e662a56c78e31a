//! What git has to say about a task: whether there is a sandbox, and where its branch comes from.

use super::{Ask, COMPOSE_FILE, Ground, nonce, password};
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::git::{BranchSource, CommitId, Fetched};
use crate::moment;
use crate::plan::action::Secret;
use crate::record::Stage;
use crate::site::{Sandbox, Site};
use crate::task::TaskName;

/// Asks git about a task. With `may_fetch`, a new branch begins at what the remote has now.
pub async fn ask_git(site: &Site, ask: &Ask, may_fetch: bool, events: &Sink) -> Result<Ground> {
    refuse_protected(site, &ask.task)?;
    let known = site.find(&ask.task)?;
    let branch = if let Some(known) = &known {
        of_sandbox(site, ask, known)?
    } else {
        site.repo.check_version().await?;
        source(site, ask, may_fetch, events).await?
    };
    let mut rails = false;
    // Ours may have come into the branch since, by a merge.
    let head = match &known {
        Some(known) => known.worktree.head.clone(),
        None => head(site, &branch)?,
    };
    if let Some(head) = &head {
        refuse_tracked(site, head)?;
    }
    if let (None, Some(head)) = (&known, &head) {
        rails = site.repo.tracks(head, "bin/rails")? && site.repo.tracks(head, "config/application.rb")?;
    }
    let created = moment::now();
    let nonce = nonce()?;
    Ok(Ground { branch, head, rails, password: Secret(password()?), created, nonce })
}

/// The default branch and what is checked out in the main checkout are the user's own.
pub fn refuse_protected(site: &Site, task: &TaskName) -> Result<()> {
    let refused = |what: String| {
        Err(Error::new(Kind::Protected, format!("{task} cannot be a task: {what}"))
            .hint("choose a name of its own for the task; a new branch is made for it"))
    };
    if site.repo.default_branch()?.is_some_and(|branch| branch.name == task.as_str()) {
        return refused("it is the default branch".into());
    }
    let main = site.repo.worktrees()?.into_iter().find(|worktree| worktree.is_main);
    match main {
        Some(main) if main.branch.as_deref() == Some(task.as_str()) => {
            refused(format!("the main checkout {} has that branch checked out", main.path.display()))
        }
        _ => Ok(()),
    }
}

fn of_sandbox(site: &Site, ask: &Ask, known: &Sandbox) -> Result<BranchSource> {
    // Asked again after a run that was killed, it has begun there already.
    if let (Some(from), Stage::Established) = (&ask.from, known.record.stage)
        && site.repo.resolve(from)? != site.repo.made_at(ask.task.as_str())?
    {
        return Err(Error::new(Kind::Usage, format!("{} exists already, so --from has nothing to begin", ask.task))
            .hint(format!("`sandbox up {}` without --from", ask.task)));
    }
    Ok(BranchSource::Local { name: ask.task.to_string() })
}

async fn source(site: &Site, ask: &Ask, may_fetch: bool, events: &Sink) -> Result<BranchSource> {
    let name = ask.task.to_string();
    if let Some(place) = site.repo.checked_out_at(&name)? {
        return half_made(site, ask, &place);
    }
    if site.repo.branch(&name)?.is_some() {
        // Asked again after a run that was killed before there was a worktree, the branch has begun there already.
        let begun = site.repo.made_at(&name)?.is_some() && site.claims.read()?.of(&site.identity(&ask.task)?).is_some();
        let source = BranchSource::Local { name };
        return if begun { Ok(source) } else { no_from(ask, source) };
    }
    if let Some(from) = &ask.from {
        let at = site.repo.resolve(from)?.ok_or_else(|| {
            Error::new(Kind::NoBase, format!("{from} is no commit in this repository"))
                .hint("name a branch, a tag or a commit that is here; `git fetch` brings what is not")
        })?;
        return Ok(BranchSource::New { name, at });
    }
    if may_fetch {
        let cap = site.settings.fetch_timeout;
        let (default, ()) = tokio::join!(site.repo.fetch_default(cap), site.repo.fetch_branch(&name, cap));
        tell_failure(default, events);
    }
    let mut remotes = site.repo.remote_branches_named(&name)?;
    remotes.sort_by_key(|(remote, _)| remote != "origin");
    if let Some((remote, _)) = remotes.into_iter().next() {
        return Ok(BranchSource::Remote { name, remote });
    }
    Ok(BranchSource::New { name, at: site.repo.base_for_new_branch()?.commit })
}

fn no_from(ask: &Ask, source: BranchSource) -> Result<BranchSource> {
    if ask.from.is_some() {
        return Err(Error::new(Kind::Usage, format!("the branch {} exists, so --from has nothing to begin", ask.task))
            .hint(format!("`sandbox up {}` without --from takes the branch as it is", ask.task)));
    }
    Ok(source)
}

/// A branch that is checked out is in use, unless an earlier run of ours was ended between git's registration and ours.
fn half_made(site: &Site, ask: &Ask, place: &std::path::Path) -> Result<BranchSource> {
    let claimed = site.claims.read()?.of(&site.identity(&ask.task)?).map(|claim| claim.names.directory.clone());
    let ours = claimed.is_some_and(|directory| site.worktrees_root().join(directory) == place);
    if ours {
        return Ok(BranchSource::Local { name: ask.task.to_string() });
    }
    if let Some(other) = site.sandboxes()?.into_iter().find(|sandbox| sandbox.worktree.path == place) {
        let what = format!("the branch {} is checked out at {}", ask.task, place.display());
        return Err(Error::new(Kind::NotOurs, what)
            .because(format!("that is the worktree of the sandbox {}", other.task()))
            .hint(format!("work there, or switch it back: git -C {} switch {}", place.display(), other.task())));
    }
    Err(Error::new(Kind::NotOurs, format!("the branch {} is checked out at {}", ask.task, place.display()))
        .hint("that worktree was not made by sandbox; git has a branch in one place at most")
        .hint(format!("`git worktree remove {}` frees the branch", place.display())))
}

/// Offline one goes on, and knows how far behind that may be.
fn tell_failure(fetched: Fetched, events: &Sink) {
    let Fetched::Failed { why, last_fetch_age } = fetched else { return };
    let behind = last_fetch_age.map_or_else(
        || "it was never fetched before".to_owned(),
        |age| format!("it may be behind by {}", spell(age.as_secs())),
    );
    events.warn(format!("could not fetch the default branch ({why}); {behind}"));
}

fn spell(seconds: u64) -> String {
    match seconds {
        0..3_600 => format!("{} minutes", seconds.div_ceil(60)),
        3_600..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Where the branch will be.
fn head(site: &Site, branch: &BranchSource) -> Result<Option<CommitId>> {
    match branch {
        BranchSource::New { at, .. } => Ok(Some(at.clone())),
        BranchSource::Local { name } => site.repo.branch(name),
        BranchSource::Remote { name, remote } => {
            let found = site.repo.remote_branches_named(name)?;
            Ok(found.into_iter().find(|(its, _)| its == remote).map(|(_, commit)| commit))
        }
    }
}

/// Our files must not be the repository's.
fn refuse_tracked(site: &Site, head: &CommitId) -> Result<()> {
    let ours = [
        (
            site.settings.env_file.as_str(),
            "set `env_file` in .sandbox.yaml to another name, or `git rm --cached` the file",
        ),
        (COMPOSE_FILE, "`git mv` the file to another name: this one cannot be set"),
    ];
    for (name, hint) in ours {
        if site.repo.tracks(head, name)? {
            let what = format!("the branch tracks a file {name}, which sandbox writes itself");
            return Err(Error::new(Kind::Config, what).hint(hint));
        }
    }
    Ok(())
}
