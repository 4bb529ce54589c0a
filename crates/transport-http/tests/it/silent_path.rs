//! A path that goes silent for the connections that exist, and is good for new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Fetch, Key, Peer, PeerError};
use gaggle_transport_http::{ClientOptions, HttpPeer, ServerOptions};
use tokio::time::{Instant, advance, timeout};

use crate::batches::{one_at_once, together};
use crate::clock::StoppedClock;
use crate::relay::Relay;
use crate::support::{echo, fetch, found, peer_with, serve};

/// Longer than a pool lives at the least.
const A_WHILE: Duration = Duration::from_secs(1);

fn batching_or_not(address: SocketAddr, batching: bool) -> Arc<HttpPeer> {
    let options = ClientOptions {
        batching: batching.then(one_at_once),
        ..ClientOptions::default()
    };
    peer_with(address, options)
}

/// A peer with three idle connections that have gone silent.
async fn silent(batching: bool) -> (Relay, Arc<HttpPeer>) {
    let server = serve([echo()], ServerOptions::default()).await;
    let relay = Relay::to(server).await;
    let peer = batching_or_not(relay.address, batching);
    let three = tokio::join!(
        fetch(&peer, "nobody", b"a"),
        async { peer.ping().await },
        async { peer.ping().await },
    );
    assert!(three.0.is_err() && three.1.is_ok() && three.2.is_ok());
    assert_eq!(relay.connections(), 3);
    advance(A_WHILE).await;
    relay.go_silent();
    (relay, peer)
}

async fn hasty(peer: &HttpPeer, deadline: Duration) -> Result<(), PeerError> {
    let key = Key::from("hasty");
    let fetch = peer.fetch(Fetch::new("echo", &key, 99, deadline));
    fetch.await.map(drop)
}

async fn works(peer: &HttpPeer, relay: &Relay) {
    assert_eq!(fetch(peer, "echo", b"Tom").await.unwrap(), found("Tom"));
    peer.ping().await.unwrap();
    assert!(relay.connections() > 3, "a new connection");
}

#[tokio::test(start_paused = true)]
async fn one_request_without_an_answer_is_enough() {
    let clock = StoppedClock::new();
    let (relay, peer) = silent(false).await;
    let began = Instant::now();
    let late = clock.run(hasty(&peer, Duration::from_secs(1))).await;
    assert!(
        matches!(late, Err(PeerError::Unavailable { .. })),
        "{late:?}"
    );
    works(&peer, &relay).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn so_is_one_ping() {
    let clock = StoppedClock::new();
    let (relay, peer) = silent(false).await;
    let late = clock.run(peer.ping()).await;
    assert!(
        matches!(late, Err(PeerError::Unavailable { .. })),
        "{late:?}"
    );
    works(&peer, &relay).await;
}

#[tokio::test(start_paused = true)]
async fn so_is_one_request_whose_caller_has_learned_it_elsewhere() {
    let clock = StoppedClock::new();
    let (relay, peer) = silent(false).await;
    let given_up = hasty(&peer, Duration::from_secs(60));
    let given_up = timeout(Duration::from_millis(500), given_up);
    assert!(clock.run(given_up).await.is_err());
    works(&peer, &relay).await;
}

#[tokio::test(start_paused = true)]
async fn so_is_one_batch() {
    let clock = StoppedClock::new();
    let (relay, peer) = silent(true).await;
    // The first goes alone and the others wait for its turn. All of them are given up.
    let gets = [("echo", &b"a"[..]), ("echo", b"b"), ("echo", b"c")];
    let given_up = timeout(A_WHILE, together(&peer, &gets));
    assert!(clock.run(given_up).await.is_err());
    works(&peer, &relay).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_at_once_costs_no_other_connection() {
    let _clock = StoppedClock::new();
    let server = serve([echo()], ServerOptions::default()).await;
    let relay = Relay::to(server).await;
    let peer = batching_or_not(relay.address, false);
    peer.ping().await.unwrap();
    advance(A_WHILE).await;
    // Its own connection is closed, as an answer may still come on it.
    let given_up = hasty(&peer, Duration::from_secs(60));
    assert!(timeout(Duration::ZERO, given_up).await.is_err());
    for _ in 0..3 {
        peer.ping().await.unwrap();
        advance(A_WHILE).await;
    }
    assert!(relay.connections() <= 2, "{}", relay.connections());
}
