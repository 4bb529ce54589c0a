//! Two nodes disagree about the ring.

use std::time::Duration;

use super::keys;
use crate::support::cluster::free_ports;
use crate::support::origin::value_of;
use crate::support::{Client, Load, Node, Origin, Setup, busy, calm, promised, row};

const KEYS: usize = 150;

#[tokio::test]
async fn nodes_disagree_about_the_ring() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin).group("hot-copies = \"off\"");
    let ports = free_ports(3);
    // The first knows all three, the second lacks the third, and the third lacks the first.
    let lists = [vec![0, 1, 2], vec![0, 1], vec![1, 2]];
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    for (n, list) in lists.iter().enumerate() {
        let config = dir.path().join(format!("node-{n}.toml"));
        let peers: Vec<_> = list.iter().map(|at| ports[*at]).collect();
        std::fs::write(&config, setup.file(ports[n], &peers)).unwrap();
        nodes.push(Node::start(&config).await);
    }
    let client = Client::new();
    let mut disputed = 0;
    for key in keys(KEYS) {
        let first = client.owner(&nodes[0], &key).await;
        let second = client.owner(&nodes[1], &key).await;
        let third = client.owner(&nodes[2], &key).await;
        disputed += usize::from(first != second || second != third);
    }
    let load = Load {
        rate: 200.0,
        lasts: Duration::from_secs(3),
    };
    let next = super::in_turn(&nodes, KEYS);
    let seen = load
        .run(&client, next, |key, body| body == value_of(key))
        .await;
    let mut forwards = 0;
    for node in &nodes {
        forwards += client
            .metric(node, "gaggle_server_requests_total", &[])
            .await;
    }
    let most = origin.asked().into_values().max().unwrap_or_default();
    let (gets, errors) = (seen.samples.len(), seen.samples.len() - seen.right());
    row(
        7,
        "at most one forward per request; no wait beyond the deadline",
        format!(
            "{disputed} of {KEYS} keys disputed; {errors} errors; {forwards} forwards of {gets} gets; loads of a key {most} at most; \
             slowest {:.1?}",
            seen.quantile(1.0)
        ),
    );
    assert!(disputed > 0);
    assert_eq!(errors, 0, "{seen}");
    assert!(forwards <= gets as u64, "{forwards}");
    promised(seen.quantile(1.0) < Duration::from_secs(5), seen)
}
