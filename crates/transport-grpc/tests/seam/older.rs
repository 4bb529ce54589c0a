//! A node of a release that knows `Get`, `Remove` of one key, and `Ping`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue};
use axum::routing::post;
use bytes::Bytes;
use gaggle_group::{Entry, Key, Known, Notice, Peer, PeerError, Put, Scope};
use http_body_util::{BodyExt, Full};

use crate::node::{Node, new_id, removal};

type Requests = Arc<Mutex<Vec<Bytes>>>;

/// A server that answers every `Remove` with an empty message, and knows no other call. Other
/// paths have gRPC's "unimplemented".
async fn older(requests: &Requests) -> Node {
    let requests = Arc::clone(requests);
    let trailers = |status: u8| {
        let status = (
            "grpc-status".parse().unwrap(),
            HeaderValue::from(u16::from(status)),
        );
        HeaderMap::from_iter([status])
    };
    let remove = async move |body: Body| {
        let framed = to_bytes(body, 1 << 20).await.unwrap();
        requests.lock().unwrap().push(framed.slice(5..));
        let empty = Full::new(Bytes::from_static(&[0; 5]));
        let body = empty.with_trailers(async move { Some(Ok(trailers(0))) });
        ([("content-type", "application/grpc")], Body::new(body))
    };
    let unknown = async || [("content-type", "application/grpc"), ("grpc-status", "12")];
    Node::serve_router(
        Router::new()
            .route("/gaggle.peer.v1.Peers/Remove", post(remove))
            .fallback(unknown),
    )
    .await
}

#[tokio::test]
async fn it_tells_no_news_and_takes_no_values() {
    for node in [
        older(&Requests::default()).await,
        // No gRPC at all.
        Node::serve_router(Router::new()).await,
    ] {
        let peer = node.peer();
        let news = peer.news("g", &Known::default(), "http://me").await;
        assert_eq!(news.unwrap(), None);
        let (key, entry) = (Key::from("k"), Entry::value("v"));
        let put = Put::new("g", &key, &entry, new_id());
        let failure = peer.put(put).await.unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn many_keys_are_removed_from_it_one_by_one() {
    let requests = Requests::default();
    let node = older(&requests).await;
    let peer = node.peer();
    peer.remove("g", &removal(&[b"a", b"b"])).await.unwrap();
    {
        let requests = requests.lock().unwrap();
        assert_eq!(
            requests.len(),
            3,
            "all at once first, which it does not read"
        );
        assert_eq!(requests[1..], ["\x0a\x01g\x12\x01a", "\x0a\x01g\x12\x01b"]);
    }
    peer.remove("g", &removal(&[b"c"])).await.unwrap();
    {
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 4);
        assert!(requests[3].starts_with(b"\x0a\x01g\x12\x01c"));
    }
    let all = Notice {
        id: new_id(),
        scope: Scope::Group,
    };
    let failure = peer.remove("g", &all).await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}
