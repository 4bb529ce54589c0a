//! The client: a handle for each peer, with a pool of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use reqwest::Url;

use crate::{BasePath, Encoding};

mod asker;
mod batch;
mod body;
mod control;
mod failure;
#[cfg(test)]
mod hostile;
mod peer;
mod pool;
mod queue;
mod send;
#[cfg(feature = "tls")]
mod tls;

pub use gaggle_proto::credentials::Authorization;
#[cfg(feature = "tls")]
pub use gaggle_proto::credentials::Tls;
pub use peer::HttpPeer;

/// The options of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The path that requests begin with. Default `/_groupcache/`.
    pub base_path: BasePath,
    /// How values are written. Default protobuf.
    pub encoding: Encoding,
    /// How long a connection may take to be made, name lookup included. Default 250 ms.
    pub connect_timeout: Duration,
    /// How long the body of an answer may pause. The wait for its first byte is bounded by the
    /// deadline of the fetch alone, since the owner may be loading. Default 1 s.
    pub read_timeout: Duration,
    /// The most idle connections kept for a peer. Default 64.
    pub idle_per_peer: usize,
    /// How long a connection is kept idle. It must be shorter than the server's own limit;
    /// otherwise a request may use a connection that is just being closed. Default 20 s.
    pub idle_timeout: Duration,
    /// How long sent data may stay unacknowledged by the peer's machine before the connection is
    /// closed, on systems that support it (Linux and similar). Default 1 s.
    pub unacknowledged_timeout: Duration,
    /// The most concurrent requests to a peer; further ones wait, and are shed at the deadline of
    /// their fetch. Default 256.
    pub max_requests_per_peer: usize,
    /// How gets of one peer share requests, for peers that take batches; `None` sends each alone.
    /// Default on.
    pub batching: Option<Batching>,
    /// How long a peer may take to answer a ping. Default 400 ms.
    pub ping_timeout: Duration,
    /// How long a peer may take to apply a removal, to store a value, or to report removals.
    /// Default 1 s.
    pub remove_timeout: Duration,
    /// The cluster that requests are meant for: a node of another one refuses them. Visible ASCII.
    /// Default: none is named.
    pub cluster: Option<Arc<str>>,
    /// The `Authorization` header of each request. Default: none.
    pub authorization: Option<Authorization>,
    /// TLS for peers whose base URL begins with `https://`. Default: none, and such peers are
    /// refused.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            base_path: BasePath::default(),
            encoding: Encoding::default(),
            connect_timeout: Duration::from_millis(250),
            read_timeout: Duration::from_secs(1),
            idle_per_peer: 64,
            idle_timeout: Duration::from_secs(20),
            unacknowledged_timeout: Duration::from_secs(1),
            max_requests_per_peer: 256,
            batching: Some(Batching::default()),
            ping_timeout: Duration::from_millis(400),
            remove_timeout: Duration::from_secs(1),
            cluster: None,
            authorization: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// How gets of one peer share requests.
///
/// A get is sent at once if no request is in flight: by itself, or, if the previous request was a
/// batch, with the gets that arrive in the same turn of the runtime. Otherwise gets wait for the
/// first answer to that request and are then sent together.
///
/// Gets of one [batch](gaggle_group::Batch), such as those of one `get_many`, are together from
/// the start: they wait for each other, and are sent in one batch. 64 or more are sent at once;
/// fewer wait with all others if requests are in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batching {
    /// How many requests are in flight before further gets wait for a batch. Default 1.
    pub requests_at_once: usize,
    /// How many gets make a batch; fewer are sent as single requests, since a batch costs more
    /// than one. Default 3.
    pub smallest_batch: usize,
    /// The longest time that a get waits for a batch. Requests older than that are slow for a
    /// reason of their own, and no longer delay other gets. Default 1 ms, which is also the
    /// timer's resolution.
    pub longest_wait: Duration,
    /// The most gets of a peer that wait or are in a batch; further gets are shed at once. Default
    /// 8,192.
    pub max_waiting: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            requests_at_once: 1,
            smallest_batch: 3,
            longest_wait: Duration::from_millis(1),
            max_waiting: 8_192,
        }
    }
}

/// Why a client cannot be made with those options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// If no request were allowed, every fetch would wait until its deadline.
    #[error("max_requests_per_peer must be more than zero")]
    NoRequests,
    /// Batches cannot work if no request is allowed before gets wait, or if no get is allowed to
    /// wait.
    #[error("requests_at_once and max_waiting must be more than zero where batching is on")]
    NoBatches,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
}

/// Why a text is not the base URL of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no peer's base URL: {problem}")]
pub struct BaseUrlError {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub problem: BaseUrlProblem,
}

/// What is wrong with a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlProblem {
    /// It must look like golang/groupcache's `http://10.0.0.1:8001`, or the same with `https`.
    #[error("it must look like http://HOST:PORT")]
    NotAUrl,
    /// TLS is not configured, or not compiled in.
    #[error("https between peers needs TLS to be configured; without it use http")]
    Https,
    /// A scheme that is neither http nor https.
    #[error("its scheme must be http")]
    Scheme,
    /// A user name or a password.
    #[error("it must not hold a user name or a password")]
    Credentials,
    /// A query or a fragment.
    #[error("it must end before '?' or '#'")]
    Query,
}

/// The client side of the peer protocol. Cheap to clone.
///
/// Its peers need a tokio runtime with I/O and time. Each is bound to the one that it is first
/// used on.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    options: Arc<ClientOptions>,
    batches: Arc<BatchCounters>,
}

/// The batches that were sent to all peers of an [`HttpTransport`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchStats {
    /// Requests that asked a peer for several keys.
    pub batches: u64,
    /// The keys that they asked for.
    pub keys: u64,
}

#[derive(Debug, Default)]
struct BatchCounters {
    batches: AtomicU64,
    keys: AtomicU64,
}

impl BatchCounters {
    fn sent(&self, keys: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.keys.fetch_add(keys as u64, Relaxed);
    }
}

impl HttpTransport {
    /// A client with those options.
    ///
    /// # Errors
    ///
    /// If a bound is zero that must not be, or the HTTP client cannot be made.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        if options.max_requests_per_peer == 0 {
            return Err(ClientError::NoRequests);
        }
        let batching = options.batching.as_ref();
        if batching.is_some_and(|b| b.requests_at_once == 0 || b.max_waiting == 0) {
            return Err(ClientError::NoBatches);
        }
        // Each peer makes its own client, where a failure could not be returned.
        pool::new_client(&options).map_err(ClientError::Http)?;
        Ok(Self {
            options: Arc::new(options),
            batches: Arc::default(),
        })
    }

    /// The batches that were sent so far, by this handle and its clones.
    #[must_use]
    pub fn batch_stats(&self) -> BatchStats {
        BatchStats {
            batches: self.batches.batches.load(Relaxed),
            keys: self.batches.keys.load(Relaxed),
        }
    }

    /// A handle for the peer at `base_url`, such as `http://10.0.0.1:8001`. Connections and the
    /// bound on requests are the handle's own, so there should be one for each peer.
    ///
    /// The peer's name is exactly `base_url`, since the ring hashes it; a trailing slash is part
    /// of the name only.
    ///
    /// # Errors
    ///
    /// If it is not an HTTP URL, is more than a base URL, or is `https` without TLS in the
    /// options.
    pub fn peer(&self, base_url: &str) -> Result<Arc<HttpPeer>, BaseUrlError> {
        self.peer_named(base_url, base_url)
    }

    /// The peer of that name in the ring, at that base URL.
    ///
    /// # Errors
    ///
    /// As [`peer`](Self::peer).
    pub fn peer_named(&self, name: &str, base_url: &str) -> Result<Arc<HttpPeer>, BaseUrlError> {
        let checked = check(base_url).and_then(|scheme| match scheme {
            Scheme::Https if !self.options.has_tls() => Err(BaseUrlProblem::Https),
            Scheme::Http | Scheme::Https => Ok(()),
        });
        checked.map_err(|problem| BaseUrlError {
            url: base_url.to_owned(),
            problem,
        })?;
        Ok(Arc::new(HttpPeer::new(self.clone(), name, base_url)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl ClientOptions {
    fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }
}

/// Whether a peer can have that name.
pub(crate) fn is_base_url(name: &str) -> bool {
    check(name).is_ok()
}

fn check(base_url: &str) -> Result<Scheme, BaseUrlProblem> {
    // `Url` would trim, drop or escape these, so that name and address would differ.
    if base_url
        .bytes()
        .any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || b == b'\\')
    {
        return Err(BaseUrlProblem::NotAUrl);
    }
    let url = Url::parse(base_url).map_err(|_| BaseUrlProblem::NotAUrl)?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        // `10.0.0.1:8001` and `localhost:8001` lack the scheme; the latter reads as one called
        // `localhost`.
        _ if !base_url.contains("://") => return Err(BaseUrlProblem::NotAUrl),
        _ => return Err(BaseUrlProblem::Scheme),
    };
    // `Url` reads `http:node` as well.
    let begins = url.scheme().len() + "://".len();
    let written = base_url.get(..begins).unwrap_or_default();
    if !written.ends_with("://") || url.host().is_none() || url.port() == Some(0) {
        return Err(BaseUrlProblem::NotAUrl);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseUrlProblem::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseUrlProblem::Query);
    }
    Ok(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_http_and_nothing_more() {
        for good in [
            "http://10.0.0.1:8001",
            "http://10.0.0.1:8001/",
            "http://node-3",
            "http://[::1]:8001",
            "HTTP://node/behind/a/prefix",
        ] {
            assert_eq!(check(good), Ok(super::Scheme::Http), "{good}");
        }
        for good in ["https://node", "HTTPS://10.0.0.1:8001/", "https://[::1]:1"] {
            assert_eq!(check(good), Ok(super::Scheme::Https), "{good}");
        }
        use BaseUrlProblem::*;
        for (bad, problem) in [
            ("", NotAUrl),
            ("10.0.0.1:8001", NotAUrl),
            ("localhost:8001", NotAUrl),
            ("http:node", NotAUrl),
            ("http://", NotAUrl),
            ("http://node:0", NotAUrl),
            (" http://node", NotAUrl),
            ("http://no\nde", NotAUrl),
            ("https:node", NotAUrl),
            ("https://me@node", Credentials),
            ("ftp://node", Scheme),
            ("http://me:pass@node", Credentials),
            ("http://node?", Query),
            ("http://node/#here", Query),
        ] {
            assert_eq!(check(bad), Err(problem), "{bad}");
        }
    }

    #[test]
    fn https_needs_tls() {
        let transport = HttpTransport::new(ClientOptions::default()).unwrap();
        let error = transport.peer("https://node").unwrap_err();
        assert_eq!(error.problem, BaseUrlProblem::Https);
    }
}
