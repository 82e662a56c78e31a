//! In which order services can start.

use super::complaint::{Checked, Complaint, Path};
use super::project::Project;

impl Project {
    /// The services, each after all that it depends on; otherwise by name.
    ///
    /// A loaded project has such an order. One that was changed since and now has a cycle gives those outside it only.
    #[must_use]
    pub fn start_order(&self) -> Vec<&str> {
        sorted(self).0
    }
}

/// The order, or a complaint that shows the cycle.
pub(super) fn start_order(project: &Project) -> Checked<Vec<&str>> {
    let (order, waiting) = sorted(project);
    let Some(&first) = waiting.first() else { return Ok(order) };
    let cycle = cycle(project, &waiting, first);
    let at = Path::of(&["services", cycle.first().copied().unwrap_or(first), "depends_on"]);
    Err(Complaint::new(at, format!("the services wait for each other in a circle: {}", cycle.join(" → "))))
}

/// Those that can start, in order, and those that wait for ever.
fn sorted(project: &Project) -> (Vec<&str>, Vec<&str>) {
    let mut waiting: Vec<&str> = project.services.keys().map(String::as_str).collect();
    let mut order: Vec<&str> = Vec::new();
    loop {
        let is_blocked = |name: &&str| {
            project
                .services
                .get(*name)
                .is_some_and(|service| service.depends_on.keys().any(|other| waiting.contains(&other.as_str())))
        };
        let (blocked, free): (Vec<&str>, Vec<&str>) = waiting.iter().copied().partition(is_blocked);
        if free.is_empty() {
            return (order, blocked);
        }
        order.extend(free);
        waiting = blocked;
    }
}

/// Follows those that wait until one comes again. Each of them waits for another of them.
fn cycle<'p>(project: &'p Project, waiting: &[&'p str], first: &'p str) -> Vec<&'p str> {
    let mut way = vec![first];
    while let Some(service) = way.last().and_then(|name| project.services.get(*name)) {
        let Some(next) = service.depends_on.keys().map(String::as_str).find(|name| waiting.contains(name)) else {
            break;
        };
        let seen = way.iter().position(|name| *name == next);
        way.push(next);
        if let Some(seen) = seen {
            return way.split_off(seen);
        }
    }
    way
}
