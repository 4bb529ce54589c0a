//! Clusters in memory, under paused time: the figures are the protocol's own times.

#![allow(clippy::unwrap_used, clippy::panic)]

mod hostile;
mod membership;
mod mesh;
mod tokens;
mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use gaggle_discovery_gossip::{Gossip, GossipOptions, Me, State};
use gaggle_peers::Discovery as _;
use mesh::Mesh;
use tokio::time::{Instant, timeout};

/// Longer than any expected event takes.
const LONG: Duration = Duration::from_secs(120);

/// The shortest possible: dead nodes are soon forgotten.
const GRACE: Duration = Duration::from_secs(32);

/// The gossip address of node `n`.
fn at(n: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 7946))
}

fn me(n: u16) -> Me {
    Me {
        name: format!("node-{n}"),
        address: format!("http://10.1.0.{}:{}", n % 250 + 1, 8000 + n),
        member: true,
    }
}

fn options(n: u16, seeds: &[u16]) -> GossipOptions {
    GossipOptions {
        listen: at(n),
        seeds: seeds.iter().map(|seed| at(*seed).to_string()).collect(),
        dead_grace: GRACE,
        ..GossipOptions::default()
    }
}

async fn start(mesh: &Mesh, n: u16, seeds: &[u16]) -> Gossip {
    Gossip::start_on(mesh, options(n, seeds), me(n))
        .await
        .unwrap()
}

/// Nodes 1 to `count`, all of which know each other. The first two are the seeds.
async fn cluster(mesh: &Mesh, count: u16) -> Vec<Gossip> {
    let mut nodes = Vec::new();
    for n in 1..=count {
        nodes.push(start(mesh, n, &[1, 2]).await);
    }
    for node in &nodes {
        until_known(node, &names(1..=count)).await;
    }
    nodes
}

fn names(numbers: impl IntoIterator<Item = u16>) -> Vec<String> {
    let mut names: Vec<String> = numbers.into_iter().map(|n| me(n).name).collect();
    names.sort();
    names
}

/// The nodes that stay.
fn known(node: &Gossip) -> Vec<String> {
    let nodes = node.nodes();
    let there = nodes.iter().filter(|node| node.state != State::Leaving);
    there.map(|node| node.name.clone()).collect()
}

/// Waits for changes until the node's list is right.
async fn until(node: &Gossip, right: impl Fn(&Gossip) -> bool) {
    let changes = async {
        loop {
            node.members().await.unwrap();
            if right(node) {
                return;
            }
            node.changed().await;
        }
    };
    if timeout(LONG, changes).await.is_err() {
        panic!(
            "{}: {:#?} {:?}",
            node.address(),
            node.nodes(),
            node.dropped()
        );
    }
}

async fn until_known(node: &Gossip, names: &[String]) {
    until(node, |node| known(node) == names).await;
}

/// How long it takes until all of the nodes know these.
async fn all_know(nodes: &[Gossip], names: &[String]) -> Duration {
    let began = Instant::now();
    for node in nodes {
        until_known(node, names).await;
    }
    began.elapsed()
}
