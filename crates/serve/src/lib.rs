//! Serves an [`axum::Router`], or another service, within bounds: connections, waiting, headers
//! and shutdown all have a limit.
//!
//! `axum::serve` accepts without end and waits for a client as long as it likes to take.
//! [`Server`] speaks the same protocols, HTTP/1.1 and HTTP/2 with prior knowledge ("h2c") on one
//! port, plain or over TLS. For each way in which a client can hold a connection there is a clock
//! in [`Options`] that ends it. On shutdown, running requests finish; what still runs after
//! [`Options::drain`] is cut and counted.
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
//! # Whose turn it is
//!
//! "No bytes for so long" is the wrong measure: while a handler computes, no bytes flow, and that
//! is not the client's fault. Each connection therefore keeps account of whom it waits for, and a
//! clock runs only on the client's turn:
//!
//! | the connection waits for | at most | then |
//! |---|---|---|
//! | its first request, from accept to the end of its headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | the rest of a later HTTP/1.1 request's headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | another request | [`keep_alive_idle`](Options::keep_alive_idle) | closed (HTTP/2: `GOAWAY` first) |
//! | the next bytes of a request's body, while the handler reads it | [`stall_timeout`](Options::stall_timeout) | the handler's read fails with [`BodyStalled`] |
//! | all of a request's body, while the handler reads it | [`body_timeout`](Options::body_timeout) and its length by [`min_rate`](Options::min_rate) | the handler's read fails with [`BodyTooSlow`] |
//! | a client that takes nothing of its response | [`stall_timeout`](Options::stall_timeout) | closed |
//! | a client that takes its response | [`stall_timeout`](Options::stall_timeout) and its length by [`min_rate`](Options::min_rate) | closed |
//! | a handler, or a body that the handler streams | no limit here: a matter for the router | |
//!
//! hyper's own header timeout is off: it cannot tell an idle kept-alive connection from slow
//! headers, and it does not run while hyper-util still reads the bytes that tell HTTP/1.1 from
//! HTTP/2.
//!
//! # Room
//!
//! At [`max_connections`](Options::max_connections), one more connection is accepted and waits.
//! For it, the least recently used of the idle connections is closed in good order. A connection
//! that has sent no whole request may be closed as well, one second after it was opened or the
//! request began: half-open connections cannot shut out others. A connection with an open request
//! is never closed for another. If there is no other, the newcomer waits until one ends or becomes
//! idle. The same is done when the process has no descriptor left for a new connection.
//!
//! Requests pay nothing for that order. An idle connection that was not looked at since its last
//! request is looked at when room is needed, so that each look is paid for by a request, and costs
//! O(log n) for n connections.
//!
//! # Floods
//!
//! `h2` ends connections that reset streams rapidly, continue headers without end, or send data in
//! empty or tiny frames. It answers or ignores each frame of another kind. Here, a client may send
//! 500 frames that belong to no request (`PING`, `SETTINGS`, `PRIORITY`, `WINDOW_UPDATE`,
//! `RST_STREAM`, those of unknown types) and 10 more a second; a request earns it 16 more, and a
//! response 8 for each part of it and one for each KiB. Beyond that its connection is closed.
//!
//! # TLS
//!
//! With the feature `tls`, `Options::tls` has the port speak TLS by [rustls]. The configuration is
//! asked for at each connection, so that certificates can be replaced while others go on. A
//! handshake is a part of the wait for the first request: it is under the same clock, counts under
//! the same cap, gives room in the same way, and holds up nobody. One that fails is logged with
//! the client's address and the reason, at most once a second. All other bounds are as without
//! TLS: what a client takes is noted below TLS, what it sends above.
//!
//! Requests of a client that has shown a certificate carry it as a [`ClientCertificate`]. Plain
//! HTTP on the port is answered 400 with a line that says so, or served, if `Tls::accept_plain`
//! says that. A client that speaks TLS to a port without it is answered 400 in plain HTTP, which
//! it reports as a bad record.
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
//! What the kernel has completed by then is accepted and served. Requests that are open finish,
//! and what arrives within 250 ms on an HTTP/1.1 connection is answered, with `connection: close`.
//! Half a request is not waited for after that, and an HTTP/2 connection without requests, which
//! is sent `GOAWAY` at once, for at most 2 s. All that is left ends with
//! [`drain`](Options::drain).
//!
//! # Counts
//!
//! [`Server::counts`] gives a handle to what the server counts: connections, those that waited for
//! room, handshakes that failed, connections that were cut and why, and requests. A request costs
//! one addition for it.
//!
//! # Trade-offs
//!
//! - A client that keeps just above [`min_rate`](Options::min_rate) holds 8 MiB for nine minutes
//!   with the defaults; what all clients can hold is bounded by
//!   [`max_connections`](Options::max_connections), and on HTTP/2 by
//!   [`http2_max_streams`](Options::http2_max_streams) responses on each of them.
//! - On HTTP/1.1 a client has taken what the socket's buffers have. The kernel says that they have
//!   room when a third of them is free: with buffers of 4 MiB, and the defaults, a client that
//!   takes less than 45 KiB a second may be cut.
//! - On HTTP/2 the response clock is the connection's: it runs while *every* open request waits
//!   for the client. A stalled stream beside a busy one stays, up to
//!   [`http2_max_streams`](Options::http2_max_streams).
//! - An HTTP/2 client that is cut for a flood is sent no `GOAWAY`.
//! - An HTTP/1.1 connection that is closed for another may be the one on which its client is just
//!   sending a request; that client has to send it again, as after
//!   [`keep_alive_idle`](Options::keep_alive_idle).
//! - The connection cap knows nothing of the process's descriptors. Set it below `RLIMIT_NOFILE`,
//!   less what else the process opens: one more for the connection that waits. When descriptors do
//!   run out and no connection is idle, accepting pauses for 50 ms at a time and goes on.
//! - There is no cap for each client address: one client may take all connections, for as long as
//!   the clocks allow.
//! - [`max_header_bytes`](Options::max_header_bytes) is hyper's buffer limit for HTTP/1.1, so it
//!   also bounds one read of a request's body and the small writes collected into one.
//! - At shutdown a connection is reset if its handshake ends between the last look into the
//!   backlog and the closing of the listener, some microseconds, or if the server is at its cap. A
//!   client that connects after that is refused. Take a node out of its clients' lists first.
//! - A panic in a handler ends its HTTP/1.1 connection without a response, or resets its HTTP/2
//!   stream. Put a layer that catches panics into the router to answer 500.
//! - With TLS, a connection whose client does not take its response holds up to 64 KiB of it
//!   encrypted, beside what is held without. A client that is cut is sent no `close_notify`.
//! - With TLS, handshakes are computed on the runtime's threads, and one with an RSA key takes
//!   many times as long as one with an ECDSA key. What bounds how many are under way is
//!   [`max_connections`](Options::max_connections).
//! - Neither upgrades (WebSocket), nor `ConnectInfo`.
//! - A handler that never yields (blocking code) cannot be cut; shutdown waits one more second for
//!   it and leaves it behind.

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
