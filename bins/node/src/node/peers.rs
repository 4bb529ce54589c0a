//! The ring, and the transport that its members are asked over: the one place that knows the transports.

use std::sync::Arc;

use gaggle_group::{Groups, Peer};
use gaggle_peers::{Connect, Peers, PeersError};
use gaggle_ring::Profile;
use gaggle_transport_grpc::GrpcTransport;
use gaggle_transport_http::HttpTransport;

use super::doors;
use crate::config::{self, Cluster, Config, ConfigError, Credentials, Transport};

/// The ring of the configured members, and of this node, which is reached at that base URL.
pub(super) fn ring(
    config: &Config,
    credentials: &Credentials,
    address: &str,
) -> Result<Peers, ConfigError> {
    let peers = match config.cluster.transport {
        Transport::Http => {
            let http = HttpTransport::new(doors::http_client(config, credentials)?)
                .map_err(|failure| ConfigError::new("cluster.transport", failure))?;
            connected(config, address, move |peer: &str, url: &str| {
                Ok(http.peer_named(peer, url)? as Arc<dyn Peer>)
            })
        }
        Transport::Grpc => {
            let grpc = GrpcTransport::new(doors::grpc_client(config, credentials));
            connected(config, address, move |peer: &str, url: &str| {
                Ok(grpc.peer_named(peer, url)? as Arc<dyn Peer>)
            })
        }
    }
    .map_err(|failure| ConfigError::new("node.advertise", failure))?;
    peers
        .update(config.peer_urls().iter().map(String::as_str))
        .map_err(|failure| ConfigError::new("cluster.peers", failure))?;
    Ok(peers)
}

fn connected(config: &Config, address: &str, connect: impl Connect) -> Result<Peers, PeersError> {
    let profile = match config.cluster.profile {
        config::Profile::Gaggle => Profile::Gaggle,
        config::Profile::Groupcache => Profile::GROUPCACHE,
    };
    Peers::new(address, profile, config.peers_options(), connect)
}

/// What the peers' port answers: the HTTP protocol always, so that a node can be looked into with curl and a cluster can
/// change its transport node by node, and gRPC where that is the transport.
pub(super) fn routes(config: &Cluster, groups: Groups) -> Result<axum::Router, ConfigError> {
    let http = gaggle_transport_http::router(groups.clone(), config.http_server_options()?);
    Ok(match config.transport {
        Transport::Http => http,
        Transport::Grpc => {
            gaggle_transport_grpc::router(groups, config.grpc_server_options()).merge(http)
        }
    })
}
