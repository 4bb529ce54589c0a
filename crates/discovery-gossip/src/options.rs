//! How a node gossips, and what it announces about itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::key::{MAX_ADDRESS, MAX_NAME};
use crate::node::{base_url, is_name};

/// Returns the shared secrets in force. It is called for each datagram, so that they may change:
/// the first one signs, and each is accepted. It must not wait.
pub type Keys = Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>;

/// The most seeds.
const MAX_SEEDS: usize = 64;
/// The longest name of a cluster, in bytes.
const MAX_CLUSTER: usize = 256;

/// The options of a node's gossip.
#[derive(Clone)]
pub struct GossipOptions {
    /// The UDP address to listen on. All nodes use its family, IPv4 or IPv6. Default
    /// `0.0.0.0:7946`.
    pub listen: SocketAddr,
    /// The address at which other nodes reach it. Default: `listen`, or, if that is unspecified,
    /// the source address of packets to the first seed.
    pub advertise: Option<SocketAddr>,
    /// Some of the nodes, as `host:port`: one is enough, two or three are better, listing all is
    /// allowed, and this node may be one of them. Names are resolved repeatedly. At most 64.
    /// Default: none, for the first node.
    pub seeds: Vec<String>,
    /// The cluster's name. Nodes of another one are ignored. Default `gaggle`.
    pub cluster: String,
    /// How often a node gossips, with three others each time. 20 ms to 10 s; default 250 ms, which
    /// suits up to some hundred nodes. It must be the same on each node.
    pub interval: Duration,
    /// How long a node that usually sends a heartbeat once an interval may send none before it is
    /// declared dead. At least 8 intervals, at most 10 min; default 4 s. A node with less regular
    /// heartbeats has more time, up to four times as much.
    pub dead_after: Duration,
    /// How long a dead node is remembered, and asked whether it is up again. At least eight times
    /// `dead_after`, at most a day; default 10 min. A cluster that was split for longer is joined
    /// again only through the seeds.
    pub dead_grace: Duration,
    /// The cluster's secrets. With them, each datagram is signed, and one that is not signed by
    /// any of them is dropped. `None`, the default: there is no authentication, and every datagram
    /// is trusted.
    pub keys: Option<Keys>,
}

impl Default for GossipOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7946)),
            advertise: None,
            seeds: Vec::new(),
            cluster: "gaggle".into(),
            interval: Duration::from_millis(250),
            dead_after: Duration::from_secs(4),
            dead_grace: Duration::from_secs(600),
            keys: None,
        }
    }
}

impl fmt::Debug for GossipOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipOptions")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("seeds", &self.seeds)
            .field("cluster", &self.cluster)
            .field("interval", &self.interval)
            .field("dead_after", &self.dead_after)
            .field("dead_grace", &self.dead_grace)
            .field("keys", &self.keys.as_ref().map(|_| "..."))
            .finish()
    }
}

/// What a node announces about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Its name in the ring: 1 to 256 bytes, no white space or control characters. No two nodes
    /// have the same.
    pub name: String,
    /// The base URL by which its peers reach it: `http` or `https`, a host that is a name or an
    /// address, and a port if it is not that of the scheme.
    pub address: String,
    /// Whether it is a member of the ring.
    pub member: bool,
}

/// What is wrong with the options, or why the network cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A field has an invalid value.
    #[error("{field} is {value:?}; expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed values.
        expected: &'static str,
    },
    /// The address to listen on cannot be bound.
    #[error("listen on UDP {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// It listens on all addresses, and none of them has a route to other hosts.
    #[error(
        "listening on {listen}, this host has no route to the seeds or anywhere else; set advertise"
    )]
    Advertise {
        /// The unspecified address.
        listen: SocketAddr,
    },
    /// The system's clock is before 1970 or after 2554.
    #[error("the system's clock is not set")]
    Clock,
    /// chitchat does not start.
    #[error("{0:#}")]
    Gossip(anyhow::Error),
}

pub(crate) fn wrong(
    field: &'static str,
    value: impl Into<String>,
    expected: &'static str,
) -> StartError {
    StartError::Field {
        field,
        value: value.into(),
        expected,
    }
}

impl GossipOptions {
    /// Refuses invalid options, as [`Gossip::start`](crate::Gossip::start) does, without a
    /// network.
    ///
    /// # Errors
    ///
    /// A [`StartError::Field`].
    pub fn validate(&self) -> Result<(), StartError> {
        if self.cluster.is_empty() || self.cluster.len() > MAX_CLUSTER {
            return Err(wrong("cluster", &self.cluster, "1 to 256 bytes"));
        }
        if self.seeds.len() > MAX_SEEDS {
            let count = self.seeds.len().to_string();
            return Err(wrong("the number of seeds", count, "at most 64"));
        }
        if let Some(seed) = self.seeds.iter().find(|seed| !is_seed(seed)) {
            return Err(wrong("a seed", seed, "host:port"));
        }
        if let Some(advertise) = self.advertise.filter(|address| !is_reachable(address)) {
            let expected = "an address and a port that other nodes can send to";
            return Err(wrong("advertise", advertise.to_string(), expected));
        }
        // One socket sends to one family.
        let other_family = |address: &SocketAddr| address.is_ipv4() != self.listen.is_ipv4();
        if let Some(advertise) = self.advertise.filter(other_family) {
            let expected = "an address of the same family as that of listen";
            return Err(wrong("advertise", advertise.to_string(), expected));
        }
        let span = |field, value: Duration, from: Duration, to: Duration, expected| {
            if value < from || value > to {
                return Err(wrong(field, format!("{value:?}"), expected));
            }
            Ok(())
        };
        let seconds = Duration::from_secs;
        let shortest = Duration::from_millis(20);
        span(
            "interval",
            self.interval,
            shortest,
            seconds(10),
            "20 ms to 10 s",
        )?;
        let expected = "8 intervals to 10 min";
        span(
            "dead_after",
            self.dead_after,
            self.interval * 8,
            seconds(600),
            expected,
        )?;
        let (least, most) = (self.dead_after.saturating_mul(8), seconds(24 * 3600));
        span(
            "dead_grace",
            self.dead_grace,
            least,
            most,
            "8 times dead_after to a day",
        )
    }
}

impl Me {
    /// Refuses invalid options, as [`Gossip::start`](crate::Gossip::start) does.
    ///
    /// # Errors
    ///
    /// A [`StartError::Field`].
    pub fn validate(&self) -> Result<(), StartError> {
        if !is_name(&self.name) {
            let expected = "1 to 256 bytes without white space and control characters";
            return Err(wrong("name", &self.name, expected));
        }
        check_address(&self.address)
    }
}

pub(crate) fn check_address(address: &str) -> Result<(), StartError> {
    if base_url(address) {
        Ok(())
    } else {
        Err(wrong(
            "address",
            address,
            "a base URL such as http://10.0.0.1:8001",
        ))
    }
}

fn is_seed(seed: &str) -> bool {
    let Some((host, port)) = seed.rsplit_once(':') else {
        return false;
    };
    let plain = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    !host.is_empty() && plain && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_reachable(address: &SocketAddr) -> bool {
    let broadcast = matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast());
    let one = !address.ip().is_unspecified() && !address.ip().is_multicast() && !broadcast;
    one && address.port() != 0
}

// The limits for `Me` and for other nodes are the same.
const _: () = assert!(MAX_NAME == 256 && MAX_ADDRESS == 512);
