//! The load: so many connections, each of which asks, waits for the answer, looks at it and asks
//! again.
//!
//! It shares the cores with what it measures, so it does little: requests are written beforehand,
//! one thread carries all connections, and of an answer only the head is parsed.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gaggle_benches::Draws;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;

/// More than any head here.
const MAX_HEAD: usize = 16 << 10;
/// No answer in this time: the run has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked for.
pub(crate) struct Requests(Vec<Exchange>);

/// A request as it goes over the wire, and the body that has to come back.
struct Exchange {
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Requests {
    /// `GET` of what `target` makes of each key. `value` gives the right answer.
    pub(crate) fn new<'a>(
        keys: impl IntoIterator<Item = &'a str>,
        target: impl Fn(&str) -> String,
        value: impl Fn(&str) -> Vec<u8>,
    ) -> Self {
        let request = |key: &str| {
            let target = target(key);
            format!("GET {target} HTTP/1.1\r\nHost: cache\r\n\r\n").into_bytes()
        };
        let exchange = |key| Exchange {
            request: request(key),
            body: value(key),
        };
        Self(keys.into_iter().map(exchange).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// In which order, and until when.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// Each request once, in order.
    Once,
    /// By Zipf's law with exponent 0.99, for so long.
    Zipf(Duration),
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) answers: u64,
    /// Of the time from writing a request to the last byte of its answer, in µs.
    pub(crate) latency: Histogram<u64>,
}

/// Asks `addr` over that many connections. An answer that is not 200 with the right body, or none,
/// ends the run as an error.
pub(crate) fn run(
    addr: SocketAddr,
    connections: usize,
    requests: &Arc<Requests>,
    order: Order,
) -> io::Result<Outcome> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..connections {
            let socket = TcpStream::connect(addr).await?;
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        let picks = Arc::new(Picks::new(order, requests.len()));
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for socket in sockets {
            let (requests, picks) = (Arc::clone(requests), Arc::clone(&picks));
            callers.spawn(call(socket, requests, picks, began));
        }
        let mut latency = histogram()?;
        while let Some(caller) = callers.join_next().await {
            let own = caller.map_err(io::Error::other)??;
            latency.add(own).map_err(io::Error::other)?;
        }
        let answers = latency.len();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 answers")]
        let per_second = answers as f64 / began.elapsed().as_secs_f64();
        Ok(Outcome {
            per_second,
            answers,
            latency,
        })
    })
}

/// From 1 µs to a minute with two digits.
fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 2).map_err(io::Error::other)
}

async fn call(
    mut socket: TcpStream,
    requests: Arc<Requests>,
    picks: Arc<Picks>,
    began: Instant,
) -> io::Result<Histogram<u64>> {
    let mut latency = histogram()?;
    let mut buffer = Vec::with_capacity(MAX_HEAD);
    while let Some(at) = picks.next(requests.len(), began) {
        let Exchange { request, body } = &requests.0[at];
        let asked = Instant::now();
        socket.write_all(request).await?;
        let answer = tokio::time::timeout(PATIENCE, read(&mut socket, &mut buffer, body));
        answer.await.map_err(io::Error::other)??;
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        latency.saturating_record(took);
    }
    Ok(latency)
}

/// Reads one answer, and compares.
async fn read(socket: &mut TcpStream, buffer: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
    buffer.clear();
    let head = loop {
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(head) = head(buffer)? {
            break head;
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::Error::other("no end of the head"));
        }
    };
    while buffer.len() < head.len + head.content {
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let came = &buffer[head.len..];
    if head.status != 200 || came != body {
        let came = String::from_utf8_lossy(&came[..came.len().min(200)]).into_owned();
        return Err(io::Error::other(format!(
            "status {}, {} bytes: {came}",
            head.status, head.content
        )));
    }
    Ok(())
}

struct Head {
    status: u16,
    len: usize,
    content: usize,
}

/// The head of an answer, once it is complete.
fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(len) = parsed else {
        return Ok(None);
    };
    let content = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .ok_or_else(|| io::Error::other("an answer without a content length"))?;
    Ok(Some(Head {
        status: answer.code.unwrap_or(0),
        len,
        content,
    }))
}

/// Which request is next. All connections draw from one sequence.
enum Picks {
    Once(AtomicUsize),
    Drawn { draws: Mutex<Draws>, time: Duration },
}

impl Picks {
    fn new(order: Order, len: usize) -> Self {
        let (draws, time) = match order {
            Order::Once => return Self::Once(AtomicUsize::new(0)),
            Order::Zipf(time) => (Draws::zipf(len, 0.99, 0), time),
        };
        Self::Drawn {
            draws: Mutex::new(draws),
            time,
        }
    }

    fn next(&self, len: usize, began: Instant) -> Option<usize> {
        match self {
            Self::Once(next) => {
                let at = next.fetch_add(1, Ordering::Relaxed);
                (at < len).then_some(at)
            }
            Self::Drawn { draws, time } => {
                let mut draws = draws.lock().unwrap_or_else(PoisonError::into_inner);
                (began.elapsed() < *time).then(|| draws.next() as usize)
            }
        }
    }
}
