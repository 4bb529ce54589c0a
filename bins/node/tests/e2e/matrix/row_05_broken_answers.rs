//! A peer resets in the middle of a body, ends it too early, or sends what is no protobuf.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use gaggle_testkit::{Fault, Scope};
use tokio::task::JoinHandle;

use super::keys;
use crate::support::cluster::free_ports;
use crate::support::{Client, Cluster, Node, Origin, Setup, busy, row};

const KEYS: usize = 40;

/// 8 KiB that contain the key.
fn long(key: &[u8]) -> Vec<u8> {
    key.iter().copied().cycle().take(8 << 10).collect()
}

#[tokio::test]
async fn answers_break_off() {
    let _busy = busy().await;
    let origin = Origin::serve(|key| Some(long(key))).await;
    let setup = Setup::of(&origin).group("hot-copies = \"off\"");
    let (cluster, proxies) = Cluster::behind_proxies(2, &setup).await;
    let client = Client::new();
    let asker = &cluster.nodes[0];
    for (what, fault) in [
        ("reset", Fault::ResetAfter(3000)),
        ("truncated", Fault::TruncateAfter(3000)),
    ] {
        let mut theirs = Vec::new();
        for n in 0.. {
            let key = format!("{what}-{n}").into_bytes();
            if cluster.owner(&client, &key).await == 1 {
                theirs.push(key);
            }
            if theirs.len() == KEYS {
                break;
            }
        }
        proxies[1].set(Scope::All, fault).await.unwrap();
        for key in &theirs {
            let answer = client.key(asker, key).await;
            assert_eq!((answer.status, answer.body), (200, long(key)), "{what}");
        }
        proxies[1].pass().await.unwrap();
        // From now on, values that were cached meanwhile are served, on either node.
        for key in &theirs {
            for node in &cluster.nodes {
                assert_eq!(client.key(node, key).await.body, long(key), "{what}");
            }
        }
        let most = theirs.iter().map(|key| origin.asked_for(key)).max();
        row(
            5,
            "a broken answer is never cached, never served; one fallback",
            format!(
                "{what} in the middle of a body: {KEYS} keys right; loads of a key {most:?} at most"
            ),
        );
        // The owner's load, the fallback's, and the owner's again if it was considered dead before
        // it was asked.
        assert!(most <= Some(2), "{most:?}");
    }
}

/// A peer that answers every request with bytes that are not a message.
async fn babbling() -> (std::net::SocketAddr, JoinHandle<()>) {
    let addr = free_ports(1)[0];
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    let app = Router::new().fallback(|method: Method| async move {
        // It answers a greeting as golang/groupcache does.
        if method == Method::POST {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let garbage: Vec<u8> = (0..4096_u32).map(|n| (n * 7 % 251) as u8 | 0x80).collect();
        ([(CONTENT_TYPE, "application/x-protobuf")], garbage).into_response()
    });
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (addr, serving)
}

#[tokio::test]
async fn a_peer_sends_garbage() {
    let _busy = busy().await;
    let origin = Origin::serve(|key| Some(long(key))).await;
    let (fake, serving) = babbling().await;
    let me = free_ports(1)[0];
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("node.toml");
    let setup = Setup::of(&origin).group("hot-copies = \"off\"");
    std::fs::write(&config, setup.file(me, &[me, fake])).unwrap();
    let node = Node::start(&config).await;
    let client = Client::new();
    let mut theirs = 0;
    for key in keys(KEYS * 2) {
        theirs += usize::from(client.owner(&node, &key).await != node.name);
        for _ in 0..2 {
            let answer = client.key(&node, &key).await;
            assert_eq!((answer.status, answer.body), (200, long(&key)));
        }
    }
    let most = origin.asked().into_values().max();
    row(
        5,
        "a broken answer is never cached, never served; one fallback",
        format!(
            "no protobuf: {theirs} keys of such a peer right, asked for twice; loads of a key {most:?} at most"
        ),
    );
    assert!(theirs >= KEYS / 2, "{theirs}");
    assert!(most <= Some(2), "one for each get: {most:?}");
    serving.abort();
}
