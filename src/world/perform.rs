//! One action at a time, each made so that doing it again does no harm.

use std::path::Path;

use super::ready::Databases;
use super::{Real, pool, ready, reclaim, setup, snapshots};
use crate::apply::Setback;
use crate::catalog;
use crate::claims::{Claim, holder};
use crate::engine::{
    Container, ContainerSpec, CreateContainer, CreateNetwork, NetworkSpec, Pull, Start, Volume, VolumeSpec, labels,
};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::files;
use crate::git::{AddWorktree, BranchDeletion, CommitId, Keep, Spared};
use crate::images;
use crate::plan::Action;
use crate::record::Record;
use crate::task::Identity;

pub(super) async fn perform(world: &Real<'_>, action: &Action, ticker: &Ticker) -> Result<(), Setback> {
    let Real { engine, site } = world;
    match action {
        Action::Claim(claim) => claim_numbers(world, claim).await,
        Action::Release(identity) => Ok(site.claims.change(|registry| registry.release(identity)).await.map(drop)?),
        Action::Pull { reference } => pull(world, reference, ticker).await,
        Action::Build { tag } => Ok(build(world, tag, ticker).await?),
        Action::AddWorktree { spec, record } => Ok(add_worktree(world, spec, record).await?),
        Action::WriteRecord { worktree, record } => Ok(write_record(world, worktree, record)?),
        Action::RestoreWorktree { worktree } => Ok(site.repo.restore_worktree(worktree).await?),
        Action::Checkout { worktree } => Ok(site.repo.checkout(worktree).await?),
        Action::Exclude { pattern } => Ok(site.repo.exclude(pattern)?),
        Action::WriteFile { path, text, .. } => Ok(files::replace(path, &text.0)?),
        Action::RunSetup { command, worktree, record, is_first } => {
            Ok(setup::run(world, command, worktree, record, *is_first).await?)
        }
        Action::CreateNetwork(spec) => create_network(world, spec).await,
        Action::CreateVolume(spec) => Ok(create_volume(world, spec).await?),
        Action::MakeBase(base) => snapshots::make_base(world, base, ticker).await,
        Action::MakeUpper(spec) => snapshots::make_upper(world, spec, ticker).await,
        Action::Flatten(spec) => Ok(snapshots::flatten(world, spec, ticker).await?),
        Action::Flush { service, container, question } => {
            Ok(snapshots::flush(world, service, container, question).await?)
        }
        Action::Freeze { service, container, question } => {
            Ok(snapshots::freeze(world, service, container, question).await?)
        }
        Action::KeepSnapshot(snapshot) => Ok(snapshots::keep(world, snapshot).await?),
        Action::CreateContainer(spec) => create_container(world, spec).await,
        Action::StartContainer { name } => start(world, name).await,
        Action::AwaitReady { service, container, question } => {
            Ok(ready::await_ready(world, service, container, question).await?)
        }
        Action::PrepareDatabases { service, container, login, names, renamed_from, is_new } => {
            let wanted = Databases { service, container, login, names, renamed_from, is_new: *is_new };
            Ok(ready::prepare_databases(world, &wanted).await?)
        }
        Action::StopContainer { id, .. } => Ok(engine.stop(id).await?),
        Action::RemoveContainer { id, .. } => Ok(engine.remove_container(id).await?),
        Action::RemoveNetwork { id, .. } => Ok(remove_network(world, id).await?),
        Action::RemoveVolume { name } => Ok(pool::remove_volume(engine, name).await?),
        Action::RemoveWorktree { of, worktree, env_file, keep } => {
            let spared = site.spared(env_file.as_deref());
            Ok(remove_worktree(world, of, worktree, keep.as_ref(), &spared).await?)
        }
        Action::TrashBranch(keep) => Ok(site.repo.trash_branch(keep).await?),
        Action::ForgetBranch { branch } => Ok(site.repo.forget_made(branch).await?),
        Action::DeleteBranch { branch, at } => Ok(delete_branch(world, branch, at).await?),
    }
}

async fn claim_numbers(world: &Real<'_>, claim: &Claim) -> Result<(), Setback> {
    if world.site.claims.change(|registry| registry.enter(claim)).await? { Ok(()) } else { Err(Setback::ClaimLost) }
}

async fn start(world: &Real<'_>, name: &str) -> Result<(), Setback> {
    let started = match world.engine.start(name).await {
        Err(error) if error.to_string().contains(snapshots::NOT_MOUNTED) => {
            let is_away = pool::is_there(world.engine).await? && !pool::is_attached(world.engine).await?;
            Err(error.hint(if is_away {
                "the pool is not attached: `sandbox pool show` says why"
            } else {
                "what it stands on may be gone: `sandbox reset --fresh` begins with new databases"
            }))
        }
        Err(error) if error.to_string().contains("already exists in network") => Err(error
            .hint("the engine could not write down that it had ended: `sandbox down` and `sandbox up` make it anew")),
        started => started,
    };
    let Start::PortTaken(why) = started? else { return Ok(()) };
    Err(Setback::PortTaken(match taken_port(&why) {
        Some(port) => format!("port {port} is held by {}", port_holder(world, port).await),
        None => why,
    }))
}

/// The port in the engine's words: `Bind for 127.0.0.1:15101 failed`, `listen tcp4 127.0.0.1:15101: bind: …`,
/// `failed to bind host port 127.0.0.1:15101/tcp: …`.
fn taken_port(why: &str) -> Option<u16> {
    why.split_whitespace().find_map(|word| {
        let port = word.split(':').nth(1)?;
        port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

/// Who holds a port: a container, which the engine knows better than the kernel does, or a process.
async fn port_holder(world: &Real<'_>, port: u16) -> String {
    let containers = world.engine.containers(&[]).await.unwrap_or_default();
    let publishes = |container: &&Container| container.ports.iter().any(|it| it.host_port == port);
    match containers.iter().find(publishes) {
        Some(container) => format!("container {}", container.name),
        None => {
            holder::listener(port).map_or_else(|| "a process that is not ours to see".to_owned(), |it| it.to_string())
        }
    }
}

async fn pull(world: &Real<'_>, reference: &str, ticker: &Ticker) -> Result<(), Setback> {
    match world.engine.pull(reference, ticker).await? {
        Pull::Pulled => Ok(()),
        Pull::NoRegistry { why } | Pull::NotFound { why } | Pull::Denied { why } => {
            let reference = reference.to_owned();
            if let Some(recipe) = catalog::stand_in(&reference) {
                ticker.sink().info(format!(
                    "{reference} cannot be pulled here; {} stands in for it, built from Debian packages",
                    recipe.tag()
                ));
            }
            Err(Setback::NoImage { reference, why })
        }
    }
}

async fn build(world: &Real<'_>, tag: &str, ticker: &Ticker) -> Result<()> {
    match catalog::recipe_tagged(tag) {
        Some(recipe) => images::build(world.engine, recipe, &world.site.claims.locks(), ticker).await,
        None => Err(Error::new(Kind::Image, format!("{tag} is none of our recipes"))),
    }
}

async fn add_worktree(world: &Real<'_>, spec: &AddWorktree, record: &Record) -> Result<()> {
    let admin_dir = world.site.repo.add_worktree(spec).await?;
    record.write(&admin_dir)
}

/// Files of another user are in the way of deleting it, not of moving it: what is left is taken over, and it goes on.
async fn remove_worktree(
    world: &Real<'_>,
    of: &Identity,
    worktree: &Path,
    keep: Option<&Keep>,
    spared: &Spared,
) -> Result<()> {
    let Err(error) = world.site.repo.remove_worktree(worktree, keep, spared).await else { return Ok(()) };
    let Some(left) = reclaim::undeleted(world, worktree, &error) else { return Err(error) };
    if let Err(failed) = reclaim::reclaim(world, of, &left).await {
        return Err(error.hint(format!("{failed}")));
    }
    world.site.repo.remove_worktree(worktree, keep, spared).await
}

fn write_record(world: &Real<'_>, path: &std::path::Path, record: &Record) -> Result<()> {
    let worktree = world.site.repo.worktree_at(path)?.ok_or_else(|| {
        Error::new(Kind::Git, format!("git lists no worktree at {} any more", path.display())).hint("try again")
    })?;
    record.write(&worktree.admin_dir)
}

async fn create_network(world: &Real<'_>, spec: &NetworkSpec) -> Result<(), Setback> {
    let outcome = world.engine.create_network(spec).await?;
    if let CreateNetwork::Created(_) = outcome {
        return Ok(());
    }
    let networks = world.engine.networks().await?;
    let there = networks.iter().find(|network| network.name == spec.name);
    match (there, outcome) {
        (Some(there), _) if !belongs(&there.labels, &spec.labels) => Err(not_ours("network", &spec.name).into()),
        // A request that a killed run had sent may end after it.
        (Some(there), _) if there.subnets.iter().any(|subnet| Some(&subnet.range) == spec.subnet.as_ref()) => Ok(()),
        (None, CreateNetwork::SubnetTaken(why)) => Err(Setback::SubnetTaken(why)),
        _ => Err(Setback::Meanwhile(format!("the network {} was made by another just now", spec.name))),
    }
}

/// To the engine, making a volume that exists is no error, whoever made it. It is one to us.
async fn create_volume(world: &Real<'_>, spec: &VolumeSpec) -> Result<()> {
    world.engine.create_volume(spec).await?;
    let volume = world.engine.volume(&spec.name).await?;
    let same = |there: &Volume| belongs(&there.labels, &spec.labels) && there.driver_opts == spec.driver_opts;
    let ours = volume.as_ref().is_some_and(same);
    if ours { Ok(()) } else { Err(not_ours("volume", &spec.name)) }
}

async fn create_container(world: &Real<'_>, spec: &ContainerSpec) -> Result<(), Setback> {
    let why = match world.engine.create_container(spec).await? {
        CreateContainer::NameTaken(why) => why,
        // It is being made: asked again, the engine finds it.
        CreateContainer::NoNetwork(why) => return Err(Setback::Meanwhile(why)),
        CreateContainer::Created(_) if snapshots::has_its_layers(world.engine, spec).await? => return Ok(()),
        CreateContainer::Created(id) => {
            world.engine.remove_container(&id).await?;
            return Err(Setback::Meanwhile(format!("what {} stands on was removed just now", spec.name)));
        }
    };
    match world.engine.inspect(&spec.name).await? {
        Some(there) if !belongs(&there.labels, &spec.labels) => {
            Err(not_ours("container", &spec.name).because(why).into())
        }
        Some(there) if there.labels.get(labels::CONFIG_HASH) == spec.labels.get(labels::CONFIG_HASH) => Ok(()),
        // The engine keeps a name before there is anything to look at: a request that a killed run had sent.
        _ => Err(Setback::Meanwhile(why)),
    }
}

/// What somebody else attached to it keeps a network: it is named. What is attached to it and gone does not.
async fn remove_network(world: &Real<'_>, id: &str) -> Result<()> {
    let Err(mut error) = world.engine.remove_network(id).await else { return Ok(()) };
    if let Ok(true) = world.engine.detach_what_is_gone(id).await {
        match world.engine.remove_network(id).await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    let containers = world.engine.containers(&[]).await.unwrap_or_default();
    let attached = containers.iter().filter(|it| it.networks.iter().any(|attachment| attachment.id == id));
    let names: Vec<&str> = attached.map(|container| container.name.as_str()).collect();
    Err(if names.is_empty() { error } else { error.hint(format!("still attached to it: {}", names.join(", "))) })
}

pub(super) fn belongs(
    there: &std::collections::BTreeMap<String, String>,
    wanted: &std::collections::BTreeMap<String, String>,
) -> bool {
    [labels::REPO, labels::TASK]
        .iter()
        .all(|label| wanted.get(*label).is_some() && there.get(*label) == wanted.get(*label))
}

pub(super) fn not_ours(what: &str, name: &str) -> Error {
    Error::new(Kind::NotOurs, format!("there is a {what} {name} that sandbox did not make"))
        .hint(format!("`docker {what} inspect {name}` shows it; remove or rename it, or choose another task name"))
}

async fn delete_branch(world: &Real<'_>, branch: &str, at: &CommitId) -> Result<()> {
    let refused = |what: String| Err(Error::new(Kind::WouldLoseWork, format!("the branch {branch} stays: {what}")));
    match world.site.repo.delete_branch(branch, at).await? {
        BranchDeletion::Deleted | BranchDeletion::NotOurs => Ok(()),
        BranchDeletion::Moved => refused("it moved while it was being removed".into()),
        BranchDeletion::LastHolder(commits) => refused(format!("it alone holds {}", commits.join(", "))),
        BranchDeletion::CheckedOut(place) => refused(format!("it is checked out at {}", place.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_engines_words() {
        for why in [
            "driver failed programming external connectivity on endpoint a (6f0c): Bind for 127.0.0.1:15101 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint a (6f0c): Error starting userland proxy: listen tcp4 127.0.0.1:15101: bind: address already in use",
            "failed to bind host port for 127.0.0.1:15101:172.17.0.2:5432/tcp: address already in use",
            "failed to bind host port 127.0.0.1:15101/tcp: address already in use",
        ] {
            assert_eq!(taken_port(why), Some(15101), "{why}");
        }
        assert_eq!(taken_port("port is already allocated"), None);
    }
}
