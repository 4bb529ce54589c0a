//! Signals: a node that is told to stop finishes what it has begun.

use crate::support::origin::{Mode, value_of};
use crate::support::{Client, Cluster, Origin, Setup, command, until};

/// What `gaggle-node health` says of a node: its exit code.
async fn health(admin: std::net::SocketAddr) -> Option<i32> {
    let mut health = command();
    health.args(["health", "--admin-addr", &admin.to_string()]);
    // On a separate thread: the answer may depend on this one.
    let ended = tokio::task::spawn_blocking(move || health.output().unwrap())
        .await
        .unwrap();
    ended.status.code()
}

async fn drains_on(signal: &str) {
    let origin = Origin::of_everything().await;
    let mut cluster = Cluster::start(1, &Setup::of(&origin).group("load-timeout = \"60s\"")).await;
    let client = Client::new();
    let node = &cluster.nodes[0];
    assert_eq!(client.get(node.admin, "/readyz").await.status, 200);
    assert_eq!(health(node.admin).await, Some(0));
    origin.set(Mode::Gated);
    let (api, asking) = (node.api, client.clone());
    let running = tokio::spawn(async move { asking.get(api, "/v1/scores/slow").await });
    until("the request to reach the origin", async || {
        origin.asked_for(b"slow") == 1
    })
    .await;

    node.process.signal(signal);
    let admin = node.admin;
    until("the node to say that it is not ready", async || {
        client.get(admin, "/readyz").await.status == 503
    })
    .await;
    assert_eq!(client.get(admin, "/readyz").await.text(), "draining");
    assert_eq!(client.get(admin, "/livez").await.status, 200);
    assert_eq!(health(admin).await, Some(1));
    assert!(!running.is_finished());
    origin.set(Mode::Open);
    let answer = running.await.unwrap();
    assert_eq!((answer.status, answer.body), (200, value_of(b"slow")));
    let status = cluster.nodes[0].process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    cluster.nodes[0].process.logged("stopped").await;
    assert_eq!(health(admin).await, Some(1), "nobody is there");
}

#[tokio::test]
async fn sigterm_lets_running_requests_finish() {
    drains_on("TERM").await;
}

#[tokio::test]
async fn sigint_lets_running_requests_finish() {
    drains_on("INT").await;
}

#[tokio::test]
async fn an_idle_node_with_open_connections_ends_at_once() {
    let origin = Origin::of_everything().await;
    // A drain that waited for idle connections would outlast this test's timeout.
    let setup = Setup {
        node: "drain-timeout = \"10m\"".into(),
        ..Setup::of(&origin)
    };
    let mut cluster = Cluster::start(2, &setup).await;
    let client = Client::new();
    // Connections that stay: of a client to each port, and of each node to the other.
    for node in &cluster.nodes {
        for n in 0..20 {
            let key = format!("key-{n}").into_bytes();
            assert_eq!(client.key(node, &key).await.body, value_of(&key));
        }
        assert_eq!(client.get(node.admin, "/livez").await.status, 200);
    }
    for (n, signal) in ["TERM", "INT"].into_iter().enumerate() {
        cluster.nodes[n].process.signal(signal);
        let status = cluster.nodes[n].process.ended().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
    }
}

#[tokio::test]
async fn a_drain_ends_at_its_timeout() {
    let origin = Origin::of_everything().await;
    let setup = Setup {
        node: "drain-timeout = \"100ms\"".into(),
        ..Setup::of(&origin).group("load-timeout = \"10m\"")
    };
    let mut cluster = Cluster::start(1, &setup).await;
    origin.set(Mode::Gated);
    let (api, client) = (cluster.nodes[0].api, Client::new());
    let cut = tokio::spawn(async move {
        let none = String::new();
        client
            .send(reqwest::Method::GET, api, "/v1/scores/stuck", none)
            .await
    });
    until("the request to reach the origin", async || {
        origin.asked_for(b"stuck") == 1
    })
    .await;
    cluster.nodes[0].process.signal("TERM");
    let status = cluster.nodes[0].process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    let told = cluster.nodes[0]
        .process
        .logged("connections were cut when the drain timeout passed")
        .await;
    assert_eq!(told["port"], "api");
    assert!(cut.await.unwrap().is_err());
}
