//! Desired sandboxes, and states of the world in which they may be found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use sandbox::claims::Claim;
use sandbox::engine::{ContainerSpec, Membership, MountKind, MountSpec, NetworkSpec, VolumeSpec, labels};
use sandbox::git::{AddWorktree, BranchSource};
use sandbox::plan::Desired;
use sandbox::plan::action::{Content, Login, Question, Secret};
use sandbox::plan::desired::{CloneWanted, Dependency, FileWanted, ServiceWanted, Stack};
use sandbox::plan::observed::{ContainerSeen, NetworkSeen, Run};
use sandbox::record::{Data, On, Record, Stage};
use sandbox::snapshot::{self, BaseWanted};
use sandbox::task::{Identity, Names, TaskName};

use crate::fake::{Container, State, Tree, commit};

/// A desired sandbox, the state it is found in, and the step that fails.
#[derive(Clone, Debug)]
pub struct Case {
    pub desired: Desired,
    pub state: State,
    pub seed: u64,
    pub fail_at: usize,
    pub fail_after_effect: bool,
}

const WORKTREE: &str = "/src/blog-wt/fix";

pub fn case() -> impl Strategy<Value = Case> {
    desired().prop_flat_map(|desired| {
        let state = state(&desired);
        (Just(desired), state, any::<u64>(), 1..40_usize, any::<bool>()).prop_map(
            |(desired, state, seed, fail_at, fail_after_effect)| Case {
                desired,
                state,
                seed,
                fail_at,
                fail_after_effect,
            },
        )
    })
}

pub fn record() -> Record {
    let identity = Identity { repo: "/src/blog/.git".into(), task: TaskName::parse("fix").unwrap() };
    let claim = Claim {
        names: Names::plain("blog", &identity),
        identity,
        slot: 101,
        ports: [("POSTGRES_PORT".to_owned(), 15101)].into(),
        subnet: "10.231.6.80/28".parse().unwrap(),
    };
    let record = Record::new(claim, "2026-01-01T00:00:00Z".into(), "secret".into(), false, ".env.worktree".into());
    record.at(Stage::Established)
}

/// One to four services, each depending on some before it.
fn desired() -> impl Strategy<Value = Desired> {
    let service = (0..5_u8, any::<bool>(), any::<bool>(), any::<[bool; 4]>());
    (prop::collection::vec(service, 1..5), any::<bool>(), any::<bool>()).prop_map(|(services, new_branch, reset)| {
        let wanted = services.iter().enumerate().map(|(number, it)| wanted(number, *it)).collect();
        let desired = desired_of(wanted, new_branch);
        if reset { replacing(desired) } else { desired }
    })
}

/// The same sandbox with other volumes in the place of all clones.
pub fn replacing(mut desired: Desired) -> Desired {
    let stack = &mut desired.stack;
    let clones = stack.clones.clone();
    let second = |name: &mut String| {
        if clones.iter().any(|clone| clone.volume == *name || clone.upper.name == *name) {
            *name = snapshot::nth(name, 2);
        }
    };
    for service in &mut stack.services {
        service.volumes.iter_mut().for_each(second);
        service.container.mounts.iter_mut().for_each(|mount| second(&mut mount.source));
    }
    for volume in &mut stack.volumes {
        second(&mut volume.name);
        volume.labels.values_mut().for_each(second);
    }
    for clone in &mut stack.clones {
        stack.superseded.extend([clone.volume.clone(), clone.upper.name.clone()]);
        second(&mut clone.volume);
        second(&mut clone.upper.name);
    }
    if !clones.is_empty() {
        let replace = clones.into_iter().map(|clone| clone.volume).collect();
        desired.record.pending = Some(Data { replace, on: On::Base });
    }
    desired
}

/// A sandbox of these services.
pub fn desired_of(wanted: Vec<ServiceWanted>, new_branch: bool) -> Desired {
    let network = NetworkSpec {
        name: "blog_fix_default".into(),
        subnet: Some("10.231.6.80/28".into()),
        ..NetworkSpec::default()
    };
    let clones: Vec<CloneWanted> = wanted.iter().filter_map(clone).collect();
    let volumes = wanted.iter().flat_map(|service| service.volumes.clone());
    let opts = |name: &str| {
        if clones.iter().any(|clone| clone.volume == *name) {
            [("o".to_owned(), "lowerdir=…".to_owned())].into()
        } else {
            BTreeMap::new()
        }
    };
    let writes = |name: &str| {
        let clone = clones.iter().find(|clone| clone.volume == *name);
        clone.map(|clone| (labels::UPPER.to_owned(), clone.upper.name.clone())).into_iter().collect()
    };
    let volumes = volumes.filter(|name| !snapshot::is_upper(name));
    let volumes = volumes
        .map(|name| VolumeSpec { driver_opts: opts(&name), labels: writes(&name), name, ..VolumeSpec::default() })
        .collect();
    let branch = if new_branch {
        BranchSource::New { name: "fix".into(), at: commit() }
    } else {
        BranchSource::Local { name: "fix".into() }
    };
    let file = |name: &str| FileWanted {
        what: "a file",
        path: PathBuf::from(WORKTREE).join(name),
        text: Secret(format!("text of {name}")),
    };
    Desired {
        record: record(),
        worktree: AddWorktree { path: WORKTREE.into(), branch },
        excludes: vec!["/.env.worktree".into()],
        files: vec![file(".env.worktree"), file("compose.yaml")],
        stack: Stack { networks: vec![network], volumes, clones, services: wanted, ..Stack::default() },
        awaits_images: false,
        bereft: Vec::new(),
        is_unused: false,
    }
}

/// The data of a Postgres stands on a base snapshot, the same for all of an image.
fn clone(service: &ServiceWanted) -> Option<CloneWanted> {
    let [volume, upper] = &*service.volumes else { return None };
    let image = service.container.image.clone();
    let base = BaseWanted {
        key: format!("base of {image}"),
        service: service.name.clone(),
        volume: "data".into(),
        layer: "layer".into(),
        driver_opts: BTreeMap::new(),
        target: "/data".into(),
        container: service.container.clone(),
        question: service.question.clone(),
        databases: service.renamed_from.clone(),
    };
    let upper = VolumeSpec { name: upper.clone(), ..VolumeSpec::default() };
    Some(CloneWanted {
        volume: volume.clone(),
        key: "data".into(),
        service: service.name.clone(),
        upper,
        snapshot: base.key.clone(),
        layers: vec![base.layer.clone()],
        image,
        content: Content::Nothing(None),
        has_manifest: true,
        base: Some(Box::new(base)),
    })
}

pub fn wanted(number: usize, (question, volume, healthy, depends): (u8, bool, bool, [bool; 4])) -> ServiceWanted {
    let name = format!("s{number}");
    let login = Login {
        address: "127.0.0.1:15101".parse().unwrap(),
        user: "postgres".into(),
        password: Secret("secret".into()),
    };
    let data = volume.then(|| format!("blog_fix_{name}-data"));
    let upper = data.as_ref().filter(|_| question == 0).map(|data| snapshot::upper_name(data, false));
    let volumes: Vec<String> = data.into_iter().chain(upper).collect();
    let mount = |source: &String| MountSpec {
        kind: MountKind::Volume,
        source: source.clone(),
        target: "/data".into(),
        ..MountSpec::default()
    };
    let own = [(labels::SERVICE, name.clone()), (labels::CONFIG_HASH, "new".to_owned())];
    let depends_on = (0..number.min(4))
        .filter(|&other| depends[other])
        .map(|other| Dependency { service: format!("s{other}"), ready: healthy });
    ServiceWanted {
        container: ContainerSpec {
            name: format!("blog_fix-{name}-1"),
            image: format!("image{}", number % 2),
            labels: own.map(|(label, value)| (label.to_owned(), value)).into(),
            mounts: volumes.iter().map(mount).collect(),
            networks: vec![Membership { network: "blog_fix_default".into(), ..Membership::default() }],
            ..ContainerSpec::default()
        },
        volumes,
        networks: vec!["blog_fix_default".into()],
        config_hash: "new".into(),
        depends_on: depends_on.collect(),
        databases: (question == 0).then(|| (login.clone(), vec!["development".into(), "test".into()])),
        renamed_from: if question == 0 { snapshot::database_names(2) } else { Vec::new() },
        question: match question {
            0 => Question::Postgres(login),
            1 => Question::Redis(login),
            2 => Question::Health,
            3 => Question::Running,
            _ => Question::Ended,
        },
        name,
    }
}

/// A state in which the sandbox, or parts of it, right or wrong, may be found.
fn state(desired: &Desired) -> impl Strategy<Value = State> + use<> {
    let services: Vec<ServiceWanted> = desired.stack.services.clone();
    let containers = prop::collection::vec(any::<[bool; 7]>(), services.len());
    let tree = prop::option::weighted(0.7, (0..4_u8, any::<bool>(), any::<bool>()));
    let parts = any::<[bool; 9]>();
    let networks = (prop::option::weighted(0.7, any::<bool>()), any::<bool>());
    (containers, tree, parts, networks).prop_map(move |(containers, tree, parts, (subnet, other))| {
        let [images, claimed, other_claim, excluded, files, other_file, stray, made, moved] = parts;
        let worktree = tree.map(|(stage, missing, other_numbers)| found_tree(stage, missing && made, other_numbers));
        let networks = networks_found(subnet, other);
        let mut found: Vec<Container> = services
            .iter()
            .zip(&containers)
            .filter_map(|(service, parts)| container(service, *parts, &networks))
            .collect();
        if stray {
            found.push(stray_container(&networks));
        }
        let volumes = services.iter().zip(&containers).filter(|(_, parts)| parts[0] || parts[5]);
        // Of a reset that was cut short the new ones may be there beside the old.
        let volumes = volumes.flat_map(|(service, parts)| {
            let (new, old) = (service.volumes.clone(), older(service));
            if old == new || parts[4] && parts[1] {
                new
            } else if parts[4] {
                [old, new].concat()
            } else {
                old
            }
        });
        let volumes: BTreeSet<String> = volumes.collect();
        let record = worktree.as_ref().and_then(|tree| tree.record.clone());
        // Whoever has containers or a half-made worktree has claimed before.
        let claimed = claimed || !found.is_empty() || worktree.as_ref().is_some_and(|tree| tree.record.is_none());
        let claim = if other_claim { other_numbers().claim } else { self::record().claim };
        let text = if other_file { "other" } else { "text of .env.worktree" };
        let has_files = files && worktree.as_ref().is_some_and(|tree| tree.checked_out && !tree.missing);
        State {
            claims: claimed.then_some(claim).into_iter().collect(),
            made_branch: made && record.is_some(),
            moved: made && record.is_some() && moved,
            worktree,
            excludes: excluded.then(|| "/.env.worktree".to_owned()).into_iter().collect(),
            files: has_files
                .then(|| (PathBuf::from(WORKTREE).join(".env.worktree"), text.to_owned()))
                .into_iter()
                .collect(),
            images: if images { ["image0".to_owned(), "image1".to_owned()].into() } else { BTreeSet::new() },
            snapshots: BTreeSet::new(),
            volumes,
            containers: found,
            networks,
            databases: BTreeMap::new(),
            losses: Vec::new(),
            trash: Vec::new(),
            others: BTreeSet::new(),
        }
    })
}

/// The volumes that a service had before the ones that it is to have.
pub fn older(service: &ServiceWanted) -> Vec<String> {
    service.volumes.iter().map(|name| name.trim_end_matches(".2").to_owned()).collect()
}

fn other_numbers() -> Record {
    let record = record();
    let claim = Claim { slot: 102, ..record.claim.clone() };
    record.with(claim)
}

fn found_tree(stage: u8, missing: bool, other: bool) -> Tree {
    let record = if other { other_numbers() } else { record() };
    let stages = [None, Some(Stage::Registered), Some(Stage::CheckedOut), Some(Stage::Established)];
    let stage = stages[usize::from(stage)];
    Tree {
        path: WORKTREE.into(),
        record: stage.map(|stage| record.at(stage)),
        checked_out: stage >= Some(Stage::CheckedOut),
        missing,
    }
}

/// The stack's network, with its own addresses or not, and one of a name that the stack does not have.
fn networks_found(right: Option<bool>, other: bool) -> Vec<NetworkSeen> {
    let found = |name: &str, subnet: &str| NetworkSeen {
        id: format!("id of the old {name}"),
        name: name.into(),
        subnets: vec![subnet.into()],
        config_hash: None,
    };
    let own = right.map(|right| found("blog_fix_default", if right { "10.231.6.80/28" } else { "10.231.9.0/28" }));
    own.into_iter().chain(other.then(|| found("blog_fix_gone", "10.231.7.0/28"))).collect()
}

fn container(service: &ServiceWanted, parts: [bool; 7], networks: &[NetworkSeen]) -> Option<Container> {
    let [there, running, right_hash, right_image, attached, _, ended_well] = parts;
    there.then(|| Container {
        ready: running,
        mounts: if right_hash { service.volumes.clone() } else { older(service) },
        awaits: None,
        seen: ContainerSeen {
            id: format!("id of the old {}", service.name),
            name: service.container.name.clone(),
            service: service.name.clone(),
            one_off: false,
            config_hash: Some(if right_hash { "new" } else { "old" }.into()),
            image_id: format!("id of {}", if right_image { service.container.image.as_str() } else { "another" }),
            networks: networks.iter().filter(|_| attached).map(|network| network.id.clone()).collect(),
            run: match (running, ended_well) {
                (true, true) if service.name == "s0" => Run::Crashing,
                (true, true) => Run::Suspended,
                (true, false) => Run::Running,
                (false, true) => Run::EndedWell,
                (false, false) => Run::Off,
            },
        },
    })
}

/// A container of a service that the stack no longer has.
fn stray_container(networks: &[NetworkSeen]) -> Container {
    let seen = ContainerSeen {
        id: "id of a stray".into(),
        name: "blog_fix-gone-1".into(),
        service: "gone".into(),
        one_off: false,
        config_hash: Some("old".into()),
        image_id: "id of another".into(),
        networks: networks.iter().map(|network| network.id.clone()).collect(),
        run: Run::Running,
    };
    Container { seen, ready: true, mounts: Vec::new(), awaits: None }
}
