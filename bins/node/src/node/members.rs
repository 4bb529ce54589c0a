//! The source of the list of members, and the address of this node: the one place that knows the
//! discoveries.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gaggle_discovery_dns::DnsDiscovery;
use gaggle_discovery_file::FileDiscovery;
use gaggle_discovery_gossip::{Gossip, Me, State};
use gaggle_peers::{Discovery, Peers, Settled, name_of};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;
use tracing::{info, warn};

use super::access;
use crate::config::{self, Config, ConfigError, Credentials};

/// How long finding a route to a seed may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// How long the announcement that this node leaves may take, by gossip.
const LEAVES: Duration = Duration::from_secs(2);

/// Where the members come from.
pub(super) enum Members {
    /// A list that does not change.
    Listed,
    Dns(Box<DnsDiscovery>),
    File(FileDiscovery),
    Gossip(Gossip),
}

impl Members {
    /// Opens the source, and finds the base URL by which other nodes reach this one, whose port
    /// for peers is at `addr`. The URL is empty if this node listens on every address and has to
    /// find itself in a list.
    pub(super) async fn open(
        config: &Config,
        credentials: &Credentials,
        addr: SocketAddr,
    ) -> Result<(Self, String), ConfigError> {
        let address = own_address(config, addr).await?;
        let https = config.peers_scheme() == "https";
        let refused = |failure: &dyn Display| ConfigError::new("cluster.discovery", failure);
        let members = match &config.cluster.discovery {
            None => Self::Listed,
            Some(config::Discovery::Dns(dns)) => {
                let dns = DnsDiscovery::new(dns.options(addr.port(), https));
                Self::Dns(Box::new(dns.map_err(|failure| refused(&failure))?))
            }
            Some(config::Discovery::File(file)) => {
                let file = FileDiscovery::new(file.options());
                Self::File(file.map_err(|failure| refused(&failure))?.https(https))
            }
            Some(config::Discovery::Gossip(gossip)) => {
                let mut options = gossip.options(&config.cluster.name);
                options.keys = access::gossip_keys(credentials);
                let name = config.node.name.clone();
                let me = Me {
                    name: name.unwrap_or_else(|| name_of(&address)),
                    address: address.clone(),
                    member: config.cluster.member,
                };
                let gossip = Gossip::start(options, me).await;
                Self::Gossip(gossip.map_err(|failure| refused(&failure))?)
            }
        };
        Ok((members, address))
    }

    fn discovery(&self) -> Option<&dyn Discovery> {
        match self {
            Self::Listed => None,
            Self::Dns(dns) => Some(&**dns),
            Self::File(file) => Some(file),
            Self::Gossip(gossip) => Some(gossip),
        }
    }

    /// Whether the list is requested repeatedly from a source.
    pub(super) fn are_asked_for(&self) -> bool {
        self.discovery().is_some()
    }

    /// Keeps the ring up to date with the list. Never ends.
    pub(super) async fn follow(&self, peers: &Peers) {
        match self.discovery() {
            Some(discovery) => peers.follow(discovery).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the membership has settled, for `within` at most: otherwise nodes that start
    /// together would each form a separate ring.
    ///
    /// # Errors
    ///
    /// If this node has not found out by which address the other nodes reach it.
    pub(super) async fn settle(&self, peers: &Peers, within: Duration) -> Result<(), ConfigError> {
        match peers.settle(self.discovery(), within).await {
            Settled::Yes => {}
            Settled::Unknown => {
                let list = match self {
                    Self::File(_) => "the nodes of cluster.discovery.path",
                    _ => "cluster.peers",
                };
                let problem = format!(
                    "missing: node.peer-addr is an unspecified address, and none of {list} has answered as \
                     this node within {within:?}; expected the base URL by which the other nodes reach it"
                );
                return Err(ConfigError::new("node.advertise", problem));
            }
            _ => warn!(
                within = ?within,
                "not all listed nodes have answered, or the list still changes; this node reports that it is ready nevertheless"
            ),
        }
        Ok(())
    }

    /// Announces by gossip that this node answers.
    pub(super) async fn ready(&self) {
        if let Self::Gossip(gossip) = self {
            gossip.set_state(State::Ready).await;
        }
    }

    /// Announces by gossip that this node leaves.
    pub(super) async fn leave(&self) {
        if let Self::Gossip(gossip) = self {
            let all_know = gossip.leave(LEAVES).await;
            info!(all_know, "announced by gossip that this node leaves");
        }
    }
}

/// The base URL by which other nodes reach this one, whose port for peers is at `addr`. Empty if
/// this node listens on every address and has to find itself in a list.
pub(super) async fn own_address(config: &Config, addr: SocketAddr) -> Result<String, ConfigError> {
    let scheme = config.peers_scheme();
    if let Some(advertise) = &config.node.advertise {
        return Ok(advertise.clone());
    }
    if !addr.ip().is_unspecified() {
        return Ok(format!("{scheme}://{addr}"));
    }
    match &config.cluster.discovery {
        None | Some(config::Discovery::File(_)) => Ok(String::new()),
        Some(config::Discovery::Dns(dns)) => {
            let dns = DnsDiscovery::new(dns.options(addr.port(), scheme == "https"))
                .map_err(|failure| ConfigError::new("cluster.discovery", failure))?;
            let own = dns.own_address().await.map_err(|failure| {
                let problem = format!("none is given and none is found: {failure}");
                ConfigError::new("node.advertise", problem)
            })?;
            Ok(dns.url_of(own.ip))
        }
        Some(config::Discovery::Gossip(gossip)) => {
            let ip = way_to(&gossip.seeds).await?;
            Ok(format!("{scheme}://{}", SocketAddr::new(ip, addr.port())))
        }
    }
}

/// The source address of packets to the seeds. Sends nothing. A host's own name may resolve to a
/// loopback address, where no other host reaches it: such an address is used only if all seeds are
/// written as one.
async fn way_to(seeds: &[String]) -> Result<IpAddr, ConfigError> {
    let failed = |problem: String| {
        ConfigError::new(
            "node.advertise",
            format!(
                "missing: node.peer-addr is an unspecified address, and {problem}; expected the base URL by \
                 which the other nodes reach this one"
            ),
        )
    };
    let is_local = |seed: &String| {
        let address: Result<SocketAddr, _> = seed.parse();
        address.is_ok_and(|address| address.ip().is_loopback()) || seed.starts_with("localhost:")
    };
    let all_local = seeds.iter().all(is_local);
    let mut problem = "there is no seed from which to find it".to_owned();
    for seed in seeds {
        let found = match timeout(LOOKUP, lookup_host(seed)).await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => {
                problem = format!("the seed {seed:?} is not found: {failure}");
                continue;
            }
            Err(_) => {
                problem = format!("the seed {seed:?} is not found within {LOOKUP:?}");
                continue;
            }
        };
        for to in found {
            match from(to).await {
                Ok(ip) if all_local || !ip.is_loopback() => return Ok(ip),
                Ok(_) => problem = format!("the seed {seed:?} is this machine itself"),
                Err(failure) => {
                    problem = format!("there is no route to the seed {seed:?}: {failure}");
                }
            }
        }
    }
    Err(failed(problem))
}

/// The source address of packets to another address.
async fn from(to: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
