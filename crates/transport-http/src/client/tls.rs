//! Connections to peers over TLS.

use std::sync::Arc;

use axum::body::Body;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use rustls::ClientConfig;

use super::ClientOptions;
use super::connect::{self, Connector};

pub(super) type Client = legacy::Client<Connector<HttpsConnector<HttpConnector>>, Body>;

/// A client with no connections yet.
pub(super) fn client(options: &ClientOptions, config: &ClientConfig) -> Client {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut https = HttpsConnector::from((connect::tcp(options), Arc::new(config)));
    https.enforce_https();
    connect::client(options, https)
}
