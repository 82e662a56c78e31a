//! One look at everything in a scope, all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};

use super::Real;
use crate::engine::{Attachment, Container, Health, Network, State, labels};
use crate::error::Result;
use crate::files;
use crate::git::{Made, Objection, resolved};
use crate::plan::Observed;
use crate::plan::action::{Login, Question};
use crate::plan::observed::{Answer, ContainerSeen, MadeBranch, NetworkSeen, Run, Scope, WorktreeSeen};
use crate::probe::{self, Asked, Probe};
use crate::processes::{self, Process};
use crate::site::Sandbox;
use crate::snapshot::own_uppers;
use crate::task::Identity;

pub(super) async fn observe(world: &Real<'_>, scope: &Scope) -> Result<Observed> {
    let ours = labels::of(&scope.identity);
    let engine = world.engine;
    let images = try_join_all(
        scope
            .images
            .iter()
            .map(async |reference| Ok::<_, crate::error::Error>((reference.clone(), engine.image(reference).await?))),
    );
    let (mut containers, networks, volumes, images) = tokio::try_join!(
        engine.containers_looked_at(&ours),
        engine.networks(),
        volumes(world, &scope.identity),
        images
    )?;
    let running: BTreeMap<&str, &Container> = containers
        .iter()
        .filter(|container| container.state == State::Running && !container.is_one_off())
        .filter_map(|container| Some((container.labels.get(labels::SERVICE)?.as_str(), container)))
        .collect();
    let answers = answers(scope, &running).await;
    let is_silent = |service: &&str| answers.get(*service).is_some_and(|answer| !answer.ready);
    let silent: Vec<String> = running.iter().filter(|(it, _)| is_silent(it)).map(|(_, it)| it.id.clone()).collect();
    engine.look_closer(containers.iter_mut().filter(|it| silent.contains(&it.id))).await?;
    let worktree = worktree(world, scope)?;
    // Before what would be lost is weighed: a commit made meanwhile then moves the branch away from here.
    let made_branch = made_branch(world, scope.identity.task.as_str())?;
    Ok(Observed {
        claim: world.site.claims.read()?.of(&scope.identity).cloned(),
        losses: losses(world, scope, worktree.as_ref()).await?,
        processes: processes(scope, worktree.as_ref()),
        worktree,
        made_branch,
        excludes: excludes(world, scope)?,
        files: texts(scope)?,
        images: images.into_iter().filter_map(|(reference, image)| Some((reference, image?.id))).collect(),
        answers,
        containers: containers.iter().map(|container| seen(container, &networks)).collect(),
        networks: networks.iter().filter(|network| is_ours(network, &scope.identity)).map(network_seen).collect(),
        volumes,
    })
}

/// The sandbox's volumes, and what it writes into.
async fn volumes(world: &Real<'_>, identity: &Identity) -> Result<BTreeSet<String>> {
    let ours = labels::of(identity);
    let (own, standing) =
        tokio::try_join!(world.engine.volumes(&ours), world.engine.volumes(&[(labels::LAYERS, None)]))?;
    let uppers = own_uppers(&standing, identity).into_iter().map(|upper| upper.name.clone());
    Ok(own.iter().map(|volume| volume.name.clone()).chain(uppers).collect())
}

/// What the engine and the claims have of a sandbox whose repository is not there to be asked.
pub(super) async fn remains(world: &Real<'_>, identity: &Identity) -> Result<Observed> {
    let ours = labels::of(identity);
    let (containers, networks, volumes) =
        tokio::try_join!(world.engine.containers_looked_at(&ours), world.engine.networks(), volumes(world, identity))?;
    Ok(Observed {
        claim: world.site.claims.read()?.of(identity).cloned(),
        containers: containers.iter().map(|container| seen(container, &networks)).collect(),
        networks: networks.iter().filter(|network| is_ours(network, identity)).map(network_seen).collect(),
        volumes,
        ..Observed::default()
    })
}

/// The worktree with our record, or what a run of ours was ended in the middle of making or removing.
fn worktree(world: &Real, scope: &Scope) -> Result<Option<WorktreeSeen>> {
    let site = world.site;
    if let Some(Sandbox { worktree, record }) = site.find(&scope.identity.task)? {
        let missing = worktree.is_gone();
        return Ok(Some(WorktreeSeen { path: worktree.path, missing, record: Some(record) }));
    }
    let claims = site.claims.read()?;
    let Some(claim) = claims.of(&scope.identity) else { return Ok(None) };
    let place = site.worktrees_root().join(&claim.names.directory);
    let Some(worktree) = site.repo.worktree_at(&place)? else {
        let left = site.repo.has_remains(&place);
        return Ok(left.then_some(WorktreeSeen { path: place, missing: true, record: None }));
    };
    // One that has its files was made by somebody else: ours get a record before them. Git names the branch last.
    let branch = worktree.branch.as_deref();
    let half_made = branch.is_none() && worktree.is_half_made()
        || branch == Some(scope.identity.task.as_str()) && !worktree.is_checked_out();
    let missing = worktree.is_gone();
    Ok(half_made.then_some(WorktreeSeen { path: worktree.path, missing, record: None }))
}

fn made_branch(world: &Real, branch: &str) -> Result<Option<MadeBranch>> {
    let name = branch.to_owned();
    Ok(match world.site.repo.made(branch)? {
        Some(Made::Branch { at, made_at }) => {
            // A removal that was cut short may have kept it already.
            let moved = at != made_at && !world.site.trash()?.iter().any(|entry| entry.holds(branch, &at));
            Some(MadeBranch { name, moved, at: Some(at) })
        }
        Some(Made::Note) => Some(MadeBranch { name, moved: false, at: None }),
        None => None,
    })
}

/// What would be lost: of a sandbox without a worktree, the commits on its branch.
async fn losses(world: &Real<'_>, scope: &Scope, worktree: Option<&WorktreeSeen>) -> Result<Vec<Objection>> {
    if !scope.losses {
        return Ok(Vec::new());
    }
    let task = scope.identity.task.as_str();
    match worktree {
        Some(seen) => {
            let spared = world.site.spared(seen.record.as_ref().map(|record| record.env_file.as_str()));
            let mut objections = world.site.repo.removal_objections(&seen.path, task, &spared).await?;
            // The mount point of a disk that is away looks like an empty directory.
            let is_away = |sandbox: Sandbox| !sandbox.is_on_its_file_system();
            if seen.missing && world.site.find(&scope.identity.task)?.is_some_and(is_away) {
                objections.push(Objection::OutOfSight);
            }
            Ok(objections)
        }
        None => world.site.repo.branch_objections(task).await,
    }
}

fn processes(scope: &Scope, worktree: Option<&WorktreeSeen>) -> Vec<Process> {
    let there = worktree.filter(|seen| scope.losses && !seen.missing);
    there.map(|seen| processes::working_in(&resolved(&seen.path))).unwrap_or_default()
}

fn excludes(world: &Real, scope: &Scope) -> Result<BTreeSet<String>> {
    let mut there = BTreeSet::new();
    for pattern in &scope.excludes {
        if world.site.repo.excludes(pattern)? {
            there.insert(pattern.clone());
        }
    }
    Ok(there)
}

fn texts(scope: &Scope) -> Result<BTreeMap<std::path::PathBuf, String>> {
    let mut texts = BTreeMap::new();
    for path in &scope.files {
        if let Some(text) = files::read(path)? {
            texts.insert(path.clone(), text);
        }
    }
    Ok(texts)
}

fn is_ours(network: &Network, identity: &Identity) -> bool {
    labels::of(identity).iter().all(|(name, value)| network.labels.get(*name).map(String::as_str) == *value)
}

fn network_seen(network: &Network) -> NetworkSeen {
    NetworkSeen {
        id: network.id.clone(),
        name: network.name.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.range.clone()).collect(),
        config_hash: network.labels.get(labels::CONFIG_HASH).cloned(),
    }
}

fn seen(container: &Container, networks: &[Network]) -> ContainerSeen {
    ContainerSeen {
        id: container.id.clone(),
        name: container.name.clone(),
        service: container.labels.get(labels::SERVICE).cloned().unwrap_or_default(),
        one_off: container.is_one_off(),
        config_hash: container.labels.get(labels::CONFIG_HASH).cloned(),
        image_id: container.image_id.clone(),
        networks: container.networks.iter().filter_map(|attachment| network_id(attachment, networks)).collect(),
        run: Run::of(container),
    }
}

/// Of a container that was never started the engine tells the network's name alone.
fn network_id(attachment: &Attachment, networks: &[Network]) -> Option<String> {
    if !attachment.id.is_empty() {
        return Some(attachment.id.clone());
    }
    networks.iter().find(|network| network.name == attachment.name).map(|network| network.id.clone())
}

async fn answers(scope: &Scope, running: &BTreeMap<&str, &Container>) -> BTreeMap<String, Answer> {
    let asked = scope.questions.iter().filter_map(|(service, question, login)| {
        let container = running.get(service.as_str())?;
        Some(async move { (service.clone(), answer(question, login.as_ref(), container).await) })
    });
    join_all(asked).await.into_iter().collect()
}

async fn answer(question: &Question, login: Option<&Login>, container: &Container) -> Answer {
    let ready = match question {
        // Whoever lists its databases need not ask whether it is ready.
        Question::Postgres(_) if login.is_some() => false,
        Question::Postgres(login) => probe::postgres_accepts(login.address, &login.user).await == Probe::Accepting,
        Question::Redis(login) => {
            probe::redis_accepts(login.address, Some(&login.password.0)).await == Probe::Accepting
        }
        Question::Health => container.health == Some(Health::Healthy),
        Question::Running => true,
        Question::Ended => false,
    };
    let Some(login) = login else { return Answer { ready, ..Answer::default() } };
    match probe::postgres_databases(login.address, &login.user, &login.password.0).await {
        Ok(Asked::Databases(databases)) => Answer { ready: true, databases: databases.into_iter().collect() },
        Ok(_) | Err(_) => Answer { ready, ..Answer::default() },
    }
}
