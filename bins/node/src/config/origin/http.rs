//! An HTTP service.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use gaggle_origin_http::{
    Allow, BatchOptions, BearerSource, HttpOptions, HttpOrigin, OptionsError,
};
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;
use crate::config::{ConfigError, Span, bounds, mask};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Http {
    pub(crate) url: String,
    pub(crate) connect_timeout: Span,
    pub(crate) read_timeout: Span,
    pub(crate) max_idle_connections: usize,
    /// How long a connection is kept open while idle; `0s` keeps none. It should be below the
    /// service's own.
    pub(crate) idle_timeout: Span,
    /// Whether the answers' own freshness counts.
    pub(crate) honour_freshness: bool,
    /// Whether requests carry the trace that they belong to.
    pub(crate) send_trace: bool,
    /// Whether requests tell how long their answer is waited for.
    pub(crate) send_timeout: bool,
    /// Whether keys that become `.` or `..` in the path are requested.
    pub(crate) allow_dot_segments: bool,
    /// Whether link-local addresses and those of clouds' metadata services are connected to.
    pub(crate) allow_link_local: bool,
    /// Other URLs for the same values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fallbacks: Vec<String>,
    /// Which URL a load asks first.
    pub(crate) balance: Balance,
    /// The longest that a load may take with all of its tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_timeout: Option<Span>,
    /// How often a load may be tried again.
    pub(crate) retries: u32,
    /// Sent as `Authorization: Bearer` with each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// A file that holds it, read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Whose certificates are trusted where there is no `ca`.
    pub(crate) trust: Trust,
    /// The authorities that are trusted over https, and no others: a file in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// What this node shows to a service over https, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    /// Sent with each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, Secret>,
    /// How several keys are asked for in one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<Batch>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Balance {
    #[default]
    First,
    RoundRobin,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trust {
    #[default]
    Platform,
    Mozilla,
}

/// How several keys are asked for in one POST.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Batch {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fallbacks: Vec<String>,
    pub(crate) max_keys: usize,
    /// In JSON, with `{keys}` for the array of keys.
    pub(crate) body: String,
    pub(crate) answer: BatchAnswer,
    pub(crate) values: BatchValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Span>,
}

impl Default for Batch {
    fn default() -> Self {
        let options = BatchOptions::default();
        Self {
            url: options.url,
            fallbacks: options.fallbacks,
            max_keys: options.max_keys,
            body: options.body,
            answer: BatchAnswer::default(),
            values: BatchValues::default(),
            timeout: options.timeout.map(Span),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("url", &mask::url(&self.url))
            .finish_non_exhaustive()
    }
}

impl Batch {
    fn options(&self) -> BatchOptions {
        BatchOptions {
            url: self.url.clone(),
            fallbacks: self.fallbacks.clone(),
            max_keys: self.max_keys,
            body: self.body.clone(),
            answer: match self.answer {
                BatchAnswer::Array => gaggle_origin_http::BatchAnswer::Array,
                BatchAnswer::Object => gaggle_origin_http::BatchAnswer::Object,
            },
            values: match self.values {
                BatchValues::Text => gaggle_origin_http::BatchValues::Text,
                BatchValues::Base64 => gaggle_origin_http::BatchValues::Base64,
            },
            timeout: self.timeout.map(|timeout| timeout.0),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BatchAnswer {
    #[default]
    Array,
    Object,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BatchValues {
    #[default]
    Text,
    Base64,
}

impl Default for Http {
    fn default() -> Self {
        let (options, allow) = (HttpOptions::default(), Allow::default());
        Self {
            url: options.url,
            connect_timeout: Span(options.connect_timeout),
            read_timeout: Span(options.read_timeout),
            max_idle_connections: options.max_idle_connections,
            idle_timeout: Span(options.idle_timeout),
            honour_freshness: options.honour_freshness,
            send_trace: options.send_trace,
            send_timeout: options.send_timeout,
            allow_dot_segments: allow.dot_segments,
            allow_link_local: allow.link_local,
            fallbacks: options.fallbacks,
            balance: Balance::default(),
            total_timeout: options.total_timeout.map(Span),
            retries: options.retries,
            token: None,
            token_file: None,
            trust: Trust::default(),
            ca: options.ca,
            client_cert: options.client_cert,
            client_key: options.client_key,
            headers: BTreeMap::new(),
            batch: None,
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("url", &mask::url(&self.url))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(crate) fn options(&self) -> HttpOptions {
        let headers = self.headers.iter();
        HttpOptions {
            url: self.url.clone(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                .collect(),
            connect_timeout: self.connect_timeout.0,
            read_timeout: self.read_timeout.0,
            max_idle_connections: self.max_idle_connections,
            idle_timeout: self.idle_timeout.0,
            honour_freshness: self.honour_freshness,
            send_trace: self.send_trace,
            send_timeout: self.send_timeout,
            fallbacks: self.fallbacks.clone(),
            balance: match self.balance {
                Balance::First => gaggle_origin_http::Balance::First,
                Balance::RoundRobin => gaggle_origin_http::Balance::RoundRobin,
            },
            bearer: self.bearer(),
            trust: match self.trust {
                Trust::Platform => gaggle_origin_http::Trust::Platform,
                Trust::Mozilla => gaggle_origin_http::Trust::Mozilla,
            },
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            total_timeout: self.total_timeout.map(|timeout| timeout.0),
            retries: self.retries,
            batch: self.batch.as_ref().map(Batch::options),
        }
    }

    fn bearer(&self) -> Option<BearerSource> {
        match (&self.token_file, &self.token) {
            (Some(path), _) => Some(BearerSource::File(path.clone())),
            (None, Some(token)) => Some(BearerSource::Text(token.reveal().to_owned())),
            (None, None) => None,
        }
    }

    /// Checks that do not read its files.
    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        if self.url.is_empty() {
            return Err(ConfigError::new(field("url"), "missing"));
        }
        bounds::timeout(&field("connect-timeout"), self.connect_timeout)?;
        bounds::timeout(&field("read-timeout"), self.read_timeout)?;
        if let Some(timeout) = self.total_timeout {
            bounds::timeout(&field("total-timeout"), timeout)?;
        }
        bounds::at_most_a_day(&field("idle-timeout"), self.idle_timeout)?;
        if self.token.is_some() && self.token_file.is_some() {
            let problem = "expected one of token and token-file, not both";
            return Err(ConfigError::new(field("token-file"), problem));
        }
        // Sends no request: it checks the templates and the headers. The files are read at a
        // start.
        let without_files = HttpOptions {
            bearer: None,
            ca: None,
            client_cert: None,
            client_key: None,
            ..self.options()
        };
        HttpOrigin::allowing(without_files, self.allow())
            .map(drop)
            .map_err(|failure| refused(&failure, field))
    }

    pub(super) fn mask(&mut self) {
        self.url = mask::url(&self.url);
        let batch = self.batch.iter_mut();
        let more = batch.flat_map(|batch| {
            // It may contain a secret in addition to the keys.
            batch.body = "{\"MASKED\":{keys}}".to_owned();
            std::iter::once(&mut batch.url).chain(&mut batch.fallbacks)
        });
        for url in more.chain(&mut self.fallbacks) {
            *url = mask::url(url);
        }
        self.headers
            .values_mut()
            .chain(&mut self.token)
            .for_each(|secret| *secret = Secret::masked());
    }

    /// What is refused unless it is allowed.
    pub(crate) fn allow(&self) -> Allow {
        Allow {
            dot_segments: self.allow_dot_segments,
            link_local: self.allow_link_local,
        }
    }
}

/// The origin's error about an option, under the option's name here.
pub(crate) fn refused(failure: &OptionsError, field: impl Fn(&str) -> String) -> ConfigError {
    let name = match failure.field {
        "bearer" => "token".to_owned(),
        other => other.replace('_', "-"),
    };
    ConfigError::new(field(&name), &failure.reason)
}
