//! The origin is down and the key is cold.

use std::time::Duration;

use super::{SLACK, keys};
use crate::support::backend::Power;
use crate::support::{Backend, Client, Cluster, Load, Setup, Trouble, busy, calm, promised, row};

const WARM: usize = 200;

#[tokio::test]
async fn the_origin_is_down() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let power = Power {
        slots: 64,
        takes: Duration::ZERO,
        finishes_abandoned: false,
    };
    let backend = Backend::serve(power, |key| Some(key.to_vec())).await;
    let setup = Setup {
        origin: backend.table(),
        ..Setup::default()
    };
    let cluster = Cluster::start(1, &setup).await;
    let (node, client) = (&cluster.nodes[0], Client::new());
    for key in keys(WARM) {
        assert_eq!(client.key(node, &key).await.status, 200);
    }
    for trouble in [Trouble::Refusing, Trouble::Failing] {
        backend.set(trouble).await;
        let load = Load {
            rate: 200.0,
            lasts: Duration::from_secs(2),
        };
        let api = node.api;
        let next = move |n| (api, format!("{trouble:?}-{n}").into_bytes());
        let seen = load.run(&client, next, |_, _| true).await;
        let held = client.metric(node, "gaggle_cache_entries", &[]).await;
        let evicted = client.metric(node, "gaggle_evictions_total", &[]).await;
        row(
            16,
            "a fast error; an error never evicts",
            format!("{trouble:?}: {seen}; {held} of {WARM} values held, {evicted} evicted"),
        );
        assert_eq!(seen.right(), 0, "{seen}");
        assert_eq!((held, evicted), (WARM as u64, 0));
        let fast = seen.quantile(0.5) <= SLACK && seen.quantile(1.0) < Duration::from_secs(5);
        promised(fast, seen)?;
    }
    for key in keys(WARM) {
        let answer = client.key(node, &key).await;
        assert_eq!(answer.header("cache-status"), "gaggle; hit; detail=main");
    }
    Ok(())
}
