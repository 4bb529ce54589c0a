use axum::{Router, body::Bytes, extract::Request, routing::get};
use gaggle_serve::Options;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

use crate::support::*;

/// Frames written before a flood that is not cut ends by itself.
const MANY: usize = 50_000;

/// An HTTP/2 client that sends raw frames, and answers none.
pub(crate) struct Raw {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

impl Raw {
    pub(crate) const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    pub(crate) async fn connect(running: &Running) -> Self {
        Self::connect_with(running, &[]).await
    }

    /// With these `SETTINGS`, as they are on the wire.
    pub(crate) async fn connect_with(running: &Running, settings: &[u8]) -> Self {
        let client: TcpStream = running.connect().await;
        let (read, write) = client.into_split();
        let mut raw = Self { read, write };
        raw.write
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        raw.send(&frame(Self::SETTINGS, 0, 0, settings))
            .await
            .unwrap();
        raw
    }

    pub(crate) async fn get(&mut self, stream: u32) {
        // ":method: GET", ":scheme: http", ":path: /" of HPACK's static table, and ":authority:
        // t".
        let head = [0x82, 0x86, 0x84, 0x41, 1, b't'];
        let get = frame(Self::HEADERS, 5, stream, &head);
        self.send(&get).await.unwrap();
    }

    async fn send(&mut self, frames: &[u8]) -> std::io::Result<()> {
        soon(self.write.write_all(frames)).await
    }

    /// Reads frames until one has the expected kind, or the connection ends. Counts those read.
    pub(crate) async fn read_until(&mut self, is_awaited: impl Fn(u8) -> bool) -> usize {
        read_until(&mut self.read, is_awaited).await
    }
}

async fn read_until(read: &mut OwnedReadHalf, is_awaited: impl Fn(u8) -> bool) -> usize {
    let mut count = 0;
    let mut head = [0; 9];
    while soon(read.read_exact(&mut head)).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if soon(read.read_exact(&mut payload)).await.is_err() {
            break;
        }
        count += 1;
        if is_awaited(head[3]) {
            break;
        }
    }
    count
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = payload.len().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends a frame repeatedly. Returns how many frames were answered before the connection ended;
/// `None` if it did not end.
async fn flood(mut raw: Raw, frame: &[u8]) -> Option<usize> {
    let mut read = raw.read;
    let answers = tokio::spawn(async move { read_until(&mut read, |_| false).await });
    for _ in 0..MANY {
        if answers.is_finished() || soon(raw.write.write_all(frame)).await.is_err() {
            return Some(answers.await.unwrap());
        }
        tokio::task::yield_now().await;
    }
    None
}

fn kinds() -> [(&'static str, Vec<u8>); 6] {
    [
        ("PING", frame(Raw::PING, 0, 0, &[0; 8])),
        ("answers to no PING", frame(Raw::PING, 1, 0, &[0; 8])),
        ("SETTINGS", frame(Raw::SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(0xbe, 0, 0, &[0; 100])),
    ]
}

#[tokio::test(start_paused = true)]
async fn floods_of_frames_that_belong_to_no_request_are_cut() {
    for (name, frame) in kinds() {
        let running = Running::start(patient(), hello()).await;
        let mut raw = Raw::connect(&running).await;
        raw.get(1).await;
        raw.read_until(|kind| kind == Raw::DATA).await;
        let answers = flood(raw, &frame)
            .await
            .unwrap_or_else(|| panic!("{name}: it goes on"));
        assert!(answers <= 600, "{name}: {answers} answers");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_open_allows_no_flood() {
    for (name, frame) in kinds() {
        let (router, _gate, mut told) = gated();
        let running = Running::start(patient(), router).await;
        let mut raw = Raw::connect(&running).await;
        raw.get(1).await;
        assert_eq!(soon(told.recv()).await, Some("entered"));
        let answers = flood(raw, &frame)
            .await
            .unwrap_or_else(|| panic!("{name}: it goes on"));
        assert!(answers <= 600, "{name}: {answers} answers");
        assert_eq!(soon(told.recv()).await, Some("dropped"));
    }
}

#[tokio::test(start_paused = true)]
async fn floods_of_empty_data_are_cut() {
    let (router, _gate, mut told) = gated();
    let running = Running::start(patient(), router).await;
    let mut raw = Raw::connect(&running).await;
    // The same as `get`, with a body to come.
    let head = [0x82, 0x86, 0x84, 0x41, 1, b't'];
    raw.send(&frame(Raw::HEADERS, 4, 1, &head)).await.unwrap();
    assert_eq!(soon(told.recv()).await, Some("entered"));
    assert!(flood(raw, &frame(Raw::DATA, 0, 1, &[])).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn pings_that_keep_a_connection_are_answered() {
    let running = Running::start(patient(), hello()).await;
    let io = TokioIo::new(running.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(SECOND)
        .keep_alive_timeout(60 * SECOND)
        .keep_alive_while_idle(true)
        .handshake::<_, Full<Bytes>>(io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let answer = soon(sender.send_request(http2_get(&running)))
            .await
            .unwrap();
        answer.into_body().collect().await.unwrap();
        sleep(300 * SECOND).await;
    }
    assert!(!connection.is_finished());
}

#[tokio::test]
async fn a_download_through_small_windows_is_no_flood() {
    const LENGTH: usize = 16 << 20;
    let value = Bytes::from(vec![7; LENGTH]);
    let router = Router::new().route("/", get(async move || value));
    let running = Running::start(Options::default(), router).await;
    let io = TokioIo::new(running.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(16 << 10)
        .initial_connection_window_size(64 << 10)
        .handshake::<_, Full<Bytes>>(io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/", running.addr));
    let request = request.body(Full::default()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let body = soon(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes().len(), LENGTH);
    connection.abort();
}
