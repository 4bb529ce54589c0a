//! Connections to peers: how they are made and how long they are kept.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::Uri;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{self};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower::Service;

use super::ClientOptions;

/// When a silent connection is probed, and how often before it is given up.
const KEEPALIVE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;

type BoxError = Box<dyn Error + Send + Sync>;

/// A client with no connections yet. It speaks HTTP/1.1, follows no redirect (Go's `ServeMux` sends 301 for keys with `//`
/// or `/../`: to another key), and knows of no proxy, which is not between peers.
pub(super) fn client<C>(options: &ClientOptions, inner: C) -> legacy::Client<Connector<C>, Body>
where
    C: Clone,
    Connector<C>: Connect + Clone,
{
    let connector = Connector {
        inner,
        most: options.connect_timeout,
    };
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(options.idle_per_peer)
        .pool_idle_timeout(options.idle_timeout)
        .build(connector)
}

/// Connects by TCP.
pub(super) fn tcp(options: &ClientOptions) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.connect_timeout));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(PROBES));
    // Where a request is lost on its way the kernel knows sooner than the deadline tells.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(options.unacknowledged_timeout));
    tcp
}

/// Connects, name look-up and handshake included, in time.
#[derive(Clone)]
pub(super) struct Connector<C> {
    inner: C,
    most: Duration,
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri, Future: Send + 'static>,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let most = self.most;
        let connecting = self.inner.call(uri);
        Box::pin(async move {
            match timeout(most, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection within {most:?}").into()),
            }
        })
    }
}
