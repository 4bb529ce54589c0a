//! What to ask, with which bounds.

use std::fmt;
use std::time::Duration;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};

use crate::template::public_part;

/// Which URL to ask, and how.
#[derive(Clone)]
pub struct HttpOptions {
    /// An `http` or `https` URL with `{key}` exactly once, in its path or its query.
    pub url: String,
    /// Headers for each request, as name and value. Values are not shown by `Debug`.
    pub headers: Vec<(String, String)>,
    /// The longest that a connection may take to come about. 1 s.
    pub connect_timeout: Duration,
    /// The longest silence while an answer is waited for or read. 10 s.
    pub read_timeout: Duration,
    /// The most connections that are kept open while idle. 32. (How many are busy is for the group
    /// to bound.)
    pub max_idle_connections: usize,
    /// How long a connection is kept open while idle; zero keeps none. 4 s, as it is best below
    /// what the service does: many close after 5 s (Node.js, Apache, Uvicorn).
    pub idle_timeout: Duration,
    /// Whether an answer's `Cache-Control`, `Expires`, `Age` and `Vary` set for how long it may be
    /// served, as for any shared cache. Where off, the group decides alone. On.
    pub honour_freshness: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(10),
            max_idle_connections: 32,
            idle_timeout: Duration::from_secs(4),
            honour_freshness: true,
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpOptions")
            .field("url", &public_part(&self.url))
            .field("headers", &headers)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("max_idle_connections", &self.max_idle_connections)
            .field("idle_timeout", &self.idle_timeout)
            .field("honour_freshness", &self.honour_freshness)
            .finish()
    }
}

/// What is refused unless it is allowed: for
/// [`HttpOrigin::allowing`](crate::HttpOrigin::allowing). Nothing is allowed by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allow {
    /// Keys in the path that have or make a segment `.` or `..` in any decoding, such as `../a`
    /// or `%2e%2e`. Allow them only where the service takes the key as it is, as an object store
    /// does.
    pub dot_segments: bool,
    /// Link-local addresses (`169.254.0.0/16`, `fe80::/10`), and those of the metadata services of
    /// clouds. Loopback and private addresses need no allowance.
    pub link_local: bool,
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http origin: {field}: {reason}")]
pub struct OptionsError {
    /// The field of [`HttpOptions`].
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Headers that belong to the connection, not to whoever asks.
const RESERVED: [HeaderName; 6] = [
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl HttpOptions {
    pub(crate) fn check_timeouts(&self) -> Result<(), OptionsError> {
        let timeouts = [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
        ];
        match timeouts.into_iter().find(|(_, timeout)| timeout.is_zero()) {
            Some((field, _)) => Err(OptionsError {
                field,
                reason: "must be more than zero".to_owned(),
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn header_map(&self) -> Result<HeaderMap, OptionsError> {
        let refused = |reason| OptionsError {
            field: "headers",
            reason,
        };
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(refused(format!(
                    "`{}` is not a header's name",
                    name.escape_debug()
                )));
            };
            if RESERVED.contains(&name) {
                return Err(refused(format!("`{name}` cannot be set")));
            }
            // Not its text: it may be a secret.
            let Ok(mut value) = HeaderValue::from_str(value) else {
                return Err(refused(format!(
                    "the value of `{name}` has a control character"
                )));
            };
            value.set_sensitive(true);
            map.append(name, value);
        }
        map.entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            )));
        Ok(map)
    }
}
