//! Nodes that die, that a network blackholes, that a partition separates: what clients see, and
//! what the origin sees.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::engine::run;
use crate::load::Load;
use crate::node::Node;
use crate::stack::{GATEWAY, Stack, key};
use crate::{FOLLOWS, PATIENCE, until};

const KEYS: usize = 300;

/// How long a fault lasts once it is noticed. No assertion depends on it: the load runs on
/// meanwhile.
const LASTS: Duration = Duration::from_secs(5);

/// Waits until `seeing` considers each of the other nodes up or down. Both sides are asked for
/// keys meanwhile: the state of a peer that no node asks is unknown.
async fn until_seen(seeing: &[&Node], others: &[&Node], up: bool) -> Duration {
    let what = format!("peers to be seen {}", if up { "up" } else { "down" });
    until(&what, PATIENCE, async || {
        for node in seeing {
            for other in others {
                if node.sees_up(other).await != Some(up) {
                    return false;
                }
            }
        }
        true
    })
    .await
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn a_node_is_killed() {
    let stack = Stack::with_keys(KEYS).await;
    let steady = Load::start(vec![GATEWAY.into()], KEYS);
    sleep(LASTS).await;
    steady.end().await.assert_unharmed("before");

    let victim = stack.nodes().await.remove(0);
    let load = Load::start(vec![GATEWAY.into()], KEYS);
    sleep(Duration::from_secs(1)).await;
    run(&["docker", "kill", &victim.id]).await;
    let ring = stack.until_ring(2, FOLLOWS).await;
    println!("a ring of two {ring:.1?} after the death");
    sleep(LASTS).await;
    load.end().await.assert_unharmed("a node was killed");

    let load = Load::start(vec![GATEWAY.into()], KEYS);
    run(&["docker", "start", &victim.id]).await;
    let ring = stack.until_ring(3, FOLLOWS).await;
    println!("a ring of three {ring:.1?} after its start");
    load.end().await.assert_unharmed("the node came back");
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn a_node_is_blackholed() {
    let stack = Stack::with_keys(KEYS).await;
    let nodes = stack.nodes().await;
    let (victim, others) = nodes.split_first().unwrap();
    let others: Vec<_> = others.iter().collect();
    // The load goes to the other nodes directly as well: the gateway would hide what a peer's
    // disappearance costs.
    let direct = others
        .iter()
        .map(|node| format!("http://{}:9999", node.ip))
        .collect();
    let (gateway, direct) = (
        Load::start(vec![GATEWAY.into()], KEYS),
        Load::start(direct, KEYS),
    );
    sleep(Duration::from_secs(1)).await;
    victim.drop_packets(None).await;
    let seen = until_seen(&others, &[victim], false).await;
    println!("the others saw it {seen:.1?} after the rules were set");
    sleep(LASTS).await;
    victim.pass_packets(None).await;
    let healed = until_seen(&others, &[victim], true).await;
    println!("and used it again {healed:.1?} after they were gone");
    sleep(LASTS).await;
    gateway.end().await.assert_unharmed("at the gateway");
    direct.end().await.assert_unharmed("at the other two nodes");
}

/// The number of loads from the origin when each of the nodes is asked for these keys. Panics at
/// an answer that is not the value.
async fn loads_for(nodes: &[Node], keys: std::ops::Range<usize>) -> u64 {
    let total = async || {
        let mut sum = 0;
        for node in nodes {
            sum += node.origin_loads().await;
        }
        sum
    };
    let before = total().await;
    for n in keys {
        for node in nodes {
            assert_eq!(
                node.get(&key(n)).await.unwrap(),
                (200, key(n)),
                "at {}",
                node.ip
            );
        }
    }
    total().await - before
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn the_network_splits_and_heals() {
    const WHOLE: usize = 50;
    const SPLIT: usize = 100;
    // These are asked for in small lots after the healing, until each key of a lot is loaded once
    // again.
    const LOT: usize = 20;
    const FRESH: usize = 400;
    let stack = Stack::with_keys(KEYS + WHOLE + SPLIT + FRESH).await;
    let nodes = stack.nodes().await;
    let (one, two) = nodes.split_first().unwrap();
    let two: Vec<_> = two.iter().collect();
    let loads = loads_for(&nodes, KEYS..KEYS + WHOLE).await;
    println!("whole: {loads} loads for {WHOLE} keys that each of three nodes was asked for");
    assert_eq!(loads, WHOLE as u64);

    let load = Load::start(
        nodes
            .iter()
            .map(|node| format!("http://{}:9999", node.ip))
            .collect(),
        KEYS,
    );
    let gateway = Load::start(vec![GATEWAY.into()], KEYS);
    sleep(Duration::from_secs(1)).await;
    for other in &two {
        one.drop_packets(Some(&other.ip)).await;
    }
    let seen = until_seen(&two, &[one], false).await + until_seen(&[one], &two, false).await;
    // The load has keys of its own. All of them are in the caches when the other side loses them,
    // or soon after; any later load would be counted here.
    load.end()
        .await
        .assert_unharmed("at the nodes, whole and split");
    let first = KEYS + WHOLE;
    let gateway_report = gateway.end().await;
    let loads = loads_for(&nodes, first..first + SPLIT).await;
    println!("split, as all saw {seen:.1?} later: {loads} loads for {SPLIT} keys on two sides");
    assert!(loads <= 2 * SPLIT as u64, "{loads}");
    gateway_report.assert_unharmed("at the gateway, whole and split");

    let load = Load::start(
        nodes
            .iter()
            .map(|node| format!("http://{}:9999", node.ip))
            .collect(),
        KEYS,
    );
    for other in &two {
        one.pass_packets(Some(&other.ip)).await;
    }
    let healed = Instant::now();
    until_seen(&two, &[one], true).await;
    until_seen(&[one], &two, true).await;
    load.end().await.assert_unharmed("at the nodes, healing");
    let mut next = first + SPLIT;
    let took = until(
        "each key to be loaded once again",
        FOLLOWS.saturating_sub(healed.elapsed()),
        async || {
            assert!(
                next + LOT <= KEYS + WHOLE + SPLIT + FRESH,
                "no fresh keys left"
            );
            let loads = loads_for(&nodes, next..next + LOT).await;
            next += LOT;
            loads == LOT as u64
        },
    );
    took.await;
    println!(
        "healed: each key is loaded once again {:.1?} later",
        healed.elapsed()
    );
}
