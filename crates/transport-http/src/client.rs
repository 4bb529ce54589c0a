//! The client: a handle for each peer, with a pool of connections.

use std::sync::Arc;
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

/// How a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// What requests begin with. Default `/_groupcache/`.
    pub base_path: BasePath,
    /// How values are written. Default protobuf.
    pub encoding: Encoding,
    /// How long a connection may take to be made, name lookup included. Default 250 ms.
    pub connect_timeout: Duration,
    /// How long the body of an answer may pause. The wait for its first byte is bounded by the deadline of the fetch
    /// alone, since the owner may be loading. Default 1 s.
    pub read_timeout: Duration,
    /// The most idle connections kept for a peer. Default 64.
    pub idle_per_peer: usize,
    /// How long a connection is kept idle. Shorter than the server's own limit, or a request may meet a connection that
    /// is just being closed. Default 20 s.
    pub idle_timeout: Duration,
    /// How long what was sent may go without an acknowledgement by the peer's machine before the
    /// connection is given up, on systems that can tell (Linux and its kin). Default 1 s.
    pub unacknowledged_timeout: Duration,
    /// The most requests to a peer at one time; others wait their turn, and are shed at the
    /// deadline of their fetch. Default 256.
    pub max_requests_per_peer: usize,
    /// How gets of one peer share requests, with peers that say that they can; `None` sends each alone. Default on.
    pub batching: Option<Batching>,
    /// How long a peer may take to show a sign of life. Default 400 ms.
    pub ping_timeout: Duration,
    /// How long a peer may take to apply a removal, to take a value, or to tell of removals. Default 1 s.
    pub remove_timeout: Duration,
    /// The cluster that requests are meant for: a node of another one refuses them. Visible ASCII. Default: none is named.
    pub cluster: Option<Arc<str>>,
    /// What requests carry as `Authorization`, each of them. Default: nothing.
    pub authorization: Option<Authorization>,
    /// TLS for peers whose base URL begins with `https://`. Default: none, and such peers are refused.
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
/// A get leaves at once where no request is under way: by itself, or, if the last one to leave had company, with those that
/// come in the same turn of the runtime. Otherwise gets wait for the first answer to it and then leave together.
///
/// Gets of one [party](gaggle_group::Party), such as those of one `get_many`, are together from the start: they wait for each
/// other, and leave in one batch. 64 or more leave at once; fewer wait with all others where requests are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batching {
    /// How many requests are under way before further gets wait for company. Default 1.
    pub requests_at_once: usize,
    /// How many gets make a batch; fewer leave as requests of their own, since a batch costs more than one. Default 3.
    pub smallest_batch: usize,
    /// The longest that a get waits for company. Requests older than that are slow for a reason of their own and hold
    /// nobody up any more. Default 1 ms, which is also the timer's resolution.
    pub longest_wait: Duration,
    /// The most gets of a peer that wait or are in a batch; further ones are shed at once. Default
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

/// Why there is no client with those options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// With no request allowed, every fetch would wait to its deadline.
    #[error("max_requests_per_peer must be more than zero")]
    NoRequests,
    /// With no request allowed before gets wait, or none allowed to wait, batches cannot work.
    #[error("requests_at_once and max_waiting must be more than zero where batching is on")]
    NoBatches,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
}

/// Why a text is no peer's base URL.
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
    /// As golang/groupcache's `http://10.0.0.1:8001`, or with `https`.
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
}

impl HttpTransport {
    /// A client with those options.
    ///
    /// # Errors
    ///
    /// If a bound is zero that cannot be, or the HTTP client cannot be made.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        if options.max_requests_per_peer == 0 {
            return Err(ClientError::NoRequests);
        }
        let batching = options.batching.as_ref();
        if batching.is_some_and(|b| b.requests_at_once == 0 || b.max_waiting == 0) {
            return Err(ClientError::NoBatches);
        }
        // Each peer makes its own, where it could only fail.
        pool::new_client(&options).map_err(ClientError::Http)?;
        Ok(Self {
            options: Arc::new(options),
        })
    }

    /// A handle for the peer at `base_url`, such as `http://10.0.0.1:8001`. Connections and the
    /// bound on requests are the handle's own, so there should be one for each peer.
    ///
    /// The peer's name is exactly `base_url`, since the ring hashes it; a slash at its end counts for the name alone.
    ///
    /// # Errors
    ///
    /// If it is no URL of HTTP, or more than a base, or `https` without TLS in the options.
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
    // `Url` would trim, drop or escape these, and then name and address differ.
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
        // `10.0.0.1:8001` and `localhost:8001` lack the scheme; the latter reads as one called `localhost`.
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
