use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::Request, routing::get};
use gaggle_serve::{Counts, Drained, Options, Server};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// Far above what a test takes, on its own clock: a bound for a test that would hang.
pub(crate) const HANG: Duration = Duration::from_secs(60 * 60);
/// Longer than any clock that is not said to be longer. An hour of a server's time costs seconds
/// of a test's.
pub(crate) const LONG: Duration = Duration::from_secs(10 * 60);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

/// Only timeouts that a test sets are active, so that a test under paused time meets no other.
pub(crate) fn patient() -> Options {
    Options {
        header_read_timeout: Duration::MAX,
        keep_alive_idle: Duration::MAX,
        stall_timeout: Duration::MAX,
        body_timeout: Duration::MAX,
        drain: HANG,
        http2_ping_interval: HANG,
        ..Options::default()
    }
}

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) counts: Counts,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) serving: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start(options: Options, router: Router) -> Self {
        let server = Server::bind("127.0.0.1:0", options).await.unwrap();
        let (addr, counts) = (server.local_addr(), server.counts());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(router, async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            counts,
            stop,
            serving,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.addr).await.unwrap();
        // The kernel's clocks are not paused: what it would hold back for a moment would come
        // after an hour.
        client.set_nodelay(true).unwrap();
        client
    }

    /// A connection on HTTP/2, and its end.
    pub(crate) async fn connect_http2(
        &self,
    ) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    pub(crate) async fn drained(self) -> Drained {
        drop(self.stop);
        soon(self.serving).await.unwrap()
    }
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("it hangs")
}

pub(crate) fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

pub(crate) async fn send(client: &mut (impl AsyncWrite + Unpin), text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
}

/// Reads to the end of "hello", the body of each answer that keeps its connection.
pub(crate) async fn read_hello(client: &mut (impl AsyncRead + Unpin)) -> String {
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

/// What arrives until the server closes. A reset counts as an end, too: the kernel sends one if
/// bytes were not read.
pub(crate) async fn read_to_close(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ = soon(client.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

pub(crate) fn http2_get(running: &Running) -> Request<Full<Bytes>> {
    let uri = format!("http://{}/", running.addr);
    Request::get(uri).body(Full::default()).unwrap()
}

/// Signals when it is dropped, with its handler or body.
pub(crate) struct Tell(pub(crate) mpsc::UnboundedSender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// `GET /` signals "entered", and answers when it is released.
pub(crate) fn gated() -> (Router, Arc<Notify>, mpsc::UnboundedReceiver<&'static str>) {
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
