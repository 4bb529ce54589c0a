//! The ring, and the transport to its members: the one place that knows the transports.

use std::sync::Arc;

use gaggle_group::{Groups, Peer};
use gaggle_peers::Peers;
use gaggle_ring::Profile;
use gaggle_transport_grpc::GrpcTransport;
use gaggle_transport_http::HttpTransport;

use super::access;
use crate::config::{self, Cluster, Config, ConfigError, Credentials, HTTPS, Port, Transport};

/// Makes the handle of a peer of that name, at that base URL.
type Handles = Arc<dyn Fn(&str, &str) -> Result<Arc<dyn Peer>, BoxError> + Send + Sync>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The ring of the configured members, and of this node, which is reached at that base URL; and
/// the transport to the peers, if that is HTTP.
pub(super) fn ring(
    config: &Config,
    credentials: &Credentials,
    address: &str,
) -> Result<(Peers, Option<HttpTransport>), ConfigError> {
    let (handles, http) = handles(config, credentials)?;
    let peers = alone(config, address, handles)?;
    peers
        .update(config.peer_urls().iter().map(String::as_str))
        .map_err(|failure| ConfigError::new("cluster.peers", failure))?;
    Ok((peers, http))
}

/// The ring of this node alone, and for each member, with the field that lists it, whether it
/// could be asked. No member is asked: it would learn of a node that does not start.
pub(super) fn tried(
    config: &Config,
    credentials: &Credentials,
    address: &str,
    members: &[(&str, String)],
) -> Result<Peers, ConfigError> {
    let (handles, _) = handles(config, credentials)?;
    let peers = alone(config, address, Arc::clone(&handles))?;
    for (field, url) in members {
        let refused = |failure| ConfigError::new(*field, format!("{url:?}: {failure}"));
        handles(url, url).map_err(refused)?;
    }
    Ok(peers)
}

fn handles(
    config: &Config,
    credentials: &Credentials,
) -> Result<(Handles, Option<HttpTransport>), ConfigError> {
    let plain = config.security.takes_plain(Port::Peers);
    Ok(match config.cluster.transport {
        Transport::Http => {
            let http = HttpTransport::new(access::http_client(config, credentials)?)
                .map_err(|failure| ConfigError::new("cluster.transport", failure))?;
            let transport = Some(http.clone());
            let handles: Handles = Arc::new(move |peer, url| {
                over_tls(plain, url)?;
                Ok(http.peer_named(peer, url)?)
            });
            (handles, transport)
        }
        Transport::Grpc => {
            let grpc = GrpcTransport::new(access::grpc_client(config, credentials));
            let handles: Handles = Arc::new(move |peer, url| {
                over_tls(plain, url)?;
                Ok(grpc.peer_named(peer, url)?)
            });
            (handles, None)
        }
    })
}

fn alone(config: &Config, address: &str, handles: Handles) -> Result<Peers, ConfigError> {
    let profile = match config.cluster.profile {
        config::Profile::Gaggle => Profile::Gaggle,
        config::Profile::Groupcache => Profile::GROUPCACHE,
    };
    let connect = move |peer: &str, url: &str| handles(peer, url);
    Peers::new(address, profile, config.peers_options(), connect)
        .map_err(|failure| ConfigError::new("node.advertise", failure))
}

/// Refuses an address without TLS, whether it is from a list, gossip or a greeting, unless this
/// node accepts `plain` HTTP itself: an attacker who can insert such an address would get the
/// token, and would be trusted without a certificate.
fn over_tls(plain: bool, url: &str) -> Result<(), String> {
    let is_https = || {
        let scheme = url.split_once("://");
        scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
    };
    if plain || is_https() {
        return Ok(());
    }
    Err(format!("it is not reached over TLS; expected {HTTPS}"))
}

/// The protocols of the peers' port: always HTTP, so that a node can be examined with curl and a
/// cluster can change its transport node by node, and gRPC if that is the transport.
pub(super) fn routes(config: &Cluster, groups: Groups) -> Result<axum::Router, ConfigError> {
    let http = gaggle_transport_http::router(groups.clone(), config.http_server_options()?);
    Ok(match config.transport {
        Transport::Http => http,
        Transport::Grpc => {
            gaggle_transport_grpc::router(groups, config.grpc_server_options()).merge(http)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_peers_speak_tls_an_address_without_is_refused() {
        for (url, plain, good) in [
            ("https://a:1", false, true),
            ("HTTPS://a:1", false, true),
            ("http://a:1", false, false),
            ("a:1", false, false),
            ("http://a:1", true, true),
            ("https://a:1", true, true),
        ] {
            let answer = over_tls(plain, url);
            assert_eq!(answer.is_ok(), good, "{url} {plain}");
            if let Err(failure) = answer {
                assert!(failure.contains("accept-plain"), "{failure}");
            }
        }
    }
}
