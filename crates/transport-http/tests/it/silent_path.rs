//! A path that goes silent for existing connections, and works for new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Fetch, Key, Peer, PeerError};
use gaggle_transport_http::{ClientOptions, HttpPeer, ServerOptions};
use tokio::time::{Instant, advance, timeout};

use crate::batch_waits::{gated, landed, spawn};
use crate::batches::{one_at_once, together};
use crate::clock::StoppedClock;
use crate::fake_peer::{Event, FakePeer, Then};
use crate::relay::Relay;
use crate::support::{echo, fetch, found, peer_with, serve};

/// Longer than the shortest life of a pool.
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

#[tokio::test(start_paused = true)]
async fn a_request_that_is_late_while_others_are_answered_costs_no_other_connection() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let clock = StoppedClock::new();
    let steps = [
        (ANSWER, Then::Keep),
        ("", Then::Hang),
        (ANSWER, Then::Keep),
        (ANSWER, Then::Keep),
    ];
    let mut fake = FakePeer::new(steps).await;
    let peer = batching_or_not(fake.address, false);
    peer.ping().await.unwrap();
    advance(A_WHILE).await;
    let late = tokio::spawn({
        let peer = peer.clone();
        async move { hasty(&peer, A_WHILE).await }
    });
    for connection in [0, 0] {
        assert!(matches!(fake.event().await, Event::Request(it, _) if it == connection));
    }
    peer.ping().await.unwrap();
    let late = clock.run(late).await.unwrap();
    assert!(
        matches!(late, Err(PeerError::Unavailable { .. })),
        "{late:?}"
    );
    peer.ping().await.unwrap();
    let mut pings = Vec::new();
    while pings.len() < 2 {
        if let Event::Request(connection, _) = fake.event().await {
            pings.push(connection);
        }
    }
    assert_eq!(pings, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_an_origin_and_is_given_up_costs_no_other_connection() {
    let clock = StoppedClock::new();
    let gated = gated(&["hold", "slow"]);
    let server = serve([gated.group.clone()], ServerOptions::default()).await;
    let relay = Relay::to(server).await;
    let peer = batching_or_not(relay.address, true);
    assert!(fetch(&peer, "nobody", b"").await.is_err());
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    peer.ping().await.unwrap();
    gated.gate.add_permits(1);
    landed(hold).await;
    assert_eq!(relay.connections(), 2);
    advance(A_WHILE).await;
    let gets = ["first", "slow", "a"].map(|key| ("gated", key.as_bytes()));
    let given_up = timeout(A_WHILE, together(&peer, &gets));
    assert!(clock.run(given_up).await.is_err());
    for _ in 0..3 {
        peer.ping().await.unwrap();
        advance(A_WHILE).await;
    }
    assert_eq!(relay.connections(), 2);
}
