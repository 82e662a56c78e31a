//! Published ports, short and long.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::complaint::Checked;
use super::cursor::Cursor;

/// A port of the container that the host answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Port {
    /// The port inside the container.
    pub target: u16,
    /// The port on the host; none lets the engine choose.
    pub published: Option<Published>,
    /// The address on the host; none is every address.
    pub host_ip: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// How a swarm would publish it.
    pub mode: PortMode,
    /// What a person calls it.
    pub name: Option<String>,
    /// The protocol spoken over it: `http`.
    pub app_protocol: Option<String>,
}

impl Port {
    /// Whether a later definition of this port replaces the earlier one, rather than being added.
    #[must_use]
    pub fn same_as(&self, other: &Port) -> bool {
        let key = |port: &Port| (port.host_ip, port.target, port.published, port.protocol);
        key(self) == key(other)
    }
}

/// A host port, or a range of which the engine takes one that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Published {
    /// The first port.
    pub first: u16,
    /// The last port; the first, where there is but one.
    pub last: u16,
}

impl Published {
    /// Exactly this port.
    #[must_use]
    pub fn single(port: u16) -> Published {
        Published { first: port, last: port }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

const PROTOCOLS: [(&str, Protocol); 3] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];

/// How a swarm would publish a port; on one host both mean the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMode {
    /// On every node.
    #[default]
    Ingress,
    /// On the node of the container.
    Host,
}

/// The list of a service's ports; a range in the short form becomes one port each.
pub(super) fn read_all(cursor: &Cursor) -> Checked<Vec<Port>> {
    let mut ports: Vec<Port> = Vec::new();
    for item in cursor.items()? {
        if item.is_mapping() {
            ports.push(read_long(&item)?);
        } else {
            ports.extend(item.checked(parse(&item.number_or_text()?))?);
        }
    }
    Ok(super::lists::unique(ports))
}

fn read_long(cursor: &Cursor) -> Checked<Port> {
    let mut fields = cursor.fields()?;
    let port = Port {
        target: fields.require("target", |c| c.checked(one_port(&c.number_or_text()?)))?,
        published: fields.read("published", |c| c.checked(published(&c.number_or_text()?)))?.flatten(),
        host_ip: fields.read("host_ip", |c| c.checked(address(&c.text()?)))?.flatten(),
        protocol: fields.or_default("protocol", |c| c.choice(&PROTOCOLS))?,
        mode: fields.or_default("mode", |c| c.choice(&[("ingress", PortMode::Ingress), ("host", PortMode::Host)]))?,
        name: fields.read("name", Cursor::text)?,
        app_protocol: fields.read("app_protocol", Cursor::text)?,
    };
    fields.finish()?;
    Ok(port)
}

/// `[[ADDRESS:][PUBLISHED]:]TARGET[/PROTOCOL]`, where both ports may be ranges.
fn parse(text: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = PROTOCOLS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(protocol))
        .map(|&(_, protocol)| protocol)
        .ok_or_else(|| format!("{protocol:?} is no protocol of a port; these are: tcp, udp, sctp"))?;
    let (front, target) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) = front.rsplit_once(':').unwrap_or(("", front));
    let (target, host, host_ip) = (range(target)?, published(host)?, address(ip)?);
    let port = |target, published| Port {
        target,
        published,
        host_ip,
        protocol,
        mode: PortMode::Ingress,
        name: None,
        app_protocol: None,
    };
    match host {
        _ if target.first == target.last => Ok(vec![port(target.first, host)]),
        None => Ok((target.first..=target.last).map(|target| port(target, None)).collect()),
        Some(host) if host.last - host.first == target.last - target.first => Ok((target.first..=target.last)
            .zip(host.first..=host.last)
            .map(|(target, host)| port(target, Some(Published::single(host))))
            .collect()),
        Some(_) => Err(format!("the two ranges of {text:?} are not of one length")),
    }
}

fn range(text: &str) -> Result<Published, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (one_port(first)?, one_port(last)?);
    if first > last { Err(format!("the range {text:?} ends before it begins")) } else { Ok(Published { first, last }) }
}

/// Nothing and 0 let the engine choose.
fn published(text: &str) -> Result<Option<Published>, String> {
    if text.is_empty() || text == "0" { Ok(None) } else { range(text).map(Some) }
}

fn one_port(text: &str) -> Result<u16, String> {
    let port = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    port.filter(|&port| port > 0).ok_or_else(|| format!("{text:?} is no port"))
}

fn address(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(Some).map_err(|_| format!("{text:?} is no IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |port: &Port| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            let published = port.published.map_or_else(|| "any".into(), |published| published.to_string());
            format!("{ip}{published}>{}/{:?}", port.target, port.protocol)
        };
        parse(text)
            .map_or_else(|what| format!("ERROR {what}"), |ports| ports.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_short_port_may_leave_out_all_but_the_target() {
        for (text, wanted) in [
            ("80", "any>80/Tcp"),
            ("8080:80", "8080>80/Tcp"),
            ("53:53/udp", "53>53/Udp"),
            ("127.0.0.1:15432:5432", "127.0.0.1 15432>5432/Tcp"),
            ("127.0.0.1::80", "127.0.0.1 any>80/Tcp"),
            ("[::1]:8080:80", "::1 8080>80/Tcp"),
            ("0:80", "any>80/Tcp"),
            ("8000-9000:80", "8000-9000>80/Tcp"),
            ("3000-3001", "any>3000/Tcp any>3001/Tcp"),
            ("4000-4001:3000-3001", "4000>3000/Tcp 4001>3001/Tcp"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "0", "x", "65536", "80/http", "1-3:1-2", "3-1", "localhost:1:2", "+80", "1:2:3:4:", "a:80"] {
            assert!(shown(text).starts_with("ERROR"), "{text}: {}", shown(text));
        }
    }
}
