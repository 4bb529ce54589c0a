//! Three nodes in one process: each key is loaded once, by the node that owns it, whichever node
//! is asked.
//!
//! `cargo run -p gaggle --example three_nodes`

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use bytes::Bytes;
use gaggle::{Cluster, Group};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let loads = Arc::new(AtomicU32::new(0));
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let count = Arc::clone(&loads);
        let squares = Group::builder("squares")
            .origin_fn(move |key: Bytes| {
                count.fetch_add(1, SeqCst);
                async move {
                    let n: u64 = std::str::from_utf8(&key)?.parse()?;
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some((n * n).to_string()))
                }
            })
            .build()?;
        // The ports are free ones here, so members learn of each other once all of them listen.
        let none: [&str; 0] = [];
        let cluster = Cluster::join(none)
            .serve("127.0.0.1:0", [squares.clone()])
            .await?;
        nodes.push((cluster, squares));
    }
    let members: Vec<String> = nodes
        .iter()
        .map(|(cluster, _)| cluster.address().to_string())
        .collect();
    for (cluster, _) in &nodes {
        cluster.peers().update(members.iter().cloned())?;
    }

    for n in 0..300_u64 {
        for (_, squares) in &nodes {
            anyhow::ensure!(
                squares.get(n.to_string()).await? == (n * n).to_string(),
                "a wrong value"
            );
        }
    }
    println!(
        "900 gets of 300 keys on 3 nodes: {} loads",
        loads.load(SeqCst)
    );
    for (cluster, squares) in nodes {
        let stats = squares.stats();
        println!(
            "{} owns {} keys, fetched {} from peers",
            cluster.name(),
            stats.main.entries,
            stats.peer.ok
        );
        cluster.leave().await;
    }
    Ok(())
}
