//! Descriptors run out.

use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::cluster::free_ports;
use crate::support::{Client, Node, Origin, Setup, busy, calm, command, promised, row, until};

const LIMIT: usize = 128;

/// Connections that the front door accepts with so few descriptors: the rest is for peers, the
/// admin port, origins and files.
const LET_IN: usize = LIMIT / 8;

/// The binary with few descriptors.
fn limited() -> Command {
    let node = command();
    let mut shell = Command::new("sh");
    shell
        .env_clear()
        .stdin(std::process::Stdio::null())
        .args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")]);
    shell.arg(node.get_program());
    shell
}

#[tokio::test]
async fn descriptors_run_out() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let me = free_ports(1)[0];
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("node.toml");
    std::fs::write(&config, Setup::of(&origin).file(me, &[])).unwrap();
    let mut node = Node::start_by(limited(), &config).await;
    assert_eq!(Client::new().key(&node, b"Tom").await.status, 200);

    let mut crowd = Vec::new();
    for _ in 0..3 * LIMIT {
        // The kernel completes connections before the node accepts them.
        crowd.push(TcpStream::connect(node.api).await.unwrap());
    }
    until("the crowd to be let in as far as it goes", async || {
        node.process.descriptors() >= LET_IN
    })
    .await;
    let at_most = node.process.descriptors();
    let asking = Client::new();
    let during = tokio::time::timeout(Duration::from_secs(2), asking.get(node.admin, "/livez"));
    let during = during.await.map(|answer| answer.status);
    drop(crowd);
    let began = Instant::now();
    until("the front door to serve", async || {
        let client = Client::new();
        let asked = client.send(
            reqwest::Method::GET,
            node.api,
            "/v1/scores/Tom",
            String::new(),
        );
        tokio::time::timeout(Duration::from_secs(1), asked)
            .await
            .is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200))
    })
    .await;
    let took = began.elapsed();
    row(
        28,
        "accepting resumes within 1 s; no exit",
        format!(
            "{at_most} of {LIMIT} descriptors taken by {} connections, /livez meanwhile {during:?}; resumed within {took:.1?}",
            3 * LIMIT
        ),
    );
    assert!(node.process.is_running());
    promised(
        took <= Duration::from_secs(1),
        format!("resumed within {took:?}"),
    )
}
