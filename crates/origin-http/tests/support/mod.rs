//! Servers for tests, on a port of their own.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod batches;
pub(crate) mod scripted;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

pub(crate) const LIMIT: u64 = 1 << 20;

/// The requests to a test's server.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) targets: Arc<Mutex<Vec<String>>>,
    pub(crate) headers: Arc<Mutex<HeaderMap>>,
    pub(crate) connections: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Seen {
    fn record(&self, request: &Request) {
        self.targets.lock().unwrap().push(request.uri().to_string());
        *self.headers.lock().unwrap() = request.headers().clone();
        if let Some(ConnectInfo(client)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            self.connections.lock().unwrap().insert(*client);
        }
    }

    pub(crate) fn last_target(&self) -> String {
        self.targets.lock().unwrap().last().cloned().unwrap()
    }
}

/// A server that answers every request with `answer` and reports what it saw.
pub(crate) async fn serve<F>(answer: F) -> (SocketAddr, Seen)
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    let seen = Seen::default();
    let recorder = seen.clone();
    let app = Router::new().fallback(move |request: Request| {
        recorder.record(&request);
        std::future::ready(answer(request))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    (address, seen)
}

/// A server that answers each connection's first request with `reply`, and then closes it or
/// leaves it silent.
pub(crate) async fn serve_raw(reply: &'static [u8], then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(reply).await;
            if !then_close {
                silent.push(stream);
            }
        }
    });
    address
}

/// An address where nothing listens until the socket does.
pub(crate) fn closed() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// Begins to listen there, and answers every request with `body`.
pub(crate) fn open(socket: TcpSocket, body: &'static str) {
    let listener = socket.listen(128).unwrap();
    let app = Router::new().fallback(move || std::future::ready(body));
    tokio::spawn(async move { axum::serve(listener, app).await });
}

pub(crate) fn options(address: SocketAddr) -> HttpOptions {
    HttpOptions {
        url: format!("http://{address}/{{key}}"),
        ..HttpOptions::default()
    }
}

pub(crate) fn origin(address: SocketAddr) -> HttpOrigin {
    HttpOrigin::new(options(address)).unwrap()
}

/// Lets the tasks run that can.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
