//! Authentication at this node's ports, and of this node at other nodes: the credentials, in the
//! form for the parts that check and send them. All parts use the new credentials when these are
//! read again.

use std::sync::Arc;

use gaggle_discovery_gossip::Keys;
use gaggle_serve::ClientCertificate;
use gaggle_tls::{ClientCerts, ServerTls};
use gaggle_token::Require;

use crate::config::{Config, ConfigError, Credentials, Port, Security};

/// TLS of a port, if it speaks TLS.
pub(super) fn served(
    security: &Security,
    credentials: &Credentials,
    port: Port,
) -> Result<Option<gaggle_serve::Tls>, ConfigError> {
    let tls = server_tls(security, credentials, port)?;
    let of = |(server, plain): (ServerTls, bool)| {
        gaggle_serve::Tls::new(move || server.config()).accept_plain(plain)
    };
    Ok(tls.map(of))
}

/// The certificates of a port that speaks TLS, and whether it accepts clients without TLS, too.
pub(super) fn server_tls(
    security: &Security,
    credentials: &Credentials,
    port: Port,
) -> Result<Option<(ServerTls, bool)>, ConfigError> {
    let Some(config) = security.tls_of(port) else {
        return Ok(None);
    };
    let needed = |ca: bool| match ca {
        true => ClientCerts::Required,
        false => ClientCerts::None,
    };
    let (tls, certs) = match port {
        Port::FrontDoor => {
            let certs = needed(config.front_door_client_ca.is_some());
            (&credentials.front_door, certs)
        }
        Port::Peers | Port::Resp => (&credentials.tls, needed(config.client_ca.is_some())),
        // `/readyz` needs no authentication there; `required` checks all other requests.
        Port::Admin if config.client_ca.is_some() => (&credentials.tls, ClientCerts::Optional),
        Port::Admin => (&credentials.tls, ClientCerts::None),
    };
    let Some(tls) = tls else {
        return Ok(None);
    };
    let server = tls
        .server(certs)
        .map_err(|failure| ConfigError::new("security.tls", failure))?;
    Ok(Some((server, security.takes_plain(port))))
}

/// The credentials that the peers' and the admin port require.
pub(super) fn required(security: &Security, credentials: &Credentials, port: Port) -> Require {
    let mut require = Require::new(port.name());
    if let Some(tokens) = &credentials.tokens {
        require = require.token(tokens.clone());
    }
    // A client over plain HTTP, where that is accepted, has no certificate.
    let needs_certificate = security
        .tls_of(port)
        .is_some_and(|tls| tls.client_ca.is_some() && !security.takes_plain(port));
    if needs_certificate {
        require = require.certificate(|head| head.extensions.get::<ClientCertificate>().is_some());
    }
    match port {
        // The page contains no data of the node: it is the same on each one, and asks its user for
        // the token. A browser that opens an address cannot send one.
        Port::Admin => require.exempt(["/livez", "/readyz", "/"]),
        _ => require,
    }
}

/// The check of peers' certificates. If the peers' port has no TLS, none is configured, and an
/// `https` address from a list is refused.
fn peers_tls<'c>(config: &Config, credentials: &'c Credentials) -> Option<&'c gaggle_tls::Tls> {
    let tls = credentials.tls.as_ref();
    tls.filter(|_| config.security.tls_of(Port::Peers).is_some())
}

/// How this node asks other nodes over HTTP.
pub(super) fn http_client(
    config: &Config,
    credentials: &Credentials,
) -> Result<gaggle_transport_http::ClientOptions, ConfigError> {
    use gaggle_transport_http::{Authorization, ClientOptions, Tls};
    Ok(ClientOptions {
        authorization: credentials
            .tokens
            .clone()
            .map(|tokens| Authorization::new(move || tokens.header())),
        tls: peers_tls(config, credentials).map(|tls| {
            let client = tls.client();
            Tls::new(move |name| {
                let peer = client.peer(name);
                move || peer.config()
            })
        }),
        ..config.cluster.http_client_options()?
    })
}

/// How this node asks other nodes over gRPC.
pub(super) fn grpc_client(
    config: &Config,
    credentials: &Credentials,
) -> gaggle_transport_grpc::ClientOptions {
    use gaggle_transport_grpc::{Authorization, ClientOptions, Tls};
    ClientOptions {
        authorization: credentials
            .tokens
            .clone()
            .map(|tokens| Authorization::new(move || tokens.header())),
        tls: peers_tls(config, credentials).map(|tls| {
            let client = tls.client();
            Tls::new(move |name| {
                let peer = client.peer(name);
                move || peer.config()
            })
        }),
        ..config.cluster.grpc_client_options()
    }
}

/// The keys that sign gossip, if there is a token.
pub(super) fn gossip_keys(credentials: &Credentials) -> Option<Keys> {
    let tokens = credentials.tokens.clone()?;
    Some(Arc::new(move || {
        let tokens = tokens.all();
        let bytes = tokens
            .iter()
            .map(|token| token.expose().as_bytes().to_vec());
        bytes.collect()
    }))
}
