//! The front door beside a bare axum handler: called as services, and over a connection.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use gaggle_api_http::{FrontOptions, RequestStats, front_service};
use gaggle_group::{Field, Group, Groups, Loaded, Metadata};
use gaggle_serve::{Options, Server};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceExt as _};

const TARGET: &str = "/v1/things/key-000123";
const KEY: &str = "key-000123";
const VALUE: Bytes = Bytes::from_static(&[7; 100]);
const TTL: Duration = Duration::from_secs(3_600);

/// What a front door adds to a hit.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    /// Requests are counted.
    pub(crate) counted: bool,
    pub(crate) tag: Tag,
    /// The value is fresh for a time only, which the answer says.
    pub(crate) ttl: bool,
}

/// The `ETag` of an answer.
#[derive(Clone, Copy)]
pub(crate) enum Tag {
    None,
    Origin,
    Hash,
}

impl Front {
    pub(crate) const PLAIN: Self = Self {
        counted: false,
        tag: Tag::None,
        ttl: false,
    };
    pub(crate) const COUNTED: Self = Self {
        counted: true,
        ..Self::PLAIN
    };
    pub(crate) const DEFAULT: Self = Self {
        tag: Tag::Hash,
        ..Self::PLAIN
    };
    /// As a node has it.
    pub(crate) const FULL: Self = Self {
        tag: Tag::Hash,
        ..Self::COUNTED
    };

    fn loaded(self) -> Loaded {
        let loaded = if self.ttl {
            Loaded::with_ttl(VALUE, TTL)
        } else {
            Loaded::value(VALUE)
        };
        match self.tag {
            Tag::Origin => {
                loaded.with_metadata(Metadata::default().with(Field::ETag, "\"5f3a-61\""))
            }
            Tag::None | Tag::Hash => loaded,
        }
    }

    /// With the value in memory.
    async fn service(
        self,
    ) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let things = Group::builder("things")
            .capacity(8 << 20)
            .origin_fn(move |_| async move { Ok::<_, Infallible>(Some(self.loaded())) })
            .build()
            .expect("a group");
        assert!(things.get(KEY).await.is_ok());
        let mut options = FrontOptions::default();
        if !matches!(self.tag, Tag::Hash) {
            options.etag_max = 0;
        }
        options.requests = self.counted.then(RequestStats::new);
        front_service(Groups::new([things]).expect("one name"), options)
    }
}

fn constant() -> Router {
    let value = VALUE;
    Router::new().fallback(move || {
        let value = value.clone();
        async move { value }
    })
}

pub(crate) async fn hit(times: u64, front: Front) {
    call(front.service().await, times).await;
}

pub(crate) async fn bare(times: u64) {
    call(constant(), times).await;
}

/// The request is made and the answer read: both are in the figure of either side.
async fn call<S>(service: S, times: u64)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    for _ in 0..times {
        let request = Request::get(TARGET).body(Body::empty()).expect("a request");
        let answer = service.clone().oneshot(request).await;
        let body = answer.expect("an answer").into_body();
        let value = body.collect().await.expect("a value").to_bytes();
        assert_eq!(value.len(), 100);
    }
}

pub(crate) async fn hit_connected(times: u64, front: Front) {
    let server = Server::bind("127.0.0.1:0", Options::default())
        .await
        .expect("a port");
    let stream = TcpStream::connect(server.local_addr());
    tokio::spawn(server.serve(front.service().await, pending()));
    exchange(stream.await.expect("a connection"), times).await;
}

pub(crate) async fn bare_connected(times: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address"));
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a live connection"));
    tokio::spawn(async move { axum::serve(listener, constant()).await });
    exchange(stream.await.expect("a connection"), times).await;
}

/// One request after the other, written beforehand, on a connection that is kept.
async fn exchange(mut stream: TcpStream, times: u64) {
    stream.set_nodelay(true).expect("a live connection");
    let request = format!("GET {TARGET} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut answer = [0; 1 << 10];
    for _ in 0..times {
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a live connection");
        // It comes in one piece.
        let read = stream.read(&mut answer).await.expect("a live connection");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200") && answer[..read].ends_with(&[7; 100]));
    }
}
