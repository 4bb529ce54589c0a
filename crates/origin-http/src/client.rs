//! The HTTP client: connections, their bounds, and TLS if it is compiled in.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
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

pub(crate) type Client = legacy::Client<Connector, Full<Bytes>>;

/// How long sent bytes may stay unacknowledged before the system closes a connection, if the
/// system supports it (Linux). A host that is up acknowledges within a round trip, however long
/// its program takes, so this distinguishes a silent network path from a slow service. It leaves
/// room for a few retransmissions.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_millis(1_500);
/// How long after the last packet the system starts keepalive probes, and their interval: for a
/// network path that goes silent while a request waits for its answer.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How many probes may stay unanswered.
const KEEPALIVE_RETRIES: u32 = 2;

/// Makes clients that each have connections of their own.
#[derive(Clone)]
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
        let connector = with_tls(http, options, https)?;
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

#[cfg(feature = "tls")]
fn with_tls(mut http: Plain, options: &HttpOptions, https: bool) -> Result<Inner, OptionsError> {
    http.enforce_http(false);
    let config = crate::tls::client_config(options, https)?;
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

#[cfg(not(feature = "tls"))]
fn with_tls(http: Plain, options: &HttpOptions, https: bool) -> Result<Inner, OptionsError> {
    if https {
        let is_https = |url: &str| {
            url.get(..6)
                .is_some_and(|it| it.eq_ignore_ascii_case("https:"))
        };
        let field = if is_https(&options.url) {
            "url"
        } else if options.fallbacks.iter().any(|url| is_https(url)) {
            "fallbacks"
        } else {
            "batch.url"
        };
        let reason = "https needs the feature `tls` of gaggle-origin-http, which is off";
        return Err(OptionsError::new(field, reason));
    }
    Ok(http)
}
