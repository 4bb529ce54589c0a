//! Finds the first node, and the others again after a split.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chitchat::ChitchatHandle;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The most addresses that a seed's name may have, and how many seeds get a message in one
/// interval.
const MAX_ADDRESSES: usize = 64;
const AT_ONCE: usize = 8;

/// How often a name is resolved: without another node, and with one. The latter is also how often
/// an unknown seed gets a message.
const ALONE: Duration = Duration::from_secs(1);
const TOGETHER: Duration = Duration::from_secs(5);

/// How long resolving names may take at the start.
const AT_START: Duration = Duration::from_secs(2);

/// The present addresses of the seeds, as far as they can be resolved in a short time.
pub(crate) async fn resolve(seeds: &[String]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    let all = async {
        for seed in seeds {
            if let Ok(found) = lookup_host(seed).await {
                addresses.extend(found.take(MAX_ADDRESSES));
            }
        }
    };
    if timeout(AT_START, all).await.is_err() {
        tracing::debug!("gossip: the names of the seeds take long");
    }
    addresses
}

/// What is known of the seeds' addresses.
#[derive(Debug, Default)]
struct Addresses {
    by_seed: Mutex<HashMap<String, Vec<SocketAddr>>>,
    alone: AtomicBool,
}

impl Addresses {
    fn all(&self) -> HashSet<SocketAddr> {
        let by_seed = self.by_seed.lock().unwrap_or_else(PoisonError::into_inner);
        by_seed.values().flatten().copied().collect()
    }

    fn set(&self, seed: &str, addresses: Vec<SocketAddr>) {
        let mut by_seed = self.by_seed.lock().unwrap_or_else(PoisonError::into_inner);
        by_seed.insert(seed.to_owned(), addresses);
    }
}

/// Resolves a name repeatedly. Each name has its own task: the system may take half a minute for a
/// name, which then delays no other. It never has two concurrent lookups of a name, since an
/// abandoned lookup still occupies a thread.
async fn keep_resolved(seed: String, addresses: Arc<Addresses>) {
    loop {
        match lookup_host(&seed).await {
            Ok(found) => addresses.set(&seed, found.take(MAX_ADDRESSES).collect()),
            // The last known ones stay.
            Err(failure) => tracing::debug!(seed, %failure, "gossip: no address of a seed"),
        }
        let alone = addresses.alone.load(Relaxed);
        sleep(if alone { ALONE } else { TOGETHER }).await;
    }
}

/// Sends messages to the seeds for as long as it is polled: to some of them each interval while no
/// other node is known, so that a node joins as soon as one of them is up; then from time to time
/// to one that is in no list, because it may be in the other half of a split cluster.
pub(crate) async fn keep_in_touch(
    handle: Arc<ChitchatHandle>,
    seeds: Vec<String>,
    interval: Duration,
) {
    let own = handle.chitchat_id().gossip_advertise_addr;
    let addresses = Arc::new(Addresses::default());
    let mut resolving = JoinSet::new(); // ends with this future
    for seed in seeds {
        match seed.parse() {
            Ok(address) => addresses.set(&seed, vec![address]),
            Err(_) => drop(resolving.spawn(keep_resolved(seed, addresses.clone()))),
        }
    }
    loop {
        let live: HashSet<SocketAddr> = handle
            .with_chitchat(|chitchat| {
                let live = chitchat.live_nodes();
                live.map(|node| node.gossip_advertise_addr).collect()
            })
            .await;
        let alone = live.len() <= 1;
        addresses.alone.store(alone, Relaxed);
        let reachable = |address: &SocketAddr| {
            let same_family = address.is_ipv4() == own.is_ipv4();
            same_family && *address != own && !live.contains(address)
        };
        let mut others: Vec<SocketAddr> = addresses.all().into_iter().filter(reachable).collect();
        fastrand::shuffle(&mut others);
        others.truncate(if alone { AT_ONCE } else { 1 });
        for address in others {
            if handle.gossip(address).is_err() {
                return; // it has ended
            }
        }
        sleep(if alone { interval } else { TOGETHER }).await;
    }
}
