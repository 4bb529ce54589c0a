//! One key takes half of the traffic.

use std::time::Duration;

use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, Setup, busy, calm, promised, row};

const HOT: &[u8] = b"the hot one";

#[tokio::test]
async fn one_key_takes_half_of_the_traffic() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(3, &Setup::of(&origin)).await;
    let client = Client::new();
    let owner = cluster.owner(&client, HOT).await;
    let load = Load {
        rate: 300.0,
        lasts: Duration::from_secs(5),
    };
    let doors: Vec<_> = cluster.nodes.iter().map(|node| node.api).collect();
    let next = move |n: u64| {
        let key = match n / 3 % 2 {
            0 => HOT.to_vec(),
            _ => format!("key-{}", n * 7 % 600).into_bytes(),
        };
        (doors[n as usize % 3], key)
    };
    let seen = load
        .run(&client, next, |key, body| body == value_of(key))
        .await;
    promised(seen.right() == seen.samples.len(), &seen)?;
    // Gets of peers are counted among a node's gets.
    let mut work = Vec::new();
    for node in &cluster.nodes {
        work.push(client.metric(node, "gaggle_gets_total", &[]).await);
    }
    let mean = work.iter().sum::<u64>() as f64 / work.len() as f64;
    let share = work[owner] as f64 / mean;
    row(
        20,
        "the owner's share of work <= 1.3x the mean",
        format!("{share:.2}x: gets of {work:?}, the owner is number {owner}"),
    );
    promised(share <= 1.3, format!("{share}x"))
}
