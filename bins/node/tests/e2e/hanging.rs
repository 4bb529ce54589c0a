//! Signals, while something hangs: the node ends all the same.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::task::JoinHandle;

use crate::support::{Client, Cluster, Process, Setup, command, loopback, until};

/// A database whose query never ends for the key `endless`.
struct Endless {
    dir: tempfile::TempDir,
    origin: String,
}

impl Endless {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.db");
        // An empty file is an empty database.
        std::fs::write(&path, "").unwrap();
        let query = "SELECT CASE ?1 WHEN 'endless' THEN (WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) ELSE ?1 END";
        Self {
            origin: format!("kind = \"sqlite\"\npath = {path:?}\nquery = \"{query}\""),
            dir,
        }
    }

    fn setup(&self, drain: &str) -> Setup {
        Setup {
            node: format!("drain-timeout = \"{drain}\""),
            origin: self.origin.clone(),
            ..Setup::default()
        }
        .group("load-timeout = \"10m\"")
    }
}

/// Asks for the key that hangs, and returns once the load is under way.
async fn hang(cluster: &Cluster, client: &Client) -> JoinHandle<bool> {
    let node = &cluster.nodes[0];
    assert_eq!(client.key(node, b"Tom").await.body, b"Tom");
    let (api, asking): (SocketAddr, _) = (node.api, client.clone());
    let hanging = tokio::spawn(async move {
        let asked = asking.send(Method::GET, api, "/v1/scores/endless", String::new());
        asked.await.is_err()
    });
    until("the load to be under way", async || {
        let running = client.metric(node, "gaggle_loads_in_flight", &[]).await;
        running > 0
    })
    .await;
    hanging
}

#[tokio::test]
async fn a_database_that_hangs_does_not_hold_up_the_exit() {
    let endless = Endless::new();
    let mut cluster = Cluster::start(1, &endless.setup("1s")).await;
    let client = Client::new();
    let hanging = hang(&cluster, &client).await;
    let began = Instant::now();
    cluster.nodes[0].process.signal("TERM");
    let status = cluster.nodes[0].process.ended().await;
    let took = began.elapsed();
    println!("drain-timeout 1s, SIGTERM to exit: {took:?}");
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(hanging.await.unwrap(), "the request is cut");
}

async fn ends_at_the_second(first: &str, second: &str, code: i32) {
    let endless = Endless::new();
    let mut cluster = Cluster::start(1, &endless.setup("10m")).await;
    let client = Client::new();
    let hanging = hang(&cluster, &client).await;
    let node = &mut cluster.nodes[0];
    node.process.signal(first);
    let admin = node.admin;
    until("the node to say that it is not ready", async || {
        client.get(admin, "/readyz").await.status == 503
    })
    .await;
    let began = Instant::now();
    node.process.signal(second);
    let status = node.process.ended().await;
    let took = began.elapsed();
    println!("SIG{second} after SIG{first} to exit: {took:?}");
    assert_eq!(status.code(), Some(code), "{status}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(hanging.await.unwrap(), "the request is cut");
    node.process.logged("a second signal: ending at once").await;
}

#[tokio::test]
async fn a_second_sigterm_ends_the_node_at_once() {
    ends_at_the_second("TERM", "TERM", 143).await;
}

#[tokio::test]
async fn ctrl_c_after_a_sigterm_ends_the_node_at_once() {
    ends_at_the_second("TERM", "INT", 130).await;
}

#[tokio::test]
async fn a_node_that_hangs_while_it_starts_stops_at_the_first_signal() {
    let mut endless = Endless::new();
    // For every key, so that the check of the query at the start does not end.
    endless.origin = endless.origin.replace("?1 WHEN 'endless'", "?1 WHEN ?1");
    let held = TcpListener::bind((loopback(), 0)).unwrap();
    let me = held.local_addr().unwrap();
    drop(held);
    let config = endless.dir.path().join("node.toml");
    std::fs::write(&config, endless.setup("10m").file(me, &[me])).unwrap();
    let mut serve = command();
    serve.arg("serve").arg("--config").arg(config);
    let mut process = Process::spawn("gaggle-node", serve);
    until("the peers' port to be bound", async || {
        tokio::net::TcpStream::connect(me).await.is_ok()
    })
    .await;
    let began = Instant::now();
    process.signal("TERM");
    let status = process.ended().await;
    let took = began.elapsed();
    println!("SIGTERM while starting to exit: {took:?}");
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    process.logged("stopped while starting").await;
}
