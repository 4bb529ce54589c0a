//! `/status`: what a node reports about itself and its groups. Fields that no command needs are
//! left out.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::client::{Client, MAX_DOCUMENT, Reply};
use crate::outcome::Failure;
use crate::output::shown;

#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    /// The node's name in the ring: the base URL that peers use for it.
    pub(crate) node: String,
    pub(crate) groups: BTreeMap<String, Counters>,
}

/// A group's counters on one node, or their sums over several.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Counters {
    pub(crate) gets_total: u64,
    pub(crate) hits_total: PerCache,
    pub(crate) loads_total: PerSource,
    pub(crate) loads_in_flight: u64,
    pub(crate) cache_bytes: PerCache,
    pub(crate) cache_entries: PerCache,
    pub(crate) cache_limit_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct PerCache {
    pub(crate) main: u64,
    pub(crate) hot: u64,
    /// Of the keys known to be absent. A node of an earlier release does not report it.
    #[serde(default)]
    pub(crate) absent: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct PerSource {
    pub(crate) origin: Ends,
    pub(crate) peer: Ends,
}

/// How loads ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Ends {
    pub(crate) ok: u64,
    pub(crate) not_found: u64,
    pub(crate) error: u64,
}

pub(crate) async fn ask(client: &Client, addr: &Addr) -> Result<Reply, Failure> {
    client
        .ask(Method::GET, addr, "/status", MAX_DOCUMENT)
        .await?
        .ok()
}

/// The name of a node's only group.
pub(crate) async fn only_group(client: &Client, addr: &Addr) -> Result<String, Failure> {
    /// Whatever the groups count does not matter here.
    #[derive(Deserialize)]
    struct Names {
        groups: BTreeMap<String, serde::de::IgnoredAny>,
    }
    let Names { groups } = ask(client, addr).await?.json()?;
    let names: Vec<String> = groups.into_keys().collect();
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(names) => {
            let list = shown(names.join(", ").as_bytes());
            let count = names.len();
            Err(Failure::Usage(format!(
                "{addr}: this node has {count} groups ({list}): name one with --group"
            )))
        }
    }
}

impl PerCache {
    pub(crate) fn all(self) -> u64 {
        self.main
            .saturating_add(self.hot)
            .saturating_add(self.absent)
    }
}

impl PerSource {
    pub(crate) fn errors(self) -> u64 {
        self.origin.error.saturating_add(self.peer.error)
    }
}

impl Ends {
    pub(crate) fn all(self) -> u64 {
        self.ok
            .saturating_add(self.not_found)
            .saturating_add(self.error)
    }
}

// Sums saturate: a node's numbers must not make this program panic.

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        add(&mut self.gets_total, other.gets_total);
        self.hits_total += other.hits_total;
        self.loads_total.origin += other.loads_total.origin;
        self.loads_total.peer += other.loads_total.peer;
        add(&mut self.loads_in_flight, other.loads_in_flight);
        self.cache_bytes += other.cache_bytes;
        self.cache_entries += other.cache_entries;
        add(&mut self.cache_limit_bytes, other.cache_limit_bytes);
    }
}

impl AddAssign for PerCache {
    fn add_assign(&mut self, other: Self) {
        add(&mut self.main, other.main);
        add(&mut self.hot, other.hot);
        add(&mut self.absent, other.absent);
    }
}

impl AddAssign for Ends {
    fn add_assign(&mut self, other: Self) {
        add(&mut self.ok, other.ok);
        add(&mut self.not_found, other.not_found);
        add(&mut self.error, other.error);
    }
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}
