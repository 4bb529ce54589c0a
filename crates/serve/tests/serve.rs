//! A server on loopback and clients that behave, and that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    routing::{get, post},
};
use futures_util::stream;
use gaggle_serve::{BodyStalled, Drained, Options, ServeError, Server};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

const TINY: Duration = Duration::from_millis(50);
/// Far beyond what a test takes: a bound for a test that would hang.
const HANG: Duration = Duration::from_secs(30);
const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

impl Running {
    async fn start(options: Options, router: Router) -> Self {
        let server = Server::bind("127.0.0.1:0", options).await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(router, async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection on HTTP/2, and its end.
    async fn connect_http2(&self) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    async fn drained(self) -> Drained {
        drop(self.stop);
        soon(self.serving).await.unwrap()
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("it hangs")
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

async fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

/// Reads to the end of "hello", the body of each answer that keeps its connection.
async fn read_hello(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let read = soon(client.read_buf(&mut answer)).await.unwrap();
        assert_ne!(
            read,
            0,
            "closed after {:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    String::from_utf8(answer).unwrap()
}

/// What comes until the server closes. A reset is an end, too: so the kernel tells of bytes that nobody has read.
async fn read_to_close(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = soon(client.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn http2_get(running: &Running) -> Request<Full<Bytes>> {
    let uri = format!("http://{}/", running.addr);
    Request::get(uri).body(Full::default()).unwrap()
}

/// Tells when it is dropped: when its handler or body is.
struct Tell(mpsc::UnboundedSender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// `GET /` says "entered" and answers when it is let.
fn gated() -> (Router, Arc<Notify>, mpsc::UnboundedReceiver<&'static str>) {
    let (tell, told) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let router = Router::new().route(
        "/",
        get(async move || {
            let _tell = Tell(tell.clone());
            let _ = tell.send("entered");
            opened.notified().await;
            "hello"
        }),
    );
    (router, gate, told)
}

// === serving ===

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
async fn a_head_beyond_the_limit_is_answered_431() {
    let running = Running::start(Options::default(), hello()).await;
    let filler = "x".repeat(64 * 1024);

    let mut client = running.connect().await;
    let _ = client
        .write_all(format!("GET / HTTP/1.1\r\nfiller: {filler}").as_bytes())
        .await;
    let answer = read_to_close(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");

    let (mut sender, _connection) = running.connect_http2().await;
    let mut request = http2_get(&running);
    request
        .headers_mut()
        .insert("filler", filler.parse().unwrap());
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
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

// === bounds ===

#[tokio::test]
async fn half_open_connections_are_closed() {
    let options = Options {
        header_read_timeout: TINY,
        ..Options::default()
    };
    let running = Running::start(options, hello()).await;
    // Silence; a part of HTTP/2's preface; all of it; a part of a head.
    for sent in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:",
    ] {
        let mut client = running.connect().await;
        send(&mut client, sent).await;
        let mut rest = Vec::new();
        let _ = soon(client.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP"), "{sent:?} was answered");
    }
    // On a connection that has served already, too.
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    send(&mut client, "GET / HT").await;
    assert_eq!(read_to_close(&mut client).await, "");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let options = Options {
        keep_alive_idle: TINY,
        ..Options::default()
    };
    let running = Running::start(options, hello()).await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    assert_eq!(read_to_close(&mut client).await, "");

    let (mut sender, connection) = running.connect_http2().await;
    soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    soon(connection)
        .await
        .unwrap()
        .expect("it ends with GOAWAY, not with an error");
}

#[tokio::test]
async fn at_the_cap_the_next_connection_waits_for_one_to_close() {
    let options = Options {
        max_connections: 1,
        ..Options::default()
    };
    let running = Running::start(options, hello()).await;
    let mut first = running.connect().await;
    send(&mut first, GET).await;
    read_hello(&mut first).await;

    let mut second = running.connect().await; // the kernel's doing
    send(&mut second, GET).await;
    // If the second were served by now, this round trip of the first gives its answer time to arrive.
    for _ in 0..10 {
        send(&mut first, GET).await;
        read_hello(&mut first).await;
    }
    let refused = second.try_read(&mut [0]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);

    drop(first);
    read_hello(&mut second).await;
}

#[tokio::test]
async fn half_open_connections_leave_the_cap_to_others() {
    let options = Options {
        max_connections: 2,
        header_read_timeout: TINY,
        ..Options::default()
    };
    let running = Running::start(options, hello()).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(running.connect().await);
    }
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
}

#[tokio::test]
async fn a_body_that_stops_arriving_fails_the_handlers_read() {
    let handler = async |body: Body| match body.collect().await {
        Ok(_) => "complete",
        Err(error) => {
            let inner = std::error::Error::source(&error).expect("a cause");
            if inner.is::<BodyStalled>() {
                "stalled"
            } else {
                "other"
            }
        }
    };
    let options = Options {
        stall_timeout: TINY,
        ..Options::default()
    };
    let running = Running::start(options, Router::new().route("/", post(handler))).await;
    let mut client = running.connect().await;
    send(
        &mut client,
        "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\npart",
    )
    .await;
    let answer = read_to_close(&mut client).await;
    assert!(answer.ends_with("stalled"), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = async move || {
        let piece = Bytes::from(vec![0; 256 * 1024]);
        let endless = (Tell(tell.clone()), piece);
        Body::from_stream(stream::unfold(endless, async |(tell, piece)| {
            Some((Ok::<_, Infallible>(piece.clone()), (tell, piece)))
        }))
    };
    let options = Options {
        stall_timeout: TINY,
        ..Options::default()
    };
    let running = Running::start(options, Router::new().route("/", get(handler))).await;

    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    drop(client);

    // On HTTP/2 the connection goes on reading frames, and answers pings; the window of the response stays shut.
    let (mut sender, connection) = running.connect_http2().await;
    let answer = soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    let _ = soon(connection).await.unwrap();
    drop(answer);
}

#[tokio::test]
async fn clocks_for_clients_do_not_run_while_a_handler_works() {
    let (router, gate, mut told) = gated();
    let options = Options {
        header_read_timeout: TINY,
        keep_alive_idle: TINY,
        stall_timeout: TINY,
        ..Options::default()
    };
    let running = Running::start(options, router).await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    // A connection opened later is closed by its clock: by then the first one's would have been over.
    let mut silent = running.connect().await;
    assert_eq!(read_to_close(&mut silent).await, "");
    gate.notify_one();
    read_hello(&mut client).await;
}

// === shutdown ===

#[tokio::test]
async fn running_requests_finish_and_new_connections_are_refused() {
    let (router, gate, mut told) = gated();
    let running = Running::start(
        Options {
            drain: HANG,
            ..Options::default()
        },
        router,
    )
    .await;
    let addr = running.addr;
    let mut http1 = running.connect().await;
    send(&mut http1, GET).await;
    let (mut http2, _connection) = running.connect_http2().await;
    let pending = tokio::spawn(http2.send_request(http2_get(&running)));
    for _ in 0..2 {
        assert_eq!(soon(told.recv()).await, Some("entered"));
    }
    let mut idle = running.connect().await;
    let Running { stop, serving, .. } = running;
    drop(stop);

    // The idle one is closed at once: so the signal has arrived.
    assert_eq!(read_to_close(&mut idle).await, "");
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!serving.is_finished());

    gate.notify_waiters();
    let answer = read_to_close(&mut http1).await;
    assert!(
        answer.ends_with("hello") && answer.contains("connection: close"),
        "{answer:?}"
    );
    let answer = soon(pending).await.unwrap().unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    assert_eq!(soon(serving).await.unwrap().cut, 0);
}

#[tokio::test]
async fn kept_alive_connections_do_not_hold_up_the_shutdown() {
    let running = Running::start(
        Options {
            drain: HANG * 2,
            ..Options::default()
        },
        hello(),
    )
    .await;
    let mut http1 = running.connect().await;
    send(&mut http1, GET).await;
    read_hello(&mut http1).await;
    let (mut http2, _connection) = running.connect_http2().await;
    soon(http2.send_request(http2_get(&running))).await.unwrap();
    assert_eq!(running.drained().await, Drained { open: 2, cut: 0 });
}

#[tokio::test]
async fn what_the_drain_does_not_suffice_for_is_cut_and_counted() {
    let (router, _gate, mut told) = gated();
    let running = Running::start(
        Options {
            drain: TINY,
            ..Options::default()
        },
        router,
    )
    .await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    assert_eq!(running.drained().await, Drained { open: 1, cut: 1 });
    assert_eq!(read_to_close(&mut client).await, "");
    assert_eq!(soon(told.recv()).await, Some("dropped"));
}

#[tokio::test]
async fn http2_handlers_end_with_the_connection_that_is_cut() {
    let (router, _gate, mut told) = gated();
    let running = Running::start(
        Options {
            drain: TINY,
            ..Options::default()
        },
        router,
    )
    .await;
    let (mut sender, _connection) = running.connect_http2().await;
    let pending = tokio::spawn(sender.send_request(http2_get(&running)));
    assert_eq!(soon(told.recv()).await, Some("entered"));
    assert_eq!(running.drained().await, Drained { open: 1, cut: 1 });
    soon(pending).await.unwrap().unwrap_err();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
}

// === start ===

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
