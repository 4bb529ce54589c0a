//! The rate of a key, which its owner returns with the value.

use std::net::SocketAddr;

use axum::Router;
use gaggle_group::{Fetch, Fetched, Key, Peer, PeerError};
use gaggle_proto::groupcache::GetResponse;
use gaggle_transport_http::{ClientOptions, Encoding, HttpPeer, ServerOptions};
use prost::Message;
use tokio::net::TcpListener;

use crate::batches::{batching, one_at_once};
use crate::support::{LONG, ask, echo, found, peer, peer_with, scores, serve};

async fn fetch(peer: &HttpPeer, group: &str, key: &str) -> Result<Fetched, PeerError> {
    let key = Key::copy_from_slice(key.as_bytes());
    peer.fetch(Fetch::new(group, &key, 1 << 20, LONG)).await
}

async fn rate(peer: &HttpPeer, group: &str, key: &str) -> Option<f64> {
    fetch(peer, group, key).await.unwrap().minute_qps
}

/// At least that many, and little has passed of the minute in which they count.
fn is_about(rate: Option<f64>, requests: f64) -> bool {
    rate.is_some_and(|rate| rate <= requests && rate > 0.5 * requests)
}

#[tokio::test]
async fn a_rate_comes_with_small_and_large_values_but_with_no_absence() {
    let long = "k".repeat(17 << 10);
    let limits = gaggle_group::Limits {
        max_key: 20 << 10,
        ..gaggle_group::Limits::default()
    };
    let echo = gaggle_group::Group::builder("echo")
        .limits(limits)
        .origin_fn(|key: Key| async move { Ok::<_, std::io::Error>(Some(key.repeat(2))) })
        .build()
        .unwrap();
    let peer = peer(serve([echo, scores()], ServerOptions::default()).await);
    for key in ["k", &long[..9_000]] {
        for requests in [1.0, 2.0, 3.0] {
            let fetched = fetch(&peer, "echo", key).await.unwrap();
            assert_eq!(fetched.entry, found(key.repeat(2)));
            assert!(is_about(fetched.minute_qps, requests), "{fetched:?}");
        }
    }
    assert_eq!(rate(&peer, "scores", "nobody").await, None);
}

#[tokio::test]
async fn a_program_is_told_no_rate() {
    let server = serve([scores()], ServerOptions::default()).await;
    let answer = ask(server, "GET /_groupcache/scores/Tom", "").await;
    assert!(answer.ends_with("\r\n\r\n\x0a\x03630"), "{answer:?}");
    let marked = ask(
        server,
        "GET /_groupcache/scores/Tom",
        "gaggle-forwarded: 1\r\n",
    )
    .await;
    assert!(marked.contains("\r\n\r\n\x0a\x03630\x11"), "{marked:?}");
}

#[tokio::test]
async fn raw_values_have_no_place_for_a_rate_but_those_in_batches_do() {
    let options = ServerOptions {
        encoding: Encoding::Raw,
        ..ServerOptions::default()
    };
    let server = serve([scores()], options).await;
    let options = ClientOptions {
        encoding: Encoding::Raw,
        batching: Some(one_at_once()),
        ..ClientOptions::default()
    };
    let peer = peer_with(server, options);
    assert_eq!(rate(&peer, "scores", "Tom").await, None);
    // The first goes alone, and the others wait for it.
    let (alone, a, b) = tokio::join!(
        rate(&peer, "scores", "Tom"),
        rate(&peer, "scores", "Tom"),
        rate(&peer, "scores", "Tom"),
    );
    assert_eq!(alone, None);
    assert!(is_about(a, 3.0) && is_about(b, 4.0), "{a:?} {b:?}");
}

#[tokio::test]
async fn each_key_of_a_batch_counts_and_has_its_rate() {
    let peer = batching(
        serve([echo()], ServerOptions::default()).await,
        one_at_once(),
    )
    .await;
    for round in [1.0, 2.0, 3.0] {
        let (a, b, c) = tokio::join!(
            rate(&peer, "echo", "a"),
            rate(&peer, "echo", "b"),
            rate(&peer, "echo", "c"),
        );
        for rate in [a, b, c] {
            assert!(is_about(rate, round), "{rate:?} of {round}");
        }
    }
}

/// A node of another kind, which answers every request with these bytes.
async fn answering(message: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(async move || message);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_strangers_rate_is_read_unless_it_is_missing_or_cannot_be() {
    for (sent, read) in [
        // golang/groupcache never sets it.
        (None, None),
        (Some(0.0), Some(0.0)),
        (Some(12.5), Some(12.5)),
        (Some(-1.0), None),
        (Some(f64::NAN), None),
        (Some(f64::INFINITY), None),
        (Some(f64::MAX), Some(Fetched::MAX_MINUTE_QPS)),
    ] {
        let message = GetResponse {
            value: Some("630".into()),
            minute_qps: sent,
        };
        let peer = peer(answering(message.encode_to_vec()).await);
        let fetched = fetch(&peer, "scores", "Tom").await.unwrap();
        assert_eq!(
            (fetched.entry, fetched.minute_qps),
            (found("630"), read),
            "{sent:?}"
        );
    }
}
