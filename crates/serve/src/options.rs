use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};

/// hyper panics if its buffer is set to less.
const LEAST_HEADER_BYTES: u32 = 8 * 1024;

/// The bounds of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct Options {
    /// The most connections that are served at a time, at least 1. At this limit, the least
    /// recently used idle connection is closed for the next one, and so is one that has sent no
    /// whole request within a second. If there is none, one connection waits, and the kernel's
    /// backlog holds further ones. Keep it below the process's limit of descriptors. Default:
    /// 10,000.
    pub max_connections: usize,
    /// The most connections that the kernel may hold before they are accepted. The kernel has a
    /// limit of its own (`net.core.somaxconn`). Default: 1,024.
    pub backlog: u32,
    /// The timeout from accept to the end of the first request's headers; on HTTP/1.1 also from
    /// the first byte of a later request to the end of its headers. Default: 10 s.
    pub header_read_timeout: Duration,
    /// How long a connection that has served a request is kept without another. It should be
    /// longer than clients keep idle connections in a pool, so that the client closes them.
    /// Default: 75 s.
    pub keep_alive_idle: Duration,
    /// How long a client may neither send the next bytes of a body that a handler reads, nor read
    /// the next bytes of a response. It is also how long, in total, the server waits for a client
    /// that reads a response at less than `min_rate`. Default: 30 s.
    pub stall_timeout: Duration,
    /// How long, in total, a handler may wait for a request's body that arrives at less than
    /// `min_rate`. The wait for a body of `n` bytes is at most this long plus `n / min_rate`.
    /// Default: 30 s.
    pub body_timeout: Duration,
    /// The rate, in bytes a second, at which a client must send a body and read a response, in the
    /// time for which the server waits only for it. Shorter pauses and bursts do not matter: it is
    /// a mean over `body_timeout` or `stall_timeout`. With 0, any byte within that time suffices.
    /// Default: 16 KiB a second, so that 8 MiB take at most nine minutes.
    pub min_rate: u32,
    /// How long after the shutdown signal the connections that are left are cut. Default: 10 s.
    pub drain: Duration,
    /// The longest head of a request (request line and headers, or an HTTP/2 header list), in
    /// bytes; a longer one is answered 431. At least 8,192 bytes. The request target alone may not
    /// exceed 65,534 bytes. The default of 64 KiB has room for a key of 16 KiB with each byte
    /// percent-encoded.
    pub max_header_bytes: u32,
    /// The most requests that are open at a time on one HTTP/2 connection. One connection can make
    /// the server hold as many responses, each for as long as the response timeout allows. A
    /// client that follows the protocol sends no more, and waits. Default: 320.
    pub http2_max_streams: u32,
    /// How long without a frame from an HTTP/2 client until a `PING` is sent. Default: 20 s.
    pub http2_ping_interval: Duration,
    /// How long the answer to that `PING` may take before the connection is closed. Default: 10 s.
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
            // Peers send each other up to 256 requests at a time on one connection, and also
            // pings, which must not wait behind the requests.
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
            .header_read_timeout(None) // `Activity` has the timeouts
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
