//! Requests that show a token, and peers that require one.

use std::time::Duration;

use gaggle_group::{Entry, Fetch, Groups, HandOver, Hello, Key, Known, Peer, PeerError, Put, Word};
use gaggle_token::{Require, Tokens};
use gaggle_transport_grpc::{Authorization, ClientOptions, GrpcPeer, ServerOptions, router};

use crate::node::{LONG, Node, echo, new_id, removal};

const TOKEN: &str = "token-of-this-cluster-1";
const NEXT: &str = "token-of-this-cluster-2";

fn tokens(text: &str) -> Tokens {
    Tokens::parse(text).unwrap()
}

async fn guarded(require: &Require) -> Node {
    let app = router(Groups::new([echo()]).unwrap(), ServerOptions::default());
    Node::serve_router(app.layer(require.clone())).await
}

fn options(tokens: Option<Tokens>) -> ClientOptions {
    ClientOptions {
        authorization: tokens.map(|tokens| Authorization::new(move || tokens.header())),
        ..ClientOptions::default()
    }
}

/// Every kind of request, with its result.
async fn each_request(peer: &GrpcPeer) -> Vec<(&'static str, Result<(), PeerError>)> {
    let (key, entry, known) = (Key::from("Tom"), Entry::value("630"), Known::default());
    let put = Put::new("g", &key, &entry, new_id());
    let entries = [(key.clone(), entry.clone())];
    let hand_over = HandOver::new("g", &entries, &known);
    let word = Word::new("http://10.0.0.9:1", Some(Duration::from_secs(1)));
    vec![
        (
            "get",
            peer.fetch(Fetch::new("g", &key, 99, LONG)).await.map(drop),
        ),
        ("remove", peer.remove("g", &removal(&[b"a", b"b"])).await),
        ("put", peer.put(put).await),
        (
            "news",
            peer.news("g", &known, "http://10.0.0.9:1").await.map(drop),
        ),
        ("hand over", peer.hand_over(hand_over).await.map(drop)),
        ("leaving", peer.leaving(&word).await),
        ("hello", peer.hello(&Hello::default()).await.map(drop)),
        ("ping", peer.ping().await),
    ]
}

#[tokio::test]
async fn every_request_shows_the_current_token() {
    let require = Require::new("peers").token(tokens(&format!("{NEXT}\n{TOKEN}")));
    let node = guarded(&require).await;
    let ours = tokens(TOKEN);
    let peer = node.peer_with(options(Some(ours.clone())));
    for _ in 0..2 {
        for (kind, done) in each_request(&peer).await {
            assert!(done.is_ok(), "{kind}: {done:?}");
        }
        ours.set(&tokens(NEXT));
    }
    assert_eq!(require.refused(), 0);
}

#[tokio::test]
async fn a_node_that_is_not_let_in_is_told_so_whatever_it_asks() {
    let token = Require::new("peers").token(tokens(TOKEN));
    let certificate = Require::new("peers").certificate(|_| false);
    for (require, shown, why) in [
        (&token, None, "it requires a token, and this node has none"),
        (&token, Some(NEXT), "it refuses this node's token"),
        (
            &certificate,
            Some(TOKEN),
            "it requires a client certificate",
        ),
    ] {
        let node = guarded(require).await;
        let peer = node.peer_with(options(shown.map(tokens)));
        for (kind, done) in each_request(&peer).await {
            match done {
                Err(PeerError::Refused { reason, .. }) => assert_eq!(&*reason, why, "{kind}"),
                other => panic!("{kind}: {other:?}"),
            }
        }
    }
}

#[test]
fn options_do_not_show_the_token() {
    let options = options(Some(tokens(TOKEN)));
    assert!(format!("{options:?}").contains("Authorization(***)"));
    assert!(!format!("{options:?}").contains(TOKEN));
    assert_eq!(options, options.clone());
}
