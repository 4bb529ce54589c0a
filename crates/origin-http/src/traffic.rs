//! Whether bytes have arrived on a connection since its last request was sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper::http::Extensions;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The state of a connection. A clone is about the same one.
#[derive(Debug, Clone)]
pub(crate) struct Traffic(Arc<State>);

#[derive(Debug)]
struct State {
    opened: Instant,
    /// Whether anything was read after the last write. On HTTP/1.1, with one request in flight at
    /// a time, this is whether any byte of its answer has arrived.
    answered: AtomicBool,
}

impl Traffic {
    fn new() -> Self {
        Self(Arc::new(State {
            opened: Instant::now(),
            answered: AtomicBool::new(true),
        }))
    }

    /// The state of the connection that the client reports.
    pub(crate) fn of(connected: &Connected) -> Option<Self> {
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        extras.remove()
    }

    /// Whether a request that began at `began` used a connection that existed before.
    pub(crate) fn is_kept(&self, began: Instant) -> bool {
        self.0.opened < began
    }

    /// Whether a request was sent, at least in part, and nothing has arrived since.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.0.answered.load(Relaxed)
    }

    fn wrote(&self) {
        self.0.answered.store(false, Relaxed);
    }

    fn read(&self) {
        self.0.answered.store(true, Relaxed);
    }
}

/// A connection that records its traffic: the plain text, so that packets of the TLS session
/// itself do not count.
pub(crate) struct Watched<T> {
    io: T,
    traffic: Traffic,
}

impl<T> Watched<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            traffic: Traffic::new(),
        }
    }
}

impl<T: Connection> Connection for Watched<T> {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.traffic.clone())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.traffic.read();
        }
        Poll::Ready(Ok(()))
    }
}

// Recorded before the attempt: a write to a closed connection is also a request.
impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.traffic.wrote();
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.traffic.wrote();
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
