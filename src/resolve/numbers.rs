//! Numbers and names of a sandbox: those it has, or a proposal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Ask, Resolver};
use crate::catalog::Template;
use crate::claims::subnet::{Subnet, host_routes, prefix_for};
use crate::claims::{self, Claim, Landscape, Registry, Wish, holder};
use crate::converge::Learnt;
use crate::engine::{Container, Engine, Network, Volume, labels};
use crate::error::{Error, Kind, Result};
use crate::plan::desired::Stack;
use crate::record::{Record, Stage};
use crate::site::Site;
use crate::task::{Identity, Names};

/// The claim a sandbox has and can keep, or one that it could have.
pub(super) async fn claim(
    resolver: &Resolver<'_>,
    identity: &Identity,
    template: &Template,
    recorded: Option<&Record>,
    learnt: &Learnt,
) -> Result<Claim> {
    let Resolver { site, engine, ask, events, .. } = *resolver;
    let registry = site.with_records(site.claims.read()?)?;
    let held = recorded.map(|record| &record.claim).or_else(|| registry.of(identity));
    let established = recorded.is_some_and(|record| record.stage == Stage::Established);
    let shown_useless = |claim: &Claim| learnt.slots.contains(&claim.slot) || learnt.subnets.contains(&claim.subnet);
    if let Some(held) = held
        && !ask.renumber
        && !shown_useless(held)
    {
        let completed = completed(held, bases(site, template));
        match registry.rival(&completed) {
            None => return Ok(completed),
            // Names stay for a sandbox's life, so no other number helps.
            Some(rival) if rival.names.project == held.names.project => return Err(same_project(held, rival)),
            Some(rival) if established => {
                events.warn(format!(
                    "slot {} is held by {} too; this sandbox moves to another",
                    held.slot, rival.identity.task
                ));
            }
            Some(_) => {}
        }
    }
    let wish = wish(site, identity, template, ask, held, learnt);
    look(site, engine, &wish, &registry, held).await
}

fn same_project(held: &Claim, rival: &Claim) -> Error {
    let Identity { repo, task } = &rival.identity;
    Error::new(
        Kind::NotOurs,
        format!("the Compose project {} of {} is that of {task} in {repo} too", held.names.project, held.identity.task),
    )
    .because("the claims file was lost, and the other took the name since")
    .hint("`sandbox rm` one of the two, and bring it up again")
}

fn bases(site: &Site, template: &Template) -> BTreeMap<String, u16> {
    let mut bases: BTreeMap<String, u16> =
        template.ports.iter().map(|(name, base)| ((*name).to_owned(), *base)).collect();
    bases.extend(site.settings.port_bases.clone());
    bases
}

/// Two variables with one base would have one port.
pub(super) fn refuse_equal_bases(site: &Site, template: &Template) -> Result<()> {
    let mut by_base: BTreeMap<u16, String> = BTreeMap::new();
    for (variable, base) in bases(site, template) {
        if let Some(other) = by_base.insert(base, variable.clone()) {
            return Err(Error::new(Kind::Config, format!("port_bases: {other} and {variable} both begin at {base}"))
                .hint("their ports would be the same: choose another base for one of them"));
        }
    }
    Ok(())
}

/// A claim that is held, with the ports that have come to be wanted since.
fn completed(held: &Claim, bases: BTreeMap<String, u16>) -> Claim {
    let mut claim = held.clone();
    for (variable, base) in bases {
        claim.ports.entry(variable).or_insert_with(|| base.saturating_add(held.slot));
    }
    claim
}

/// Of a sandbox that is established: its ports that no container publishes must be free, or held by its own application.
/// Of the others the engine tells.
pub(super) fn refuse_taken(record: &Record, worktree: &Path, stack: &Stack) -> Result<()> {
    let claim = &record.claim;
    let published: BTreeSet<u16> =
        stack.services.iter().flat_map(|service| &service.container.ports).map(|port| port.host_port).collect();
    let unpublished = claim.ports.iter().filter(|(_, port)| !published.contains(port));
    for (variable, &port) in unpublished.filter(|(_, port)| holder::is_taken(**port)) {
        let listener = holder::listener(port);
        if listener.as_ref().is_some_and(|it| {
            it.works_in(worktree) || it.has_set("COMPOSE_PROJECT_NAME", &claim.names.project) == Some(true)
        }) {
            continue;
        }
        let task = &claim.identity.task;
        let who = listener.map_or_else(|| "a process that is not ours to see".to_owned(), |it| it.to_string());
        return Err(Error::new(Kind::Numbers, format!("{variable} of {task}, port {port}, is held by {who}"))
            .hint(format!("end it and try again, or move the sandbox: `sandbox up {task} --renumber`")));
    }
    Ok(())
}

fn wish(
    site: &Site,
    identity: &Identity,
    template: &Template,
    ask: &Ask,
    held: Option<&Claim>,
    learnt: &Learnt,
) -> Wish {
    let mut avoid_slots = learnt.slots.clone();
    avoid_slots.extend(held.filter(|_| ask.renumber).map(|claim| claim.slot));
    Wish {
        identity: identity.clone(),
        repo_name: site.repo.name().to_owned(),
        bases: bases(site, template),
        pool: site.settings.subnet_pool,
        // One address a service, and as many again for containers that the user runs in it.
        prefix: prefix_for(2 * template.ports.len()),
        avoid_slots,
        avoid_subnets: learnt.subnets.clone(),
    }
}

/// Looks at the machine and proposes.
async fn look(site: &Site, engine: &Engine, wish: &Wish, registry: &Registry, held: Option<&Claim>) -> Result<Claim> {
    let (containers, networks, volumes) =
        tokio::try_join!(engine.containers(&[]), engine.networks(), engine.volumes(&[]))?;
    let mut subnets = subnets(&networks);
    subnets.extend(host_routes());
    let published =
        |port: u16| containers.iter().any(|container| container.ports.iter().any(|it| it.host_port == port));
    let owners = owners(&containers, &networks, &volumes);
    let landscape = Landscape {
        port_taken: &|port| published(port) || holder::is_taken(port),
        subnets: &subnets,
        place_taken: &|directory| site.is_of_another_repository(&site.worktrees_root().join(directory)),
        names_taken: &|names: &Names| matches!(owners.get(&names.project), Some(Owner::Sandbox(other)) if *other != wish.identity),
    };
    let claim = match held {
        Some(held) => claims::move_away(registry, held, wish, &landscape)?,
        None => claims::propose(registry, wish, &landscape)?,
    };
    if owners.get(&claim.names.project) == Some(&Owner::Foreign) {
        return Err(foreign(&claim.names.project));
    }
    Ok(claim)
}

fn foreign(project: &str) -> Error {
    Error::new(Kind::NotOurs, format!("there is a Compose project {project} that sandbox did not make"))
        .hint(format!("`docker compose -p {project} ps` shows it; `docker compose -p {project} down` takes it away"))
        .hint("or choose another name for the task")
}

fn subnets(networks: &[Network]) -> Vec<Subnet> {
    networks.iter().flat_map(|network| &network.subnets).filter_map(|subnet| subnet.range.parse().ok()).collect()
}

#[derive(PartialEq, Eq)]
enum Owner {
    Sandbox(Identity),
    Foreign,
}

/// Whose each Compose project is that the engine knows.
fn owners(containers: &[Container], networks: &[Network], volumes: &[Volume]) -> BTreeMap<String, Owner> {
    let all = containers.iter().map(|it| &it.labels).chain(networks.iter().map(|it| &it.labels));
    let all = all.chain(volumes.iter().map(|it| &it.labels));
    all.filter_map(|its| Some((its.get(labels::compose::PROJECT)?.clone(), owner(its)))).collect()
}

fn owner(its: &BTreeMap<String, String>) -> Owner {
    let identity =
        || Some(Identity { repo: its.get(labels::REPO)?.clone(), task: its.get(labels::TASK)?.parse().ok()? });
    identity().map_or(Owner::Foreign, Owner::Sandbox)
}
