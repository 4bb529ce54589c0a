//! Serves an [`axum::Router`], or another service, within bounds: connections, waiting, headers and shutdown all have a limit.
//!
//! `axum::serve` accepts without end and waits for a client as long as it likes to take. [`Server`] speaks the same
//! protocols, HTTP/1.1 and HTTP/2 with prior knowledge ("h2c") on one port, and for each way in which a client can hold a
//! connection there is a clock in [`Options`] that ends it. On shutdown, running requests finish; what still runs after
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
//! "No bytes for so long" is the wrong measure: while a handler computes, no bytes flow, and that is not the client's
//! fault. Each connection therefore keeps account of whom it waits for, and a clock runs only on the client's turn:
//!
//! | the connection waits for | at most | then |
//! |---|---|---|
//! | its first request, from accept to the end of its headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | the rest of a later HTTP/1.1 request's headers | [`header_read_timeout`](Options::header_read_timeout) | closed |
//! | another request | [`keep_alive_idle`](Options::keep_alive_idle) | closed (HTTP/2: `GOAWAY` first) |
//! | the next bytes of a request's body, while the handler reads it | [`stall_timeout`](Options::stall_timeout) | the handler's read fails with [`BodyStalled`] |
//! | a client that does not read its response | [`stall_timeout`](Options::stall_timeout) | closed |
//! | a handler, or a body that the handler streams | no limit here: a matter for the router | |
//!
//! hyper's own header timeout is off: it cannot tell an idle kept-alive connection from slow headers, and it does not run
//! while hyper-util still reads the bytes that tell HTTP/1.1 from HTTP/2.
//!
//! # Trade-offs
//!
//! - The clocks are for progress, not for rates. A client that sends or takes a few bytes shortly before each deadline
//!   keeps its connection until the router's own request timeout; what it can hold is bounded by
//!   [`max_connections`](Options::max_connections).
//! - On HTTP/2 the response clock is the connection's: it runs while *every* open request waits for the client. A stalled
//!   stream beside a busy one stays, up to [`http2_max_streams`](Options::http2_max_streams).
//! - The connection cap knows nothing of the process's descriptors. Set it below `RLIMIT_NOFILE`, less what else the
//!   process opens. When descriptors do run out, accepting pauses for 50 ms at a time and goes on.
//! - There is no cap for each client address: one client may take all connections, for as long as the clocks allow.
//! - [`max_header_bytes`](Options::max_header_bytes) is hyper's buffer limit for HTTP/1.1, so it also bounds one read of a
//!   request's body and the small writes collected into one.
//! - Connections that the kernel has completed but the server has not accepted are reset at shutdown. Take a node out of
//!   its clients' lists first.
//! - A panic in a handler ends its HTTP/1.1 connection without a response, or resets its HTTP/2 stream. Put a layer that
//!   catches panics into the router to answer 500.
//! - Neither TLS, nor upgrades (WebSocket), nor `ConnectInfo`.
//! - A handler that never yields (blocking code) cannot be cut; shutdown waits one more second for it and leaves it behind.

mod accept;
mod activity;
mod body;
mod connection;
mod io;
mod options;
mod server;
mod service;

pub use body::BodyStalled;
pub use options::Options;
pub use server::{Drained, ServeError, Server};
