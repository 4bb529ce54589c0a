//! The `discovery` table of the cluster, by `kind`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gaggle_discovery_dns::{DnsDiscovery, DnsOptions};
use gaggle_discovery_file::{FileDiscovery, FileOptions};
use gaggle_discovery_gossip::GossipOptions;
use serde::{Deserialize, Serialize};

use super::addresses;
use super::{ConfigError, units::Span};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Discovery {
    /// Every address of a DNS name is a member.
    Dns(Dns),
    /// The nodes find each other, starting from a few known ones.
    Gossip(Gossip),
    /// Every line of a file is a member.
    File(FileList),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Dns {
    pub(crate) name: String,
    /// The port that peers are reached at; by default that of this node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    pub(crate) every: Span,
    pub(crate) timeout: Span,
    pub(crate) family: Family,
    /// The name server to ask instead of the system's, as address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nameserver: Option<SocketAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        let options = DnsOptions::default();
        Self {
            name: String::new(),
            port: None,
            every: Span(options.every),
            timeout: Span(options.timeout),
            family: Family::default(),
            nameserver: None,
        }
    }
}

impl Dns {
    /// The query, for a node with this port for peers, with or without TLS.
    pub(crate) fn options(&self, own_port: u16, https: bool) -> DnsOptions {
        DnsOptions {
            name: self.name.clone(),
            port: self.port.unwrap_or(own_port),
            https,
            every: self.every.0,
            timeout: self.timeout.0,
            family: match self.family {
                Family::Ipv4First => gaggle_discovery_dns::Family::Ipv4First,
                Family::Ipv4 => gaggle_discovery_dns::Family::Ipv4,
                Family::Ipv6 => gaggle_discovery_dns::Family::Ipv6,
            },
            nameserver: self.nameserver,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    #[default]
    Ipv4First,
    Ipv4,
    Ipv6,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Gossip {
    /// Where other nodes' messages are received, over UDP.
    pub(crate) listen: SocketAddr,
    /// Where other nodes send them to. Default: `listen`, or where that is unspecified, the
    /// address from which packets to the seeds come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<SocketAddr>,
    /// Where to find the first other nodes. The first node needs none.
    pub(crate) seeds: Vec<String>,
    /// How often a node gossips. The same on each node.
    pub(crate) interval: Span,
    pub(crate) dead_after: Span,
    pub(crate) dead_grace: Span,
}

impl Default for Gossip {
    fn default() -> Self {
        let options = GossipOptions::default();
        Self {
            listen: options.listen,
            advertise: options.advertise,
            seeds: options.seeds,
            interval: Span(options.interval),
            dead_after: Span(options.dead_after),
            dead_grace: Span(options.dead_grace),
        }
    }
}

impl Gossip {
    /// Where and with whom to gossip, in the cluster of that name. The keys are still to be set.
    pub(crate) fn options(&self, cluster: &str) -> GossipOptions {
        GossipOptions {
            listen: self.listen,
            advertise: self.advertise,
            seeds: self.seeds.clone(),
            cluster: cluster.to_owned(),
            interval: self.interval.0,
            dead_after: self.dead_after.0,
            dead_grace: self.dead_grace.0,
            ..GossipOptions::default()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FileList {
    pub(crate) path: PathBuf,
    /// How often to check whether it has changed.
    pub(crate) every: Span,
}

impl Default for FileList {
    fn default() -> Self {
        let options = FileOptions::default();
        Self {
            path: options.path,
            every: Span(options.every),
        }
    }
}

impl FileList {
    pub(crate) fn options(&self) -> FileOptions {
        FileOptions {
            path: self.path.clone(),
            every: self.every.0,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.path.as_os_str().is_empty() {
            return Err(missing("cluster.discovery.path"));
        }
        super::bounds::at_least("cluster.discovery.every", self.every, SHORTEST_EVERY)?;
        super::bounds::interval("cluster.discovery.every", self.every)?;
        // Reads nothing.
        FileDiscovery::new(self.options())
            .map(drop)
            .map_err(|failure| ConfigError::new("cluster.discovery", failure))
    }
}

impl Discovery {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Dns(dns) => dns.validate(),
            Self::Gossip(gossip) => gossip.validate(),
            Self::File(file) => file.validate(),
        }
    }
}

/// The bound of [`gaggle_discovery_file`].
const SHORTEST_EVERY: Duration = Duration::from_millis(10);

fn missing(field: &str) -> ConfigError {
    ConfigError::new(field, "missing")
}

impl Dns {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() {
            return Err(missing("cluster.discovery.name"));
        }
        super::bounds::interval("cluster.discovery.every", self.every)?;
        super::bounds::timeout("cluster.discovery.timeout", self.timeout)?;
        super::bounds::at_most_an_hour("cluster.discovery.timeout", self.timeout)?;
        // Any name server except the system's, which would be read from a file. No query is sent.
        let nameserver = self.nameserver.or(Some(([127, 0, 0, 1], 53).into()));
        let options = DnsOptions {
            nameserver,
            // Port 0 of this node becomes an actual port once it listens.
            ..self.options(DnsOptions::default().port, false)
        };
        DnsDiscovery::new(options)
            .map(drop)
            .map_err(|failure| ConfigError::new("cluster.discovery", failure))
    }
}

/// The most addresses by which a node finds the others.
const MAX_SEEDS: usize = 64;

impl Gossip {
    /// The bounds of [`gaggle_discovery_gossip`], which it checks only when it starts.
    fn validate(&self) -> Result<(), ConfigError> {
        let field = |name: &str| format!("cluster.discovery.{name}");
        if let Some(advertise) = self.advertise {
            addresses::reached(&field("advertise"), &advertise.to_string())?;
        }
        if self.seeds.len() > MAX_SEEDS {
            let problem = format!(
                "{} are too many; expected at most {MAX_SEEDS}",
                self.seeds.len()
            );
            return Err(ConfigError::new(field("seeds"), problem));
        }
        for seed in &self.seeds {
            addresses::reached(&field("seeds"), seed)?;
        }
        let (interval, dead_after) = (self.interval.0, self.dead_after.0);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (name, span, least, most, expected) in [
            (
                "interval",
                interval,
                Duration::from_millis(20),
                Duration::from_secs(10),
                "20ms to 10s",
            ),
            (
                "dead-after",
                dead_after,
                interval.saturating_mul(8),
                minutes(10),
                "8 intervals to 10min",
            ),
            (
                "dead-grace",
                self.dead_grace.0,
                dead_after.saturating_mul(8),
                minutes(24 * 60),
                "8 times dead-after to 1day",
            ),
        ] {
            if span < least || span > most {
                return Err(ConfigError::new(
                    field(name),
                    format!("expected {expected}"),
                ));
            }
        }
        Ok(())
    }
}
