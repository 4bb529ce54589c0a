//! Connections to peers over TLS.

use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};

/// A channel with no connection yet. The endpoint's connect timeout includes the handshake.
pub(super) fn channel(endpoint: &Endpoint, config: &ClientConfig) -> Channel {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut https = HttpsConnector::from((http, Arc::new(config)));
    https.enforce_https();
    endpoint.connect_with_connector_lazy(https)
}
