//! A hop to another node, beside the HTTP stack that it is made on. Both ends are in this process.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures_util::future::join_all;
use gaggle_group::{
    Fetch, Group, Groups, Key, Member, NoHotCopies, Peer, PeerRequests, Route, Router,
};
use gaggle_serve::{Options, Server};
use gaggle_transport_http::{ClientOptions, HttpTransport, ServerOptions, router};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::group::warm;

/// The requests are made as the transport's client makes them, and the answers read.
pub(crate) async fn owner(times: u64) {
    let (things, _) = warm().await;
    let app = router(
        Groups::new([things]).expect("one name"),
        ServerOptions::default(),
    );
    for _ in 0..times {
        let request = Request::get("/_groupcache/things/key-000123")
            .header("gaggle-forwarded", "1")
            .header("gaggle-deadline-ms", "4000")
            .header("gaggle-max-value", "67108864")
            .body(Body::empty())
            .expect("a request");
        let answer = app.clone().oneshot(request).await.expect("an answer");
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(body.len() > 100);
    }
}

async fn serve(app: axum::Router) -> String {
    let server = Server::bind("127.0.0.1:0", Options::default())
        .await
        .expect("a port");
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.serve(app, pending()));
    url
}

/// A reqwest client with the transport's settings asks a bare axum handler.
pub(crate) async fn bare(times: u64) {
    let value = Bytes::from_static(&[7; 100]);
    let app = axum::Router::new().fallback(move || {
        let value = value.clone();
        async move { value }
    });
    let url: reqwest::Url = serve(app).await.parse().expect("a URL");
    let client = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .expect("a client");
    for _ in 0..times {
        let answer = client.get(url.clone()).send().await.expect("an answer");
        assert_eq!(answer.bytes().await.expect("a body").len(), 100);
    }
}

/// The owner of all keys, asked over loopback.
async fn peer() -> Arc<dyn Peer> {
    let (things, _) = warm().await;
    let url = serve(router(
        Groups::new([things]).expect("one name"),
        ServerOptions::default(),
    ))
    .await;
    let transport = HttpTransport::new(ClientOptions::default()).expect("a client");
    transport.peer(&url).expect("a base URL")
}

pub(crate) async fn fetch(times: u64) {
    let peer = peer().await;
    let key = Key::from_static(b"key-000123");
    for _ in 0..times {
        let fetch = Fetch::new("things", &key, 64 << 20, Duration::from_secs(5));
        assert!(peer.fetch(fetch).await.is_ok());
    }
}

/// Gets of a node that owns no key and keeps no copy; so many at once.
pub(crate) async fn gets(times: u64, at_once: usize) {
    let group = Group::builder("things")
        .origin_fn(|_| async { Err::<Option<Bytes>, _>("every key is the other node's") })
        .router(Arc::new(AllTheirs(peer().await)))
        .hot_copies(NoHotCopies)
        .build()
        .expect("a group");
    let keys: Vec<_> = (0..at_once).map(|n| format!("key-{n:06}")).collect();
    let rounds = times / at_once as u64;
    let callers = keys.iter().map(|key| {
        let (group, key) = (group.clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..rounds {
                assert!(group.get(&key).await.is_ok());
            }
        })
    });
    for caller in join_all(callers).await {
        assert!(caller.is_ok());
    }
}

struct AllTheirs(Arc<dyn Peer>);

impl Router for AllTheirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, _: &[u8]) -> Member {
        Member {
            address: "".into(),
            name: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        "one owner".to_owned()
    }
}
