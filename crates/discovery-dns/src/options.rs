//! The options: the name, the name server, and the interval.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::Name;

/// The longest interval and the longest timeout.
const MAX_SPAN: Duration = Duration::from_secs(3600);

/// The name that is looked up, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsOptions {
    /// The name whose addresses are the nodes, such as `node` or
    /// `gaggle-peers.default.svc.cluster.local`. One without a trailing dot is completed by the
    /// search domains of `/etc/resolv.conf`. It has no default.
    pub name: String,
    /// The port that peers are reached at, the same on each node. Default 8001.
    pub port: u16,
    /// Whether they are reached by https. Default: by http.
    pub https: bool,
    /// How long to wait between two lookups, plus or minus a tenth. Above 0, at most an hour;
    /// default 5 s.
    pub every: Duration,
    /// How long a list may take, including search domains, a retry and TCP. Above 0, at most an
    /// hour; default 2 s.
    pub timeout: Duration,
    /// Which addresses count. Default: IPv4 if there are any.
    pub family: Family,
    /// The name server to ask instead of the system's; no search domain is used then. Default:
    /// none.
    pub nameserver: Option<SocketAddr>,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            port: 8001,
            https: false,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            family: Family::default(),
            nameserver: None,
        }
    }
}

/// Which addresses make members. Never both kinds together: a node that has one of each would be
/// two members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// The IPv4 addresses or, if the name server answers that there are none, the IPv6 ones. Once
    /// IPv4 addresses have been seen, IPv6 is no longer looked up: nodes must not change their
    /// names because one answer was lost.
    #[default]
    Ipv4First,
    /// IPv4 only (A records).
    Ipv4,
    /// IPv6 only (AAAA records).
    Ipv6,
}

/// Invalid options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The name is empty, an address, or not a DNS name.
    #[error("{name:?} is no DNS name: {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The port is 0.
    #[error("the port is 0; expected the one that peers listen on")]
    Port,
    /// An interval or a timeout of 0, or one above an hour.
    #[error("{field} is {value:?}; expected more than 0 and at most {MAX_SPAN:?}")]
    Span {
        /// Which of the fields.
        field: &'static str,
        /// Its value.
        value: Duration,
    },
    /// The system's name servers are not known: `/etc/resolv.conf` is missing, or names none.
    #[error("the system's name servers: {0}")]
    System(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DnsOptions {
    /// Refuses invalid options; returns the DNS name.
    pub(crate) fn validate(&self) -> Result<Name, OptionsError> {
        if self.port == 0 {
            return Err(OptionsError::Port);
        }
        for (field, value) in [("every", self.every), ("timeout", self.timeout)] {
            if value.is_zero() || value > MAX_SPAN {
                return Err(OptionsError::Span { field, value });
            }
        }
        let no_name = |reason: String| OptionsError::Name {
            name: self.name.clone(),
            reason,
        };
        if self.name.is_empty() || self.name == "." {
            return Err(no_name("it is empty".into()));
        }
        if self.name.parse::<IpAddr>().is_ok() {
            return Err(no_name("it is an address".into()));
        }
        // Compose allows underscores where DNS host names do not.
        Name::from_str_relaxed(&self.name).map_err(|failure| no_name(failure.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> DnsOptions {
        DnsOptions {
            name: name.into(),
            ..DnsOptions::default()
        }
    }

    #[test]
    fn names_of_services_are_taken() {
        for name in [
            "node",
            "my_node",
            "gaggle-peers.default.svc.cluster.local",
            "node.",
        ] {
            named(name).validate().unwrap();
        }
    }

    #[test]
    fn what_is_no_name_is_refused_and_shown() {
        let long = "a".repeat(64);
        for name in ["", ".", "10.0.0.1", "::1", "two..dots", &long] {
            let failure = named(name).validate().unwrap_err();
            assert!(matches!(failure, OptionsError::Name { .. }), "{failure}");
            assert!(
                failure.to_string().contains(&format!("{name:?}")),
                "{failure}"
            );
        }
    }

    #[test]
    fn times_and_ports_are_bounded() {
        let good = named("node");
        for (field, options) in [
            (
                "every",
                DnsOptions {
                    every: Duration::ZERO,
                    ..good.clone()
                },
            ),
            (
                "timeout",
                DnsOptions {
                    timeout: Duration::MAX,
                    ..good.clone()
                },
            ),
            ("port", DnsOptions { port: 0, ..good }),
        ] {
            let failure = options.validate().unwrap_err().to_string();
            assert!(failure.contains(field), "{failure}");
        }
    }
}
