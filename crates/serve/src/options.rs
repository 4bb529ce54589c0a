use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};

/// hyper panics when told to buffer less.
const LEAST_HEADER_BYTES: u32 = 8 * 1024;

/// The bounds of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections served at a time, at least 1. At the cap, the least recently used one that is
    /// idle is closed for the next, and so is one that has sent no whole request within a second.
    /// If there is none, one connection waits, and the kernel's backlog holds what comes after it.
    /// Keep it below the process's limit of descriptors. Default: 10,000.
    pub max_connections: usize,
    /// Connections that the kernel may hold before they are accepted. The kernel has a cap of its
    /// own (`net.core.somaxconn`). Default: 1,024.
    pub backlog: u32,
    /// From accept to the end of the first request's headers; on HTTP/1.1 also from the first byte
    /// of a later request to the end of its headers. Default: 10 s.
    pub header_read_timeout: Duration,
    /// How long a connection that has served a request is kept without another. Should be longer
    /// than clients keep theirs in a pool, so that it is the client who closes. Default: 75 s.
    pub keep_alive_idle: Duration,
    /// How long a client may neither send the next bytes of a body that a handler reads, nor take
    /// the next bytes of a response; and for how long, in all, it may be waited for while it takes
    /// a response at less than `min_rate`. Default: 30 s.
    pub stall_timeout: Duration,
    /// For how long, in all, a handler may wait for a request's body that comes at less than
    /// `min_rate`. A body of `n` bytes is waited for at most this long and `n / min_rate`.
    /// Default: 30 s.
    pub body_timeout: Duration,
    /// In bytes a second, what a client must send of a body, and take of a response, of the time
    /// for which it alone is waited for. Shorter pauses and bursts do not matter: it is a mean
    /// over `body_timeout` or `stall_timeout`. With 0, any byte within that time suffices.
    /// Default: 16 KiB a second, so that 8 MiB take at most nine minutes.
    pub min_rate: u32,
    /// From the shutdown signal until the connections that are left are cut. Default: 10 s.
    pub drain: Duration,
    /// Longest head of a request (request line and headers, or an HTTP/2 header list) in bytes; a
    /// longer one is answered
    /// 431. At least 8,192 bytes. The request target alone may not exceed 65,534 bytes. The
    ///      default of 64 KiB has room for a key of 16 KiB with each byte percent-encoded.
    pub max_header_bytes: u32,
    /// Requests open at a time on one HTTP/2 connection. One connection can make the server hold
    /// as many responses, each for as long as the response clock allows. A client that keeps to
    /// the protocol sends no more, and waits. Default: 320.
    pub http2_max_streams: u32,
    /// A `PING` is sent after this long without a frame from an HTTP/2 client. Default: 20 s.
    pub http2_ping_interval: Duration,
    /// An HTTP/2 connection whose `PING` is not answered for this long is closed. Default: 10 s.
    pub http2_ping_timeout: Duration,
    /// TLS on the port; `None` serves plain HTTP. The handshake is within `header_read_timeout`.
    /// Default: none.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            backlog: 1_024,
            header_read_timeout: Duration::from_secs(10),
            keep_alive_idle: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            min_rate: 16 * 1024,
            drain: Duration::from_secs(10),
            max_header_bytes: 64 * 1024,
            // Peers send each other up to 256 requests at a time on one connection, and pings
            // beside them, which must not wait behind these.
            http2_max_streams: 320,
            http2_ping_interval: Duration::from_secs(20),
            http2_ping_timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Options {
    pub(crate) fn http(&self) -> auto::Builder<TokioExecutor> {
        let head = self.max_header_bytes.max(LEAST_HEADER_BYTES);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None) // `Activity` has the clocks
            .max_buf_size(usize::try_from(head).unwrap_or(usize::MAX));
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(head)
            .max_concurrent_streams(self.http2_max_streams)
            .keep_alive_interval(self.http2_ping_interval)
            .keep_alive_timeout(self.http2_ping_timeout);
        http
    }
}
