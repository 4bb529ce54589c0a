//! Removals and freshness as an operator and a client see them: gateways, nodes that were away,
//! whole groups, values put, stale values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use reqwest::Method;

use crate::support::client::Answer;
use crate::support::origin::Mode;
use crate::support::{Client, Cluster, Node, Origin, Setup, loopback, until};

/// An origin whose values are the number that the test sets.
async fn versioned() -> (Origin, Arc<AtomicU32>) {
    let version = Arc::new(AtomicU32::new(1));
    let current = Arc::clone(&version);
    let origin = Origin::serve(move |key| {
        let there = !key.starts_with(b"absent");
        there.then(|| current.load(Relaxed).to_string().into_bytes())
    });
    (origin.await, version)
}

async fn admin(client: &Client, node: &Node, method: Method, path: &str, body: &str) -> Answer {
    client
        .send(method, node.admin, path, body.to_owned())
        .await
        .unwrap()
}

/// A gateway, in front of those nodes.
async fn front_end(cluster: &Cluster, setup: &Setup, dir: &std::path::Path) -> Node {
    let me = std::net::SocketAddr::from((loopback(), 0));
    let peers: Vec<_> = cluster.nodes.iter().map(|node| node.peer).collect();
    // The port must be known beforehand: it is the name that the members reach it by.
    let me = {
        let held = std::net::TcpListener::bind(me).unwrap();
        held.local_addr().unwrap()
    };
    let config = dir.join("front-end.toml");
    let setup = setup.clone().cluster("member = false");
    std::fs::write(&config, setup.file(me, &peers)).unwrap();
    Node::start(&config).await
}

/// Asks until a hit comes from a copy: one fetch in ten leaves one.
async fn copied(client: &Client, node: &Node, key: &[u8]) {
    until("a copy", async || {
        let answer = client.key(node, key).await;
        answer.header("cache-status").contains("detail=hot")
    })
    .await;
}

/// Whether the members know that the gateway follows them.
async fn is_followed(client: &Client, cluster: &Cluster, front: &Node) -> bool {
    for node in &cluster.nodes {
        let status = client.get(node.admin, "/status").await.json();
        let contacts = status["groups"]["scores"]["contacts"].as_array().cloned();
        let known = contacts.is_some_and(|contacts| {
            contacts.iter().any(|contact| {
                contact["node"] == front.ring_name() && contact["heard_seconds"].is_number()
            })
        });
        if !known {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_gateway_is_told_of_removals_and_named_when_it_cannot_be() {
    let (origin, version) = versioned().await;
    let setup = Setup::of(&origin);
    let cluster = Cluster::start(3, &setup).await;
    let dir = tempfile::tempdir().unwrap();
    let mut front = front_end(&cluster, &setup, dir.path()).await;
    let client = Client::new();
    until("the gateway to be known", async || {
        is_followed(&client, &cluster, &front).await
    })
    .await;

    copied(&client, &front, b"Tom").await;
    version.store(2, Relaxed);
    let path = "/v1/scores/Tom";
    let answer = admin(&client, &cluster.nodes[0], Method::DELETE, path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let removed = told["removed"].as_array().unwrap();
    assert!(
        removed.iter().any(|name| *name == front.ring_name()),
        "{told}"
    );
    assert_eq!(client.key(&front, b"Tom").await.text(), "2");

    // A removal at the gateway itself works, too.
    copied(&client, &front, b"Tom").await;
    version.store(3, Relaxed);
    let answer = admin(&client, &front, Method::DELETE, path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for node in cluster.nodes.iter().chain([&front]) {
        assert_eq!(client.key(node, b"Tom").await.text(), "3", "{}", node.name);
    }

    front.process.kill();
    let answer = admin(&client, &cluster.nodes[1], Method::DELETE, path, "").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["missed"][0]["node"], front.ring_name());
}

#[tokio::test]
async fn a_node_that_was_paused_does_not_bring_removed_values_back() {
    let (origin, version) = versioned().await;
    let cluster = Cluster::start(3, &Setup::of(&origin)).await;
    let client = Client::new();
    let keys: Vec<_> = (0..40).map(|n| format!("key-{n}").into_bytes()).collect();
    for node in &cluster.nodes {
        for key in &keys {
            assert_eq!(client.key(node, key).await.text(), "1");
        }
    }
    const PAUSED: usize = 2;
    let paused = &cluster.nodes[PAUSED];
    paused.process.signal("STOP");
    version.store(2, Relaxed);
    let list: Vec<_> = keys
        .iter()
        .map(|key| String::from_utf8_lossy(key))
        .collect();
    let body = serde_json::json!({ "keys": list }).to_string();
    let path = "/v1/scores/remove";
    let answer = admin(&client, &cluster.nodes[0], Method::POST, path, &body).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["missed"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["missed"][0]["node"], paused.ring_name());
    // The other nodes are told, and load from the origin what the paused one owns.
    for key in &keys {
        assert_eq!(client.key(&cluster.nodes[0], key).await.text(), "2");
    }

    paused.process.signal("CONT");
    let began = std::time::Instant::now();
    until("the removals to be known", async || {
        let removals = client.metric(paused, "gaggle_removals_total", &[]).await;
        removals > 0
    })
    .await;
    println!("row 25: known {:?} after it went on", began.elapsed());
    for node in &cluster.nodes {
        for key in &keys {
            assert_eq!(client.key(node, key).await.text(), "2", "{}", node.name);
        }
    }
}

#[tokio::test]
async fn a_whole_group_is_removed_and_a_value_is_put() {
    for transport in ["transport = \"http\"", "transport = \"grpc\""] {
        let (origin, version) = versioned().await;
        let cluster = Cluster::start(3, &Setup::of(&origin).cluster(transport)).await;
        let client = Client::new();
        let keys: Vec<_> = (0..20).map(|n| format!("key-{n}").into_bytes()).collect();
        let all = async |text: &str| {
            for node in &cluster.nodes {
                for key in &keys {
                    assert_eq!(client.key(node, key).await.text(), text, "{}", node.name);
                }
            }
        };
        all("1").await;
        version.store(2, Relaxed);
        all("1").await;
        let path = "/v1/scores";
        let answer = admin(&client, &cluster.nodes[0], Method::DELETE, path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["removed"].as_array().unwrap().len(), 3);
        all("2").await;

        for key in &keys {
            let path = format!("/v1/scores/{}", String::from_utf8_lossy(key));
            let answer = admin(&client, &cluster.nodes[1], Method::PUT, &path, "put").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        all("put").await;
    }
}

#[tokio::test]
async fn stale_values_are_served_while_the_origin_fails() {
    let (origin, version) = versioned().await;
    let group = "ttl = \"1s\"\nttl-jitter = 0\nstale-if-error = \"1h\"\nnegative-ttl = \"1h\"";
    let cluster = Cluster::start(3, &Setup::of(&origin).group(group)).await;
    let client = Client::new();
    let owner = cluster.owner(&client, b"Tom").await;
    let node = &cluster.nodes[owner];
    let answer = client.key(node, b"Tom").await;
    assert_eq!(answer.text(), "1");
    // The owner knows the absence, and tells it to the other nodes with its ttl.
    for node in &cluster.nodes {
        assert_eq!(client.key(node, b"absent").await.status, 404);
        assert_eq!(client.key(node, b"absent").await.status, 404);
    }
    assert_eq!(origin.asked_for(b"absent"), 1);

    origin.set(Mode::Failing);
    version.store(2, Relaxed);
    until("a stale answer", async || {
        let answer = client.key(node, b"Tom").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
        answer.header("cache-status").contains("stale")
    })
    .await;
    let before = origin.asked_for(b"Tom");
    for _ in 0..500 {
        let answer = client.key(node, b"Tom").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
        let status = answer.header("cache-status");
        assert!(status.contains("fwd=stale"), "{status}");
    }
    let probes = origin.asked_for(b"Tom") - before;
    println!("row 15: {probes} probes of the origin for 500 gets of a stale key");
    assert!(probes <= 5);
    let served = client.metric(node, "gaggle_stale_served_total", &[]).await;
    assert!(served >= 500, "{served}");

    origin.set(Mode::Open);
    until("the new value", async || {
        client.key(node, b"Tom").await.text() == "2"
    })
    .await;
}

#[tokio::test]
async fn a_stale_value_is_served_while_it_is_loaded_again() {
    let (origin, version) = versioned().await;
    let group = "ttl = \"200ms\"\nttl-jitter = 0\nstale-while-revalidate = \"1h\"";
    let cluster = Cluster::start(1, &Setup::of(&origin).group(group)).await;
    let client = Client::new();
    let node = &cluster.nodes[0];
    let first = client.key(node, b"Tom").await;
    assert_eq!(
        first.header("cache-status"),
        "gaggle; fwd=miss; detail=origin; ttl=0"
    );
    version.store(2, Relaxed);
    until("a stale hit", async || {
        let answer = client.key(node, b"Tom").await;
        let status = answer.header("cache-status");
        assert!(status.starts_with("gaggle; hit"), "{status}");
        status.contains("detail=stale")
    })
    .await;
    until("the new value", async || {
        client.key(node, b"Tom").await.text() == "2"
    })
    .await;
}
