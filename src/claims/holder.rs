//! Who holds a host port: the check by binding, and the name of the process that is in the way.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::processes::{self, Process};

/// Whether a port is in use on the loopback or the wildcard address, IPv4 or IPv6.
#[must_use]
pub fn is_taken(port: u16) -> bool {
    let addresses: [IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    addresses.into_iter().any(|address| match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => false,
        // A host without IPv6 has nothing listening there.
        Err(cause) => cause.kind() == std::io::ErrorKind::AddrInUse,
    })
}

/// The process that listens on a port, where the kernel lets us see it.
#[must_use]
pub fn listener(port: u16) -> Option<Process> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let socket = format!("socket:[{inode}]");
    let holds = |pid: &u32| {
        let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == socket.as_str()))
    };
    processes::all().find(holds).and_then(Process::of)
}

/// The inode of the socket in state LISTEN (`0A`) on a port, in a table as the kernel prints it.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, hex) = columns.get(1)?.rsplit_once(':')?;
        let listens = columns.get(3) == Some(&"0A") && u16::from_str_radix(hex, 16) == Ok(port);
        listens.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_while_someone_listens_on_it_and_the_holder_is_named() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let bound = TcpListener::bind(address).unwrap();
            let port = bound.local_addr().unwrap().port();
            assert!(is_taken(port), "{address}");
            let holder = listener(port).unwrap();
            assert!(holder.to_string().ends_with(&format!("(pid {})", std::process::id())), "{holder}");
        }
    }
}
