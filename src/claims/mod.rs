//! Claims: the numbers and names reserved machine-wide for a sandbox.
//!
//! Here is the pure part: what is claimed and how a free set is found. [`file`] keeps the registry on disk; [`subnet`]
//! knows addresses. Who asks brings what the machine looks like ([`Landscape`]); nothing here looks for itself.

pub mod file;
pub mod holder;
pub mod subnet;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::task::{Identity, Names};
use subnet::Subnet;

/// The lowest slot. Below it the ports of slot and base would look like the bases themselves.
pub const FIRST_SLOT: u16 = 101;
/// The highest slot.
pub const LAST_SLOT: u16 = 999;

/// What one sandbox has reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose it is.
    pub identity: Identity,
    /// Every name it goes by, settled for its life.
    pub names: Names,
    /// The number from which its ports follow.
    pub slot: u16,
    /// Host ports by the variable that carries each: `POSTGRES_PORT`.
    pub ports: BTreeMap<String, u16>,
    /// The addresses of its network.
    pub subnet: Subnet,
}

impl Claim {
    /// Where the sandbox's application is to answer.
    #[must_use]
    pub fn app_url(&self) -> Option<String> {
        self.ports.get("APP_PORT").map(|port| format!("http://{}:{port}", self.names.host))
    }

    /// Whether both have one directory for their worktree.
    fn stands_where(&self, other: &Claim) -> bool {
        self.identity.repo == other.identity.repo && self.names.directory == other.names.directory
    }

    fn collides_with(&self, other: &Claim) -> bool {
        self.identity != other.identity
            && (self.slot == other.slot
                || self.ports.values().any(|port| other.ports.values().any(|theirs| theirs == port))
                || self.subnet.overlaps(other.subnet)
                || self.names.project == other.names.project
                || self.stands_where(other))
    }
}

/// All claims of this user on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// In the order in which they were made.
    pub claims: Vec<Claim>,
}

impl Registry {
    /// What a sandbox has claimed.
    #[must_use]
    pub fn of(&self, identity: &Identity) -> Option<&Claim> {
        self.claims.iter().find(|claim| claim.identity == *identity)
    }

    /// Another sandbox that holds something of this claim.
    #[must_use]
    pub fn rival(&self, claim: &Claim) -> Option<&Claim> {
        self.claims.iter().find(|other| claim.collides_with(other))
    }

    /// Enters a claim in place of the sandbox's earlier one. Refuses, and changes nothing, when another holds any of it.
    #[must_use]
    pub fn enter(&mut self, claim: &Claim) -> bool {
        if self.rival(claim).is_some() {
            return false;
        }
        self.release(&claim.identity);
        self.claims.push(claim.clone());
        true
    }

    /// Enters the claims of sandboxes that have none here, in the order given. One that collides stays out: its own next
    /// `up` moves it.
    pub fn admit<'a>(&mut self, claims: impl IntoIterator<Item = &'a Claim>) {
        for claim in claims {
            if self.of(&claim.identity).is_none() {
                let _ = self.enter(claim);
            }
        }
    }

    /// Frees what a sandbox has claimed. Says whether there was anything.
    pub fn release(&mut self, identity: &Identity) -> bool {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.identity != *identity);
        self.claims.len() < before
    }
}

/// What a sandbox wants claimed.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who wants it.
    pub identity: Identity,
    /// The repository's name, for the names.
    pub repo_name: String,
    /// The port of slot 0 for each variable.
    pub bases: BTreeMap<String, u16>,
    /// Where subnets are cut from.
    pub pool: Subnet,
    /// The prefix of the subnet.
    pub prefix: u8,
    /// Slots not to be proposed, because something showed them to be of no use.
    pub avoid_slots: BTreeSet<u16>,
    /// Subnets not to be proposed, likewise.
    pub avoid_subnets: Vec<Subnet>,
}

/// What the machine looks like to someone who wants a claim.
pub struct Landscape<'a> {
    /// Whether a host port is in use, on any address.
    pub port_taken: &'a dyn Fn(u16) -> bool,
    /// Host routes and the subnets of every Docker network.
    pub subnets: &'a [Subnet],
    /// Whether a set of names is taken by another sandbox.
    pub names_taken: &'a dyn Fn(&Names) -> bool,
    /// Whether a directory among the worktrees is another repository's sandbox.
    pub place_taken: &'a dyn Fn(&str) -> bool,
}

/// Finds a claim that collides with nothing. Takes nothing: between this and [`Registry::enter`] another may be faster.
pub fn propose(registry: &Registry, wish: &Wish, landscape: &Landscape) -> Result<Claim> {
    let names = settle_names(registry, wish, landscape);
    let (slot, ports) = free_slot(registry, wish, landscape)?;
    let subnet = free_subnet(registry, wish, landscape, slot)?;
    Ok(Claim { identity: wish.identity.clone(), names, slot, ports, subnet })
}

/// The same sandbox at another slot: its names stay, since directories and volumes carry them.
pub fn move_away(registry: &Registry, held: &Claim, wish: &Wish, landscape: &Landscape) -> Result<Claim> {
    Ok(Claim { names: held.names.clone(), ..propose(registry, wish, landscape)? })
}

fn settle_names(registry: &Registry, wish: &Wish, landscape: &Landscape) -> Names {
    let plain = Names::plain(&wish.repo_name, &wish.identity);
    let others = || registry.claims.iter().filter(|claim| claim.identity != wish.identity);
    let same_place = others().any(|it| it.identity.repo == wish.identity.repo && it.names.directory == plain.directory)
        || (landscape.place_taken)(&plain.directory);
    let same_project = others().any(|claim| claim.names.project == plain.project) || (landscape.names_taken)(&plain);
    if !(same_place || same_project) {
        return plain;
    }
    let hashed = Names::hashed(&wish.repo_name, &wish.identity);
    // A repository of the same name elsewhere has a directory of its own for its worktrees.
    if same_place { hashed } else { Names { directory: plain.directory, ..hashed } }
}

fn free_slot(registry: &Registry, wish: &Wish, landscape: &Landscape) -> Result<(u16, BTreeMap<String, u16>)> {
    let others = || registry.claims.iter().filter(|claim| claim.identity != wish.identity);
    let claimed_slots: BTreeSet<u16> =
        others().map(|claim| claim.slot).chain(wish.avoid_slots.iter().copied()).collect();
    let claimed_ports: BTreeSet<u16> = others().flat_map(|claim| claim.ports.values().copied()).collect();
    slots(&wish.identity)
        .filter(|slot| !claimed_slots.contains(slot))
        .map(|slot| (slot, ports_of(slot, &wish.bases)))
        .find(|(_, ports)| ports.values().all(|port| !claimed_ports.contains(port) && !(landscape.port_taken)(*port)))
        .ok_or_else(|| {
            Error::new(
                Kind::Numbers,
                format!("no slot from {FIRST_SLOT} to {LAST_SLOT} is free for {}", wish.identity.task),
            )
            .hint("`sandbox ls` shows what holds them; `sandbox rm TASK` frees one")
        })
}

/// Every slot once, beginning with the one the sandbox prefers.
fn slots(identity: &Identity) -> impl Iterator<Item = u16> {
    let count = LAST_SLOT - FIRST_SLOT + 1;
    let preferred = u16::try_from(identity.spread() % u64::from(count)).unwrap_or(0);
    (0..count).map(move |step| FIRST_SLOT + (preferred + step) % count)
}

fn ports_of(slot: u16, bases: &BTreeMap<String, u16>) -> BTreeMap<String, u16> {
    bases.iter().map(|(variable, base)| (variable.clone(), base.saturating_add(slot))).collect()
}

fn free_subnet(registry: &Registry, wish: &Wish, landscape: &Landscape, slot: u16) -> Result<Subnet> {
    let others = registry.claims.iter().filter(|claim| claim.identity != wish.identity).map(|claim| claim.subnet);
    let used: Vec<Subnet> =
        others.chain(landscape.subnets.iter().copied()).chain(wish.avoid_subnets.iter().copied()).collect();
    // Beginning at the slot keeps sandboxes that are brought up at one moment out of each other's way.
    (0..wish.pool.blocks(wish.prefix))
        .map(|step| wish.pool.block(wish.prefix, u32::from(slot) + step))
        .find(|subnet| !used.iter().any(|taken| taken.overlaps(*subnet)))
        .ok_or_else(|| {
            Error::new(Kind::Numbers, format!("no /{} subnet is free in {}", wish.prefix, wish.pool))
                .hint("set `subnet_pool` in the settings to a range that no route and no Docker network uses")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskName;

    fn identity(repo: &str, task: &str) -> Identity {
        Identity { repo: repo.into(), task: TaskName::parse(task).unwrap() }
    }

    fn wish(repo: &str, task: &str) -> Wish {
        Wish {
            identity: identity(repo, task),
            repo_name: "myapp".into(),
            bases: [("APP_PORT", 3000), ("POSTGRES_PORT", 15000)].map(|(v, b)| (v.to_owned(), b)).into(),
            pool: "10.231.0.0/16".parse().unwrap(),
            prefix: 28,
            avoid_slots: BTreeSet::new(),
            avoid_subnets: Vec::new(),
        }
    }

    const QUIET: Landscape =
        Landscape { port_taken: &|_| false, subnets: &[], names_taken: &|_| false, place_taken: &|_| false };

    #[test]
    fn ports_follow_from_the_slot() {
        let claim = propose(&Registry::default(), &wish("/a/.git", "fix"), &QUIET).unwrap();
        assert_eq!(claim.ports["APP_PORT"], 3000 + claim.slot);
        assert_eq!(claim.ports["POSTGRES_PORT"], 15000 + claim.slot);
    }

    #[test]
    fn every_slot_is_handed_out_once_and_then_no_more() {
        let mut registry = Registry::default();
        for number in 0..899 {
            let claim = propose(&registry, &wish("/a/.git", &format!("t{number}")), &QUIET).unwrap();
            assert!(registry.enter(&claim));
        }
        let ports: BTreeSet<u16> = registry.claims.iter().flat_map(|claim| claim.ports.values().copied()).collect();
        assert_eq!(ports.len(), 2 * 899);
        let error = propose(&registry, &wish("/a/.git", "one-more"), &QUIET).unwrap_err();
        assert_eq!(error.kind(), Kind::Numbers);
    }

    #[test]
    fn one_taken_port_moves_the_whole_slot() {
        let preferred = propose(&Registry::default(), &wish("/a/.git", "fix"), &QUIET).unwrap();
        let taken = preferred.ports["POSTGRES_PORT"];
        let landscape = Landscape { port_taken: &|port| port == taken, ..QUIET };
        let moved = propose(&Registry::default(), &wish("/a/.git", "fix"), &landscape).unwrap();
        assert_ne!(moved.slot, preferred.slot);
        assert_eq!(moved.ports["APP_PORT"], 3000 + moved.slot);
    }

    #[test]
    fn a_subnet_that_a_route_covers_is_skipped() {
        let preferred = propose(&Registry::default(), &wish("/a/.git", "fix"), &QUIET).unwrap().subnet;
        let routes = [preferred];
        let moved =
            propose(&Registry::default(), &wish("/a/.git", "fix"), &Landscape { subnets: &routes, ..QUIET }).unwrap();
        assert!(!moved.subnet.overlaps(preferred));
        let everything = ["10.0.0.0/8".parse().unwrap()];
        let error =
            propose(&Registry::default(), &wish("/a/.git", "fix"), &Landscape { subnets: &everything, ..QUIET });
        assert_eq!(error.unwrap_err().kind(), Kind::Numbers);
    }

    #[test]
    fn the_second_holder_of_a_name_gets_a_hash() {
        let mut registry = Registry::default();
        let first = propose(&registry, &wish("/a/.git", "a-b"), &QUIET).unwrap();
        assert!(registry.enter(&first));
        assert_eq!(first.names.project, "myapp_a_b");
        for (repo, task) in [("/a/.git", "a_b"), ("/b/.git", "a-b"), ("/a/.git", "A.B")] {
            let later = propose(&registry, &wish(repo, task), &QUIET).unwrap();
            assert!(later.names.project.starts_with("myapp_a_b_"), "{}", later.names.project);
        }
        // Elsewhere the directory is free, here and under one root for both it is not.
        let elsewhere = wish("/b/.git", "a-b");
        assert_eq!(propose(&registry, &elsewhere, &QUIET).unwrap().names.directory, "a-b");
        let one_root = Landscape { place_taken: &|directory| directory == "a-b", ..QUIET };
        assert_ne!(propose(&registry, &elsewhere, &one_root).unwrap().names.directory, "a-b");
    }

    #[test]
    fn two_sandboxes_of_a_repository_never_have_one_directory() {
        let mut registry = Registry::default();
        let first = propose(&registry, &wish("/a/.git", "a-b"), &QUIET).unwrap();
        let taken = Landscape { names_taken: &|_| true, ..QUIET };
        let second = propose(&registry, &wish("/a/.git", "a/b"), &taken).unwrap();
        assert_ne!(first.names.project, second.names.project);
        assert!(registry.enter(&first));
        assert!(!registry.enter(&second), "both were proposed at one moment");
    }

    #[test]
    fn a_claim_that_another_took_in_the_meantime_is_not_entered() {
        let mut registry = Registry::default();
        let mine = propose(&registry, &wish("/a/.git", "mine"), &QUIET).unwrap();
        let theirs = Claim { identity: identity("/a/.git", "theirs"), ..mine.clone() };
        assert!(registry.enter(&theirs));
        assert!(!registry.enter(&mine));
        assert_eq!(registry.claims, [theirs]);
    }
}
