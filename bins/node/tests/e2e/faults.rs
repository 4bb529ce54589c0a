//! Owners that die or hang: clients of the other nodes notice nothing, and the owner is used again
//! when it is back.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::future::join_all;

use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Origin, Setup, busy, until};

const REQUESTS: usize = 6_000;
const CALLERS: usize = 8;
const KEYS: usize = 300;

/// The node with the fault. Clients ask the other two.
const VICTIM: usize = 2;

/// Three nodes without hot copies: what another node owns is asked for each time.
async fn cluster(origin: &Origin) -> Cluster {
    Cluster::start(3, &Setup::of(origin).group("hot-copies = \"off\"")).await
}

/// Callers at the front doors of the two other nodes ask for keys that all three own. `fault`
/// happens after a third of the load. Panics at the first answer that is not the value.
async fn load_while(cluster: &Cluster, fault: impl FnOnce()) {
    let client = Client::new();
    let keys: Vec<_> = (0..KEYS).map(|n| format!("key-{n}").into_bytes()).collect();
    let mut owned = [0; 3];
    for key in &keys {
        owned[cluster.owner(&client, key).await] += 1;
    }
    assert!(owned.iter().all(|keys| *keys > 0), "{owned:?}");

    let next = AtomicUsize::new(0);
    let mut fault = Some(fault);
    let during = async |limit: usize| {
        join_all((0..CALLERS).map(async |_| {
            loop {
                let n = next.fetch_add(1, Relaxed);
                if n >= limit {
                    return;
                }
                let key = &keys[n * 7 % KEYS];
                let answer = client.key(&cluster.nodes[n % VICTIM], key).await;
                assert_eq!(
                    (answer.status, &answer.body),
                    (200, &value_of(key)),
                    "request {n}: {}",
                    String::from_utf8_lossy(&answer.body)
                );
            }
        }))
        .await;
    };
    let at_fault = async {
        until("the fault's turn", async || {
            next.load(Relaxed) >= REQUESTS / 3
        })
        .await;
        fault.take().unwrap()();
    };
    // The callers never pause for the fault.
    tokio::join!(during(REQUESTS), at_fault);
    println!(
        "{REQUESTS} requests without an error, {owned:?} of the keys on each node, the last one's owner gone from request {}",
        REQUESTS / 3
    );
}

/// Asks the first node for new keys of the victim until the victim is asked for one.
async fn used_again(cluster: &Cluster) {
    let client = Client::new();
    let victim = &cluster.nodes[VICTIM];
    let served = async || {
        client
            .metric(victim, "gaggle_server_requests_total", &[])
            .await
    };
    let before = served().await;
    let mut n = 0;
    until("the owner to be used again", async || {
        n += 1;
        let key = format!("later-{n}").into_bytes();
        assert_eq!(
            client.key(&cluster.nodes[0], &key).await.body,
            value_of(&key)
        );
        served().await > before
    })
    .await;
    println!("used again after {n} new keys");
}

#[tokio::test]
async fn a_killed_owner_costs_no_client_an_error_and_is_used_again_after_its_restart() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let mut cluster = cluster(&origin).await;
    // Not by the node's own method, since the node is borrowed while the load runs.
    load_while(&cluster, || cluster.nodes[VICTIM].process.signal("KILL")).await;
    cluster.nodes[VICTIM].restart().await;
    used_again(&cluster).await;
}

#[tokio::test]
async fn a_hung_owner_costs_no_client_an_error_and_is_used_again_when_it_goes_on() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let cluster = cluster(&origin).await;
    load_while(&cluster, || cluster.nodes[VICTIM].process.signal("STOP")).await;
    cluster.nodes[VICTIM].process.signal("CONT");
    used_again(&cluster).await;
}
