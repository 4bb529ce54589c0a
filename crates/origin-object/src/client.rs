//! The HTTP client that the stores use: connections, their bounds, and TLS.
//!
//! It is not the `object_store` crate's own, which is built on `reqwest`: that one uses a
//! process-wide TLS provider, and its features would change every other client in the program.

mod answer;
mod body;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderValue, USER_AGENT};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpService,
};
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio::time::timeout;

use self::answer::{Kept, fit};
use crate::ObjectOptions;
use crate::seen::Seen;

/// How long after the last packet the system starts keepalive probes, and their interval: for a
/// network path that goes silent while a request waits for its answer.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How many probes may stay unanswered.
const KEEPALIVE_RETRIES: u32 = 2;

/// The longest that a connection is kept open while idle.
const MAX_IDLE: Duration = Duration::from_secs(24 * 60 * 60);

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

type Https = hyper_rustls::HttpsConnector<TcpConnector>;

/// Makes the store's clients: one for objects, and others for credentials if those are requested.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
    read_timeout: Duration,
    idle_timeout: Duration,
    max_idle: usize,
    takes_gzip: bool,
}

impl Connector {
    /// It has a provider and roots of its own, so that neither a process-wide provider nor the
    /// machine's certificates are needed.
    pub(crate) fn new(options: &ObjectOptions) -> Result<Self, rustls::Error> {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: Arc::new(tls),
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            idle_timeout: options.idle_timeout.min(MAX_IDLE),
            max_idle: if options.idle_timeout.is_zero() {
                0
            } else {
                options.max_idle_connections
            },
            takes_gzip: false,
        })
    }

    /// The same with a header in each request that accepts compressed objects: without it Google
    /// Cloud Storage decompresses them, and then sends no length.
    #[cfg(feature = "gcp")]
    pub(crate) fn taking_gzip(self) -> Self {
        Self {
            takes_gzip: true,
            ..self
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = options
            .get_config_value(&object_store::ClientConfigKey::AllowHttp)
            .is_some_and(|allowed| allowed == "true");
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config((*self.tls).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(self.max_idle)
            .pool_idle_timeout(self.idle_timeout)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(HttpClient::new(Client {
            client,
            allows_http,
            takes_gzip: self.takes_gzip,
            head_timeout: self.connect_timeout.saturating_add(self.read_timeout),
            read_timeout: self.read_timeout,
        }))
    }
}

struct Client {
    client: legacy::Client<Https, HttpRequestBody>,
    allows_http: bool,
    takes_gzip: bool,
    /// The longest wait for an answer to begin: a connection and its TLS are part of it.
    head_timeout: Duration,
    read_timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A request that the client does not send, or that had no answer in time.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the URL is not https, and http is not allowed")]
    NotHttps,
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

#[async_trait::async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.allows_http && request.uri().scheme_str() != Some("https") {
            return Err(HttpError::new(HttpErrorKind::Unknown, Unanswered::NotHttps));
        }
        let agent = HeaderValue::from_static(AGENT);
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let seen = request.extensions().get::<Seen>().cloned();
        if let Some(seen) = &seen {
            seen.begin();
            if self.takes_gzip {
                let gzip = HeaderValue::from_static("gzip");
                request.headers_mut().insert(ACCEPT_ENCODING, gzip);
            }
        }
        // Credentials are short. The reader of an object checks its length.
        let kept = if seen.is_some() {
            Kept::All
        } else {
            Kept::Short
        };
        let answer = timeout(self.head_timeout, self.client.request(request)).await;
        let answer = answer
            .map_err(|_| {
                HttpError::new(
                    HttpErrorKind::Timeout,
                    Unanswered::Silent(self.head_timeout),
                )
            })?
            .map_err(|error| HttpError::new(kind_of(&error), error))?;
        let (answer, head) = fit(answer, kept, self.read_timeout).await?;
        if let Some(seen) = seen {
            seen.record(head);
        }
        Ok(answer)
    }
}

/// The kind of a request's failure, which decides whether it is retried.
fn kind_of(error: &legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return body::kind_of(error);
        }
        cause = error.source();
    }
    HttpErrorKind::Unknown
}
