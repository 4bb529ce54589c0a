//! `DELETE` on the admin port removes a key on every node, and names the nodes that were missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use reqwest::Method;

use crate::support::client::Answer;
use crate::support::{Client, Cluster, Node, Origin, Setup};

async fn delete(client: &Client, node: &Node, key: &str) -> Answer {
    let target = format!("/v1/scores/{key}");
    client
        .send(Method::DELETE, node.admin, &target, String::new())
        .await
        .unwrap()
}

async fn removed_everywhere(transport: &str) {
    let version = Arc::new(AtomicU32::new(1));
    let current = Arc::clone(&version);
    let origin = Origin::serve(move |_| Some(current.load(Relaxed).to_string().into_bytes())).await;
    // With this rule, whether a node keeps a hot copy is not random.
    let setup = Setup::of(&origin)
        .cluster(transport)
        .group("hot-copies = \"rate\"");
    let mut cluster = Cluster::start(3, &setup).await;
    let client = Client::new();
    let owner = cluster.owner(&client, b"Tom").await;

    for (n, node) in cluster.nodes.iter().enumerate() {
        let mut answer = client.key(node, b"Tom").await;
        // It is the hundredth request of a minute that makes a copy.
        for _ in 0..120 {
            answer = client.key(node, b"Tom").await;
        }
        let status = answer.header("cache-status");
        if n == owner {
            assert_eq!(status, "gaggle; hit; detail=main");
        } else {
            // A copy lives for the group's `hot-ttl`, a minute at most.
            assert!(
                status.starts_with("gaggle; hit; detail=hot; ttl="),
                "{status}"
            );
        }
        assert_eq!(answer.text(), "1");
    }
    version.store(2, Relaxed);
    for node in &cluster.nodes {
        assert_eq!(
            client.key(node, b"Tom").await.text(),
            "1",
            "a cache asks once"
        );
    }

    // Asked of a node that does not own the key.
    let answer = delete(&client, &cluster.nodes[(owner + 1) % 3], "Tom").await;
    assert_eq!(answer.status, 200);
    let told = answer.json();
    let removed = told["removed"].as_array().unwrap().iter();
    let mut removed: Vec<_> = removed.map(|name| name.as_str().unwrap()).collect();
    removed.sort_unstable();
    let mut names: Vec<_> = cluster.nodes.iter().map(Node::ring_name).collect();
    names.sort_unstable();
    assert_eq!(removed, names);
    assert_eq!(told["missed"].as_array().map(Vec::len), Some(0));
    for node in &cluster.nodes {
        assert_eq!(client.key(node, b"Tom").await.text(), "2", "{}", node.name);
    }
    assert_eq!(origin.asked_for(b"Tom"), 2);

    version.store(3, Relaxed);
    let dead = (owner + 2) % 3;
    cluster.nodes[dead].process.kill();
    let answer = delete(&client, &cluster.nodes[(owner + 1) % 3], "Tom").await;
    assert_eq!(answer.status, 502);
    let told = answer.json();
    assert_eq!(told["missed"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["missed"][0]["node"], cluster.nodes[dead].ring_name());
    assert!(!told["missed"][0]["error"].as_str().unwrap().is_empty());
    assert_eq!(told["removed"].as_array().unwrap().len(), 2, "{told}");
    for node in [owner, (owner + 1) % 3] {
        assert_eq!(client.key(&cluster.nodes[node], b"Tom").await.text(), "3");
    }
}

#[tokio::test]
async fn a_removed_key_is_gone_from_every_node_over_http() {
    removed_everywhere("transport = \"http\"").await;
}

#[tokio::test]
async fn a_removed_key_is_gone_from_every_node_over_grpc() {
    removed_everywhere("transport = \"grpc\"").await;
}
