use std::{
    convert::Infallible,
    future::{Ready, pending, ready},
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    response::Response,
    routing::get,
};
use gaggle_serve::{Drained, Options, ServeError, Server};
use http_body_util::{BodyExt, Full};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
};
use tower::Service;

use crate::support::*;

#[tokio::test]
async fn http1_requests_share_a_connection() {
    let running = Running::start(Options::default(), hello()).await;
    let mut client = running.connect().await;
    for _ in 0..3 {
        send(&mut client, GET).await;
        assert!(
            read_hello(&mut client)
                .await
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
    }
    // Pipelined ones, too.
    send(&mut client, &GET.repeat(2)).await;
    let mut both = String::new();
    while both.matches("hello").count() < 2 {
        both += &read_hello(&mut client).await;
    }
    assert_eq!(running.drained().await, Drained { open: 1, cut: 0 });
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let large = Bytes::from(vec![7; 3 << 20]);
    let answer = large.clone();
    let router = hello().route("/large", get(async move || answer));
    let running = Running::start(Options::default(), router).await;
    let (mut sender, _connection) = running.connect_http2().await;

    let (one, two) = (
        sender.send_request(http2_get(&running)),
        sender.send_request(http2_get(&running)),
    );
    for answer in [soon(one).await.unwrap(), soon(two).await.unwrap()] {
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            "hello"
        );
    }
    // Longer than the windows, and than the pieces in which it is handed over.
    let uri = format!("http://{}/large", running.addr);
    let request = Request::get(uri).body(Full::default()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.headers()["content-length"], large.len().to_string());
    assert_eq!(
        soon(answer.into_body().collect()).await.unwrap().to_bytes(),
        large
    );

    let mut http1 = running.connect().await;
    send(&mut http1, GET).await;
    read_hello(&mut http1).await;
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn a_key_of_16_kib_fits_percent_encoded_into_the_target() {
    let router = Router::new().fallback(async || "hello");
    let running = Running::start(Options::default(), router).await;
    let key = "%C3".repeat(16 * 1024);

    let mut client = running.connect().await;
    send(
        &mut client,
        &format!("GET /{key} HTTP/1.1\r\nhost: t\r\n\r\n"),
    )
    .await;
    assert!(
        read_hello(&mut client)
            .await
            .starts_with("HTTP/1.1 200 OK\r\n")
    );

    let (mut sender, _connection) = running.connect_http2().await;
    let uri = format!("http://{}/{key}", running.addr);
    let request = Request::get(uri).body(Full::default()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_panicking_handler_takes_its_own_request_only() {
    async fn fail() -> &'static str {
        panic!("a handler's mistake")
    }
    let running = Running::start(Options::default(), hello().route("/panic", get(fail))).await;

    let mut client = running.connect().await;
    send(&mut client, "GET /panic HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(read_to_close(&mut client).await, "");

    let (mut sender, _connection) = running.connect_http2().await;
    let uri = format!("http://{}/panic", running.addr);
    let request = Request::get(uri).body(Full::default()).unwrap();
    soon(sender.send_request(request)).await.unwrap_err();
    let answer = soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);

    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
}

#[tokio::test]
async fn a_bind_error_names_the_address_and_the_cause() {
    let first = Server::bind("127.0.0.1:0", Options::default())
        .await
        .unwrap();
    let taken = first.local_addr();
    let error = Server::bind(taken, Options::default()).await.unwrap_err();
    let ServeError::Bind { addr, source } = &error;
    assert_eq!(
        (addr, source.kind()),
        (&taken.to_string(), std::io::ErrorKind::AddrInUse)
    );
    let text = error.to_string();
    assert!(
        text.contains(&taken.to_string()) && text.contains(&source.to_string()),
        "{text}"
    );

    let error = Server::bind("127.0.0.1", Options::default())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on 127.0.0.1: "),
        "{error}"
    );
}

/// A service that is not ready before it is told to be.
#[derive(Clone)]
struct Reluctant {
    ready: watch::Receiver<bool>,
    asked: mpsc::UnboundedSender<Waker>,
}

impl Service<Request> for Reluctant {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if *self.ready.borrow() {
            return Poll::Ready(Ok(()));
        }
        self.asked.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(*self.ready.borrow(), "called before it was ready");
        ready(Ok(Response::new(Body::from("hello"))))
    }
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_waited_for() {
    let (become_ready, ready) = watch::channel(false);
    let (asked, mut wakers) = mpsc::unbounded_channel();
    let server = Server::bind("127.0.0.1:0", Options::default())
        .await
        .unwrap();
    let addr = server.local_addr();
    tokio::spawn(server.serve(Reluctant { ready, asked }, pending()));
    let mut client = TcpStream::connect(addr).await.unwrap();
    send(&mut client, GET).await;
    // The first look may be one that nobody can be woken by.
    let waker = loop {
        let waker = soon(wakers.recv()).await.unwrap();
        if !waker.will_wake(Waker::noop()) {
            break waker;
        }
    };
    become_ready.send(true).unwrap();
    waker.wake();
    assert!(
        read_hello(&mut client)
            .await
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
}
