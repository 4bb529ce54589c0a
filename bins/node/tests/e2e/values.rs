//! Values of every size: exact, or refused without any effect on cached values.

use crate::support::{Client, Cluster, Origin, Setup, row};

const LIMIT: usize = 64 << 10;

fn sized(key: &[u8]) -> Option<Vec<u8>> {
    let len = std::str::from_utf8(key)
        .ok()?
        .split_once('-')?
        .1
        .parse()
        .ok()?;
    Some((0..=255).cycle().take(len).collect())
}

async fn sizes(transport: &str) {
    let origin = Origin::serve(sized).await;
    let setup = Setup::of(&origin)
        .cluster(transport)
        .group("max-value = \"64KiB\"\nhot-copies = \"off\"");
    let cluster = Cluster::start(2, &setup).await;
    let client = Client::new();
    let lens = [0, 1, LIMIT - 1, LIMIT];
    // Of each size, keys of either node.
    let good: Vec<_> = (0..6)
        .flat_map(|n| lens.map(|len| format!("{n}-{len}").into_bytes()))
        .collect();
    for node in &cluster.nodes {
        for key in &good {
            let answer = client.key(node, key).await;
            assert_eq!((answer.status, Some(answer.body)), (200, sized(key)));
        }
        let rows = client.batch(node, &good).await;
        assert!(
            good.iter()
                .zip(rows)
                .all(|(key, row)| (row.0, Some(row.1)) == (200, sized(key)))
        );
    }
    let held = cluster.metric(&client, "gaggle_cache_entries", &[]).await;
    let bytes = cluster.metric(&client, "gaggle_cache_bytes", &[]).await;
    assert_eq!(held, good.len() as u64);

    for len in [LIMIT + 1, 10 * LIMIT] {
        for n in 0..6 {
            let key = format!("{n}-{len}").into_bytes();
            for node in &cluster.nodes {
                let answer = client.key(node, &key).await;
                assert_eq!(answer.status, 413);
                let line = answer.text();
                assert!(line.contains("65536") && !line.contains('\n'), "{line}");
                assert_eq!(
                    client.batch(node, std::slice::from_ref(&key)).await,
                    [(413, Vec::new())]
                );
            }
        }
    }
    assert_eq!(
        cluster.metric(&client, "gaggle_cache_entries", &[]).await,
        held
    );
    assert_eq!(
        cluster.metric(&client, "gaggle_cache_bytes", &[]).await,
        bytes
    );
    assert_eq!(
        cluster.metric(&client, "gaggle_evictions_total", &[]).await,
        0
    );
    row(
        21,
        "exact bytes or a clear error; nothing else evicted",
        format!(
            "{transport:?}: 0, 1, limit - 1 and the limit exact; limit + 1 and 10x: 413; {held} values held, 0 evicted"
        ),
    );
    for key in &good {
        let owner = cluster.owner(&client, key).await;
        let answer = client.key(&cluster.nodes[owner], key).await;
        assert_eq!(answer.header("cache-status"), "gaggle; hit; detail=main");
        assert_eq!(origin.asked_for(key), 1);
    }
}

#[tokio::test]
async fn values_up_to_the_limit_are_exact_and_larger_ones_harm_nothing() {
    sizes("transport = \"http\"").await;
}

#[tokio::test]
async fn values_over_grpc_have_the_same_limit() {
    sizes("transport = \"grpc\"").await;
}

#[tokio::test]
async fn raw_values_have_the_same_limit() {
    sizes("encoding = \"raw\"").await;
}
