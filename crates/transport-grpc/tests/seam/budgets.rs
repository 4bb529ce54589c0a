//! Bytes in flight: what is read and what is being written draws on a budget, and is shed where
//! there is no room.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use gaggle_group::{ByteBudget, Fetch, Group, Key, Peer, PeerError, Verdict};
use gaggle_transport_grpc::{GrpcPeer, ServerOptions, router};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::node::{LONG, Node, fetch, value, verdict};

const SOON: Duration = Duration::from_millis(10);

/// A group called `g` whose values are as many bytes as their keys say.
fn sized(budget: ByteBudget) -> Group {
    Group::builder("g")
        .in_flight(budget)
        .origin_fn(|key: Bytes| async move {
            let len: usize = std::str::from_utf8(&key)?.parse()?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(vec![7; len]))
        })
        .build()
        .unwrap()
}

fn is_shed(answer: Result<impl std::fmt::Debug, PeerError>) -> bool {
    matches!(verdict(answer), Verdict::Shed { limit: 0, .. })
}

#[tokio::test]
async fn an_answer_draws_on_the_askers_budget() {
    let node = Node::serve([sized(ByteBudget::unlimited())]).await;
    let peer = node.peer();
    let budget = ByteBudget::new(1 << 20, SOON);
    let ask = async |peer: &Arc<GrpcPeer>, len: usize| {
        let key = Key::from(len.to_string());
        let fetch = Fetch::new("g", &key, 8 << 20, LONG);
        peer.fetch(fetch.within(Some(&budget))).await
    };
    for len in [0, 100, 1_000_000] {
        assert_eq!(value(ask(&peer, len).await).len(), len);
    }
    assert!(is_shed(ask(&peer, 2_000_000).await));
    assert!(budget.peak() >= 1_000_000);
    assert_eq!(budget.used(), 0);
    // The connection lives on.
    let _all = budget.reserve(1 << 20).await.unwrap();
    assert_eq!(value(ask(&peer, 99).await).len(), 99);
    assert!(is_shed(ask(&peer, 10_000).await));
}

#[tokio::test]
async fn answers_draw_on_the_servers_budget_until_they_are_written() {
    let budget = ByteBudget::new(1_500_000, SOON);
    let group = sized(budget.clone());
    for len in ["1000000", "1000001"] {
        group.get(len).await.unwrap();
    }
    let node = Node::serve([group]).await;
    let peer = node.peer();
    assert_eq!(value(fetch(&peer, "1000000").await).len(), 1_000_000);
    let written = timeout(LONG, async {
        while budget.used() > 0 {
            tokio::task::yield_now().await;
        }
    });
    written.await.expect("it is written");
    let other = budget.reserve(1_000_000).await.unwrap();
    assert!(is_shed(fetch(&peer, "1000001").await));
    assert_eq!(value(fetch(&peer, "99").await).len(), 99);
    drop(other);
    assert_eq!(value(fetch(&peer, "1000001").await).len(), 1_000_001);
}

/// The service's answer to a request with this body.
async fn called(budget: ByteBudget, body: Body) -> String {
    let groups = gaggle_group::Groups::new([sized(budget)]).unwrap();
    let request = Request::post("/gaggle.peer.v1.Peers/Get")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let service = router(groups, ServerOptions::default());
    let response = service.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    let status = head.headers.get("grpc-status").cloned();
    let status = status.or_else(|| trailers?.get("grpc-status").cloned());
    status.unwrap().to_str().unwrap().to_owned()
}

/// A head that states a mebibyte, and the bytes after it.
fn message(more: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    let head = Bytes::from_static(&[0, 0, 15, 0, 0]);
    let frames = futures_util::stream::once(async { head }).chain(more);
    let frames = frames.map(|bytes| Ok::<_, std::io::Error>(Frame::data(bytes)));
    Body::new(StreamBody::new(Box::pin(frames)))
}

#[tokio::test]
async fn a_request_draws_on_the_servers_budget_before_there_is_room_for_it() {
    let budget = ByteBudget::new(500_000, SOON);
    let endless = futures_util::stream::pending();
    let resource_exhausted = "8";
    assert_eq!(
        called(budget.clone(), message(endless)).await,
        resource_exhausted
    );
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_drips_is_cut_after_the_time_for_all_of_it() {
    let budget = ByteBudget::new(2_000_000, SOON);
    let drip = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Bytes::from_static(b"x"), ()))
    });
    let began = Instant::now();
    let aborted = "10";
    assert_eq!(called(budget.clone(), message(drip)).await, aborted);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(budget.used(), 0);
}
