//! The names of this node and the members, and whether this node is one of them.

use std::collections::HashSet;

use gaggle_ring::Ring;

use super::addresses::{self, Place};
use super::security::Port;
use super::{Config, ConfigError, Discovery, Profile};

/// The longest name of a group, a node or a cluster.
pub(super) const MAX_NAME: usize = 128;

/// The expected form of an address if the peers' port speaks only TLS. Otherwise this node would
/// send its token there, and accept values from there, without a certificate.
pub(crate) const HTTPS: &str = "https, as the peers' port speaks TLS, or security.tls.accept-plain = true while the cluster changes over";

impl Config {
    /// The scheme of peers whose address has none, and of this node's own address: that of
    /// `node.advertise`; by default that of this node's port for peers, or plain HTTP as long as
    /// that port accepts it.
    pub(crate) fn peers_scheme(&self) -> &'static str {
        let advertise = self.node.advertise.as_deref();
        let told = advertise.and_then(|url| url.split_once("://"));
        let is_https = match told {
            Some((scheme, _)) => scheme.eq_ignore_ascii_case("https"),
            None => !self.security.takes_plain(Port::Peers),
        };
        if is_https { "https" } else { "http" }
    }

    /// Names by which the admin port may be asked: the configured ones, and this node's own.
    pub(crate) fn admin_hosts(&self) -> Vec<String> {
        let mut hosts = self.node.admin_hosts.clone();
        for known in [&self.node.advertise, &self.node.name]
            .into_iter()
            .flatten()
        {
            let place = addresses::peer_url("node.advertise", known, "http");
            hosts.extend(place.map(|url| url.place.host.to_string()));
        }
        hosts
    }

    /// The names of this node and the members.
    pub(super) fn validate_names(&self) -> Result<(), ConfigError> {
        let scheme = self.peers_scheme();
        let mut urls = Vec::new();
        if let Some(advertise) = &self.node.advertise {
            let url = addresses::base_url("node.advertise", advertise)?;
            urls.push(("node.advertise", advertise, url));
        }
        for peer in &self.cluster.peers {
            let url = addresses::peer_url("cluster.peers", peer, scheme)?;
            urls.push(("cluster.peers", peer, url));
        }
        let plain = self.security.takes_plain(Port::Peers);
        for (field, text, url) in urls {
            if !url.https && !plain {
                return Err(ConfigError::new(
                    field,
                    format!("{text:?} is not reached over TLS; expected {HTTPS}"),
                ));
            }
            if url.https && self.security.tls_of(Port::Peers).is_none() {
                return Err(ConfigError::new(
                    field,
                    format!(
                        "{text:?} needs TLS; expected [security.tls] with \"peers\" among its ports, or http"
                    ),
                ));
            }
        }
        match &self.node.name {
            Some(_) if self.cluster.profile == Profile::Groupcache => Err(ConfigError::new(
                "node.name",
                "with cluster.profile = \"groupcache\" a node's name is its base URL; expected node.advertise",
            )),
            Some(name) => node_name(name),
            None => Ok(()),
        }
    }

    /// The list of members, and whether this node can be in it.
    pub(super) fn validate_members(&self) -> Result<(), ConfigError> {
        if let Some(Discovery::Gossip(gossip)) = &self.cluster.discovery {
            let listening = addresses::listening("node.peer-addr", &self.node.peer_addr)?;
            let unspecified = listening.ip().is_some_and(|ip| ip.is_unspecified());
            if self.node.advertise.is_none() && unspecified && gossip.seeds.is_empty() {
                return Err(ConfigError::new(
                    "node.advertise",
                    "missing: node.peer-addr is an unspecified address, and there is no seed to find out \
                     by which address others reach it; expected the base URL that they use",
                ));
            }
        }
        let places = self.listed()?;
        if places.len() > Ring::MAX_MEMBERS {
            return Err(ConfigError::new(
                "cluster.peers",
                format!(
                    "{} are too many; expected at most {}",
                    places.len(),
                    Ring::MAX_MEMBERS
                ),
            ));
        }
        let mut seen = HashSet::new();
        for (place, peer) in places.iter().zip(&self.cluster.peers) {
            if !seen.insert(place) {
                return Err(ConfigError::new(
                    "cluster.peers",
                    format!("{peer:?} is listed twice"),
                ));
            }
        }
        Ok(())
    }

    /// The addresses in the list of members.
    pub(crate) fn listed(&self) -> Result<Vec<Place>, ConfigError> {
        let scheme = self.peers_scheme();
        let peers = self.cluster.peers.iter();
        peers
            .map(|peer| Ok(addresses::peer_url("cluster.peers", peer, scheme)?.place))
            .collect()
    }

    /// Whether this node is in the list of members, if its own address or name is configured and
    /// there is a list. `is_own` returns whether an address is one of this machine, as far as that
    /// is known.
    pub(crate) fn find_self(
        &self,
        listed: &[Place],
        is_own: impl Fn(&Place) -> bool,
    ) -> Result<(), ConfigError> {
        let node = &self.node;
        let Some((field, told)) = (match (&node.advertise, &node.name) {
            (Some(advertise), _) => Some(("node.advertise", advertise)),
            (None, Some(name)) => Some(("node.name", name)),
            (None, None) => None,
        }) else {
            return Ok(());
        };
        if listed.is_empty() || !self.cluster.member {
            return Ok(());
        }
        let own_place = |text: &str| addresses::peer_url(field, text, "http").ok();
        let advertised = node.advertise.as_deref().and_then(own_place);
        let named = node.name.as_deref().and_then(own_place);
        let listening = addresses::listening("node.peer-addr", &node.peer_addr)?;
        let own_ports: Vec<u16> = [Some(&listening), advertised.as_ref().map(|url| &url.place)]
            .into_iter()
            .flatten()
            .map(|place| place.port)
            .collect();
        let spelled = |place: &Place| {
            let of = |url: &Option<addresses::BaseUrl>| {
                url.as_ref().is_some_and(|url| url.place == *place)
            };
            of(&advertised) || of(&named) || listening == *place
        };
        let found = listed.iter().any(|place| {
            let here = || place.is_loopback() || is_own(place);
            spelled(place) || (own_ports.contains(&place.port) && here())
        });
        // A node with only a configured name, which listens on every address, may have any of the
        // addresses.
        let may_be_any =
            advertised.is_none() && listening.ip().is_none_or(|ip| ip.is_unspecified());
        if found || may_be_any {
            return Ok(());
        }
        Err(ConfigError::new(
            field,
            format!(
                "{told:?} is not in cluster.peers, so that this node would be a member that no other knows; expected it \
                 there, or cluster.member = false"
            ),
        ))
    }

    /// The base URLs of the listed members, each with a scheme.
    pub(crate) fn peer_urls(&self) -> Vec<String> {
        let scheme = self.peers_scheme();
        let peers = self.cluster.peers.iter();
        peers
            .map(|peer| addresses::with_scheme(peer, scheme))
            .collect()
    }
}

/// A text for a header of each request.
pub(super) fn visible(field: &str, name: &str) -> Result<(), ConfigError> {
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    if good {
        return Ok(());
    }
    Err(ConfigError::new(
        field,
        format!(
            "{name:?} is no name; expected 1 to {MAX_NAME} visible ASCII characters without spaces"
        ),
    ))
}

fn node_name(name: &str) -> Result<(), ConfigError> {
    visible("node.name", name)?;
    let unspecified = addresses::peer_url("node.name", name, "http").is_err()
        && ["0.0.0.0", "[::]", "::"]
            .iter()
            .any(|any| name == *any || name.starts_with(&format!("{any}:")));
    if unspecified || name.contains(['/', ',']) {
        return Err(ConfigError::new(
            "node.name",
            format!("{name:?} is no name of one node; expected one such as \"gaggle-0\""),
        ));
    }
    Ok(())
}
