//! The load on the origin when members join, leave and restart: rows 9 and 10 of the fault matrix,
//! in virtual time.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use gaggle_group::{GroupBuilder, NoHotCopies, Router as _, Sampled, Source};
use gaggle_testkit::Cluster;
use tokio::time::{Instant, sleep, sleep_until};

const KEYS: usize = 1_000;
const SECOND: Duration = Duration::from_secs(1);

fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|n| format!("key-{n}"))
}

fn owners(cluster: &Cluster) -> Vec<String> {
    let peers = &cluster.nodes()[0].peers;
    keys()
        .map(|key| peers.owner(key.as_bytes()).name.to_string())
        .collect()
}

/// Without copies, so that each get asks the owner.
fn no_copies(builder: GroupBuilder) -> GroupBuilder {
    builder.hot_copies(NoHotCopies)
}

/// A cluster with all keys loaded, which has run for so long that its own start does not affect
/// the test.
async fn warm(size: usize) -> Cluster {
    let cluster = Cluster::with(size, no_copies);
    sleep(400 * SECOND).await;
    ask_all(&cluster, 0).await;
    assert_eq!(cluster.origin().total_loads(), KEYS as u64);
    cluster
}

/// Asks that node for each key.
async fn ask_all(cluster: &Cluster, node: usize) {
    for key in keys() {
        let value = cluster.nodes()[node].group.get(&key).await.unwrap();
        assert_eq!(value, format!("value of {key}"));
    }
}

/// Returns how many keys have moved, and how often the origin was asked meanwhile.
struct Moved {
    owners: Vec<String>,
    loads: u64,
}

impl Moved {
    fn before(cluster: &Cluster) -> Self {
        Self {
            owners: owners(cluster),
            loads: cluster.origin().total_loads(),
        }
    }

    fn end(self, cluster: &Cluster, what: &str, share: f64) {
        let owners = owners(cluster);
        let moved = self
            .owners
            .iter()
            .zip(&owners)
            .filter(|(was, is)| was != is);
        let moved = moved.count();
        let loads = cluster.origin().total_loads() - self.loads;
        #[allow(clippy::cast_precision_loss)]
        let (of, each) = (
            moved as f64 / (KEYS as f64 * share),
            loads as f64 / moved as f64,
        );
        println!("row 9, {what}: {moved} keys moved, {of:.2} of a share; {each:.2} loads for each");
        assert!(of <= 1.25, "{of}");
        assert_eq!(loads, 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_join_loads_no_key_that_its_previous_owner_has() {
    let mut cluster = warm(3).await;
    let moved = Moved::before(&cluster);
    let new = cluster.join();
    ask_all(&cluster, new).await;
    ask_all(&cluster, 0).await;
    moved.end(&cluster, "a join to three", 1.0 / 4.0);
    let stats = cluster.nodes()[new].group.stats();
    assert!(
        stats.main.entries > KEYS / 5,
        "it keeps them: {}",
        stats.main.entries
    );
}

#[tokio::test(start_paused = true)]
async fn a_leave_loads_no_key_while_the_member_is_there() {
    let cluster = warm(4).await;
    let moved = Moved::before(&cluster);
    assert_eq!(cluster.leave(3, 20 * SECOND).await, 3);
    ask_all(&cluster, 0).await;
    moved.end(&cluster, "a leave from four", 1.0 / 4.0);
    // It answers its own clients from the other nodes, and after its end no value is missing.
    let loads = cluster.origin().total_loads();
    ask_all(&cluster, 3).await;
    cluster.stop(3);
    ask_all(&cluster, 1).await;
    assert_eq!(cluster.origin().total_loads(), loads);
}

// If they join one after the other, with the keys asked for in between, each finds the keys at
// their last owner. If they join at the same moment, each takes the other for a previous owner,
// and may ask it without result.
#[tokio::test(start_paused = true)]
async fn two_joins_find_keys_two_rings_back() {
    for pause in [10 * SECOND, Duration::ZERO] {
        let mut cluster = warm(3).await;
        let moved = Moved::before(&cluster);
        let first = cluster.join();
        if !pause.is_zero() {
            ask_all(&cluster, first).await;
            sleep(pause).await;
        }
        let second = cluster.join();
        ask_all(&cluster, second).await;
        if pause.is_zero() {
            let loads = cluster.origin().total_loads() - moved.loads;
            println!("row 9, two joins at the same moment: {loads} loads of {KEYS} keys");
            assert!(loads <= KEYS as u64 / 8, "{loads}");
        } else {
            moved.end(&cluster, "two joins to three", 2.0 / 5.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_value_is_not_handed_over() {
    let mut cluster = Cluster::with(3, |builder| builder.hot_copies(Sampled { one_in: 1 }));
    sleep(400 * SECOND).await;
    ask_all(&cluster, 0).await;
    let new = cluster.join();
    sleep(SECOND).await;
    let name = cluster.nodes()[new].name.clone();
    let came: Vec<_> = keys()
        .filter(|key| cluster.owner_of(key).name == name)
        .collect();
    let (removed, kept) = came.split_at(came.len() / 2);
    for key in removed {
        let removal = cluster.nodes()[1].group.remove(key).await;
        assert!(removal.missed.is_empty(), "{removal:?}");
    }
    for (keys, source) in [(removed, Source::Origin), (kept, Source::Peer)] {
        for key in keys {
            let answer = cluster.nodes()[new]
                .group
                .lookup(key.as_bytes())
                .await
                .unwrap();
            assert_eq!(answer.source, source, "{key}");
        }
    }
}

/// Gets at a steady rate, in virtual time, of which one in fifty misses; and the loads of each
/// second.
struct Traffic {
    per_second: u32,
    sent: u32,
    fresh: u32,
    next: Instant,
    began: Instant,
    seen: u64,
    loads: BTreeMap<u64, u64>,
}

impl Traffic {
    fn new(cluster: &Cluster, per_second: u32) -> Self {
        Self {
            per_second,
            sent: 0,
            fresh: 0,
            next: Instant::now(),
            began: Instant::now(),
            seen: cluster.origin().total_loads(),
            loads: BTreeMap::new(),
        }
    }

    /// Asks those nodes for so long.
    async fn flow(&mut self, cluster: &Cluster, nodes: &[usize], span: Duration) {
        let until = Instant::now() + span;
        while self.next < until {
            sleep_until(self.next).await;
            self.next += SECOND / self.per_second;
            self.sent += 1;
            let key = if self.sent.is_multiple_of(50) {
                self.fresh += 1;
                format!("fresh-{}", self.fresh)
            } else {
                // Every key in turn, in an order that does not depend on the owners.
                format!("key-{}", (self.sent as usize * 7_919) % KEYS)
            };
            let node = nodes[self.sent as usize % nodes.len()];
            cluster.nodes()[node].group.get(&key).await.unwrap();
            let loads = cluster.origin().total_loads();
            let second = self.began.elapsed().as_secs();
            *self.loads.entry(second).or_default() += loads - self.seen;
            self.seen = loads;
        }
    }

    fn peak(&self) -> u64 {
        self.loads.values().max().copied().unwrap_or(0)
    }
}

// At 1,000 gets a second and a hit ratio of 98 % the origin is asked 20 times a second. Each node
// announces that it leaves, answers for three more seconds, is down for two, and starts with an
// empty memory.
#[tokio::test(start_paused = true)]
async fn a_rolling_restart_does_not_show_at_the_origin() {
    let mut cluster = warm(3).await;
    let mut steady = Traffic::new(&cluster, 1_000);
    steady.flow(&cluster, &[0, 1, 2], 10 * SECOND).await;
    let mut rolling = Traffic::new(&cluster, 1_000);
    for node in 0..3 {
        let others: Vec<_> = (0..3).filter(|other| *other != node).collect();
        cluster.leave(node, 20 * SECOND).await;
        rolling.flow(&cluster, &[0, 1, 2], 3 * SECOND).await;
        cluster.stop(node);
        rolling.flow(&cluster, &others, 2 * SECOND).await;
        cluster.restart(node);
        cluster.arrive(node).await;
        rolling.flow(&cluster, &[0, 1, 2], 5 * SECOND).await;
    }
    #[allow(clippy::cast_precision_loss)]
    let times = rolling.peak() as f64 / steady.peak() as f64;
    println!(
        "row 10: {} loads a second at most, {} in steady state, {times:.2} times",
        rolling.peak(),
        steady.peak(),
    );
    assert!(times <= 1.5, "{:?}", rolling.loads);
}
