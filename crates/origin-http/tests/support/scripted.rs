//! A service that handles each request of each connection as its script says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify, mpsc};

/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

/// The handling of a request.
#[derive(Clone)]
pub(crate) enum Do {
    /// Answers it.
    Answer,
    /// Answers it once that many others have arrived.
    AnswerTogether(Arc<Barrier>),
    /// Answers it when told to.
    AnswerLate(Arc<Notify>),
    /// Closes the connection.
    Close,
    /// Closes the connection without having read the request.
    CloseUnread,
    /// Resets the connection.
    Reset,
    /// Sends the beginning of an answer and closes the connection.
    BreakOff,
    /// Sends half of an answer, and then nothing more.
    StopHalfway,
    /// Does nothing, and leaves the connection open, as if the path to the service had gone
    /// silent.
    Nothing,
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<()>,
    seen: usize,
}

impl Scripted {
    /// A service with a script for each connection, in the order in which they arrive; those after
    /// the last have its script. A connection's last request is repeated.
    pub(crate) async fn start(script: Vec<Vec<Do>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let (came, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::Relaxed);
                let script = script[number.min(script.len() - 1)].clone();
                tokio::spawn(follow(stream, script, came.clone()));
            }
        });
        Self {
            address,
            connections,
            requests,
            seen: 0,
        }
    }

    /// Waits until one more request has arrived.
    pub(crate) async fn asked(&mut self) {
        let came = tokio::time::timeout(BOUND, self.requests.recv()).await;
        came.unwrap().unwrap();
        self.seen += 1;
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests have arrived so far.
    pub(crate) fn requests(&mut self) -> usize {
        while self.requests.try_recv().is_ok() {
            self.seen += 1;
        }
        self.seen
    }
}

async fn follow(mut stream: TcpStream, script: Vec<Do>, came: mpsc::UnboundedSender<()>) {
    for number in 0.. {
        let step = &script[number.min(script.len() - 1)];
        if matches!(step, Do::CloseUnread) {
            stream.readable().await.unwrap();
            let _ = came.send(());
            return;
        }
        if !read_request(&mut stream).await {
            return;
        }
        if matches!(step, Do::StopHalfway) {
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
            stream.write_all(half).await.unwrap();
        }
        let _ = came.send(());
        match step {
            Do::Answer | Do::CloseUnread => {}
            Do::AnswerTogether(barrier) => {
                barrier.wait().await;
            }
            Do::AnswerLate(told) => told.notified().await,
            Do::Close => return,
            Do::Reset => return stream.set_zero_linger().unwrap(),
            Do::BreakOff => {
                let _ = stream.write_all(b"HTTP/1.1 2").await;
                return;
            }
            Do::StopHalfway | Do::Nothing => std::future::pending().await,
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nvalue";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Returns whether there was one.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    // A body may follow, in the same packet: nothing is done with it.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            _ => return false,
        }
    }
    true
}
