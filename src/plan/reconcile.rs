//! From what should be and what is to what has to be done.
//!
//! PURE. Everything that can overlap does: a step stands only on the steps whose work it needs. Some orders are there for
//! safety rather than need. Images come first, since one that is not to be had should leave nothing half-made; then the
//! claim, before anything that bears its numbers. The record, which holds the password, is on disk before any container
//! that was given it. What serves is ended only once all volumes are there: where one cannot be made, it goes on.

mod networks;
mod volumes;

use std::collections::BTreeMap;

use super::action::Question;
use super::desired::{ServiceWanted, Stack};
use super::observed::{ContainerSeen, Run, WorktreeSeen};
use super::{Action, Cause, Desired, Observed, OnFailure, Plan};
use crate::catalog;
use crate::event::StepId;
use crate::record::{Record, Stage};

/// What has to be done so that the world is as desired. Empty when it is.
#[must_use]
pub fn reconcile(desired: &Desired, observed: &Observed) -> Plan {
    let mut planner = Planner {
        desired,
        observed,
        plan: Plan::new(desired.record.claim.identity.task.as_str(), OnFailure::StopBeginning),
        made: BTreeMap::new(),
        stage: Stage::Registered,
        strays: Vec::new(),
    };
    planner.images();
    planner.claim();
    planner.worktree();
    planner.files();
    planner.volumes();
    planner.strays();
    planner.networks();
    for service in &desired.stack.services {
        planner.service(service);
    }
    planner.superseded();
    planner.establish();
    planner.plan
}

/// What later steps may stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made<'a> {
    Claim,
    Image(&'a str),
    /// The record is on disk.
    Record,
    /// The files of the branch are there.
    Files,
    /// A container that was in the way of its network or its successor is gone.
    Cleared(&'a str),
    Network(&'a str),
    Volume(&'a str),
    Snapshot(&'a str),
    /// The service's container has been started.
    Started(&'a str),
    /// The service is ready, databases and all.
    Ready(&'a str),
}

struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    plan: Plan,
    made: BTreeMap<Made<'a>, StepId>,
    /// How far the sandbox has come before this plan.
    stage: Stage,
    /// The removals of containers that the stack has no place for.
    strays: Vec<StepId>,
}

impl<'a> Planner<'a> {
    fn on(&self, made: Made<'a>) -> Option<StepId> {
        self.made.get(&made).copied()
    }

    fn add(&mut self, action: Action, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        self.plan.add(action, because, after)
    }

    fn note(&mut self, made: Made<'a>, step: Option<StepId>) {
        if let Some(step) = step {
            self.made.insert(made, step);
        }
    }

    fn claim(&mut self) {
        let wanted = &self.desired.record.claim;
        let because = match &self.observed.claim {
            Some(held) if held == wanted => return,
            Some(_) => Cause::Changed("the numbers".into()),
            None => Cause::Missing,
        };
        let images: Vec<Option<StepId>> = (0..self.plan.steps.len()).map(Some).collect();
        let step = self.add(Action::Claim(wanted.clone()), because, &images);
        self.note(Made::Claim, step);
    }

    fn images(&mut self) {
        let desired = self.desired;
        for service in &desired.stack.services {
            let reference = service.container.image.as_str();
            if self.observed.images.contains_key(reference) || self.on(Made::Image(reference)).is_some() {
                continue;
            }
            let action = match catalog::recipe_tagged(reference) {
                Some(_) => Action::Build { tag: reference.to_owned() },
                None => Action::Pull { reference: reference.to_owned() },
            };
            let step = self.add(action, Cause::Missing, &[]);
            self.note(Made::Image(reference), step);
        }
    }

    fn worktree(&mut self) {
        let claim = self.on(Made::Claim);
        let recorded = match &self.observed.worktree {
            None => self.register(Cause::Missing, &[claim]),
            // What a killed run has left: making it completes it.
            Some(WorktreeSeen { record: None, .. }) => self.register(Cause::Unfinished, &[claim]),
            Some(WorktreeSeen { record: Some(record), missing, path }) => {
                let mut there = claim;
                if *missing {
                    there =
                        self.add(Action::RestoreWorktree { worktree: path.clone() }, Cause::DirectoryGone, &[claim]);
                }
                self.correct_record(record, there)
            }
        };
        self.note(Made::Record, recorded);
        let files = if self.stage >= Stage::CheckedOut { recorded } else { self.check_out(recorded) };
        self.note(Made::Files, files);
    }

    fn check_out(&mut self, recorded: Option<StepId>) -> Option<StepId> {
        let because = if self.observed.worktree.is_none() { Cause::Missing } else { Cause::Unfinished };
        let worktree = self.desired.worktree_path().clone();
        let files = self.add(Action::Checkout { worktree }, because, &[recorded]);
        self.write_record(Stage::CheckedOut, Cause::FollowsFrom("the worktree"), &[files])
    }

    fn register(&mut self, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        let record = Box::new(self.desired.record.at(Stage::Registered));
        self.add(Action::AddWorktree { spec: self.desired.worktree.clone(), record }, because, after)
    }

    /// The worktree is there: its record may say other numbers.
    fn correct_record(&mut self, record: &Record, there: Option<StepId>) -> Option<StepId> {
        self.stage = record.stage;
        if self.desired.record.at(record.stage) == *record {
            return there;
        }
        self.write_record(record.stage, Cause::Changed("what it says".into()), &[there])
    }

    fn write_record(&mut self, stage: Stage, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        self.put_record(self.desired.record.at(stage), because, after)
    }

    fn put_record(&mut self, record: Record, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        let worktree = self.desired.worktree_path().clone();
        self.add(Action::WriteRecord { worktree, record: Box::new(record) }, because, after)
    }

    fn files(&mut self) {
        // Our files must not be seen as untracked, nor be in the way of the checkout.
        let claim = [self.on(Made::Claim)];
        let mut after = vec![self.on(Made::Record), self.on(Made::Files)];
        for pattern in self.desired.excludes.iter().filter(|pattern| !self.observed.excludes.contains(*pattern)) {
            after.push(self.plan.add(Action::Exclude { pattern: pattern.clone() }, Cause::Missing, &claim));
        }
        for file in &self.desired.files {
            let because = match self.observed.files.get(&file.path) {
                Some(text) if *text == file.text.0 => continue,
                Some(_) => Cause::Changed("what it says".into()),
                None => Cause::Missing,
            };
            let action = Action::WriteFile { what: file.what, path: file.path.clone(), text: file.text.clone() };
            self.add(action, because, &after);
        }
    }

    /// Containers of services that are wanted no more, and second ones of a service. They may hold ports and data of
    /// what comes in their place, so everything that starts stands on their removal.
    fn strays(&mut self) {
        let observed = self.observed;
        for container in observed.containers.iter().filter(|container| !container.one_off) {
            let wanted = self.desired.stack.services.iter().any(|service| service.name == container.service);
            let first = observed.container(&container.service) == Some(container);
            if !(wanted && first) {
                self.clear(container, &Cause::Unwanted, true);
                self.strays.extend(self.on(Made::Cleared(&container.id)));
            }
        }
    }

    fn service(&mut self, service: &'a ServiceWanted) {
        let seen = self.observed.container(&service.name);
        let outdated = seen.and_then(|seen| self.outdated(service, seen));
        let created = match (seen, outdated) {
            (Some(seen), None) if service.has_done_its_work(seen) => return,
            (Some(seen), None) if seen.run == Run::Running => {
                let ready = self.ready(service, None);
                return self.note(Made::Ready(&service.name), ready);
            }
            // What made it end may be gone by now: nobody waits until the engine tries again.
            (Some(seen), None) if seen.run == Run::Crashing => {
                let stop = Action::StopContainer { id: seen.id.clone(), name: seen.name.clone() };
                self.add(stop, Cause::NotReady, &[self.on(Made::Claim)])
            }
            (Some(_), None) => None,
            (Some(seen), Some(because)) => {
                self.clear(seen, &because, !self.has_new_data(service));
                self.create(service, because, self.on(Made::Cleared(&seen.id)))
            }
            (None, _) => self.create(service, Cause::Missing, None),
        };
        let started = self.start(service, created);
        self.note(Made::Started(&service.name), started);
        let ready = self.ready(service, started);
        self.note(Made::Ready(&service.name), ready);
    }

    /// Why a container cannot be kept.
    fn outdated(&self, service: &'a ServiceWanted, seen: &'a ContainerSeen) -> Option<Cause> {
        let image = self.observed.images.get(&service.container.image);
        let remade = |made: Made<'a>| self.on(made).is_some();
        if seen.config_hash.as_ref() != Some(&service.config_hash) {
            Some(Cause::Changed("the configuration".into()))
        } else if seen.name != service.container.name {
            Some(Cause::Changed("the name".into()))
        } else if image != Some(&seen.image_id) {
            Some(Cause::Changed("the image".into()))
        } else if remade(Made::Cleared(&seen.id)) || service.networks.iter().any(|name| remade(Made::Network(name))) {
            Some(Cause::FollowsFrom("the network"))
        } else if service.volumes.iter().any(|name| remade(Made::Volume(name))) {
            Some(Cause::FollowsFrom("the volume"))
        } else if service.networks.iter().any(|name| !self.is_on(seen, name)) {
            Some(Cause::Changed("the network it is on".into()))
        } else {
            None
        }
    }

    /// Whether a container is attached to a network as it is now, not to an earlier one of that name.
    fn is_on(&self, container: &ContainerSeen, network: &str) -> bool {
        let mut named = self.observed.networks.iter().filter(|seen| seen.name == network);
        named.any(|seen| container.networks.contains(&seen.id))
    }

    /// Whether what a service has written is left behind.
    fn has_new_data(&self, service: &ServiceWanted) -> bool {
        let mut its = self.desired.stack.clones.iter().filter(|clone| clone.service == service.name);
        its.any(|clone| self.on(Made::Volume(&clone.volume)).is_some())
    }

    /// Removes a container that is in the way, once. Its server is left time to write down what it holds, unless nobody wants that, or
    /// nobody can have given it anything: one that is only just starting hears no signal until its time is over.
    fn clear(&mut self, container: &'a ContainerSeen, because: &Cause, gently: bool) {
        if self.on(Made::Cleared(&container.id)).is_none() {
            let volumes = self.desired.stack.volumes.iter().map(|volume| self.on(Made::Volume(&volume.name)));
            let mut after: Vec<Option<StepId>> = [self.on(Made::Claim)].into_iter().chain(volumes).collect();
            let gently = gently && !self.desired.is_unused;
            if gently && container.run.has_process() {
                let stop = Action::StopContainer { id: container.id.clone(), name: container.name.clone() };
                after = vec![self.add(stop, because.clone(), &after)];
            }
            let step = self.remove(container, because.clone(), &after);
            self.note(Made::Cleared(&container.id), step);
        }
    }

    fn remove(&mut self, container: &ContainerSeen, because: Cause, after: &[Option<StepId>]) -> Option<StepId> {
        self.add(Action::RemoveContainer { id: container.id.clone(), name: container.name.clone() }, because, after)
    }

    fn create(&mut self, service: &'a ServiceWanted, because: Cause, cleared: Option<StepId>) -> Option<StepId> {
        let mut after = vec![self.on(Made::Image(&service.container.image)), self.on(Made::Record), cleared];
        // The engine looks the first network up, by its name, when the container is started. One that has had another of that name
        // before it is not left to that.
        let is_new = |name: &String| !self.observed.networks.iter().any(|seen| seen.name == *name);
        let later = usize::from(service.networks.first().is_some_and(is_new));
        after.extend(service.networks.iter().skip(later).map(|name| self.on(Made::Network(name))));
        after.extend(service.volumes.iter().map(|name| self.on(Made::Volume(name))));
        self.add(Action::CreateContainer(Box::new(service.container.clone())), because, &after)
    }

    fn start(&mut self, service: &'a ServiceWanted, created: Option<StepId>) -> Option<StepId> {
        let because = if created.is_some() { Cause::FollowsFrom("the container") } else { Cause::Stopped };
        let mut after = vec![created, self.on(Made::Claim)];
        after.extend(service.networks.iter().map(|name| self.on(Made::Network(name))));
        after.extend(self.strays.iter().copied().map(Some));
        for dependency in &service.depends_on {
            let state: fn(&'a str) -> Made<'a> = if dependency.ready { Made::Ready } else { Made::Started };
            // The stack lists dependencies first, so what they need is planned already.
            let name = self.desired.stack.services.iter().find(|other| other.name == dependency.service);
            after.push(name.and_then(|other| self.on(state(&other.name))));
        }
        self.add(Action::StartContainer { name: service.container.name.clone() }, because, &after)
    }

    /// The last step of the service's becoming ready; none when it is ready already.
    fn ready(&mut self, service: &'a ServiceWanted, started: Option<StepId>) -> Option<StepId> {
        let answer = self.observed.answers.get(&service.name).filter(|_| started.is_none());
        // Who sets a password from inside waits there: to be asked from outside as well would cost the server time.
        let is_new = started.is_some() && service.databases.is_some() && self.has_new_data(service);
        let mut ready = started.filter(|_| is_new);
        if !is_new && !answer.is_some_and(|answer| answer.ready) {
            let action = Action::AwaitReady {
                service: service.name.clone(),
                container: service.container.name.clone(),
                question: service.question.clone(),
            };
            ready = self.add(action, Cause::NotReady, &[started]);
        }
        let Some((login, names)) = &service.databases else { return ready };
        let because = match answer {
            Some(answer) if names.iter().all(|name| answer.databases.contains(name)) => return ready,
            Some(answer) if answer.ready => Cause::Missing,
            _ => Cause::NotReady,
        };
        let action = Action::PrepareDatabases {
            service: service.name.clone(),
            container: service.container.name.clone(),
            login: login.clone(),
            names: names.clone(),
            renamed_from: service.renamed_from.clone(),
            is_new,
        };
        self.add(action, because, &[ready])
    }

    fn establish(&mut self) {
        let record = &self.desired.record;
        if self.stage < Stage::Established || record.pending.is_some() {
            let all: Vec<Option<StepId>> = (0..self.plan.steps.len()).map(Some).collect();
            let record = record.at(Stage::Established).settled();
            self.put_record(record, Cause::FollowsFrom("the rest"), &all);
        }
    }
}

impl ServiceWanted {
    /// Whether it is one that runs to its end, and did.
    fn has_done_its_work(&self, seen: &ContainerSeen) -> bool {
        self.question == Question::Ended && seen.run == Run::EndedWell
    }
}

impl Stack {
    /// The service of a name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceWanted> {
        self.services.iter().find(|service| service.name == name)
    }
}
