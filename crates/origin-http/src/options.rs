//! The options: URLs, headers and bounds.

mod batch;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

pub use self::batch::{BatchAnswer, BatchOptions, BatchValues};
use crate::bearer::Bearer;
use crate::url::public_part;
use crate::{BearerSource, OptionsError};

/// The most retries of a load.
const MAX_RETRIES: u32 = 10;
/// The most fallback URLs.
const MAX_FALLBACKS: usize = 16;

/// Which URL to ask, and how.
#[derive(Clone)]
pub struct HttpOptions {
    /// An `http` or `https` URL with `{key}` exactly once, in its path or its query.
    pub url: String,
    /// Other URLs for the same values, each like `url`: asked if the ones before have failed, or
    /// in turn with them, as set by `balance`. Headers and the token are sent to each of them. At
    /// most 16; by default none.
    pub fallbacks: Vec<String>,
    /// Which URL a load asks first. [`Balance::First`].
    pub balance: Balance,
    /// Headers for each request, as name and value. Values are not shown by `Debug`.
    pub headers: Vec<(String, String)>,
    /// A token, sent as `Authorization: Bearer` with each request. None.
    pub bearer: Option<BearerSource>,
    /// Which authorities are trusted over https if no `ca` is given. [`Trust::Platform`].
    pub trust: Trust,
    /// A PEM file with the certificates of the only authorities that are trusted over https. Read
    /// at start. None.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that is sent to a service over https, with its intermediate
    /// certificates. Read at start; needs `client_key`. None.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the key of `client_cert`. None.
    pub client_key: Option<PathBuf>,
    /// The longest time to make a connection. 1 s.
    pub connect_timeout: Duration,
    /// The longest silence while waiting for an answer or reading it. 10 s.
    pub read_timeout: Duration,
    /// The longest that a load may take, with all connections, retries and other URLs, until its
    /// last byte. None: each try is bounded by the other two, and the load by its group.
    pub total_timeout: Option<Duration>,
    /// How often a load may be retried if that is safe and the retry budget allows it. 1, and at
    /// most 10. A request to another healthy URL is not counted.
    pub retries: u32,
    /// The most connections to each URL that are kept open while idle. 32. (The group bounds the
    /// busy ones.)
    pub max_idle_connections: usize,
    /// How long a connection is kept open while idle; zero keeps none. 4 s, since it should be
    /// shorter than the service's own: many close after 5 s (Node.js, Apache, Uvicorn).
    pub idle_timeout: Duration,
    /// Whether an answer's `Cache-Control`, `Expires`, `Age` and `Vary` set for how long it may be
    /// served, as for any shared cache. If off, the group decides alone. On.
    pub honour_freshness: bool,
    /// Whether a request has the header `traceparent` of the trace that its load belongs to
    /// ([`Load::trace`](gaggle_group::Load)). On.
    pub send_trace: bool,
    /// Whether a request has the header `Request-Timeout`: the seconds, such as `4.982`, after
    /// which no caller waits for its answer. That is what is left of `total_timeout`, or of the
    /// load's own [`deadline`](gaggle_group::Load), if that is less. A header of that name in
    /// `headers` has precedence. On.
    pub send_timeout: bool,
    /// How several keys are loaded in one request. None: each key is a request. Needs the feature
    /// `batch`.
    pub batch: Option<BatchOptions>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            fallbacks: Vec::new(),
            balance: Balance::default(),
            headers: Vec::new(),
            bearer: None,
            trust: Trust::default(),
            ca: None,
            client_cert: None,
            client_key: None,
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(10),
            total_timeout: None,
            retries: 1,
            max_idle_connections: 32,
            idle_timeout: Duration::from_secs(4),
            honour_freshness: true,
            send_trace: true,
            send_timeout: true,
            batch: None,
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpOptions")
            .field("url", &public_part(&self.url))
            .field("fallbacks", &public_parts(&self.fallbacks))
            .field("balance", &self.balance)
            .field("headers", &headers)
            .field("bearer", &self.bearer)
            .field("trust", &self.trust)
            .field("ca", &self.ca)
            .field("client_cert", &self.client_cert)
            .field("client_key", &self.client_key)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("retries", &self.retries)
            .field("max_idle_connections", &self.max_idle_connections)
            .field("idle_timeout", &self.idle_timeout)
            .field("honour_freshness", &self.honour_freshness)
            .field("send_trace", &self.send_trace)
            .field("send_timeout", &self.send_timeout)
            .field("batch", &self.batch)
            .finish()
    }
}

fn public_parts(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| public_part(url)).collect()
}

/// Which of several URLs a load asks first. One that has failed recently is skipped in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// The first one, and the others in order if it has failed.
    #[default]
    First,
    /// Each in turn.
    RoundRobin,
}

/// Which authorities are trusted over https.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities that the machine trusts: its store, or the files that `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name. If it has none, as in a container without files, Mozilla's. Read at
    /// start.
    #[default]
    Platform,
    /// The authorities that Mozilla trusts, compiled in.
    Mozilla,
}

/// Exceptions from what is refused, for [`HttpOrigin::allowing`](crate::HttpOrigin::allowing). By
/// default nothing is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allow {
    /// Keys in the path that have or make a segment `.` or `..` in any decoding, such as `../a` or
    /// `%2e%2e`. Allow them only if the service takes the key unchanged, as an object store does.
    pub dot_segments: bool,
    /// Link-local addresses (`169.254.0.0/16`, `fe80::/10`), and those of the metadata services of
    /// clouds. Loopback and private addresses need no allowance.
    pub link_local: bool,
}

/// Headers that belong to the connection, not to the caller.
const RESERVED: [HeaderName; 6] = [
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl HttpOptions {
    /// Checks the options that need neither files nor URLs.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let mut timeouts = vec![
            ("connect_timeout", Some(self.connect_timeout)),
            ("read_timeout", Some(self.read_timeout)),
            ("total_timeout", self.total_timeout),
        ];
        if let Some(batch) = &self.batch {
            batch.check()?;
            timeouts.push(("batch.timeout", batch.timeout));
        }
        for (field, timeout) in timeouts {
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(OptionsError::new(field, "must be more than zero"));
            }
        }
        if self.retries > MAX_RETRIES {
            let reason = format!("must be at most {MAX_RETRIES}");
            return Err(OptionsError::new("retries", reason));
        }
        check_fallbacks("fallbacks", &self.fallbacks)?;
        match (&self.client_cert, &self.client_key) {
            (Some(_), None) => Err(OptionsError::new(
                "client_key",
                "is missing, and client_cert is set",
            )),
            (None, Some(_)) => Err(OptionsError::new(
                "client_cert",
                "is missing, and client_key is set",
            )),
            _ => Ok(()),
        }
    }

    /// Checks that options for https only have an effect. `https` is whether any URL needs it.
    pub(crate) fn check_tls(&self, https: bool) -> Result<(), OptionsError> {
        let for_https = [("ca", &self.ca), ("client_cert", &self.client_cert)];
        let set = for_https.into_iter().find(|(_, file)| file.is_some());
        match set {
            Some((field, _)) if !https => Err(OptionsError::new(
                field,
                "is for https, and no URL begins with https://",
            )),
            _ => Ok(()),
        }
    }

    /// The token, read from its source.
    pub(crate) fn token(&self) -> Result<Option<Bearer>, OptionsError> {
        let Some(source) = &self.bearer else {
            return Ok(None);
        };
        let is_authorization = |name: &str| name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        if self.headers.iter().any(|(name, _)| is_authorization(name)) {
            let reason = "headers has an Authorization too, and a request has one";
            return Err(OptionsError::new("bearer", reason));
        }
        let bearer = Bearer::new(source);
        bearer
            .map(Some)
            .map_err(|reason| OptionsError::new("bearer", reason))
    }

    pub(crate) fn header_map(&self) -> Result<HeaderMap, OptionsError> {
        let refused = |reason: String| OptionsError::new("headers", reason);
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                // No more of it: a whole header that was written as a name ends with a secret.
                let is_of_names = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
                let start: String = name.chars().take_while(is_of_names).take(32).collect();
                return Err(refused(format!(
                    "a name that begins with `{start}` is not a header's name"
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

fn check_fallbacks(field: &'static str, urls: &[String]) -> Result<(), OptionsError> {
    if urls.len() > MAX_FALLBACKS {
        let reason = format!("must be at most {MAX_FALLBACKS}");
        return Err(OptionsError::new(field, reason));
    }
    Ok(())
}
