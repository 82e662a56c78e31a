//! Networks: listing, making and removing them.
//!
//! Engines before 25 make two networks of one name without a word, and a container's start then fails as ambiguous.
//! So a name is looked up before and after, and of two that were made at the same moment the older stays. Networks are
//! addressed by id everywhere.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models,
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};

use super::{
    deadline,
    docker::{Engine, bounded, moment},
    failure::Failure,
};
use crate::error::Result;

/// A network, as the engine lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The engine's id of it.
    pub id: String,
    /// Its name, which need not be the only one of its kind.
    pub name: String,
    /// `bridge`, `host`, `null`, `overlay`, …
    pub driver: String,
    /// Whether it leads nowhere but to its own containers.
    pub internal: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address ranges.
    pub subnets: Vec<Subnet>,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
}

/// One address range of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnet {
    /// As `172.30.4.16/28`.
    pub range: String,
    /// The host's own address in it, where it has one.
    pub gateway: Option<String>,
}

/// A network to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// `bridge` unless said otherwise.
    pub driver: Option<String>,
    /// The driver's own options.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address range, as `172.30.4.16/28`; the engine chooses one out of its few where there is none.
    pub subnet: Option<String>,
    /// Whether it leads nowhere but to its own containers.
    pub internal: bool,
    /// Whether containers may be attached by hand, on a Swarm.
    pub attachable: bool,
    /// Whether it has IPv6 addresses too.
    pub ipv6: bool,
}

/// What came of making a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateNetwork {
    /// It was made; this is its id.
    Created(String),
    /// There is one of that name; this is its id. Whether it is ours, its labels tell.
    NameTaken(String),
    /// Its address range overlaps one in use, or the engine has none left; the engine's words.
    SubnetTaken(String),
}

impl Engine {
    /// All networks, ours or not.
    pub async fn networks(&self) -> Result<Vec<Network>> {
        self.networks_where(HashMap::new()).await.map_err(|failure| failure.into_error("cannot list networks"))
    }

    async fn networks_where(&self, filters: HashMap<String, Vec<String>>) -> Result<Vec<Network>, Failure> {
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = bounded(deadline::LOOK, self.docker.list_networks(Some(options))).await?;
        Ok(networks.into_iter().map(network).collect())
    }

    /// The networks of exactly this name, oldest first. The engine's own filter matches parts of names.
    async fn networks_called(&self, name: &str) -> Result<Vec<Network>, Failure> {
        let filters = [("name".to_owned(), vec![name.to_owned()])].into();
        let mut networks = self.networks_where(filters).await?;
        networks.retain(|network| network.name == name);
        networks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(networks)
    }

    /// Makes a network, some 60 to 100 ms. A name that is taken and an address range that is taken are outcomes.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<CreateNetwork> {
        self.try_create_network(spec)
            .await
            .map_err(|failure| failure.into_error(&format!("cannot create network {}", spec.name)))
    }

    async fn try_create_network(&self, spec: &NetworkSpec) -> Result<CreateNetwork, Failure> {
        if let Some(there) = self.networks_called(&spec.name).await?.into_iter().next() {
            return Ok(CreateNetwork::NameTaken(there.id));
        }
        let id = match bounded(deadline::CREATE, self.docker.create_network(request(spec))).await {
            Ok(answer) => answer.id,
            Err(failure) if failure.refusal().is_some_and(is_about_subnets) => {
                return Ok(CreateNetwork::SubnetTaken(failure.refusal().unwrap_or_default().to_owned()));
            }
            // Engines from 25 on refuse the second of two at once; the first is there by then.
            Err(failure @ Failure::Refused { status: 409, .. }) => {
                let there = self.networks_called(&spec.name).await?.into_iter().next();
                return there.map(|network| CreateNetwork::NameTaken(network.id)).ok_or(failure);
            }
            Err(failure) => return Err(failure),
        };
        match self.networks_called(&spec.name).await?.into_iter().next() {
            Some(first) if first.id != id => {
                self.try_remove_network(&id).await?;
                Ok(CreateNetwork::NameTaken(first.id))
            }
            _ => Ok(CreateNetwork::Created(id)),
        }
    }

    /// Removes a network, by id. One that is gone already is removed.
    pub async fn remove_network(&self, id: &str) -> Result<()> {
        self.try_remove_network(id).await.map_err(|failure| failure.into_error(&format!("cannot remove network {id}")))
    }

    async fn try_remove_network(&self, id: &str) -> Result<(), Failure> {
        match bounded(deadline::REMOVE, self.docker.remove_network(id)).await {
            Err(failure) if failure.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// Detaches from a network what is attached to it and no container any more, and says whether there was such a thing. An engine
    /// whose disk was full when a container ended can be left with it.
    pub async fn detach_what_is_gone(&self, id: &str) -> Result<bool> {
        let look = bounded(deadline::LOOK, self.docker.inspect_network(id, None::<InspectNetworkOptions>)).await;
        let seen = look.map_err(|failure| failure.into_error(&format!("cannot look at network {id}")))?;
        let mut any = false;
        for (container, attached) in seen.containers.unwrap_or_default() {
            if self.inspect(&container).await?.is_some() {
                continue;
            }
            // By name alone: of the rest the engine has forgotten whose it was.
            let request =
                models::NetworkDisconnectRequest { container: attached.name.unwrap_or_default(), force: Some(true) };
            bounded(deadline::REMOVE, self.docker.disconnect_network(id, request))
                .await
                .map_err(|failure| failure.into_error(&format!("cannot detach {container} from network {id}")))?;
            any = true;
        }
        Ok(any)
    }
}

/// Whether a refusal is about address ranges; the texts are those of engines 20.10 to 28.
fn is_about_subnets(message: &str) -> bool {
    [
        "Pool overlaps with other one",
        "networks have overlapping IP",
        "non-overlapping IPv4 address pool",
        "predefined address pools have been fully subnetted",
    ]
    .iter()
    .any(|text| message.contains(text))
}

fn request(spec: &NetworkSpec) -> models::NetworkCreateRequest {
    let ipam = spec.subnet.clone().map(|subnet| models::Ipam {
        config: Some(vec![models::IpamConfig { subnet: Some(subnet), ..Default::default() }]),
        ..Default::default()
    });
    models::NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some(spec.driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        enable_ipv6: Some(spec.ipv6),
        ipam,
        options: Some(spec.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..Default::default()
    }
}

fn network(listed: models::Network) -> Network {
    let ranges = listed.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let subnets = ranges
        .into_iter()
        .filter_map(|range| {
            Some(Subnet { range: range.subnet?, gateway: range.gateway.filter(|gateway| !gateway.is_empty()) })
        })
        .collect();
    Network {
        id: listed.id.unwrap_or_default(),
        name: listed.name.unwrap_or_default(),
        driver: listed.driver.unwrap_or_default(),
        internal: listed.internal.unwrap_or_default(),
        labels: listed.labels.unwrap_or_default().into_iter().collect(),
        subnets,
        created: moment(listed.created.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_want_of_addresses_are_recognised() {
        for message in [
            "Pool overlaps with other one on this address space",
            "invalid pool request: Pool overlaps with other one on this address space",
            "cannot create network 0c2f (br-0c2f): conflicts with network 6a1e (br-6a1e): networks have overlapping IPv4",
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "all predefined address pools have been fully subnetted",
        ] {
            assert!(is_about_subnets(message), "{message}");
        }
        assert!(!is_about_subnets("plugin \"macvlan2\" not found"));
    }
}
