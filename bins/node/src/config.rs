//! The configuration: one structure that the file, the environment and the flags all end in.
//!
//! Reading is a pure function of the file's text and the overrides; the file is read in [`load`] only. Every error is
//! one line that names the field.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::{LogFormat, Overrides, ServeArgs};

mod drain;
mod loads;
mod origin;
mod units;
mod validate;

pub(crate) use drain::Drain;
pub(crate) use loads::OriginLoads;
pub(crate) use origin::Origin;
use units::{Size, Span};

/// A configuration that cannot be used: one line, with the field and what was expected of it.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct ConfigError {
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        // A library's message may run over several lines; a script that greps a log wants one.
        let problem = problem
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self {
            field: field.into(),
            problem,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
    pub(crate) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Node {
    pub(crate) peer_addr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<String>,
    pub(crate) api_addr: String,
    pub(crate) admin_addr: String,
    /// How long a node that was told to stop stays open after it has called itself not ready; by default 2 s, or half of
    /// the drain timeout where that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain_delay: Option<Span>,
    /// How long a node that was told to stop has in all, the drain delay included, until it has ended. Running requests have
    /// half of it in any case.
    pub(crate) drain_timeout: Span,
    /// Connections that each of the three listeners serves at one time.
    pub(crate) max_connections: usize,
    /// Bytes of values that are being loaded, fetched or sent, in the whole process.
    pub(crate) max_in_flight: Size,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            peer_addr: "127.0.0.1:8001".into(),
            advertise: None,
            api_addr: "127.0.0.1:9999".into(),
            admin_addr: "127.0.0.1:9990".into(),
            drain_delay: None,
            drain_timeout: Span::from_secs(10),
            max_connections: 10_000,
            max_in_flight: Size(64 << 20),
            log_format: LogFormat::Text,
            log_level: "info".into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cluster {
    /// The members, where the list does not change.
    pub(crate) peers: Vec<String>,
    pub(crate) profile: Profile,
    pub(crate) transport: Transport,
    pub(crate) base_path: String,
    pub(crate) encoding: Encoding,
    /// Whether this node is in the ring, and so owns keys. One that is not is a front door for those that are.
    pub(crate) member: bool,
    /// How often the ring follows a list of members that changes again and again.
    pub(crate) damping: Span,
    /// Where the members come from, where the list changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<Discovery>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            profile: Profile::default(),
            transport: Transport::default(),
            base_path: "/_groupcache/".into(),
            encoding: Encoding::default(),
            member: true,
            damping: Span::from_secs(10),
            discovery: None,
        }
    }
}

/// The `discovery` table of the cluster, by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Discovery {
    /// Every address of a DNS name is a member.
    Dns {
        name: String,
        /// The port that peers are reached at; by default that of this node's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        #[serde(default = "five_seconds")]
        every: Span,
    },
}

fn five_seconds() -> Span {
    Span::from_secs(5)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    #[default]
    Gaggle,
    Groupcache,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    #[default]
    Http,
    Grpc,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    #[default]
    Protobuf,
    Raw,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Group {
    pub(crate) capacity: Size,
    pub(crate) load_timeout: Span,
    pub(crate) max_key: Size,
    pub(crate) max_value: Size,
    /// Loads that may ask the origin at one time.
    pub(crate) max_origin_loads: OriginLoads,
    /// How long a load may wait for that; by default a fifth of `load-timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_wait: Option<Span>,
    /// Whether an origin that fails again and again is left alone for a moment.
    pub(crate) circuit_breaker: bool,
    /// Loads that may be under way, from the origin and from peers; gets beyond them are shed.
    pub(crate) max_loads: usize,
    pub(crate) hot_copies: HotCopies,
    /// The longest that a copy of another node's key is kept.
    pub(crate) hot_ttl: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<Span>,
    /// By which share of it a ttl is shortened by chance, at most.
    pub(crate) ttl_jitter: f64,
    pub(crate) stale_while_revalidate: Span,
    pub(crate) stale_if_error: Span,
    /// How long an absent key is known to be absent; by default each get asks the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) negative_ttl: Option<Span>,
    /// The last share of a ttl in which a hit has the value loaded again.
    pub(crate) refresh_ahead: f64,
    pub(crate) freshness: Freshness,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            capacity: Size(64 << 20),
            load_timeout: Span::from_secs(5),
            max_key: Size(1 << 10),
            max_value: Size(8 << 20),
            max_origin_loads: OriginLoads::default(),
            max_wait: None,
            circuit_breaker: true,
            max_loads: 1 << 16,
            hot_copies: HotCopies::default(),
            hot_ttl: Span::from_secs(60),
            ttl: None,
            ttl_jitter: 0.1,
            stale_while_revalidate: Span::from_secs(0),
            stale_if_error: Span::from_secs(0),
            negative_ttl: None,
            refresh_ahead: 0.0,
            freshness: Freshness::default(),
            origin: None,
        }
    }
}

/// Whose word on freshness goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Freshness {
    /// The origin's, where it gives one.
    #[default]
    Origin,
    /// The group's, whatever the origin says.
    Group,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HotCopies {
    #[default]
    Sampled,
    Rate,
    Off,
}

/// Reads the file, if one is named, and lays the overrides over it.
pub(crate) fn load(args: &ServeArgs) -> Result<Config, ConfigError> {
    let text = match &args.config {
        Some(path) => read(path)?,
        None => String::new(),
    };
    parse(&text, &args.overrides)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|failure| ConfigError::new("--config", format!("{}: {failure}", path.display())))
}

/// Whether the log would take that level: what `check` must find and `serve` finds when its log starts.
pub(crate) fn check_log_level(level: &str) -> Result<(), ConfigError> {
    let options = gaggle_telemetry::LogOptions {
        level: level.to_owned(),
        ..Default::default()
    };
    gaggle_telemetry::logging::subscriber(&options, std::io::sink)
        .map(drop)
        .map_err(|failure| ConfigError::new("node.log-level", failure))
}

/// The configuration of a file's text under the overrides, checked.
pub(crate) fn parse(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let source = toml::Deserializer::parse(text).map_err(|failure| syntax_error(text, &failure))?;
    let mut config: Config = serde_path_to_error::deserialize(source).map_err(|failure| {
        let field = failure.path().to_string();
        ConfigError::new(
            if field == "." {
                "the file".into()
            } else {
                field
            },
            failure.inner().message(),
        )
    })?;
    config.apply(overrides);
    config.validate()?;
    Ok(config)
}

/// A file that is no TOML has no field yet: the line must do. (Two tables of one name end here, too.)
fn syntax_error(text: &str, failure: &toml::de::Error) -> ConfigError {
    let line = failure.span().map_or(1, |span| {
        1 + text
            .get(..span.start)
            .map_or(0, |before| before.matches('\n').count())
    });
    let named = failure
        .span()
        .and_then(|span| text.get(span))
        .filter(|named| !named.is_empty() && named.len() <= 80)
        .map_or_else(String::new, |named| format!(" at `{named}`"));
    ConfigError::new(
        format!("line {line}"),
        format!("{}{named}", failure.message()),
    )
}

impl From<LogFormat> for gaggle_telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

impl Config {
    fn apply(&mut self, overrides: &Overrides) {
        fn set<T: Clone>(field: &mut T, from: &Option<T>) {
            if let Some(value) = from {
                *field = value.clone();
            }
        }
        let Overrides {
            peer_addr,
            advertise,
            api_addr,
            admin_addr,
            peers,
            log_format,
            log_level,
        } = overrides;
        set(&mut self.node.peer_addr, peer_addr);
        if advertise.is_some() {
            self.node.advertise.clone_from(advertise);
        }
        set(&mut self.node.api_addr, api_addr);
        set(&mut self.node.admin_addr, admin_addr);
        set(&mut self.node.log_format, log_format);
        set(&mut self.node.log_level, log_level);
        if let Some(peers) = peers {
            // `GAGGLE_PEERS=` is how an environment says "none".
            self.cluster.peers = peers
                .iter()
                .filter(|peer| !peer.is_empty())
                .cloned()
                .collect();
        }
    }

    /// The same with the fields that follow from others unless they are given.
    fn spelled_out(&self) -> Self {
        let mut config = self.clone();
        config.node.drain_delay = Some(config.node.drain().delay.into());
        for group in config.groups.values_mut() {
            let fifth = group.load_timeout.0 / 5;
            group.max_wait.get_or_insert_with(|| fifth.into());
        }
        config
    }

    /// The configuration as a file that would bring it about, secrets masked.
    pub(crate) fn masked(&self) -> Result<String, ConfigError> {
        let mut config = self.spelled_out();
        for origin in config
            .groups
            .values_mut()
            .filter_map(|group| group.origin.as_mut())
        {
            origin.mask();
        }
        toml::to_string(&config).map_err(|failure| ConfigError::new("the configuration", failure))
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
