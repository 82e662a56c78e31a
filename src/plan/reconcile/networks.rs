//! Networks: kept as they are, or made anew once all that goes is gone.

use super::{Made, Planner};
use crate::engine::{NetworkSpec, labels};
use crate::event::StepId;
use crate::plan::observed::NetworkSeen;
use crate::plan::{Action, Cause};

impl<'a> Planner<'a> {
    pub(super) fn networks(&mut self) {
        let (desired, observed) = (self.desired, self.observed);
        let mut kept: Vec<&str> = Vec::new();
        // Nothing is made before all that goes is gone: one may hold the addresses of the other.
        let mut after = vec![self.on(Made::Claim)];
        for seen in &observed.networks {
            let wanted = desired.stack.networks.iter().find(|network| network.name == seen.name);
            let changed = wanted.and_then(|network| seen.differs_from(network));
            if wanted.is_some() && changed.is_none() && !kept.contains(&seen.name.as_str()) {
                kept.push(&seen.name);
                continue;
            }
            let because = changed.map_or(Cause::Unwanted, |what| Cause::Changed(what.into()));
            let removed = self.remove_network(seen, because);
            after.push(removed);
        }
        for network in desired.stack.networks.iter().filter(|network| !kept.contains(&network.name.as_str())) {
            let changed = observed.networks.iter().find_map(|seen| seen.differs_from(network));
            let because = changed.map_or(Cause::Missing, |what| Cause::Changed(what.into()));
            let step = self.add(Action::CreateNetwork(network.clone()), because, &after);
            self.note(Made::Network(&network.name), step);
        }
    }

    fn remove_network(&mut self, seen: &'a NetworkSeen, because: Cause) -> Option<StepId> {
        let observed = self.observed;
        let mut after = vec![self.on(Made::Claim)];
        for container in observed.containers.iter().filter(|it| it.networks.contains(&seen.id)) {
            self.clear(container, &Cause::FollowsFrom("the network"), true);
            after.push(self.on(Made::Cleared(&container.id)));
        }
        self.add(Action::RemoveNetwork { id: seen.id.clone(), name: seen.name.clone() }, because, &after)
    }
}

impl NetworkSeen {
    /// In what a network of the wanted name is not as wanted.
    fn differs_from(&self, wanted: &NetworkSpec) -> Option<&'static str> {
        if self.name != wanted.name {
            None
        } else if !wanted.subnet.iter().all(|subnet| self.subnets.contains(subnet)) {
            Some("the subnet")
        } else if self.config_hash.as_ref() != wanted.labels.get(labels::CONFIG_HASH) {
            Some("the configuration")
        } else {
            None
        }
    }
}
