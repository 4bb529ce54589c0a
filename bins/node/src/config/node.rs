//! The `node` table: where a node listens, how it stops and logs, and the bounds of its ports.

use std::time::Duration;

use gaggle_api_http::{CacheControl, FrontOptions};
use gaggle_telemetry::LogOptions;
use serde::{Deserialize, Serialize};

use super::resp::Resp;
use super::units::{Size, Span};
use super::{Config, Group};
use crate::cli::LogFormat;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Node {
    /// This node's name in the ring; by default host and port of the address that peers use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) peer_addr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<String>,
    pub(crate) api_addr: String,
    pub(crate) admin_addr: String,
    /// Where Redis' clients reach this node; without it there is no such port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resp_addr: Option<String>,
    /// The group of their keys that name none; by default the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resp_group: Option<String>,
    /// Names by which the admin port may be asked, in addition to addresses and names that no site
    /// on the web can have.
    pub(crate) admin_hosts: Vec<String>,
    /// How long a node that stops stays open after it has reported that it is not ready; by
    /// default 2 s, or half of the drain timeout if that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain_delay: Option<Span>,
    /// How long a node that stops may take in total. The drain delay is a part of it, and running
    /// requests have the rest.
    pub(crate) drain_timeout: Span,
    /// Connections that each of the three listeners serves at one time.
    pub(crate) max_connections: usize,
    /// Bytes of values that are being loaded, fetched or sent, in the whole process.
    pub(crate) max_in_flight: Size,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    /// The time in which one line of a kind is written; `0s` writes all.
    pub(crate) log_interval: Span,
    pub(crate) limits: PortLimits,
    pub(crate) front_door: FrontDoor,
    pub(crate) resp: Resp,
}

impl Default for Node {
    fn default() -> Self {
        let log = LogOptions::default();
        Self {
            name: None,
            peer_addr: "127.0.0.1:8001".into(),
            advertise: None,
            api_addr: "127.0.0.1:9999".into(),
            admin_addr: "127.0.0.1:9990".into(),
            resp_addr: None,
            resp_group: None,
            admin_hosts: Vec::new(),
            drain_delay: None,
            drain_timeout: Span::from_secs(10),
            max_connections: 10_000,
            max_in_flight: Size(64 << 20),
            log_format: LogFormat::Text,
            log_level: log.level,
            log_interval: Span(log.interval.unwrap_or_default()),
            limits: PortLimits::default(),
            front_door: FrontDoor::default(),
            resp: Resp::default(),
        }
    }
}

impl Node {
    /// The bounds of a port with that many connections, whose requests have that long once it
    /// closes.
    pub(crate) fn port_options(
        &self,
        max_connections: usize,
        drain: Duration,
    ) -> gaggle_serve::Options {
        let limits = &self.limits;
        gaggle_serve::Options {
            max_connections,
            drain,
            backlog: limits.backlog,
            header_read_timeout: limits.header_timeout.0,
            keep_alive_idle: limits.idle_timeout.0,
            stall_timeout: limits.stall_timeout.0,
            body_timeout: limits.body_timeout.0,
            min_rate: u32::try_from(limits.min_rate.0).unwrap_or(u32::MAX),
            max_header_bytes: u32::try_from(limits.max_header.0).unwrap_or(u32::MAX),
            http2_max_streams: limits.http2_max_streams,
            http2_ping_interval: limits.http2_ping_interval.0,
            http2_ping_timeout: limits.http2_ping_timeout.0,
            ..gaggle_serve::Options::default()
        }
    }

    /// What is logged, and how.
    pub(crate) fn log_options(&self) -> LogOptions {
        let interval = self.log_interval.0;
        LogOptions {
            format: self.log_format.into(),
            level: self.log_level.clone(),
            interval: (!interval.is_zero()).then_some(interval),
            ..LogOptions::default()
        }
    }
}

impl Config {
    /// The bounds of the front door, and its headers.
    pub(crate) fn front_options(&self) -> FrontOptions {
        let front = &self.node.front_door;
        let rule = |(name, group): (&String, &Group)| {
            let rule = CacheControl::parse(group.cache_control.as_ref()?)?;
            Some((name.clone(), rule))
        };
        FrontOptions {
            cache_control: self.groups.iter().filter_map(rule).collect(),
            max_batch_keys: front.max_batch_keys,
            max_body: front.max_body.length(),
            max_batch_bytes: front.max_batch.0,
            batch_loads: front.batch_loads,
            body_timeout: front.body_timeout.0,
            etag_max: front.etag_max.length(),
            cors_origins: front.cors_origins.clone(),
            cors_max_age: front.cors_max_age.0,
            ..FrontOptions::default()
        }
    }
}

/// The `limits` table of the node: what one connection may cost, on each of the three ports.
/// [`gaggle_serve::Options`] has what each field means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PortLimits {
    pub(crate) backlog: u32,
    pub(crate) header_timeout: Span,
    pub(crate) idle_timeout: Span,
    pub(crate) stall_timeout: Span,
    pub(crate) body_timeout: Span,
    /// Bytes a second.
    pub(crate) min_rate: Size,
    pub(crate) max_header: Size,
    pub(crate) http2_max_streams: u32,
    pub(crate) http2_ping_interval: Span,
    pub(crate) http2_ping_timeout: Span,
}

impl Default for PortLimits {
    fn default() -> Self {
        let options = gaggle_serve::Options::default();
        Self {
            backlog: options.backlog,
            header_timeout: Span(options.header_read_timeout),
            idle_timeout: Span(options.keep_alive_idle),
            stall_timeout: Span(options.stall_timeout),
            body_timeout: Span(options.body_timeout),
            min_rate: Size(options.min_rate.into()),
            max_header: Size(options.max_header_bytes.into()),
            http2_max_streams: options.http2_max_streams,
            http2_ping_interval: Span(options.http2_ping_interval),
            http2_ping_timeout: Span(options.http2_ping_timeout),
        }
    }
}

/// The `front-door` table of the node: what one batch may cost, and which headers clients get with
/// values. [`FrontOptions`] has what each field means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FrontDoor {
    pub(crate) max_batch_keys: usize,
    pub(crate) max_body: Size,
    pub(crate) max_batch: Size,
    pub(crate) batch_loads: usize,
    pub(crate) body_timeout: Span,
    pub(crate) etag_max: Size,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) cors_max_age: Span,
}

impl Default for FrontDoor {
    fn default() -> Self {
        let options = FrontOptions::default();
        Self {
            max_batch_keys: options.max_batch_keys,
            max_body: options.max_body.into(),
            max_batch: Size(options.max_batch_bytes),
            batch_loads: options.batch_loads,
            body_timeout: Span(options.body_timeout),
            etag_max: options.etag_max.into(),
            cors_origins: options.cors_origins,
            cors_max_age: Span(options.cors_max_age),
        }
    }
}
