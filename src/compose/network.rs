//! Networks of a project, and how a service takes part in one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::volume::{full_name, read_external};
use super::{lists, pairs};

/// A network of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name in the engine; none is made from the project's name and the key.
    pub name: Option<String>,
    /// Whether it is there before the project and stays after it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The engine's network driver; none is its default.
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Whether containers outside the project may join.
    pub attachable: Option<bool>,
    /// Whether it has IPv4 addresses; none is yes.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6 addresses; none is the engine's default.
    pub enable_ipv6: Option<bool>,
    /// Whether it is cut off from the outside.
    pub internal: Option<bool>,
    /// Its addresses; none lets the engine choose.
    pub ipam: Option<Ipam>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// The network's name in the engine.
    #[must_use]
    pub fn full_name(&self, project: &str, key: &str) -> String {
        full_name(self.name.as_deref(), self.external, project, key)
    }
}

/// How a network's addresses are managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ipam {
    /// The engine's address driver; none is its default.
    pub driver: Option<String>,
    /// The subnets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<Subnet>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A subnet of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// Its addresses, `ADDRESS/BITS`.
    pub subnet: Option<String>,
    /// Where containers' addresses are taken from, `ADDRESS/BITS`.
    pub ip_range: Option<String>,
    /// The host's own address.
    pub gateway: Option<IpAddr>,
    /// Addresses that are taken.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, String>,
}

/// How a service takes part in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Further names for the service there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// Which network is connected first: the highest.
    pub priority: Option<i64>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

pub(super) fn read(cursor: &Cursor) -> Checked<Network> {
    if cursor.value.is_null() {
        return Ok(Network::default());
    }
    let mut fields = cursor.fields()?;
    let (external, legacy_name) = read_external(&mut fields)?;
    let network = Network {
        name: fields.read("name", Cursor::text)?.or(legacy_name),
        external,
        driver: fields.read("driver", Cursor::text)?,
        driver_opts: fields.or_default("driver_opts", pairs::options)?,
        attachable: fields.read("attachable", Cursor::flag)?,
        enable_ipv4: fields.read("enable_ipv4", Cursor::flag)?,
        enable_ipv6: fields.read("enable_ipv6", Cursor::flag)?,
        internal: fields.read("internal", Cursor::flag)?,
        ipam: fields.read("ipam", read_ipam)?,
        labels: fields.or_default("labels", pairs::plain)?,
    };
    fields.finish()?;
    let bare = Network { name: network.name.clone(), external, ..Network::default() };
    if external && network != bare {
        return Err(cursor.complain("what is external takes no other key than `name`"));
    }
    Ok(network)
}

fn read_ipam(cursor: &Cursor) -> Checked<Ipam> {
    let mut fields = cursor.fields()?;
    let ipam = Ipam {
        driver: fields.read("driver", Cursor::text)?,
        config: fields.or_default("config", |c| c.items()?.iter().map(read_subnet).collect())?,
        options: fields.or_default("options", pairs::options)?,
    };
    fields.finish()?;
    Ok(ipam)
}

fn read_subnet(cursor: &Cursor) -> Checked<Subnet> {
    let mut fields = cursor.fields()?;
    let subnet = Subnet {
        subnet: fields.read("subnet", addresses)?,
        ip_range: fields.read("ip_range", addresses)?,
        gateway: fields.read("gateway", address)?,
        aux_addresses: fields.or_default("aux_addresses", pairs::options)?,
    };
    fields.finish()?;
    Ok(subnet)
}

/// `ADDRESS/BITS`.
fn addresses(cursor: &Cursor) -> Checked<String> {
    let text = cursor.text()?;
    let valid = text.split_once('/').is_some_and(|(ip, bits)| {
        let most = ip.parse::<IpAddr>().map(|ip| if ip.is_ipv4() { 32_u8 } else { 128 });
        matches!((most, bits.parse::<u8>()), (Ok(most), Ok(bits)) if bits <= most)
    });
    if valid { Ok(text) } else { Err(cursor.complain(format!("{text:?} is no subnet, as 10.9.0.0/28 is"))) }
}

fn address<T: std::str::FromStr>(cursor: &Cursor) -> Checked<T> {
    let text = cursor.text()?;
    text.parse().map_err(|_| cursor.complain(format!("{text:?} is no IP address of this kind")))
}

pub(super) fn read_attachments(cursor: &Cursor) -> Checked<BTreeMap<String, Attachment>> {
    if cursor.is_mapping() {
        let read = |(name, attachment): (&str, Cursor)| Ok((name.to_owned(), read_attachment(&attachment)?));
        return cursor.entries()?.into_iter().map(read).collect();
    }
    Ok(lists::texts(cursor)?.into_iter().map(|name| (name, Attachment::default())).collect())
}

fn read_attachment(cursor: &Cursor) -> Checked<Attachment> {
    if cursor.value.is_null() {
        return Ok(Attachment::default());
    }
    let mut fields = cursor.fields()?;
    let attachment = Attachment {
        aliases: fields.or_default("aliases", lists::set)?,
        ipv4_address: fields.read("ipv4_address", address)?,
        ipv6_address: fields.read("ipv6_address", address)?,
        mac_address: fields.read("mac_address", Cursor::text)?,
        priority: fields.read("priority", Cursor::integer)?,
        driver_opts: fields.or_default("driver_opts", pairs::options)?,
    };
    fields.refuse(&["link_local_ips", "gw_priority", "interface_name"])?;
    fields.finish()?;
    Ok(attachment)
}
