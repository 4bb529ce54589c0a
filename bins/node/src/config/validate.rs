//! The rules that types cannot express. Pure: no file is opened, no name is looked up and no port
//! is tried.

use std::path::Path;
use std::time::Duration;

use gaggle_api_http::CacheControl;
use url::Url;

use super::addresses::{self, Place};
use super::bounds::{at_most_a_day, interval, more_than_zero, period, room, some, timeout};
use super::members::{MAX_NAME, visible};
use super::security::Port;
use super::units::Size;
use super::{Cluster, Config, ConfigError, Group, Node, Origin, Store, mask};

/// The longest key that may be allowed: percent-encoded it must fit into a request line with room
/// to spare.
const MAX_KEY: u64 = 16 << 10;

/// With a shorter interval, a node would do little else.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The `cache-control` that tells what is left of a value's time.
const TTL: &str = "ttl";

/// The part of a request's head that the server always accepts.
const LEAST_HEADER: u64 = 8 << 10;

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.node.validate()?;
        self.security.validate()?;
        self.tracing.validate()?;
        self.cluster.validate()?;
        self.validate_names()?;
        self.validate_members()?;
        self.validate_exposure()?;
        if self.groups.is_empty() {
            return Err(ConfigError::new(
                "groups",
                "no group is configured; expected a table such as [groups.scores] with an origin",
            ));
        }
        // An eighth of it is for small values.
        let in_flight = self.node.max_in_flight.0 / 8 * 7;
        for (name, group) in &self.groups {
            group_name(name)?;
            group.validate(name)?;
            if group.max_value.0 > in_flight {
                return Err(ConfigError::new(
                    format!("groups.{name}.max-value"),
                    format!(
                        "{} bytes would hardly ever be loaded: of node.max-in-flight {in_flight} bytes are for large values",
                        group.max_value.0
                    ),
                ));
            }
        }
        self.validate_resp()?;
        self.validate_snapshots()
    }

    /// Each group has a file of its own.
    fn validate_snapshots(&self) -> Result<(), ConfigError> {
        let mut taken: Vec<(&str, &Path)> = Vec::new();
        for (name, group) in &self.groups {
            let Some(path) = &group.snapshot else {
                continue;
            };
            if let Some((other, _)) = taken.iter().find(|(_, other)| other == path) {
                let problem = format!("{path:?} is the snapshot of the group {other:?} as well");
                return Err(ConfigError::new(format!("groups.{name}.snapshot"), problem));
            }
            taken.push((name, path));
        }
        Ok(())
    }
}

impl Node {
    fn validate(&self) -> Result<(), ConfigError> {
        let ports = [
            (Port::Peers, &self.peer_addr),
            (Port::FrontDoor, &self.api_addr),
            (Port::Admin, &self.admin_addr),
        ];
        let resp = self.resp_addr.iter().map(|text| (Port::Resp, text));
        let mut taken: Vec<(Port, Place)> = Vec::new();
        for (port, text) in ports.into_iter().chain(resp) {
            let place = addresses::listening(port.field(), text)?;
            if let Some((other, _)) = taken.iter().find(|(_, other)| collide(other, &place)) {
                return Err(ConfigError::new(
                    port.field(),
                    format!(
                        "{text:?} is taken by {}; expected another port",
                        other.field()
                    ),
                ));
            }
            taken.push((port, place));
        }
        for host in &self.admin_hosts {
            addresses::host_name("node.admin-hosts", host)?;
        }
        some("node.max-connections", self.max_connections as u64)?;
        room("node.max-in-flight", self.max_in_flight)?;
        self.validate_drain()?;
        super::log_level::check(&self.log_level)?;
        at_most_a_day("node.log-interval", self.log_interval)?;
        self.validate_limits()?;
        self.validate_front_door()
    }

    fn validate_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let field = |name: &str| format!("node.limits.{name}");
        some(&field("backlog"), limits.backlog)?;
        some(&field("http2-max-streams"), limits.http2_max_streams)?;
        for (name, span) in [
            ("header-timeout", limits.header_timeout),
            ("idle-timeout", limits.idle_timeout),
            ("stall-timeout", limits.stall_timeout),
            ("body-timeout", limits.body_timeout),
            ("http2-ping-timeout", limits.http2_ping_timeout),
        ] {
            timeout(&field(name), span)?;
        }
        period(&field("http2-ping-interval"), limits.http2_ping_interval)?;
        let u32s = u64::from(u32::MAX);
        if limits.min_rate.0 > u32s {
            return Err(ConfigError::new(
                field("min-rate"),
                "is bytes a second; expected less than 4GiB",
            ));
        }
        if limits.max_header.0 < LEAST_HEADER || limits.max_header.0 > 1 << 20 {
            return Err(ConfigError::new(
                field("max-header"),
                "expected 8KiB to 1MiB",
            ));
        }
        Ok(())
    }

    fn validate_front_door(&self) -> Result<(), ConfigError> {
        let front = &self.front_door;
        let field = |name: &str| format!("node.front-door.{name}");
        some(&field("max-batch-keys"), front.max_batch_keys as u64)?;
        some(&field("batch-loads"), front.batch_loads as u64)?;
        room(&field("max-body"), front.max_body)?;
        room(&field("max-batch"), front.max_batch)?;
        timeout(&field("body-timeout"), front.body_timeout)?;
        for text in &front.cors_origins {
            origin(text).map_err(|problem| ConfigError::new(field("cors-origins"), problem))?;
        }
        at_most_a_day(&field("cors-max-age"), front.cors_max_age)
    }
}

/// Refuses what no browser sends as the origin of a request: it sends scheme, host and port in
/// their normal form, without a port that is the scheme's own.
fn origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    let shown = mask::url(text);
    if text.contains('*') {
        return Err(format!(
            "{shown:?} is compared as it is, and no browser sends a *; expected each origin by itself, such as \
             \"https://app.example.com\", or \"*\" for all origins"
        ));
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    let sent = url.map(|url| url.origin().ascii_serialization());
    match sent {
        Some(sent) if sent == text => Ok(()),
        Some(sent) => Err(format!(
            "{shown:?} is not as a browser sends it; expected {sent:?}"
        )),
        None => Err(format!(
            "{shown:?} is no origin; expected one such as \"https://app.example.com\", without a path, or \"*\""
        )),
    }
}

/// Whether one process cannot listen at both ports. Port 0 is a different one each time.
fn collide(one: &Place, other: &Place) -> bool {
    let every = |place: &Place| place.ip().is_some_and(|ip| ip.is_unspecified());
    let family = |place: &Place| place.ip().map(|ip| ip.is_ipv4());
    let same_family = || family(one) == family(other);
    one.port == other.port
        && one.port != 0
        && (one.host == other.host || ((every(one) || every(other)) && same_family()))
}

impl Cluster {
    fn validate(&self) -> Result<(), ConfigError> {
        visible("cluster.name", &self.name)?;
        if self.discovery.is_some() && !self.peers.is_empty() {
            return Err(ConfigError::new(
                "cluster.peers",
                "the members come from cluster.discovery; expected one of the two",
            ));
        }
        self.base_path()?;
        at_most_a_day("cluster.damping", self.damping)?;
        at_most_a_day("cluster.settle", self.settle)?;
        if !self.settle.0.is_zero() && self.quiet > self.settle {
            return Err(ConfigError::new(
                "cluster.quiet",
                "expected at most cluster.settle: each start would wait for the whole of that",
            ));
        }
        timeout("cluster.body-timeout", self.body_timeout)?;
        let health = &self.health;
        // A peer is pinged this long after each request that it has not answered.
        period("cluster.health.suspect-after", health.suspect_after)?;
        timeout("cluster.health.ping-timeout", health.ping_timeout)?;
        interval("cluster.health.greet-every", health.greet_every)?;
        interval("cluster.health.probe-every", health.probe_every)?;
        at_most_a_day("cluster.health.remember-for", health.remember_for)?;
        at_most_a_day("cluster.health.hand-over-for", health.hand_over_for)?;
        self.validate_client()?;
        self.discovery
            .as_ref()
            .map_or(Ok(()), super::Discovery::validate)
    }

    fn validate_client(&self) -> Result<(), ConfigError> {
        let client = &self.client;
        let field = |name: &str| format!("cluster.client.{name}");
        client.fits(self.transport)?;
        for (name, span) in [
            ("connect-timeout", client.connect_timeout),
            ("remove-timeout", client.remove_timeout),
            ("read-timeout", client.read_timeout),
            ("unacknowledged-timeout", client.unacknowledged_timeout),
            ("keep-alive-timeout", client.keep_alive_timeout),
        ] {
            span.map_or(Ok(()), |span| timeout(&field(name), span))?;
        }
        if let Some(span) = client.keep_alive_interval {
            period(&field("keep-alive-interval"), span)?;
        }
        for (name, span) in [
            ("idle-timeout", client.idle_timeout),
            ("longest-batch-wait", client.longest_batch_wait),
        ] {
            span.map_or(Ok(()), |span| at_most_a_day(&field(name), span))?;
        }
        for (name, count) in [
            ("max-requests-per-peer", client.max_requests_per_peer),
            ("requests-at-once", client.requests_at_once),
            ("smallest-batch", client.smallest_batch),
            ("max-waiting", client.max_waiting),
        ] {
            count.map_or(Ok(()), |count| some(&field(name), count as u64))?;
        }
        Ok(())
    }
}

/// The group's own rule: the name is part of a URL's path.
fn group_name(name: &str) -> Result<(), ConfigError> {
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|c| c == '/' || c.is_control())
        && !matches!(name, "." | "..");
    if good {
        return Ok(());
    }
    Err(ConfigError::new(
        "groups",
        format!(
            "{name:?} is no name for a group; expected 1 to {MAX_NAME} bytes without '/' or control characters, neither \
             \".\" nor \"..\""
        ),
    ))
}

impl Group {
    fn validate(&self, name: &str) -> Result<(), ConfigError> {
        let field = |field: &str| format!("groups.{name}.{field}");
        let Some(origin) = &self.origin else {
            return Err(ConfigError::new(
                field("origin"),
                format!("missing; expected a table with kind = {}", Origin::kinds()),
            ));
        };
        room(&field("capacity"), self.capacity)?;
        room(&field("max-value"), self.max_value)?;
        room(&field("max-key"), self.max_key)?;
        some(&field("max-loads"), self.max_loads as u64)?;
        timeout(&field("load-timeout"), self.load_timeout)?;
        for (name, span) in [
            ("max-wait", self.max_wait),
            ("origin-grace", self.origin_grace),
            ("retry-after", Some(self.retry_after)),
            ("hand-over-timeout", Some(self.hand_over_timeout)),
        ] {
            span.map_or(Ok(()), |span| at_most_a_day(&field(name), span))?;
        }
        timeout(&field("removal-timeout"), self.removal_timeout)?;
        self.ttl
            .map_or(Ok(()), |ttl| more_than_zero(&field("ttl"), ttl))?;
        if self.negative_ttl.is_some_and(|ttl| ttl.0.is_zero()) {
            return Err(ConfigError::new(
                field("negative-ttl"),
                "expected more than 0; leave it out to ask the origin each time",
            ));
        }
        let shares = [
            ("ttl-jitter", self.ttl_jitter),
            ("refresh-ahead", self.refresh_ahead),
        ];
        if let Some((share, value)) = shares.into_iter().find(|(_, s)| !(0.0..=1.0).contains(s)) {
            return Err(ConfigError::new(
                field(share),
                format!("{value} is no share; expected a number from 0 to 1"),
            ));
        }
        let Size(max_key) = self.max_key;
        if max_key > MAX_KEY {
            return Err(ConfigError::new(
                field("max-key"),
                format!("{max_key} bytes are too many; expected at most 16KiB"),
            ));
        }
        if let Some(text) = &self.cache_control
            && text != TTL
            && text.trim().eq_ignore_ascii_case(TTL)
        {
            // As a header it would mean nothing to another cache.
            let problem = format!("{text:?} is no directive; expected {TTL:?}");
            return Err(ConfigError::new(field("cache-control"), problem));
        }
        if let Some(text) = &self.cache_control
            && CacheControl::parse(text).is_none()
        {
            return Err(ConfigError::new(
                field("cache-control"),
                format!(
                    "{text:?} cannot be a header; expected \"ttl\", or a text such as \"public, max-age=60\""
                ),
            ));
        }
        self.validate_snapshot(field)?;
        origin.validate(&field("origin"))?;
        match &self.follow {
            Some(follow) => follow.validate(&field("follow"), Some(origin)),
            None => Ok(()),
        }
    }

    fn validate_snapshot(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        if let Some(path) = &self.snapshot
            && path.file_name().is_none()
        {
            let problem = format!("{path:?} is no name of a file");
            return Err(ConfigError::new(field("snapshot"), problem));
        }
        if let Some(path) = &self.snapshot
            && path
                .as_os_str()
                .as_encoded_bytes()
                .ends_with(b".gaggle-partial")
        {
            let problem = format!("{path:?} has the suffix of files that are being written");
            return Err(ConfigError::new(field("snapshot"), problem));
        }
        if self.snapshot.is_some() && self.store == Store::Lru {
            let problem = "store = \"lru\" does not tell its keys; expected store = \"paged\"";
            return Err(ConfigError::new(field("snapshot"), problem));
        }
        let interval = self.snapshot_interval;
        if !interval.0.is_zero() && interval.0 < SHORTEST_INTERVAL {
            return Err(ConfigError::new(
                field("snapshot-interval"),
                "expected at least 1s, or 0s for a snapshot at the end alone",
            ));
        }
        at_most_a_day(&field("snapshot-interval"), interval)
    }
}
