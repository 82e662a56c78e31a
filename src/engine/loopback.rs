//! Whether the engine's 127.0.0.1 is ours.
//!
//! Ports are published on the loopback of the engine's network namespace. An engine inside a container, or one outside
//! the container in which we run, publishes them where nobody of ours can connect. Three signs, none of which costs a
//! request in the good case:
//!
//! - the host's end of a bridge network is an address of the engine's namespace, so we must be able to bind to it (the
//!   engine often does not name it; it is the first of the range, unless the administrator chose another);
//! - the process at the other end of the socket, where we may look at it, is in our namespace;
//! - where the bridges tell nothing, a process at the other end that we cannot even see is outside our container.
//!
//! A namespace without any address at all, not even 127.0.0.1, lets everything be bound; nothing can be reached from
//! there anyway. An engine in a namespace of its own that happens to have an address of ours is missed by a user who may not
//! look at its process.
//!
//! A rootless engine sits in a namespace of its own and forwards its ports to the host's loopback: it is let through.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

use super::{
    docker::Engine,
    network::{Network, Subnet},
};
use crate::error::{Error, Kind, Result};

/// What the signs say together.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Ours,
    NotOurs(&'static str),
}

/// What one bridge network says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// The host's end of it is here.
    Here,
    /// Nothing of it is here.
    Elsewhere,
    /// We have an address in it, and not the one that we took for the host's: perhaps as one of its containers.
    Within,
}

impl Engine {
    /// Refuses an engine whose loopback is not ours, as [`Kind::RemoteEngine`]. `networks` are those of
    /// [`Engine::networks`]. Well under a millisecond unless there is doubt; then one request more.
    pub async fn check_loopback(&self, networks: &[Network]) -> Result<()> {
        let signs: Vec<Sign> = bridges(networks).filter_map(sign).collect();
        let Verdict::NotOurs(sign) = judge(&signs, self.shared.peer_pid, self.same_namespace()) else {
            return Ok(());
        };
        let facts = self.facts().await?;
        if facts.rootless {
            return Ok(());
        }
        Err(Error::new(
            Kind::RemoteEngine,
            format!(
                "the engine at {} (host {:?}) publishes ports on a loopback that is not ours",
                self.socket().display(),
                facts.name
            ),
        )
        .because(sign)
        .hint("run sandbox where the engine runs, or with an engine of this host")
        .hint("from inside a container: give it the host's network, docker run --network host"))
    }

    /// Whether the process at the other end is in our network namespace; `None` where we may not look.
    fn same_namespace(&self) -> Option<bool> {
        let pid = self.shared.peer_pid.filter(|pid| *pid > 0)?;
        let theirs = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
        Some(theirs == fs::read_link("/proc/self/ns/net").ok()?)
    }
}

fn judge(signs: &[Sign], peer_pid: Option<i32>, same_namespace: Option<bool>) -> Verdict {
    if same_namespace == Some(false) {
        return Verdict::NotOurs("its process is in another network namespace");
    }
    if signs.contains(&Sign::Here) {
        return Verdict::Ours;
    }
    if peer_pid == Some(0) {
        return Verdict::NotOurs("its process is outside our container");
    }
    if signs.is_empty() || signs.contains(&Sign::Within) {
        return Verdict::Ours;
    }
    Verdict::NotOurs("the addresses of its bridge networks are not on this host")
}

/// The IPv4 ranges of the engine's bridges. An IPv6 address may be under duplicate address detection, when it cannot be
/// bound.
fn bridges(networks: &[Network]) -> impl Iterator<Item = &Subnet> {
    networks
        .iter()
        .filter(|network| network.driver == "bridge")
        .flat_map(|network| &network.subnets)
        .filter(|subnet| !subnet.range.contains(':'))
}

/// What a range says; `None` when it is not to be understood.
fn sign(subnet: &Subnet) -> Option<Sign> {
    let (base, prefix) = subnet.range.split_once('/')?;
    let (base, prefix) = (u32::from(base.parse::<Ipv4Addr>().ok()?), prefix.parse::<u32>().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix)?).unwrap_or(0);
    let named = subnet.gateway.as_deref().and_then(|gateway| gateway.parse().ok());
    let host_end = named.unwrap_or_else(|| Ipv4Addr::from((base & mask).saturating_add(1)));
    if is_ours(host_end.into()) {
        return Some(Sign::Here);
    }
    let within = source_towards(host_end).is_some_and(|source| u32::from(source) & mask == base & mask);
    Some(if within { Sign::Within } else { Sign::Elsewhere })
}

/// Which of our addresses the kernel would use towards another. Connecting a datagram socket sends nothing.
fn source_towards(address: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((address, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(source) => Some(source),
        IpAddr::V6(_) => None,
    }
}

/// Whether an address belongs to this network namespace. Only a plain "not here" counts as no.
fn is_ours(address: IpAddr) -> bool {
    match UdpSocket::bind(SocketAddr::new(address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bridge_whose_end_is_here_is_enough() {
        assert_eq!(judge(&[Sign::Elsewhere, Sign::Here], Some(0), None), Verdict::Ours);
    }

    #[test]
    fn bridges_that_are_all_elsewhere_mean_another_host() {
        assert!(matches!(judge(&[Sign::Elsewhere], Some(7), None), Verdict::NotOurs(_)));
    }

    #[test]
    fn a_member_of_the_bridge_that_cannot_see_the_engine_is_one_of_its_containers() {
        assert!(matches!(judge(&[Sign::Within], Some(0), None), Verdict::NotOurs(_)));
        assert_eq!(judge(&[Sign::Within], Some(7), Some(true)), Verdict::Ours);
    }

    #[test]
    fn an_engine_in_another_network_namespace_is_not_ours_whatever_its_addresses() {
        assert!(matches!(judge(&[Sign::Here], Some(7), Some(false)), Verdict::NotOurs(_)));
    }

    #[test]
    fn an_engine_without_bridges_is_ours_when_we_can_see_its_process() {
        assert_eq!(judge(&[], Some(1), None), Verdict::Ours);
        assert_eq!(judge(&[], None, None), Verdict::Ours);
        assert!(matches!(judge(&[], Some(0), None), Verdict::NotOurs(_)));
    }

    #[test]
    fn a_range_without_a_gateway_is_judged_by_its_first_address() {
        let subnet =
            |range: &str, gateway: Option<&str>| Subnet { range: range.into(), gateway: gateway.map(Into::into) };
        assert_eq!(sign(&subnet("127.0.0.0/8", None)), Some(Sign::Here));
        assert_eq!(sign(&subnet("240.1.2.0/24", None)), Some(Sign::Elsewhere));
        assert_eq!(sign(&subnet("240.1.2.0/24", Some("127.0.0.1"))), Some(Sign::Here));
        assert_eq!(sign(&subnet("nonsense", None)), None);
    }

    #[test]
    fn loopback_is_ours_and_a_reserved_address_is_not() {
        assert!(is_ours("127.0.0.1".parse().unwrap()));
        assert!(!is_ours("240.0.0.1".parse().unwrap()));
    }
}
