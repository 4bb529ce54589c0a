//! A start that is tried and given up: what `gaggle-node check` does beyond reading the configuration.

use gaggle_discovery_dns::DnsDiscovery;
use gaggle_discovery_file::FileDiscovery;
use gaggle_discovery_gossip::StartError;
use gaggle_peers::Discovery as _;
use tokio::net::{UdpSocket, lookup_host};

use super::members;
use super::prepared::{Prepared, look_up};
use crate::config::{Config, ConfigError, Discovery};

/// Makes all that a start makes before the node takes part in the cluster, looks up the names by which it would find the
/// other nodes, and lets go of it again. Nobody is asked but name servers.
///
/// # Errors
///
/// The line with which a start would end, or a name that stands for nothing. A start goes on without that.
pub(crate) async fn run(config: &Config) -> Result<(), ConfigError> {
    let prepared = Prepared::of(config).await?;
    let addr = prepared.listeners.peer.local_addr();
    members::own_address(config, addr).await?;
    let listed = config.listed()?;
    for (place, found) in look_up(&listed).await {
        if found.is_none_or(|found| found.is_empty()) {
            return Err(ConfigError::new(
                "cluster.peers",
                format!("{:?} is not found by its name", place.host.to_string()),
            ));
        }
    }
    match &config.cluster.discovery {
        Some(Discovery::Dns(dns)) => {
            let refused =
                |failure: &dyn std::fmt::Display| ConfigError::new("cluster.discovery", failure);
            let discovery =
                DnsDiscovery::new(dns.options(addr.port(), config.peers_scheme() == "https"))
                    .map_err(|f| refused(&f))?;
            discovery.members().await.map_err(|f| refused(&f))?;
        }
        Some(Discovery::Gossip(gossip)) => {
            UdpSocket::bind(gossip.listen).await.map_err(|source| {
                let address = gossip.listen;
                ConfigError::new("cluster.discovery", StartError::Listen { address, source })
            })?;
            for seed in &gossip.seeds {
                if let Err(failure) = lookup_host(seed).await {
                    let problem = format!("{seed:?} is not found: {failure}");
                    return Err(ConfigError::new("cluster.discovery.seeds", problem));
                }
            }
        }
        Some(Discovery::File(list)) => {
            let refused = |failure: &dyn std::fmt::Display| {
                ConfigError::new("cluster.discovery.path", failure)
            };
            let discovery = FileDiscovery::new(list.options()).map_err(|f| refused(&f))?;
            discovery.members().await.map_err(|f| refused(&f))?;
        }
        None => {}
    }
    Ok(())
}
