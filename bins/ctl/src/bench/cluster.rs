//! What the nodes counted while they were under load.

use serde::Serialize;

use crate::addr::Addr;
use crate::cli::BenchArgs;
use crate::client::Client;
use crate::outcome::Failure;
use crate::stats::{self, Node};
use crate::status::Counters;

/// The nodes' counters before the load.
#[derive(Debug)]
pub(super) struct Before(Vec<(Addr, Counters)>);

/// The increase of the nodes' counters. A get that one node forwards to another counts on both.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Cluster {
    pub(super) gets: u64,
    pub(super) hits: u64,
    /// Of the gets; `None` where there were none.
    pub(super) hit_ratio: Option<f64>,
    pub(super) origin_loads: u64,
    pub(super) peer_loads: u64,
    pub(super) load_errors: u64,
    /// Nodes whose counters are not in the sums, and why.
    pub(super) missed: Vec<Missed>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Missed {
    pub(super) addr: String,
    pub(super) error: String,
}

impl Before {
    /// Asks every node; `None` where no admin address was given.
    pub(super) async fn read(client: &Client, args: &BenchArgs) -> Result<Option<Self>, Failure> {
        if args.admin_addrs.is_empty() {
            return Ok(None);
        }
        let mut before = Vec::new();
        for (addr, node) in stats::ask_all(client, &args.admin_addrs).await? {
            let counters = counters(&node?, args.group.as_deref())?;
            before.push((addr, counters));
        }
        Ok(Some(Self(before)))
    }

    /// Asks again.
    pub(super) async fn compare(
        self,
        client: &Client,
        group: Option<&str>,
    ) -> Result<Cluster, Failure> {
        let Self(before) = self;
        let addrs: Vec<Addr> = before.iter().map(|(addr, _)| addr.clone()).collect();
        // In the order of the addresses, without duplicates.
        let answers = stats::ask_all(client, &addrs).await?;
        let mut cluster = Cluster::default();
        for ((_, before), (addr, answer)) in before.iter().zip(answers) {
            let added = answer
                .and_then(|node| counters(&node, group))
                .map_err(|failure| failure.to_string())
                .and_then(|after| {
                    cluster
                        .add(before, &after)
                        .ok_or_else(|| format!("{addr}: counters went back: it was restarted"))
                });
            if let Err(error) = added {
                let addr = addr.to_string();
                cluster.missed.push(Missed { addr, error });
            }
        }
        cluster.hit_ratio = ratio(cluster.hits, cluster.gets);
        Ok(cluster)
    }
}

impl Cluster {
    /// Adds what one node counted in between, all of it or, if a counter went back, nothing.
    fn add(&mut self, before: &Counters, after: &Counters) -> Option<()> {
        let added = |counter: fn(&Counters) -> u64| counter(after).checked_sub(counter(before));
        let gets = added(|counters| counters.gets_total)?;
        let hits = added(|counters| counters.hits_total.all())?;
        let origin = added(|counters| counters.loads_total.origin.all())?;
        let peer = added(|counters| counters.loads_total.peer.all())?;
        let errors = added(|counters| counters.loads_total.errors())?;
        for (sum, more) in [
            (&mut self.gets, gets),
            (&mut self.hits, hits),
            (&mut self.origin_loads, origin),
            (&mut self.peer_loads, peer),
            (&mut self.load_errors, errors),
        ] {
            *sum = sum.saturating_add(more);
        }
        Some(())
    }
}

/// The counters of the group, or where none is named of the node's groups.
fn counters(node: &Node, group: Option<&str>) -> Result<Counters, Failure> {
    let groups = &node.status.groups;
    match group {
        Some(group) => groups
            .get(group)
            .cloned()
            .ok_or_else(|| Failure::Usage(format!("{}: no such group: {group}", node.addr))),
        None => Ok(groups.values().fold(Counters::default(), |mut sum, more| {
            sum += more;
            sum
        })),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio is not exact")]
fn ratio(hits: u64, gets: u64) -> Option<f64> {
    // A node's counters are not of one instant, so there may be more hits than gets.
    (gets > 0).then(|| hits.min(gets) as f64 / gets as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Ends, PerCache, PerSource};

    fn counters(gets: u64, hits: u64, loads: u64) -> Counters {
        let ends = Ends {
            ok: loads,
            not_found: 1,
            error: loads,
        };
        Counters {
            gets_total: gets,
            hits_total: PerCache {
                main: hits,
                hot: 1,
                absent: 0,
            },
            loads_total: PerSource {
                origin: ends,
                peer: ends,
            },
            ..Counters::default()
        }
    }

    #[test]
    fn only_what_was_counted_in_between_is_reported() {
        let mut cluster = Cluster::default();
        let added = cluster.add(&counters(100, 50, 5), &counters(300, 230, 9));
        assert_eq!(added, Some(()));
        let Cluster { gets, hits, .. } = cluster;
        assert_eq!((gets, hits), (200, 180));
        assert_eq!((cluster.origin_loads, cluster.peer_loads), (8, 8));
        assert_eq!(cluster.load_errors, 8);
        assert_eq!(ratio(180, 200), Some(0.9));
        assert_eq!(ratio(0, 0), None);
    }

    #[test]
    fn a_node_that_was_restarted_adds_nothing() {
        let mut cluster = Cluster::default();
        let added = cluster.add(&counters(100, 50, 5), &counters(120, 20, 1));
        assert_eq!((added, cluster), (None, Cluster::default()));
    }
}
