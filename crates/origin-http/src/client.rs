//! The HTTP client: connections, their bounds, and TLS where it is compiled in.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower::Service;
use tower::util::MapResponse;

use crate::addresses::Resolver;
use crate::traffic::Watched;
use crate::{HttpOptions, OptionsError};

#[cfg(feature = "tls")]
type Inner = hyper_rustls::HttpsConnector<Plain>;
#[cfg(not(feature = "tls"))]
type Inner = Plain;

type Plain = HttpConnector<Resolver>;

type Stream = <Inner as Service<hyper::Uri>>::Response;
type WatchedStream = TokioIo<Watched<TokioIo<Stream>>>;
type Connector = MapResponse<Inner, fn(Stream) -> WatchedStream>;

pub(crate) type Client = legacy::Client<Connector, Empty<Bytes>>;

/// How long sent bytes may go without an acknowledgement before the system gives a connection up,
/// where the system can (Linux). A host that is there acknowledges within a round trip, however
/// long its program takes, so that this tells a path that went silent from a service that is slow.
/// It leaves room for a few retransmissions.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_millis(1_500);
/// How long after the last packet the system begins to ask whether the other host is still there,
/// and how often it asks: for a path that goes silent while an answer is waited for.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How many of these may go unanswered.
const KEEPALIVE_RETRIES: u32 = 2;

/// Makes clients that each have connections of their own.
pub(crate) struct Factory {
    connector: Connector,
    idle_timeout: Duration,
    max_idle: usize,
}

impl Factory {
    pub(crate) fn new(
        options: &HttpOptions,
        https: bool,
        resolver: Resolver,
    ) -> Result<Self, OptionsError> {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.set_connect_timeout(Some(options.connect_timeout));
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE));
        http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let connector = with_tls(http, https).map_err(|reason| OptionsError {
            field: "url",
            reason,
        })?;
        Ok(Self {
            connector: MapResponse::new(connector, watched),
            idle_timeout: options.idle_timeout,
            max_idle: if options.idle_timeout.is_zero() {
                0
            } else {
                options.max_idle_connections
            },
        })
    }

    /// A client that keeps connections.
    pub(crate) fn client(&self) -> Client {
        self.keeping(self.max_idle)
    }

    /// A client that makes a connection for each request, and keeps none.
    pub(crate) fn client_without_pool(&self) -> Client {
        self.keeping(0)
    }

    fn keeping(&self, max_idle: usize) -> Client {
        legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(max_idle)
            .pool_idle_timeout(self.idle_timeout)
            .pool_timer(TokioTimer::new())
            .build(self.connector.clone())
    }
}

fn watched(stream: Stream) -> WatchedStream {
    TokioIo::new(Watched::new(TokioIo::new(stream)))
}

/// A provider and roots of one's own, so that neither a process-wide provider nor the machine's
/// certificates are needed.
#[cfg(feature = "tls")]
fn with_tls(mut http: Plain, _https: bool) -> Result<Inner, String> {
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, crypto};

    http.enforce_http(false);
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

#[cfg(not(feature = "tls"))]
fn with_tls(http: Plain, https: bool) -> Result<Inner, String> {
    if https {
        return Err("https needs the feature `tls` of gaggle-origin-http, which is off".to_owned());
    }
    Ok(http)
}
