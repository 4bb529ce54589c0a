//! Twice the working set.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::support::{Client, Cluster, Origin, Setup, busy, row};

const CAPACITY: u64 = 64 << 20;
const CALLERS: usize = 16;

/// 1 to 128 KiB, by the key's number.
fn sized(key: &[u8]) -> Option<Vec<u8>> {
    let n: usize = std::str::from_utf8(key)
        .ok()?
        .strip_prefix("key-")?
        .parse()
        .ok()?;
    Some(
        key.iter()
            .copied()
            .cycle()
            .take((n * 31 % 128 + 1) << 10)
            .collect(),
    )
}

/// Values of 64.5 KiB on average: twice the capacity.
const KEYS: u64 = 2 * CAPACITY / (129 << 9);

/// Every key is asked for once, and then repeatedly for `GAGGLE_LONG` seconds.
#[tokio::test]
async fn twice_the_working_set() {
    let _busy = busy().await;
    let long = std::env::var("GAGGLE_LONG").map_or(0, |seconds| seconds.parse().unwrap());
    let long = Duration::from_secs(long);
    let origin = Origin::serve(sized).await;
    let group = format!("capacity = \"{}MiB\"", CAPACITY >> 20);
    let cluster = Cluster::start(1, &Setup::of(&origin).group(&group)).await;
    let (node, client) = (&cluster.nodes[0], Client::new());
    let empty = node.process.resident();
    let (began, next, asking) = (Instant::now(), Cell::new(0), Cell::new(CALLERS));
    let callers = join_all((0..CALLERS).map(async |_| {
        while next.get() < KEYS || began.elapsed() < long {
            let n = next.replace(next.get() + 1);
            let key = format!("key-{}", n * 7919 % KEYS).into_bytes();
            let answer = client.key(node, &key).await;
            assert_eq!((answer.status, Some(answer.body)), (200, sized(&key)));
        }
        asking.set(asking.get() - 1);
    }));
    let watching = async {
        let mut most = 0;
        while asking.get() > 0 {
            most = most.max(node.process.resident());
            sleep(Duration::from_millis(20)).await;
        }
        most
    };
    let (_, most) = tokio::join!(callers, watching);
    let held = client.metric(node, "gaggle_cache_bytes", &[]).await;
    let evicted = client.metric(node, "gaggle_evictions_total", &[]).await;
    let ratio = (most - empty) as f64 / CAPACITY as f64;
    let mib = |bytes: u64| bytes >> 20;
    row(
        22,
        "resident memory <= 1.2x the budget, in-flight values included",
        format!(
            "{ratio:.2}x: {} MiB beyond the {} MiB of an empty node, {} MiB held, budget {} MiB; {evicted} evicted, {} gets in {:.1?}",
            mib(most - empty),
            mib(empty),
            mib(held),
            mib(CAPACITY),
            next.get(),
            began.elapsed()
        ),
    );
    assert!(evicted > 0, "the capacity was reached");
    assert!(ratio <= 1.2, "{ratio}");
}
