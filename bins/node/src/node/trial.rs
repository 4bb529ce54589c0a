//! A trial start: what `gaggle-node check` does beyond reading the configuration.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use gaggle_discovery_dns::DnsDiscovery;
use gaggle_discovery_file::FileDiscovery;
use gaggle_discovery_gossip::{Me, StartError};
use gaggle_group::{ByteBudget, Groups, Origin};
use gaggle_peers::{Discovery as _, Listed, Peers, name_of};
use tokio::net::{UdpSocket, lookup_host};

use super::prepared::{Prepared, look_up};
use super::{groups, members, peers};
use crate::config::{Config, ConfigError, Discovery, tracing_refused};

/// Makes all that a start makes before the node takes part in the cluster, looks up the names by
/// which it would find the other nodes, and releases it again. Only name servers are asked.
///
/// # Errors
///
/// The line with which a start would end, or a name that does not resolve. A start would continue
/// without the latter.
pub(crate) async fn run(config: &Config) -> Result<(), ConfigError> {
    let Prepared {
        listeners,
        credentials,
        origins,
        feeds: _,
    } = Prepared::of(config).await?;
    let addr = listeners.peer.local_addr();
    let address = members::own_address(config, addr).await?;
    let found = try_discovery(config, addr, &address).await?;
    let ring = peers::tried(config, &credentials, &address, &found)?;
    try_groups(config, origins, &ring)?;
    if let Some(options) = config.tracing.options() {
        options
            .check_files()
            .map_err(|failure| tracing_refused(&failure))?;
    }
    let listed = config.listed()?;
    for (place, found) in look_up(&listed).await {
        if found.is_none_or(|found| found.is_empty()) {
            return Err(ConfigError::new(
                "cluster.peers",
                format!("{:?} is not found by its name", place.host.to_string()),
            ));
        }
    }
    Ok(())
}

/// The groups, and their routes at the peers' port.
fn try_groups(
    config: &Config,
    origins: Vec<Arc<dyn Origin>>,
    ring: &Peers,
) -> Result<(), ConfigError> {
    let in_flight = ByteBudget::new(config.node.max_in_flight.0, ByteBudget::DEFAULT_MAX_WAIT);
    let mut built = Vec::with_capacity(config.groups.len());
    for ((name, group), origin) in config.groups.iter().zip(origins) {
        let group = groups::build(name, group, origin, ring.clone(), in_flight.clone())?;
        built.push(group);
    }
    let built = Groups::new(built).map_err(|failure| ConfigError::new("groups", failure))?;
    peers::routes(&config.cluster, built).map(drop)
}

/// The source of members, for a node with its port for peers at `addr` that others reach at
/// `address`: those that are in it now, each with the field that names the source.
async fn try_discovery(
    config: &Config,
    addr: SocketAddr,
    address: &str,
) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let https = config.peers_scheme() == "https";
    let found = |field, members: Vec<Listed>| {
        let addresses = members.into_iter().map(|member| member.address);
        addresses.map(|address| (field, address)).collect()
    };
    let refused = |field: &str, failure: &dyn Display| ConfigError::new(field, failure);
    match &config.cluster.discovery {
        Some(Discovery::Dns(dns)) => {
            let refused = |failure: &dyn Display| refused("cluster.discovery", failure);
            let discovery = DnsDiscovery::new(dns.options(addr.port(), https));
            let discovery = discovery.map_err(|failure| refused(&failure))?;
            let members = discovery.members().await;
            let members = members.map_err(|failure| refused(&failure))?;
            Ok(found("cluster.discovery", members))
        }
        Some(Discovery::Gossip(gossip)) => {
            let refused = |failure: StartError| refused("cluster.discovery", &failure);
            let name = config.node.name.clone();
            let me = Me {
                name: name.unwrap_or_else(|| name_of(address)),
                address: address.to_owned(),
                member: config.cluster.member,
            };
            let options = gossip.options(&config.cluster.name);
            options.validate().map_err(refused)?;
            me.validate().map_err(refused)?;
            UdpSocket::bind(gossip.listen).await.map_err(|source| {
                let address = gossip.listen;
                refused(StartError::Listen { address, source })
            })?;
            for seed in &gossip.seeds {
                if let Err(failure) = lookup_host(seed).await {
                    let problem = format!("{seed:?} is not found: {failure}");
                    return Err(ConfigError::new("cluster.discovery.seeds", problem));
                }
            }
            Ok(Vec::new())
        }
        Some(Discovery::File(list)) => {
            let refused = |failure: &dyn Display| refused("cluster.discovery.path", failure);
            let discovery = FileDiscovery::new(list.options());
            let discovery = discovery.map_err(|failure| refused(&failure))?.https(https);
            let members = discovery.members().await;
            let members = members.map_err(|failure| refused(&failure))?;
            Ok(found("cluster.discovery.path", members))
        }
        None => {
            let members = config.peer_urls().into_iter();
            Ok(members.map(|url| ("cluster.peers", url)).collect())
        }
    }
}
