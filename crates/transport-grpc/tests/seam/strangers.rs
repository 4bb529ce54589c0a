//! Another program answers on the peer's port.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::routing::post;
use bytes::Bytes;
use gaggle_group::{Fetch, Peer, PeerError};
use http_body_util::{BodyExt, Full};

use crate::node::{LONG, Node, fetch};

const GET: &str = "/gaggle.peer.v1.Peers/Get";

/// A server that answers every `Get` with one gRPC message of these bytes.
async fn answering(message: Vec<u8>) -> Node {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let framed = Bytes::from(framed);
    let answer = async move || {
        let ok = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(0))]);
        let body = Full::new(framed).with_trailers(async { Some(Ok(ok)) });
        ([("content-type", "application/grpc")], Body::new(body))
    };
    Node::serve_router(Router::new().route(GET, post(answer))).await
}

/// `GetResponse { value: Value { value: [b'v'; len] } }`, for lengths that take three bytes to
/// write.
fn value_of(len: usize) -> Vec<u8> {
    let varint = |n: usize| {
        [n & 0x7f | 0x80, n >> 7 & 0x7f | 0x80, n >> 14].map(|b| u8::try_from(b).unwrap())
    };
    let mut message = vec![0x0a];
    message.extend(varint(len + 4));
    message.push(0x0a);
    message.extend(varint(len));
    message.resize(message.len() + len, b'v');
    message
}

#[tokio::test]
async fn a_peer_that_ignores_the_limit_is_not_read_to_the_end() {
    let node = answering(value_of(100_000)).await;
    let peer = node.peer();
    let key = Bytes::from("k");
    let ask = |max_value| peer.fetch(Fetch::new("g", &key, max_value, LONG));

    assert!(ask(100_000).await.is_ok());
    // Read, and found to be too long; given up at its announcement. Each time the peer is the one
    // that failed.
    for limit in [99_999, 10] {
        let over = ask(limit).await;
        assert!(matches!(over, Err(PeerError::Refused { .. })), "{over:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_refused() {
    // No message at all; a field that ends early; an answer without a result; a failure of an
    // unknown kind.
    for message in [
        vec![0xff; 9],
        vec![0x0a, 0x7f, 0x0a],
        vec![],
        vec![0x1a, 0x02, 0x7a, 0x00],
    ] {
        let node = answering(message.clone()).await;
        let answer = fetch(&node.peer(), "k").await;
        assert!(
            matches!(answer, Err(PeerError::Refused { .. })),
            "{message:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_the_service_is_refused() {
    let node = Node::serve_router(Router::new()).await;
    let peer = node.peer();
    let answer = fetch(&peer, "k").await;
    assert!(
        matches!(answer, Err(PeerError::Refused { .. })),
        "{answer:?}"
    );
    assert!(matches!(peer.ping().await, Err(PeerError::Refused { .. })));
}
