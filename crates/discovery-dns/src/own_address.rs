//! Finds this host's own address.
//!
//! A node must know which of the members is itself. Otherwise it would be in its own ring twice,
//! once as itself and once as a peer that it calls over the network. A container may have several
//! addresses, and a list of interfaces does not show which of them its peers use. The routing
//! table does: a datagram socket that is *connected* to a peer is given the address that packets
//! to the peer would come from. No packet is sent.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The source address of this host's packets to `remote`. It sends nothing, and does not wait.
///
/// For an address of this host it is that address, except on the loopback network, all of which is
/// reached from 127.0.0.1.
///
/// # Errors
///
/// If no route leads there, or the host has no addresses of that family.
pub fn local_address_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// The address of this host that is among `addresses`.
pub(crate) fn listed(addresses: &BTreeSet<IpAddr>, port: u16) -> Option<IpAddr> {
    addresses
        .iter()
        .copied()
        .filter_map(|address| local_address_towards((address, port).into()).ok())
        .find(|own| addresses.contains(own))
}

/// The address of this host that the first of `remotes` with a route would see. Loopback does not
/// count, since a peer could not use it.
pub(crate) fn towards(remotes: impl IntoIterator<Item = SocketAddr>) -> Option<IpAddr> {
    remotes
        .into_iter()
        .filter_map(|remote| local_address_towards(remote).ok())
        .find(|own| !own.is_loopback() && !own.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let remote = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let own = local_address_towards(remote).unwrap();
        assert_eq!(own, Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn the_listed_address_is_preferred_wherever_it_stands() {
        // 203.0.113.0/24 is for documentation: whatever leads there, this host has no such
        // address.
        let members = set(&["127.0.0.1", "203.0.113.1", "203.0.113.2"]);
        assert_eq!(listed(&members, 8001), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(listed(&set(&["203.0.113.1", "203.0.113.2"]), 8001), None);
    }

    #[test]
    fn a_guess_is_never_loopback() {
        assert_eq!(towards(["127.0.0.1:8001".parse().unwrap()]), None);
        assert_eq!(towards([]), None);
    }
}
