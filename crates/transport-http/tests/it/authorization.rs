//! Requests that show a token, and peers that require one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gaggle_group::{
    Batch, Entry, Fetch, Fetched, Groups, HandOver, Hello, Key, Known, Peer, PeerError, Put, Word,
};
use gaggle_token::{Require, Tokens};
use gaggle_transport_http::{
    Authorization, Batching, ClientOptions, HttpPeer, ServerOptions, router,
};
use tokio::net::TcpListener;

use crate::support::{LONG, echo, found, new_id, peer_with, reason, removal};

const TOKEN: &str = "token-of-this-cluster-1";
const NEXT: &str = "token-of-this-cluster-2";

fn tokens(text: &str) -> Tokens {
    Tokens::parse(text).unwrap()
}

/// A node that requires one of these tokens, and its check.
async fn guarded(tokens: Tokens) -> (SocketAddr, Require) {
    let require = Require::new("peers").token(tokens);
    let app = router(Groups::new([echo()]).unwrap(), ServerOptions::default());
    let app = app.layer(require.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, require)
}

/// A peer that is asked with the first of these.
fn asked_with(address: SocketAddr, tokens: Option<Tokens>) -> Arc<HttpPeer> {
    let authorization = tokens.map(|tokens| Authorization::new(move || tokens.header()));
    let batching = Batching {
        longest_wait: LONG,
        ..Batching::default()
    };
    let options = ClientOptions {
        connect_timeout: LONG,
        ping_timeout: LONG,
        remove_timeout: LONG,
        batching: Some(batching),
        authorization,
        ..ClientOptions::default()
    };
    peer_with(address, options)
}

/// Every kind of request by itself, with its result.
async fn each_request(peer: &HttpPeer) -> Vec<(&'static str, Result<(), PeerError>)> {
    let (key, entry, known) = (Key::from("Tom"), Entry::value("630"), Known::default());
    let fetch = Fetch::new("echo", &key, 99, LONG);
    let put = Put::new("echo", &key, &entry, new_id());
    let entries = [(key.clone(), entry.clone())];
    let (one, two) = (removal(&[b"a"]), removal(&[b"a", b"b"]));
    let hand_over = HandOver::new("echo", &entries, &known);
    let word = Word::new("http://10.0.0.9:1", Some(Duration::from_secs(1)));
    vec![
        ("get", peer.fetch(fetch).await.map(drop)),
        ("delete", peer.remove("echo", &one).await),
        ("remove", peer.remove("echo", &two).await),
        ("put", peer.put(put).await),
        (
            "news",
            peer.news("echo", &known, "http://10.0.0.9:1")
                .await
                .map(drop),
        ),
        ("hand over", peer.hand_over(hand_over).await.map(drop)),
        ("leaving", peer.leaving(&word).await),
        ("hello", peer.hello(&Hello::default()).await.map(drop)),
        ("ping", peer.ping().await),
    ]
}

/// Some gets in one batch.
async fn together(peer: &HttpPeer) -> Vec<Result<Fetched, PeerError>> {
    let batch = Batch::new();
    let keys = ["a", "b", "c", "d"].map(Key::from);
    let members: Vec<_> = keys.iter().map(|_| batch.member()).collect();
    drop(batch);
    join_all(
        keys.iter()
            .zip(&members)
            .map(|(key, member)| peer.fetch(Fetch::new("echo", key, 99, LONG).with(Some(member)))),
    )
    .await
}

#[tokio::test]
async fn every_request_shows_the_current_token() {
    let (address, require) = guarded(tokens(&format!("{NEXT}\n{TOKEN}"))).await;
    let ours = tokens(TOKEN);
    let peer = asked_with(address, Some(ours.clone()));
    for _ in 0..2 {
        for (kind, done) in each_request(&peer).await {
            assert!(done.is_ok(), "{kind}: {done:?}");
        }
        let values = together(&peer).await;
        let values: Vec<_> = values
            .into_iter()
            .map(|value| value.unwrap().entry)
            .collect();
        assert_eq!(values, ["a", "b", "c", "d"].map(found));
        ours.set(&tokens(NEXT));
    }
    assert_eq!(require.refused(), 0);
}

#[tokio::test]
async fn a_node_that_is_not_let_in_is_told_so_whatever_it_asks() {
    let theirs = tokens(TOKEN);
    let (address, require) = guarded(theirs.clone()).await;
    for (shown, why) in [
        (None, "it requires a token, and this node has none"),
        (Some(NEXT), "it refuses this node's token"),
    ] {
        let peer = asked_with(address, shown.map(tokens));
        for (kind, done) in each_request(&peer).await {
            let failure = done.expect_err(kind);
            assert!(
                matches!(failure, PeerError::Refused { .. }),
                "{kind}: {failure:?}"
            );
            assert_eq!(reason(&failure), why, "{kind}");
        }
    }
    // A peer that accepted requests and takes batches, and then has another token.
    let peer = asked_with(address, Some(tokens(TOKEN)));
    assert!(together(&peer).await.iter().all(Result::is_ok));
    theirs.set(&tokens(NEXT));
    let before = require.refused();
    for failure in together(&peer).await {
        assert_eq!(
            reason(&failure.unwrap_err()),
            "it refuses this node's token"
        );
    }
    assert_eq!(require.refused() - before, 1, "they were no batch");
}

#[test]
fn options_do_not_show_the_token() {
    let tokens = tokens(TOKEN);
    let authorization = Authorization::new(move || tokens.header());
    let options = ClientOptions {
        authorization: Some(authorization.clone()),
        ..ClientOptions::default()
    };
    assert!(format!("{options:?}").contains("Authorization(***)"));
    assert!(!format!("{options:?}").contains(TOKEN));
    assert_eq!(options, options.clone());
    let other = ClientOptions {
        authorization: Some(Authorization::new(|| None)),
        ..options.clone()
    };
    assert_ne!(options, other);
    assert_eq!(options.authorization, Some(authorization));
}
