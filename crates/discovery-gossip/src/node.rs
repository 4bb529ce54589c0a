//! The nodes as they announce themselves, and which of two nodes with the same name counts.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

use chitchat::{ChitchatId, NodeState};
use gaggle_peers::Listed;
use url::{Host, Url};

use crate::key::{Key, MAX_ADDRESS, MAX_NAME};
use crate::options::Me;
use crate::wire::Id;

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It runs, and does not answer yet.
    Starting,
    /// It answers.
    Ready,
    /// It leaves: it is no longer in any ring.
    Leaving,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Starting, Self::Ready, Self::Leaving]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A live node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its name in the ring.
    pub name: String,
    /// The base URL by which its peers reach it.
    pub address: String,
    /// Whether it is a member of the ring.
    pub member: bool,
    /// Its state.
    pub state: State,
    /// The UDP address at which it gossips.
    pub gossip: SocketAddr,
    /// When it was started, in nanoseconds since 1970 by its own clock.
    pub generation: u64,
}

impl Node {
    /// `None` until all values of a node are known, and for one with invalid values.
    pub(crate) fn of(id: &ChitchatId, state: &NodeState) -> Option<Self> {
        let value = |key: Key| state.get(key.as_str());
        let (name, address) = (value(Key::Name)?, value(Key::Address)?);
        if !is_name(name) || !base_url(address) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            address: address.to_owned(),
            member: value(Key::Member)?.parse().ok()?,
            state: State::of(value(Key::State)?)?,
            gossip: id.gossip_advertise_addr,
            generation: id.generation_id,
        })
    }

    /// This node, as it begins.
    pub(crate) fn own(id: Id, me: &Me) -> Self {
        Self {
            name: me.name.clone(),
            address: me.address.clone(),
            member: me.member,
            state: State::Starting,
            gossip: id.address,
            generation: id.generation,
        }
    }

    pub(crate) fn listed(&self) -> Listed {
        Listed::new(self.address.clone())
            .named(self.name.clone())
            .member(self.member)
            .leaving(self.state == State::Leaving)
    }
}

/// Each node once, by name. Of two with the same name, base URL or gossip address, the one that
/// was started last is kept, and the other is its predecessor.
pub(crate) fn newest(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by(|a, b| {
        b.generation
            .cmp(&a.generation)
            .then(a.gossip.cmp(&b.gossip))
    });
    let (mut names, mut addresses, mut gossips) = (HashSet::new(), HashSet::new(), HashSet::new());
    nodes.retain(|node| {
        let taken = names.contains(&node.name)
            || addresses.contains(&node.address)
            || gossips.contains(&node.gossip);
        if !taken {
            names.insert(node.name.clone());
            addresses.insert(node.address.clone());
            gossips.insert(node.gossip);
        }
        !taken
    });
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

pub(crate) fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    !name.is_empty() && name.len() <= MAX_NAME && !name.contains(odd)
}

/// Whether it is a base URL by which a node can be reached.
pub(crate) fn base_url(text: &str) -> bool {
    if text.len() > MAX_ADDRESS || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return false;
    }
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => !name.is_empty(),
        Some(Host::Ipv4(ip)) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        Some(Host::Ipv6(ip)) => !(ip.is_unspecified() || ip.is_multicast()),
        None => false,
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    host && bare && anonymous && url.port() != Some(0) && matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, port: u16, generation: u64) -> Node {
        Node {
            name: name.into(),
            address: format!("http://10.0.0.1:{port}"),
            member: true,
            state: State::Ready,
            gossip: ([10, 0, 0, 1], port).into(),
            generation,
        }
    }

    #[test]
    fn the_newest_of_a_name_or_an_address_is_there() {
        let nodes = vec![
            node("a", 1, 1),
            node("a", 2, 2), // back under another port
            node("b", 3, 1),
            node("c", 3, 2), // renamed, at the same address
            node("d", 4, 1),
        ];
        let expected = [node("a", 2, 2), node("c", 3, 2), node("d", 4, 1)];
        assert_eq!(newest(nodes.clone()), expected);
        assert_eq!(newest(nodes.into_iter().rev().collect()), expected);
    }

    #[test]
    fn only_base_urls_are_addresses() {
        for good in [
            "http://10.0.0.1:8001",
            "https://node-1.example:8001",
            "http://[fd00::1]:8001/",
            "http://localhost",
        ] {
            assert!(base_url(good), "{good}");
        }
        let long = format!("http://{}:1", "a".repeat(MAX_ADDRESS));
        for bad in [
            "",
            "10.0.0.1:8001",
            "ftp://10.0.0.1",
            "http://",
            "http://0.0.0.0:8001",
            "http://[::]:8001",
            "http://255.255.255.255",
            "http://10.0.0.1:0",
            "http://10.0.0.1/path",
            "http://10.0.0.1?query",
            "http://10.0.0.1#fragment",
            "http://user@10.0.0.1",
            "http://10.0.0.1:8001\n",
            "http://10.0.0.1 :8001",
            &long,
        ] {
            assert!(!base_url(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_fit_in_a_line() {
        assert!(is_name("pod-1") && is_name("10.0.0.1:8001") && is_name(&"n".repeat(MAX_NAME)));
        for bad in ["", "a b", "a\nb", "a\u{0}", &"n".repeat(MAX_NAME + 1)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
