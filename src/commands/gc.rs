//! `sandbox gc`

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Context;
use super::rm::{self, News};
use crate::apply::apply;
use crate::engine::{Engine, Image};
use crate::error::{Error, Kind, Result};
use crate::gc;
use crate::gc::orphans::Left;
use crate::gc::verdict::{Facts, Verdict};
use crate::git::TrashEntry;
use crate::plan::{Extent, Removal, teardown};
use crate::report;
use crate::site::Site;
use crate::snapshot::Snapshot;
use crate::task::{Identity, TaskName};
use crate::world::Real;

/// Remove what is merged, expired or orphaned.
///
/// Nothing is removed that is locked, in use, or holds work that would be lost.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Say what would be removed and why, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// In all repositories of this machine
    #[arg(long)]
    machine: bool,
}

/// What was found, all of it judged.
struct Findings {
    sites: Vec<Site>,
    sandboxes: Vec<Found>,
    trash: Vec<(usize, TrashEntry)>,
    images: Vec<Image>,
    snapshots: Vec<Snapshot>,
}

/// A sandbox, or what is left of one.
struct Found {
    /// Whose it is, by its place among the sites; none where the repository is gone.
    site: Option<usize>,
    identity: Identity,
    verdict: Verdict,
}

/// Runs the verb.
pub async fn run(args: &Args, context: &Context) -> Result<()> {
    // Strictly: settings that cannot be obeyed may have said how long to keep things.
    let site = context.site()?;
    let engine = context.engine().await?;
    let findings = find(site, &engine, args, context).await?;
    let removed = findings.steps();
    if args.dry_run || removed.is_empty() || !context.globals.json {
        show(&findings, context)?;
    }
    if args.dry_run {
        return Ok(());
    }
    if removed.is_empty() {
        return Real { engine: &engine, site: &findings.sites[0] }.tidy_snapshots().await;
    }
    if !args.yes {
        match report::confirmed(&format!("Remove {}?", counted(removed.len()))) {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => {
                return Err(Error::new(Kind::Usage, "without a terminal there is nobody to ask")
                    .hint("--yes removes without asking; --dry-run only says what would be removed"));
            }
        }
    }
    collect(&findings, &engine, context).await
}

async fn find(site: Site, engine: &Engine, args: &Args, context: &Context) -> Result<Findings> {
    let left = Left::on_this_machine(engine, &site).await?;
    let mut found = Findings {
        sites: vec![site],
        sandboxes: Vec::new(),
        trash: Vec::new(),
        images: Vec::new(),
        snapshots: gc::unused_snapshots(engine).await?,
    };
    if args.machine {
        let here = found.sites[0].repo_identities()?;
        for repo in left.repositories().into_iter().filter(|repo| !here.contains(repo)) {
            match elsewhere(&repo, context) {
                Some(site) => found.sites.push(site),
                None => found.add(None, left.of_missing_repository(&repo)),
            }
        }
    }
    for number in 0..found.sites.len() {
        let site = found.sites[number].clone();
        if !args.dry_run {
            // What landed at the remote alone is known only then; offline it goes on with what was seen last.
            let _ = site.repo.fetch_default(site.settings.fetch_timeout).await;
        }
        let registry = site.claims.read()?;
        // This repository's own are ours to register again, as `up` does where the registry was lost.
        let registry = if number == 0 { site.with_records(registry)? } else { registry };
        found.add(Some(number), gc::of_sandboxes(&site, &registry).await?);
        found.add(Some(number), left.of_repository(&site).await?);
        found.trash.extend(gc::old_trash(&site)?.into_iter().map(|entry| (number, entry)));
    }
    if let Some(needed) = images_in_use(&found.sites[0], context)? {
        found.images = gc::old_images(engine, &needed).await?;
    }
    Ok(found)
}

/// The images that the sandboxes of this user have data of; none where a repository cannot tell.
fn images_in_use(here: &Site, context: &Context) -> Result<Option<BTreeSet<String>>> {
    let mut needed = BTreeSet::new();
    let repos = here.claims.read()?.claims.into_iter().map(|claim| claim.identity.repo).chain(here.repo_identities()?);
    for repo in repos.collect::<BTreeSet<_>>() {
        let site = Site::open_anyway(&context.surroundings.at(Path::new(&repo)), &crate::event::Sink::null());
        match site {
            Ok(site) => needed.extend(site.sandboxes()?.into_iter().flat_map(|it| it.record.images.into_values())),
            Err(_) if Path::new(&repo).exists() => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(Some(needed))
}

/// Another repository of this machine, unless it is gone. One that cannot be read is left alone, and told.
fn elsewhere(repo: &str, context: &Context) -> Option<Site> {
    let surroundings = context.surroundings.at(Path::new(repo));
    match Site::open(&surroundings) {
        Ok(site) => Some(site),
        Err(error) if Path::new(repo).exists() => {
            context.events.warn(format!("{repo} is left alone: {error}"));
            None
        }
        Err(_) => None,
    }
}

impl Findings {
    fn add(&mut self, site: Option<usize>, facts: Vec<(Identity, Facts)>) {
        let judged = facts.into_iter().map(|(identity, facts)| Found { site, identity, verdict: facts.verdict() });
        self.sandboxes.extend(judged);
    }

    /// What would be removed, and why.
    fn steps(&self) -> Vec<(String, String)> {
        let sandboxes = self.sandboxes.iter().filter_map(|it| match &it.verdict {
            Verdict::Remove(why) => Some((self.name(it), why.clone())),
            Verdict::Keep(_) => None,
        });
        let trash = self.trash.iter().map(|(_, entry)| {
            let age = entry.key.moment().map(|moment| report::age(&moment)).unwrap_or_default();
            (format!("the trash of {}", entry.key.name), format!("{age} old, {}", report::size(entry.size_bytes())))
        });
        let images = self
            .images
            .iter()
            .map(|image| (format!("image {}", image.tags.join(", ")), "of an older version of our recipe".to_owned()));
        let snapshots = self.snapshots.iter().map(|snapshot| {
            let name = format!("the {} snapshot {}", snapshot.kind.word(), snapshot.title());
            (name, "no sandbox stands on it".to_owned())
        });
        sandboxes.chain(trash).chain(images).chain(snapshots).collect()
    }

    fn kept(&self) -> Vec<(String, String)> {
        let kept = self.sandboxes.iter().filter_map(|it| match &it.verdict {
            Verdict::Keep(why) => Some((self.name(it), why.clone())),
            Verdict::Remove(_) => None,
        });
        kept.collect()
    }

    /// The task, and its repository where there are several.
    fn name(&self, found: &Found) -> String {
        let task = &found.identity.task;
        match found.site {
            Some(0) => task.to_string(),
            Some(number) => format!("{task} of {}", self.sites[number].repo.name()),
            None => format!("{task} of {}", found.identity.repo),
        }
    }
}

fn show(findings: &Findings, context: &Context) -> Result<()> {
    let (steps, kept) = (findings.steps(), findings.kept());
    if context.globals.json {
        let all = |list: &[(String, String)]| -> Vec<Value> {
            list.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect()
        };
        return report::document("gc", &json!({ "remove": all(&steps), "keep": all(&kept), "removed": [] }));
    }
    if steps.is_empty() && kept.is_empty() {
        context.events.info("there is nothing to collect");
    }
    let line = |verb: &str, (what, why): &(String, String)| format!("{verb}  {what}: {why}\n");
    let lines = steps.iter().map(|step| line("remove", step)).chain(kept.iter().map(|it| line("keep  ", it)));
    report::data(&lines.collect::<String>())
}

fn counted(number: usize) -> String {
    if number == 1 { "it".to_owned() } else { format!("these {number}") }
}

/// Everything is tried; what fails is told at the end.
async fn collect(findings: &Findings, engine: &Engine, context: &Context) -> Result<()> {
    let (mut removed, mut failed): (Vec<Value>, Vec<Error>) = (Vec::new(), Vec::new());
    let news: Vec<News> = findings.sites.iter().map(|_| News::default()).collect();
    for found in findings.sandboxes.iter().filter(|it| matches!(it.verdict, Verdict::Remove(_))) {
        let result = match found.site {
            Some(number) => remove(&findings.sites[number], found, &news[number], engine, context).await,
            None => remove_remains(&findings.sites[0], found, engine, context).await,
        };
        match result {
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => failed.push(error),
            Ok(proof) => removed.push(proof),
        }
    }
    for (number, entry) in &findings.trash {
        failed.extend(drop_trash(&findings.sites[*number], entry, engine, context).await.err());
    }
    for tag in findings.images.iter().flat_map(|image| &image.tags) {
        failed.extend(engine.remove_image(tag).await.err());
    }
    let world = Real { engine, site: &findings.sites[0] };
    failed.extend(world.tidy_snapshots().await.err());
    if world.has_pool().await? && world.attach_pool().await? {
        // What runs that were killed have left in it.
        failed.extend(world.trim_pool().await.err());
    }
    let mut snapshots = 0;
    for snapshot in &findings.snapshots {
        match world.remove_snapshot(snapshot).await {
            Ok(gone) => snapshots += usize::from(gone),
            Err(error) => failed.push(error),
        }
    }
    let [trash, images] = [findings.trash.len(), findings.images.len()];
    if context.globals.json {
        let left = failed.len();
        let document = json!({ "removed": removed, "trash": trash, "images": images, "snapshots": snapshots,
            "failed": left });
        report::document("gc", &document)?;
    } else if trash + images + snapshots > 0 {
        let text = format!("deleted: {trash} from the trash, {images} images of old recipes, {snapshots} snapshots\n");
        report::data(&text)?;
    }
    Error::all(failed)
}

/// Under the sandbox's lock: an `undo` may be about to bring it back.
async fn drop_trash(site: &Site, entry: &TrashEntry, engine: &Engine, context: &Context) -> Result<()> {
    let task = TaskName::parse(&entry.key.name)?;
    let lock = site.lock(&site.identity(&task)?, "gc", &context.events).await?;
    let world = Real { engine, site };
    let dropped = if entry.place.exists() || !entry.has_worktree() { world.drop_trash(entry).await } else { Ok(()) };
    let is_gone = site.find(&task).is_ok_and(|sandbox| sandbox.is_none());
    if is_gone && !lock.was_abandoned() {
        lock.remove();
    } else {
        lock.put_back();
    }
    dropped
}

/// As `rm` does it, which weighs everything once more, under the sandbox's lock.
async fn remove(site: &Site, found: &Found, news: &News, engine: &Engine, context: &Context) -> Result<Value> {
    let (world, removal) = (Real { engine, site }, rm::plain_removal(site));
    let removed = rm::remove(&world, &found.identity.task, &removal, news, context).await?;
    removed.tell(context).await?;
    Ok(removed.proof)
}

/// Where the repository is gone, labels are all that is left to go by.
async fn remove_remains(site: &Site, found: &Found, engine: &Engine, context: &Context) -> Result<Value> {
    let (world, identity) = (Real { engine, site }, &found.identity);
    let lock = site.lock(identity, "gc", &context.events).await?;
    let before = world.remains(identity).await?;
    let plan = teardown(identity, &before, Extent::Everything(&Removal::default()));
    let result = apply(&world, &plan, &context.events, context.stop.clone()).await.into_result();
    match &result {
        Ok(()) => lock.remove(),
        Err(_) => lock.let_go(&result),
    }
    result?;
    if !world.remains(identity).await?.is_nothing() {
        let what = format!("something of {} of {} is still there", identity.task, identity.repo);
        return Err(Error::new(Kind::Unexpected, what).hint("`sandbox gc --machine` again"));
    }
    if !context.globals.json {
        report::data(&format!("what was left of {} of {} is gone\n", identity.task, identity.repo))?;
    }
    Ok(json!({ "task": identity.task, "repository": identity.repo }))
}
