//! The ring and where its members come from, and the transport that they are asked over: the one place that knows the
//! transports and the discoveries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaggle_discovery_dns::{DnsDiscovery, DnsOptions};
use gaggle_group::{Groups, Peer};
use gaggle_peers::{Connect, Options, Peers, PeersError};
use gaggle_ring::Profile;
use gaggle_transport_grpc::GrpcTransport;
use gaggle_transport_http::{BasePath, ClientOptions, HttpTransport, ServerOptions, Unmarked};

use crate::config::{self, Cluster, ConfigError, Transport};

/// Where the members come from, if the list changes.
pub(super) fn discovery(
    config: &Cluster,
    own_port: u16,
) -> Result<Option<DnsDiscovery>, ConfigError> {
    let Some(config::Discovery::Dns { name, port, every }) = &config.discovery else {
        return Ok(None);
    };
    let options = DnsOptions {
        name: name.clone(),
        port: port.unwrap_or(own_port),
        every: every.0,
        ..DnsOptions::default()
    };
    DnsDiscovery::new(options)
        .map(Some)
        .map_err(|failure| ConfigError::new("cluster.discovery", failure))
}

/// This node's name in the ring, where nobody has given it one. A node that listens on every address has to find out by
/// which of them its peers know it.
pub(super) async fn own_name(
    addr: SocketAddr,
    discovery: Option<&DnsDiscovery>,
) -> Result<String, ConfigError> {
    match discovery {
        Some(dns) if addr.ip().is_unspecified() => {
            let own = dns.own_address().await.map_err(|failure| {
                ConfigError::new(
                    "node.advertise",
                    format!("none is given and none is found: {failure}"),
                )
            })?;
            Ok(dns.url_of(own.ip))
        }
        _ => Ok(format!("http://{addr}")),
    }
}

/// The ring of the configured members, and of this node.
pub(super) fn ring(config: &Cluster, name: &str, hot_ttl: Duration) -> Result<Peers, ConfigError> {
    let peers = match config.transport {
        Transport::Http => {
            let options = ClientOptions {
                base_path: base_path(config)?,
                encoding: encoding(config),
                ..ClientOptions::default()
            };
            let http = HttpTransport::new(options)
                .map_err(|failure| ConfigError::new("cluster.transport", failure))?;
            connected(config, name, hot_ttl, move |peer: &str| {
                Ok(http.peer(peer)? as Arc<dyn Peer>)
            })
        }
        Transport::Grpc => {
            let grpc = GrpcTransport::default();
            connected(config, name, hot_ttl, move |peer: &str| {
                Ok(grpc.peer(peer)? as Arc<dyn Peer>)
            })
        }
    }
    .map_err(|failure| ConfigError::new("node.advertise", failure))?;
    peers
        .update(config.peers.iter().map(String::as_str))
        .map_err(|failure| ConfigError::new("cluster.peers", failure))?;
    Ok(peers)
}

fn connected(
    config: &Cluster,
    name: &str,
    hot_ttl: Duration,
    connect: impl Connect,
) -> Result<Peers, PeersError> {
    let profile = match config.profile {
        config::Profile::Gaggle => Profile::Gaggle,
        config::Profile::Groupcache => Profile::GROUPCACHE,
    };
    let options = Options {
        member: config.member,
        damping: config.damping.0,
        remember_for: hot_ttl.max(Options::default().remember_for),
        ..Options::default()
    };
    Peers::new(name, profile, options, connect)
}

/// What the peers' port answers: the HTTP protocol always, so that a node can be looked into with curl and a cluster can
/// change its transport node by node, and gRPC where that is the transport.
pub(super) fn routes(config: &Cluster, groups: Groups) -> Result<axum::Router, ConfigError> {
    let unmarked = match config.profile {
        config::Profile::Gaggle => Unmarked::Route,
        // A Go node cannot mark what it forwards.
        config::Profile::Groupcache => Unmarked::Answer,
    };
    let options = ServerOptions {
        base_path: base_path(config)?,
        encoding: encoding(config),
        unmarked,
        ..ServerOptions::default()
    };
    let http = gaggle_transport_http::router(groups.clone(), options);
    Ok(match config.transport {
        Transport::Http => http,
        Transport::Grpc => gaggle_transport_grpc::router(groups, Default::default()).merge(http),
    })
}

fn base_path(config: &Cluster) -> Result<BasePath, ConfigError> {
    config
        .base_path
        .parse()
        .map_err(|failure| ConfigError::new("cluster.base-path", failure))
}

fn encoding(config: &Cluster) -> gaggle_transport_http::Encoding {
    match config.encoding {
        config::Encoding::Protobuf => gaggle_transport_http::Encoding::Protobuf,
        config::Encoding::Raw => gaggle_transport_http::Encoding::Raw,
    }
}
