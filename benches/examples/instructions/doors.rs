//! The front door beside a bare axum handler: called as services, and over a connection.

use std::convert::Infallible;
use std::future::pending;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use gaggle_api_http::{FrontOptions, front_service};
use gaggle_group::Groups;
use gaggle_serve::{Options, Server};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceExt as _};

use crate::group::warm;

const TARGET: &str = "/v1/things/key-000123";

async fn front() -> impl Service<Request, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let (things, _) = warm().await;
    front_service(
        Groups::new([things]).expect("one name"),
        FrontOptions::default(),
    )
}

fn constant() -> Router {
    let value = Bytes::from_static(&[7; 100]);
    Router::new().fallback(move || {
        let value = value.clone();
        async move { value }
    })
}

pub(crate) async fn hit(times: u64) {
    call(front().await, times).await;
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

pub(crate) async fn hit_connected(times: u64) {
    let server = Server::bind("127.0.0.1:0", Options::default())
        .await
        .expect("a port");
    let stream = TcpStream::connect(server.local_addr());
    tokio::spawn(server.serve(front().await, pending()));
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
