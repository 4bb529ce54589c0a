//! Which bucket to read, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::place::Place;

/// Which objects to read, and how. Secrets are not shown by `Debug`.
#[derive(Clone)]
pub struct ObjectOptions {
    /// The bucket and a prefix in it: `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix` or `file:///directory`. It has no user, password, query or
    /// fragment.
    pub url: String,
    /// The name of a key's object below the prefix, with `{key}` exactly once. `{key}`.
    pub path: String,
    /// Where the service is, for services other than the provider's own: a URL without a path
    /// (S3, Azure) or a base URL (Google Cloud Storage). `None`: the provider's.
    pub endpoint: Option<String>,
    /// The region, for S3. `None`: from the environment, or `us-east-1`.
    pub region: Option<String>,
    /// The access key's id, for S3; the account's name, for Azure.
    pub access_key_id: Option<String>,
    /// The secret of the access key, for S3; the account's key, for Azure.
    pub secret_access_key: Option<String>,
    /// The session token of temporary keys, for S3; a bearer token, for Google Cloud Storage and
    /// Azure.
    pub token: Option<String>,
    /// Whether `endpoint` may be `http://`. Off.
    pub allow_http: bool,
    /// Whether the bucket is part of the host name instead of the path, for S3. An `endpoint` then
    /// already contains the bucket. Off.
    pub virtual_hosted_style: bool,
    /// Whether requests are not signed, for public buckets. Off.
    pub anonymous: bool,
    /// Further options of the store by their names in the `object_store` crate, such as
    /// `aws_request_payer` or `google_service_account`. A name that the store does not know is an
    /// error, and so are those of its HTTP client. Values are treated as secrets.
    pub options: BTreeMap<String, String>,
    /// The longest time to make a TCP connection. 1 s.
    pub connect_timeout: Duration,
    /// The longest silence while waiting for an answer or reading it. 10 s.
    pub read_timeout: Duration,
    /// The longest that a load may take, with all of its requests, retries and the pauses between
    /// them. 30 s.
    pub timeout: Duration,
    /// How often a request is retried that got no answer, or a status for which a retry may help
    /// (408, 429, 5xx), or whose body broke off. At most [`MAX_RETRIES`](Self::MAX_RETRIES). 2.
    pub retries: usize,
    /// The most connections that are kept open while idle. 32. (The group bounds the busy ones.)
    pub max_idle_connections: usize,
    /// How long a connection is kept open while idle; zero keeps none. 4 s.
    pub idle_timeout: Duration,
    /// From how many bytes on an object is read in several concurrent parts. `None`, the default:
    /// never.
    pub parallel_from: Option<u64>,
    /// The bytes of such a part, at least [`MIN_PART_SIZE`](Self::MIN_PART_SIZE). 4 MiB.
    pub part_size: u64,
    /// How many parts are read concurrently, each over a connection of its own: 1 to
    /// [`MAX_PARTS`](Self::MAX_PARTS). 4.
    pub parts: usize,
    /// Whether an object's `Cache-Control` sets for how long its value may be served. If off, the
    /// group decides alone. On.
    pub honour_freshness: bool,
}

impl ObjectOptions {
    /// The most [`retries`](Self::retries).
    pub const MAX_RETRIES: usize = 10;
    /// The most [`parts`](Self::parts).
    pub const MAX_PARTS: usize = 32;
    /// The least [`part_size`](Self::part_size), in bytes: below it requests cost more than they
    /// save.
    pub const MIN_PART_SIZE: u64 = 64 << 10;
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            path: "{key}".to_owned(),
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            token: None,
            allow_http: false,
            virtual_hosted_style: false,
            anonymous: false,
            options: BTreeMap::new(),
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            retries: 2,
            max_idle_connections: 32,
            idle_timeout: Duration::from_secs(4),
            parallel_from: None,
            part_size: 4 << 20,
            parts: 4,
            honour_freshness: true,
        }
    }
}

/// Replaces a secret in `Debug`, and shows that there is one.
const MASK: &str = "…";

impl fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = |secret: &Option<String>| secret.as_ref().map(|_| MASK);
        let url = Place::parse(&self.url).map(|place| place.to_string());
        let options: BTreeMap<_, _> = self.options.keys().map(|name| (name, MASK)).collect();
        f.debug_struct("ObjectOptions")
            .field("url", &url.as_deref().unwrap_or(MASK))
            .field("path", &self.path)
            .field("endpoint", &mask(&self.endpoint))
            .field("region", &self.region)
            .field("access_key_id", &mask(&self.access_key_id))
            .field("secret_access_key", &mask(&self.secret_access_key))
            .field("token", &mask(&self.token))
            .field("allow_http", &self.allow_http)
            .field("virtual_hosted_style", &self.virtual_hosted_style)
            .field("anonymous", &self.anonymous)
            .field("options", &options)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("max_idle_connections", &self.max_idle_connections)
            .field("idle_timeout", &self.idle_timeout)
            .field("parallel_from", &self.parallel_from)
            .field("part_size", &self.part_size)
            .field("parts", &self.parts)
            .field("honour_freshness", &self.honour_freshness)
            .finish()
    }
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object origin: {field}: {reason}")]
pub struct OptionsError {
    /// The field of [`ObjectOptions`].
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl OptionsError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

impl ObjectOptions {
    /// Checks the bounds of reads; options of the service are checked with the store.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let timeouts = [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("timeout", self.timeout),
        ];
        if let Some((field, _)) = timeouts.into_iter().find(|(_, timeout)| timeout.is_zero()) {
            return Err(OptionsError::new(field, "must be more than zero"));
        }
        if self.retries > Self::MAX_RETRIES {
            let reason = format!("must be at most {}", Self::MAX_RETRIES);
            return Err(OptionsError::new("retries", reason));
        }
        if self.part_size < Self::MIN_PART_SIZE {
            let reason = format!("must be at least {} bytes", Self::MIN_PART_SIZE);
            return Err(OptionsError::new("part_size", reason));
        }
        if !(1..=Self::MAX_PARTS).contains(&self.parts) {
            let reason = format!("must be from 1 to {}", Self::MAX_PARTS);
            return Err(OptionsError::new("parts", reason));
        }
        Ok(())
    }
}
