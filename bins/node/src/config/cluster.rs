//! The `cluster` table: the other nodes, and how this one communicates with them.

use serde::{Deserialize, Serialize};

use super::Config;
use super::client::Client;
use super::discovery::Discovery;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cluster {
    /// Nodes of a cluster with another name are refused.
    pub(crate) name: String,
    /// The members, if the list does not change.
    pub(crate) peers: Vec<String>,
    pub(crate) profile: Profile,
    pub(crate) transport: Transport,
    pub(crate) base_path: String,
    pub(crate) encoding: Encoding,
    /// Whether this node is in the ring, and so owns keys. A node that is not in the ring is a
    /// gateway for those that are.
    pub(crate) member: bool,
    /// How often the ring follows a list of members that changes repeatedly.
    pub(crate) damping: Span,
    /// The longest that a node which starts waits for the membership to settle before it reports
    /// that it is ready.
    pub(crate) settle: Span,
    /// How long the list of members must stay the same to have settled.
    pub(crate) quiet: Span,
    /// How long the body of another node's request may take to arrive.
    pub(crate) body_timeout: Span,
    pub(crate) health: Health,
    pub(crate) client: Client,
    /// The source of the members, if the list changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<Discovery>,
}

impl Default for Cluster {
    fn default() -> Self {
        let peers = gaggle_peers::Options::default();
        Self {
            name: "gaggle".into(),
            peers: Vec::new(),
            profile: Profile::default(),
            transport: Transport::default(),
            base_path: "/_groupcache/".into(),
            encoding: Encoding::default(),
            member: peers.member,
            damping: Span(peers.damping),
            settle: Span::from_secs(10),
            quiet: Span(peers.quiet),
            body_timeout: Span(gaggle_transport_http::ServerOptions::default().body_timeout),
            health: Health::default(),
            client: Client::default(),
            discovery: None,
        }
    }
}

impl Config {
    /// How this node keeps track of the others.
    pub(crate) fn peers_options(&self) -> gaggle_peers::Options {
        let cluster = &self.cluster;
        let health = &cluster.health;
        // Copies on other nodes live this long.
        let hot_ttls = self.groups.values().map(|group| group.hot_ttl);
        let remember_for = hot_ttls.fold(health.remember_for, Span::max);
        gaggle_peers::Options {
            suspect_after: health.suspect_after.0,
            ping_timeout: health.ping_timeout.0,
            greet_every: health.greet_every.0,
            probe_every: health.probe_every.0,
            remember_for: remember_for.0,
            hand_over_for: health.hand_over_for.0,
            member: cluster.member,
            damping: cluster.damping.0,
            quiet: cluster.quiet.0,
            name: self.node.name.as_deref().map(Into::into),
            cluster: cluster.name.as_str().into(),
            groups: self
                .groups
                .keys()
                .map(|name| name.as_str().into())
                .collect(),
        }
    }
}

/// The `health` table of the cluster. [`gaggle_peers::Options`] has what each field means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Health {
    pub(crate) suspect_after: Span,
    pub(crate) ping_timeout: Span,
    pub(crate) greet_every: Span,
    pub(crate) probe_every: Span,
    pub(crate) remember_for: Span,
    pub(crate) hand_over_for: Span,
}

impl Default for Health {
    fn default() -> Self {
        let options = gaggle_peers::Options::default();
        Self {
            suspect_after: Span(options.suspect_after),
            ping_timeout: Span(options.ping_timeout),
            greet_every: Span(options.greet_every),
            probe_every: Span(options.probe_every),
            remember_for: Span(options.remember_for),
            hand_over_for: Span(options.hand_over_for),
        }
    }
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

impl From<Encoding> for gaggle_transport_http::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Protobuf => Self::Protobuf,
            Encoding::Raw => Self::Raw,
        }
    }
}
