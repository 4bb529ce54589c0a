//! What the types cannot say.

use std::collections::HashSet;

use super::{Config, ConfigError, Group};

/// The longest key that may be allowed: percent-encoded it must fit into a request line with room to spare.
const MAX_KEY: u64 = 16 << 10;

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        address("node.peer-addr", &self.node.peer_addr)?;
        address("node.api-addr", &self.node.api_addr)?;
        address("node.admin-addr", &self.node.admin_addr)?;
        if self.node.max_connections == 0 {
            return Err(ConfigError::new(
                "node.max-connections",
                "expected a number above 0",
            ));
        }
        if self.node.drain_timeout.0.is_zero() {
            return Err(ConfigError::new(
                "node.drain-timeout",
                "expected more than 0",
            ));
        }
        // An eighth of it is for small values.
        let in_flight = self.node.max_in_flight.0 / 8 * 7;
        for (name, group) in &self.groups {
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
        if let Some(advertise) = &self.node.advertise {
            base_url("node.advertise", advertise)?;
        }
        let mut seen = HashSet::new();
        for peer in &self.cluster.peers {
            base_url("cluster.peers", peer)?;
            if !seen.insert(peer) {
                return Err(ConfigError::new(
                    "cluster.peers",
                    format!("{peer:?} is listed twice"),
                ));
            }
        }
        if self.cluster.discovery.is_some() && !self.cluster.peers.is_empty() {
            return Err(ConfigError::new(
                "cluster.peers",
                "the members come from cluster.discovery; expected one of the two",
            ));
        }
        let path: Result<gaggle_transport_http::BasePath, _> = self.cluster.base_path.parse();
        path.map_err(|failure| ConfigError::new("cluster.base-path", failure))?;
        if self.groups.is_empty() {
            return Err(ConfigError::new(
                "groups",
                "no group is configured; expected a table such as [groups.scores] with an origin",
            ));
        }
        self.groups
            .iter()
            .try_for_each(|(name, group)| group.validate(name))
    }
}

impl Group {
    fn validate(&self, name: &str) -> Result<(), ConfigError> {
        let field = |field: &str| format!("groups.{name}.{field}");
        if self.origin.is_none() {
            return Err(ConfigError::new(
                field("origin"),
                "missing; expected a table with kind = \"sqlite\", \"http\" or \"files\"",
            ));
        }
        let zeros = [
            ("capacity", self.capacity.0 == 0),
            ("max-value", self.max_value.0 == 0),
            ("load-timeout", self.load_timeout.0.is_zero()),
            ("max-loads", self.max_loads == 0),
            ("ttl", self.ttl.is_some_and(|ttl| ttl.0.is_zero())),
        ];
        if let Some((zero, _)) = zeros.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::new(field(zero), "expected more than 0"));
        }
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
        if self.max_key.0 > MAX_KEY {
            return Err(ConfigError::new(
                field("max-key"),
                format!(
                    "{} bytes are too many; expected at most 16KiB",
                    self.max_key.0
                ),
            ));
        }
        Ok(())
    }
}

/// `HOST:PORT`, to listen on.
fn address(field: &str, address: &str) -> Result<(), ConfigError> {
    let good = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
    });
    if good {
        return Ok(());
    }
    Err(ConfigError::new(
        field,
        format!("{address:?} is not an address; expected HOST:PORT, such as \"127.0.0.1:8001\""),
    ))
}

/// A base URL as peers are named: the ring is made of the exact strings, so only one spelling is taken.
fn base_url(field: &str, text: &str) -> Result<(), ConfigError> {
    let good = url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "http"
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    if good && !text.ends_with('/') {
        return Ok(());
    }
    Err(ConfigError::new(
        field,
        format!(
            "{text:?} is not a base URL; expected one such as \"http://10.0.0.1:8001\", without a path or a trailing slash"
        ),
    ))
}
