//! Connections to peers over TLS.
//!
//! If reqwest is built with rustls, it needs a TLS configuration for each client of the process,
//! even for those without TLS. So hyper's client makes these requests; the requests, and the
//! handling of the answers, are the same.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reqwest::Body;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::ClientOptions;

/// When a silent connection is probed, and how often before it is closed: the same as reqwest over
/// plain HTTP.
const KEEPALIVE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;

pub(super) type Client = legacy::Client<Connector, Body>;

/// A client with no connections yet.
pub(super) fn client(options: &ClientOptions, config: &ClientConfig) -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(PROBES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    http.set_tcp_user_timeout(Some(options.unacknowledged_timeout));
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut https = HttpsConnector::from((http, Arc::new(config)));
    https.enforce_https();
    let connector = Connector {
        https,
        most: options.connect_timeout,
    };
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(options.idle_per_peer)
        .pool_idle_timeout(options.idle_timeout)
        .build(connector)
}

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn Error + Send + Sync>;

/// Connects, including the handshake, within the timeout.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    most: Duration,
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let most = self.most;
        let connecting = self.https.call(uri);
        Box::pin(async move {
            match timeout(most, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(format!("no connection within {most:?}").into()),
            }
        })
    }
}
