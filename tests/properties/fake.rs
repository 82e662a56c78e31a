//! A world in memory. Stricter than the real one: a step whose ground is missing fails, so a plan without an edge that
//! it needs is found out; and steps that may overlap are walked in every order that the seed brings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

use sandbox::apply::{Setback, World};
use sandbox::claims::Claim;
use sandbox::engine::{Membership, labels};
use sandbox::error::{Error, Kind, Result};
use sandbox::event::Ticker;
use sandbox::git::{BranchSource, CommitId, Keep, Objection};
use sandbox::plan::action::Question;
use sandbox::plan::observed::{Answer, ContainerSeen, MadeBranch, NetworkSeen, Run, Scope, WorktreeSeen};
use sandbox::plan::{Action, Desired, Observed};
use sandbox::record::Record;
use sandbox::snapshot;

/// The commit at which every branch is.
pub fn commit() -> CommitId {
    CommitId::parse(&"a".repeat(40)).unwrap()
}

/// Whether a volume is what a clone writes into.
fn written_into_by(upper: &str, clone: &str) -> bool {
    // The older of a clone stands behind the same name.
    let (first, number) = clone.split_once('.').map_or((clone, 1), |(first, number)| (first, number.parse().unwrap()));
    snapshot::nth(&snapshot::upper_name(first, false), number) == upper
}

/// Everything that is outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub claims: Vec<Claim>,
    pub worktree: Option<Tree>,
    pub made_branch: bool,
    /// Whether the branch has commits of its own.
    pub moved: bool,
    /// What is in the trash.
    pub trash: Vec<Keep>,
    pub excludes: BTreeSet<String>,
    pub files: BTreeMap<PathBuf, String>,
    pub images: BTreeSet<String>,
    pub containers: Vec<Container>,
    pub networks: Vec<NetworkSeen>,
    pub volumes: BTreeSet<String>,
    /// The keys of snapshots, which are nobody's.
    pub snapshots: BTreeSet<String>,
    pub databases: BTreeMap<String, BTreeSet<String>>,
    /// What would be lost with the worktree.
    pub losses: Vec<Objection>,
    /// Containers, networks and volumes of somebody else, by name.
    pub others: BTreeSet<String>,
}

/// A worktree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub path: PathBuf,
    pub record: Option<Record>,
    pub checked_out: bool,
    pub missing: bool,
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub seen: ContainerSeen,
    pub ready: bool,
    /// The volumes that it mounts.
    pub mounts: Vec<String>,
    /// The network that has to be there before it is started.
    pub awaits: Option<String>,
}

impl State {
    /// Things that look like the sandbox's and carry no label of it.
    pub fn foreign(desired: &Desired) -> State {
        let names = desired.stack.services.iter().map(|service| format!("{}-of-another", service.container.name));
        State { others: names.chain(["blog_fix_pg-data-of-another".to_owned()]).collect(), ..State::default() }
    }

    pub fn with(mut self, foreign: &State) -> State {
        self.others.extend(foreign.others.clone());
        self
    }

    pub fn contains(&self, foreign: &State) -> bool {
        self.others == foreign.others
    }
}

/// The world.
pub struct Fake {
    inside: Mutex<Inside>,
}

struct Inside {
    state: State,
    seed: u64,
    steps_left: Option<usize>,
    fail_after_effect: bool,
    /// Whether its storage cannot put one volume over another.
    no_clones: bool,
}

impl Fake {
    pub fn new(state: State, seed: u64) -> Fake {
        Fake {
            inside: Mutex::new(Inside { state, seed, steps_left: None, fail_after_effect: false, no_clones: false }),
        }
    }

    /// The same world on an engine that cannot mount clones.
    pub fn without_clones(self) -> Fake {
        let mut inside = self.inside.into_inner().unwrap();
        inside.no_clones = true;
        Fake { inside: Mutex::new(inside) }
    }

    /// The step of this number, and all that come later, fail: as when the process is killed there.
    pub fn failing_at(self, step: usize, after_effect: bool) -> Fake {
        let mut inside = self.inside.into_inner().unwrap();
        (inside.steps_left, inside.fail_after_effect) = (Some(step), after_effect);
        Fake { inside: Mutex::new(inside) }
    }

    /// The same world in which nothing fails any more.
    pub fn mended(self) -> Fake {
        let inside = self.inside.into_inner().unwrap();
        Fake::new(inside.state, inside.seed)
    }

    pub fn state(&self) -> State {
        self.inside.lock().unwrap().state.clone()
    }

    /// A number that decides how long a step takes beside the others.
    fn pauses(&self) -> u64 {
        let mut inside = self.inside.lock().unwrap();
        inside.seed = inside.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (inside.seed >> 33) % 7
    }
}

impl World for Fake {
    async fn observe(&self, scope: &Scope) -> Result<Observed> {
        Ok(self.inside.lock().unwrap().state.observed(scope))
    }

    async fn perform(&self, action: &Action, _ticker: &Ticker) -> Result<(), Setback> {
        for _ in 0..self.pauses() {
            tokio::task::yield_now().await;
        }
        let mut inside = self.inside.lock().unwrap();
        if inside.no_clones && matches!(action, Action::MakeBase(_)) {
            return Err(Setback::NoClones("invalid argument".into()));
        }
        let failure = || Err(Setback::Failed(Error::new(Kind::Unexpected, "killed here")));
        match inside.steps_left {
            None => inside.state.perform(action),
            Some(0) => failure(),
            Some(left) => {
                inside.steps_left = Some(left - 1);
                if left > 1 {
                    return inside.state.perform(action);
                }
                if inside.fail_after_effect {
                    inside.state.perform(action)?;
                }
                failure()
            }
        }
    }
}

impl State {
    fn observed(&self, scope: &Scope) -> Observed {
        let claim = self.claims.iter().find(|claim| claim.identity == scope.identity).cloned();
        let worktree = self.worktree.as_ref().filter(|tree| tree.record.is_some() || claim.is_some());
        let container =
            |service: &str| self.containers.iter().find(|it| it.seen.service == service && it.seen.run == Run::Running);
        let answers = scope.questions.iter().filter_map(|(service, question, login)| {
            let container = container(service)?;
            let databases = login.as_ref().map(|_| self.databases.get(service).cloned().unwrap_or_default());
            let ready = container.ready && *question != Question::Ended;
            Some((service.clone(), Answer { ready, databases: databases.unwrap_or_default() }))
        });
        Observed {
            worktree: worktree.map(|tree| WorktreeSeen {
                path: tree.path.clone(),
                missing: tree.missing,
                record: tree.record.clone(),
            }),
            made_branch: self.made_branch.then(|| MadeBranch {
                name: scope.identity.task.to_string(),
                at: Some(commit()),
                moved: self.moved,
            }),
            processes: Vec::new(),
            losses: if scope.losses { self.losses.clone() } else { Vec::new() },
            excludes: self.excludes.intersection(&scope.excludes.iter().cloned().collect()).cloned().collect(),
            files: self.files.clone().into_iter().filter(|(path, _)| scope.files.contains(path)).collect(),
            images: self.images.iter().map(|image| (image.clone(), format!("id of {image}"))).collect(),
            containers: self.containers.iter().map(|it| it.seen.clone()).collect(),
            networks: self.networks.clone(),
            volumes: self.volumes.clone(),
            answers: answers.collect(),
            claim,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table: one arm an action")]
    fn perform(&mut self, action: &Action) -> Result<(), Setback> {
        if let Action::RemoveContainer { name, .. }
        | Action::RemoveNetwork { name, .. }
        | Action::RemoveVolume { name } = action
        {
            self.others.remove(name);
        }
        match action {
            Action::Claim(claim) => {
                self.claims.retain(|other| other.identity != claim.identity);
                self.claims.push(claim.clone());
            }
            Action::Release(identity) => {
                ground(self.containers.is_empty() && self.networks.is_empty(), "release while numbers are in use")?;
                self.claims.retain(|claim| claim.identity != *identity);
            }
            Action::Pull { reference } => drop(self.images.insert(reference.clone())),
            Action::Build { tag } => drop(self.images.insert(tag.clone())),
            Action::AddWorktree { spec, record } => {
                self.claimed()?;
                let half_made = self.worktree.as_ref().is_none_or(|tree| tree.record.is_none());
                ground(half_made, "a worktree is there")?;
                self.made_branch |= !matches!(spec.branch, BranchSource::Local { .. });
                let record = Some((**record).clone());
                self.worktree = Some(Tree { path: spec.path.clone(), record, checked_out: false, missing: false });
            }
            Action::RestoreWorktree { .. } => self.tree()?.missing = false,
            Action::WriteRecord { record, .. } => {
                ground(!self.tree()?.missing, "the directory is gone")?;
                self.tree()?.record = Some((**record).clone());
            }
            Action::Checkout { .. } => self.tree()?.checked_out = true,
            Action::Exclude { pattern } => drop(self.excludes.insert(pattern.clone())),
            Action::WriteFile { path, text, .. } => {
                ground(self.tree()?.checked_out, "no files are checked out")?;
                ground(!self.excludes.is_empty(), "git would see the file")?;
                self.files.insert(path.clone(), text.0.clone());
            }
            Action::CreateNetwork(spec) => {
                self.claimed()?;
                ground(self.network(&spec.name).is_none(), "a network of that name is there")?;
                let subnets = spec.subnet.iter().cloned().collect();
                let id = format!("id of {}", spec.name);
                for container in self.containers.iter_mut().filter(|it| it.awaits.as_ref() == Some(&spec.name)) {
                    container.seen.networks.insert(id.clone());
                    container.awaits = None;
                }
                self.networks.push(NetworkSeen {
                    id,
                    name: spec.name.clone(),
                    subnets,
                    config_hash: spec.labels.get(labels::CONFIG_HASH).cloned(),
                });
            }
            Action::CreateVolume(spec) => {
                self.claimed()?;
                let upper = spec.labels.get(labels::UPPER);
                let stands = spec.driver_opts.is_empty() || upper.is_some_and(|upper| self.volumes.contains(upper));
                ground(stands, "there is nothing to write into")?;
                self.volumes.insert(spec.name.clone());
            }
            Action::MakeBase(base) => {
                ground(self.images.contains(&base.container.image), "no such image")?;
                self.snapshots.insert(base.key.clone());
            }
            Action::MakeUpper(spec) => {
                self.claimed()?;
                ground(self.snapshots.contains(&spec.snapshot), "no such snapshot")?;
                let clone = self.volumes.iter().find(|volume| written_into_by(&spec.volume.name, volume));
                ground(clone.is_none(), "it is written into")?;
                self.volumes.insert(spec.volume.name.clone());
            }
            Action::CreateContainer(spec) => {
                ground(self.tree()?.record.is_some(), "the password is not on disk")?;
                ground(self.images.contains(&spec.image), "no such image")?;
                ground(!self.containers.iter().any(|it| it.seen.name == spec.name), "the name is taken")?;
                let (mut networks, mut awaits) = (BTreeSet::new(), None);
                for (number, Membership { network: name, .. }) in spec.networks.iter().enumerate() {
                    let network = self.network(name);
                    ground(number == 0 || network.is_some(), "no such network")?;
                    awaits = awaits.or_else(|| network.is_none().then(|| name.clone()));
                    networks.extend(network.map(|network| network.id.clone()));
                }
                for mount in &spec.mounts {
                    ground(self.volumes.contains(&mount.source), "no such volume")?;
                }
                let seen = ContainerSeen {
                    id: format!("id of {}", spec.name),
                    name: spec.name.clone(),
                    service: spec.labels.get(labels::SERVICE).cloned().unwrap(),
                    one_off: false,
                    config_hash: spec.labels.get(labels::CONFIG_HASH).cloned(),
                    image_id: format!("id of {}", spec.image),
                    networks,
                    run: Run::Off,
                };
                let mounts = spec.mounts.iter().map(|mount| mount.source.clone()).collect();
                self.containers.push(Container { seen, ready: false, mounts, awaits });
            }
            Action::Flatten(_)
            | Action::Flush { .. }
            | Action::Freeze { .. }
            | Action::KeepSnapshot(_)
            | Action::RunSetup { .. } => {
                return Err(broken("no plan of a sandbox has that"));
            }
            Action::StartContainer { name } => {
                self.claimed()?;
                let container = self.containers.iter_mut().find(|it| it.seen.name == *name);
                let container = container.ok_or_else(|| broken("no such container"))?;
                ground(container.awaits.is_none(), "its network is not there")?;
                ground(container.seen.run != Run::Crashing, "the engine starts it again when it likes")?;
                container.seen.run = Run::Running;
            }
            Action::AwaitReady { container, question, .. } => {
                let found =
                    self.containers.iter_mut().find(|it| it.seen.name == *container && it.seen.run == Run::Running);
                let found = found.ok_or_else(|| broken("the container does not run"))?;
                found.ready = true;
                if *question == Question::Ended {
                    found.seen.run = Run::EndedWell;
                }
            }
            Action::PrepareDatabases { service, names, is_new, .. } => {
                let running = |it: &&mut Container| it.seen.service == *service && it.seen.run == Run::Running;
                let server = self.containers.iter_mut().find(running).ok_or_else(|| broken("there is no server"))?;
                ground(server.ready || *is_new, "the server is not ready")?;
                server.ready = true;
                self.databases.entry(service.clone()).or_default().extend(names.clone());
            }
            Action::StopContainer { id, .. } => {
                for container in self.containers.iter_mut().filter(|it| it.seen.id == *id) {
                    (container.seen.run, container.ready) = (Run::Off, false);
                }
            }
            Action::RemoveContainer { id, .. } => self.containers.retain(|it| it.seen.id != *id),
            Action::RemoveNetwork { id, .. } => {
                ground(!self.containers.iter().any(|it| it.seen.networks.contains(id)), "the network is in use")?;
                self.networks.retain(|network| network.id != *id);
            }
            Action::RemoveVolume { name } => {
                ground(!self.containers.iter().any(|it| it.mounts.contains(name)), "the volume is in use")?;
                let clone = self.volumes.iter().any(|clone| written_into_by(name, clone));
                ground(!clone, "a clone would be left without what it has written")?;
                self.volumes.remove(name);
            }
            Action::RemoveWorktree { keep, .. } => {
                let kept = keep.as_ref().is_some_and(|keep| keep.files);
                ground(kept || self.losses.is_empty() || self.worktree.is_none(), "files would be lost")?;
                self.trash.extend(keep.clone().filter(|_| self.worktree.is_some()));
                (self.worktree, self.files) = (None, BTreeMap::new());
            }
            Action::TrashBranch(keep) => {
                ground(self.worktree.is_none(), "there is a worktree")?;
                self.trash.push(keep.clone());
            }
            Action::ForgetBranch { .. } => self.made_branch = false,
            Action::DeleteBranch { .. } => {
                ground(self.worktree.is_none(), "the branch is checked out")?;
                ground(!self.moved || !self.trash.is_empty(), "its commits would be lost")?;
                (self.made_branch, self.moved) = (false, false);
            }
        }
        Ok(())
    }

    fn tree(&mut self) -> Result<&mut Tree, Setback> {
        self.worktree.as_mut().ok_or_else(|| broken("there is no worktree"))
    }

    fn network(&self, name: &str) -> Option<&NetworkSeen> {
        self.networks.iter().find(|network| network.name == name)
    }

    fn claimed(&self) -> Result<(), Setback> {
        ground(!self.claims.is_empty(), "nothing is claimed")
    }
}

fn ground(holds: bool, otherwise: &'static str) -> Result<(), Setback> {
    if holds { Ok(()) } else { Err(broken(otherwise)) }
}

fn broken(what: &'static str) -> Setback {
    Setback::Failed(Error::new(Kind::Unexpected, what))
}
