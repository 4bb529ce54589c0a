//! A loader hangs.

use std::time::Duration;

use super::SLACK;
use crate::support::backend::Power;
use crate::support::{
    Backend, Client, Cluster, Load, Setup, Trouble, busy, calm, promised, row, until,
};

#[tokio::test]
async fn an_origin_hangs() {
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
    let deadline = Duration::from_secs(1);
    let cluster = Cluster::start(1, &setup.group("load-timeout = \"1s\"")).await;
    let (node, probe) = (&cluster.nodes[0], Client::new());
    let loads = async || probe.metric(node, "gaggle_loads_in_flight", &[]).await;
    assert_eq!(
        (probe.key(node, b"before").await.status, loads().await),
        (200, 0)
    );
    let at_first = node.process.descriptors();

    backend.set(Trouble::Hung).await;
    let client = Client::new();
    let load = Load {
        rate: 150.0,
        lasts: Duration::from_secs(2),
    };
    let api = node.api;
    let next = move |n| (api, format!("cold-{n}").into_bytes());
    let loading = load.run(&client, next, |_, _| true);
    let watching = async {
        let mut most = (0, 0);
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            most.0 = most.0.max(node.process.descriptors());
            most.1 = most.1.max(loads().await);
        }
        most
    };
    let (seen, (descriptors, under_way)) = tokio::join!(loading, watching);
    let slowest = seen.quantile(1.0);
    assert_eq!(seen.right(), 0, "{seen}");
    // The client's own connections are not a leak.
    drop(client);
    backend.set(Trouble::None).await;
    until("loads and descriptors to return", async || {
        loads().await == 0 && node.process.descriptors() <= at_first + 4
    })
    .await;
    row(
        14,
        "an error at the deadline (1 s); slots, tasks and descriptors return to the baseline",
        format!(
            "{seen}; {under_way} loads and {descriptors} descriptors at the most, 0 and {} after, {at_first} before",
            node.process.descriptors()
        ),
    );
    promised(slowest <= deadline + 2 * SLACK, seen)?;
    until("the origin to be asked again", async || {
        probe.key(node, b"after").await.status == 200
    })
    .await;
    Ok(())
}
