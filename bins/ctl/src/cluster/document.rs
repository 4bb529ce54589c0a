//! The document of `GET /cluster`: what one node learnt by asking all members of its ring. Fields
//! that no command needs are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Cluster {
    /// The name of the node that asked.
    pub(crate) node: String,
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: String,
    #[serde(rename = "self")]
    pub(crate) is_self: bool,
    /// Whether it answered.
    pub(crate) reached: bool,
    /// Why it did not.
    pub(crate) error: Option<String>,
    pub(crate) rtt_seconds: Option<f64>,
    /// `None` where it did not answer.
    pub(crate) status: Option<NodeStatus>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) version: String,
    pub(crate) state: String,
    pub(crate) uptime_seconds: f64,
    /// The URL of its admin endpoints, if it reports one.
    pub(crate) admin: Option<String>,
    pub(crate) ring: Ring,
    pub(crate) groups: BTreeMap<String, GroupCounters>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Ring {
    pub(crate) hash: String,
    pub(crate) members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) up: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub(crate) struct GroupCounters {
    pub(crate) gets: u64,
    pub(crate) hits: u64,
    pub(crate) client_gets: u64,
    pub(crate) client_hits: u64,
    pub(crate) bytes: u64,
    pub(crate) limit_bytes: u64,
    pub(crate) entries: u64,
    pub(crate) loads_in_flight: u64,
}

impl Cluster {
    /// Whether all nodes that answered have the same ring.
    pub(crate) fn agrees(&self) -> bool {
        let statuses = self.nodes.iter().filter_map(|node| node.status.as_ref());
        let hashes: BTreeSet<&str> = statuses.map(|status| status.ring.hash.as_str()).collect();
        hashes.len() <= 1
    }

    /// The names of the groups, of all nodes that answered.
    pub(crate) fn groups(&self) -> BTreeSet<&str> {
        let statuses = self.nodes.iter().filter_map(|node| node.status.as_ref());
        statuses
            .flat_map(|status| status.groups.keys())
            .map(String::as_str)
            .collect()
    }

    /// The names of the members that a node considers down.
    pub(crate) fn down_for(status: &NodeStatus) -> impl Iterator<Item = &str> {
        let down = status.ring.members.iter().filter(|member| !member.up);
        down.map(|member| member.name.as_str())
    }
}

impl NodeStatus {
    /// The sums over a node's groups, or the counters of one of them.
    pub(crate) fn counters(&self, group: Option<&str>) -> GroupCounters {
        let chosen = self
            .groups
            .iter()
            .filter(|(name, _)| group.is_none_or(|group| group == *name));
        chosen.fold(GroupCounters::default(), |sum, (_, counters)| {
            sum.plus(counters)
        })
    }
}

impl GroupCounters {
    /// Sums saturate: a node's numbers must not make this program panic.
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            gets: self.gets.saturating_add(other.gets),
            hits: self.hits.saturating_add(other.hits),
            client_gets: self.client_gets.saturating_add(other.client_gets),
            client_hits: self.client_hits.saturating_add(other.client_hits),
            bytes: self.bytes.saturating_add(other.bytes),
            limit_bytes: self.limit_bytes.saturating_add(other.limit_bytes),
            entries: self.entries.saturating_add(other.entries),
            loads_in_flight: self.loads_in_flight.saturating_add(other.loads_in_flight),
        }
    }
}
