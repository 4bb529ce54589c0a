//! Serves an [`axum::Router`], or another service, within bounds: connections, waiting, headers
//! and shutdown all have a limit.
//!
//! `axum::serve` accepts connections without a limit, and waits for clients without a timeout.
//! [`Server`] speaks the same protocols, HTTP/1.1 and HTTP/2 with prior knowledge ("h2c") on one
//! port, plain or over TLS. For each way in which a client can hold a connection, [`Options`] has
//! a timeout that ends it. On shutdown, running requests finish; requests that still run after
//! [`Options::drain`] are cut and counted.
//!
//! ```
//! use axum::{Router, routing::get};
//! use gaggle_serve::{Options, Server};
//! use tokio::sync::oneshot;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), gaggle_serve::ServeError> {
//! let router = Router::new().route("/", get(async || "hello"));
//! let server = Server::bind("127.0.0.1:0", Options::default()).await?;
//! println!("listening on {}", server.local_addr());
//!
//! let (stop, stopped) = oneshot::channel::<()>();
//! let serving = tokio::spawn(server.serve(router, async {
//!     let _ = stopped.await;
//! }));
//! // ... until a signal arrives:
//! drop(stop);
//! let drained = serving.await.expect("the server does not panic");
//! assert_eq!(drained.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Timeouts
//!
//! "No bytes for so long" is the wrong measure: while a handler computes, no bytes flow, and that
//! is not the client's fault. Each connection therefore records what it waits for, and a timeout
//! runs only while that is the client:
//!
//! | the connection waits for | at most | then |
//! |---|---|---|
//! | its first request, from accept to the end of its headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | the rest of a later HTTP/1.1 request's headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | another request | [`keep_alive_idle`](Options::keep_alive_idle) | closed (HTTP/2: `GOAWAY` first) |
//! | the next bytes of a request's body, while the handler reads it | [`stall_timeout`](Options::stall_timeout) | the handler's read fails with [`BodyStalled`] |
//! | all of a request's body, while the handler reads it | [`body_timeout`](Options::body_timeout) and its length by [`min_rate`](Options::min_rate) | the handler's read fails with [`BodyTooSlow`] |
//! | a client that reads nothing of its response | [`stall_timeout`](Options::stall_timeout) | closed |
//! | a client that reads its response | [`stall_timeout`](Options::stall_timeout) and its length by [`min_rate`](Options::min_rate) | closed |
//! | a handler, or a body that the handler streams | no limit here: the router can set one | |
//!
//! hyper's own header timeout is off: it cannot distinguish an idle kept-alive connection from
//! slow headers, and it does not run while hyper-util still reads the bytes that distinguish
//! HTTP/1.1 from HTTP/2.
//!
//! # Room for new connections
//!
//! At [`max_connections`](Options::max_connections), one more connection is accepted and waits.
//! To make room for it, the least recently used idle connection is closed gracefully. A connection
//! that has sent no whole request may be closed as well, one second after it was opened or the
//! request began: half-open connections cannot shut out others. A connection with an open request
//! is never closed for another. If all have open requests, the newcomer waits until one ends or
//! becomes idle. The same happens when the process has no descriptor left for a new connection.
//!
//! That order costs requests nothing. An idle connection that was not checked since its last
//! request is checked when room is needed. There is therefore at most one check for each request,
//! which costs O(log n) for n connections.
//!
//! # Floods
//!
//! `h2` ends connections that reset streams rapidly, continue headers without end, or send data in
//! empty or tiny frames. It answers or ignores each frame of another kind. Here, a client may send
//! 500 frames that belong to no request (`PING`, `SETTINGS`, `PRIORITY`, `WINDOW_UPDATE`,
//! `RST_STREAM`, those of unknown types) and 10 more a second. A request adds 16, and a response 8
//! for each part of it and one for each KiB. Beyond that rate limit its connection is closed.
//!
//! # TLS
//!
//! With the feature `tls`, `Options::tls` makes the port speak TLS by [rustls]. The configuration
//! is requested for each connection, so that certificates can be replaced while other connections
//! continue. A handshake is a part of the wait for the first request: it has the same timeout,
//! counts towards the same limit, may be closed to make room in the same way, and delays no other
//! connection. One that fails is logged with the client's address and the reason, at most once a
//! second. All other bounds are as without TLS: bytes that a client reads are recorded below TLS,
//! and bytes that it sends above it.
//!
//! Requests of a client that has presented a certificate carry it as a [`ClientCertificate`].
//! Plain HTTP on the port is answered 400 with a line that says so, or served if
//! `Tls::accept_plain` is set. A client that speaks TLS to a port without it is answered 400 in
//! plain HTTP, which it reports as a bad record.
//!
//! [rustls]: https://docs.rs/rustls
//!
//! # Hosts
//!
//! A request of HTTP/1.1 without a `Host` header is answered 400 and its connection closed, and so
//! is one of HTTP/1 with two of them, or with one that is not a host ([RFC 9112, 3.2]). On HTTP/2,
//! `Host` is 400 if it differs from `:authority` ([RFC 9113, 8.3.1]).
//!
//! [RFC 9112, 3.2]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2
//! [RFC 9113, 8.3.1]: https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
//!
//! # Shutdown
//!
//! Connections that the kernel has completed by then are accepted and served. Requests that are
//! open finish, and those that arrive within 250 ms on an HTTP/1.1 connection are answered, with
//! `connection: close`. After that the server does not wait for the rest of a request. An HTTP/2
//! connection without requests gets `GOAWAY` immediately, and has at most 2 s to close. All that
//! is left ends with [`drain`](Options::drain).
//!
//! # Counts
//!
//! [`Server::counts`] returns a handle to the server's counters: connections, those that waited
//! for room, failed handshakes, connections that were cut and the reason, and requests. They cost
//! a request one addition.
//!
//! # Trade-offs
//!
//! - A client that stays just above [`min_rate`](Options::min_rate) holds 8 MiB for nine minutes
//!   with the defaults. [`max_connections`](Options::max_connections) bounds what all clients can
//!   hold, and on HTTP/2 also [`http2_max_streams`](Options::http2_max_streams) responses on each
//!   connection.
//! - On HTTP/1.1 the bytes in the socket's buffers count as read by the client. The kernel reports
//!   room when a third of them is free: with buffers of 4 MiB, and the defaults, a client that
//!   reads less than 45 KiB a second may be cut.
//! - On HTTP/2 the response timeout is the connection's: it runs while *every* open request waits
//!   for the client. A stalled stream beside a busy one stays, up to
//!   [`http2_max_streams`](Options::http2_max_streams).
//! - An HTTP/2 client that is cut for a flood gets no `GOAWAY`.
//! - An HTTP/1.1 connection that is closed for another may be the one on which its client is just
//!   sending a request; that client has to send it again, as after
//!   [`keep_alive_idle`](Options::keep_alive_idle).
//! - The limit of connections does not depend on the process's descriptors. Set it below
//!   `RLIMIT_NOFILE` minus the other descriptors that the process needs, one of them for the
//!   connection that waits. If descriptors do run out and no connection is idle, accepting pauses
//!   for 50 ms at a time and then continues.
//! - There is no limit for each client address: one client may take all connections, for as long
//!   as the timeouts allow.
//! - [`max_header_bytes`](Options::max_header_bytes) is hyper's buffer limit for HTTP/1.1, so it
//!   also bounds one read of a request's body and the small writes collected into one.
//! - At shutdown a connection is reset if its handshake ends between the last look into the
//!   backlog and the closing of the listener, some microseconds, or if the server is at its limit.
//!   A client that connects after that is refused. Remove a node from its clients' lists first.
//! - A panic in a handler ends its HTTP/1.1 connection without a response, or resets its HTTP/2
//!   stream. Put a layer that catches panics into the router to answer 500.
//! - With TLS, a connection whose client does not read its response holds up to 64 KiB of it
//!   encrypted, in addition to what it holds without TLS. A client that is cut gets no
//!   `close_notify`.
//! - With TLS, handshakes are computed on the runtime's threads, and one with an RSA key takes
//!   many times as long as one with an ECDSA key. [`max_connections`](Options::max_connections)
//!   bounds how many run at the same time.
//! - There are no upgrades (WebSocket), and there is no `ConnectInfo`.
//! - A handler that never yields (blocking code) cannot be cut; shutdown waits one more second for
//!   it and abandons it.

mod counts;
mod options;
mod server;

mod accept;
mod connections;
mod roster;

mod certificate;
mod connection;
mod io;
mod service;
#[cfg(feature = "tls")]
mod tls;

mod activity;
mod allowance;
mod body;
mod frames;
mod host;
mod later;
mod pace;
mod rarely;

pub use body::{BodyStalled, BodyTooSlow};
pub use certificate::ClientCertificate;
pub use counts::{Counted, Counts, Cut};
pub use options::Options;
pub use server::{Drained, ServeError, Server};
#[cfg(feature = "tls")]
pub use tls::Tls;
