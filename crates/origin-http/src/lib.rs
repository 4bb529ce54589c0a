//! Values from an HTTP service: a GET of a URL that the key is put into.
//!
//! ```
//! use gaggle_group::{Content, Key, Load, Origin};
//! use gaggle_origin_http::{HttpOptions, HttpOrigin};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{Router, http::StatusCode, routing::get};
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # let app = Router::new().route("/scores/Tom", get(|| async { "630" }));
//! # tokio::spawn(async move { axum::serve(listener, app).await });
//! let url = format!("http://{address}/scores/{{key}}"); // as in http://127.0.0.1:7000/scores/{key}
//! let origin = HttpOrigin::new(HttpOptions { url, ..HttpOptions::default() })?;
//! let found = origin.load(Load::new(&Key::from("Tom"), 1024)).await?;
//! assert_eq!(found.content, Content::Value("630".into()));
//! let found = origin.load(Load::new(&Key::from("Kesa"), 1024)).await?;
//! assert_eq!(found.content, Content::Absent);
//! # Ok(()) }
//! ```
//!
//! # What is asked, and what an answer means
//!
//! The key takes the place of `{key}` in the path or the query, percent-encoded byte by byte
//! except for letters, digits and `-_.~`: a slash in a key is `%2F`. The request is sent as it was
//! built; nothing normalises it on the way out.
//!
//! | answer | meaning |
//! |---|---|
//! | 200 | the value is the body, as sent |
//! | 404, 410 | not found |
//! | 304, where the request had conditions | the value kept by the group is still right |
//! | any other status, redirects included | a failure |
//! | no connection, a silence over the timeout, a body that breaks off | a failure |
//! | a body over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge), from its `Content-Length` where there is one |
//!
//! The text of a failure is for the log of the node that loads: it has the URL without its query. Clients and other nodes are
//! told the status, or that there was no connection, no answer in time or no whole one, and nothing else
//! ([`OriginFault`](gaggle_group::OriginFault)).
//!
//! # What is refused
//!
//! * **Keys that lead to another path.** Where the key stands in the path, one that has or makes a
//!   segment `.` or `..` is a failure and is not asked for: most servers and proxies find another
//!   path by it (RFC 3986, section 5.2.4), and many decode first, so that `..%2Fadmin` is `/admin`
//!   to nginx. It is looked for in the key as it is and decoded up to four times over (`%2e%2e`,
//!   `%252e`), with `/` and `\` between segments, and before path parameters (`..;x`). A key in the
//!   query is not looked at, and a letter beside it (`/v-{key}`) makes `..` itself a key like any
//!   other. [`Allow::dot_segments`] lets all of them through.
//! * **Addresses that are no service's**: link-local ones (`169.254.0.0/16`, `fe80::/10`) and those
//!   of the metadata services of clouds, also where they are embedded in an IPv6 address. They are
//!   taken out of what a name is resolved to, and connections are made to what is left: it is not
//!   the name that is looked at, nor an earlier answer for it. A URL with such an address itself is
//!   an error at start. [`Allow::link_local`] lets them through. Loopback and private addresses are
//!   what origins have.
//!
//! The reason stands in the log; clients are not told the address.
//!
//! # TLS
//!
//! The feature `tls`, on by default, adds https: rustls with *ring*, HTTP/1.1, and Mozilla's root
//! certificates compiled in, so that a container needs no certificate files.
//!
//! # Freshness
//!
//! The headers of a 200, 304, 404 or 410 set for how long the answer may be served, as RFC 9111
//! and RFC 5861 have a shared cache read them. [`HttpOptions::honour_freshness`] turns that off.
//!
//! | headers | meaning |
//! |---|---|
//! | `no-store`; `private` and `no-cache`, with field names too; `Vary: *` | not kept |
//! | `s-maxage`, else `max-age`, else `Expires` less `Date` | the ttl, less the `Age` |
//! | `stale-while-revalidate`, `stale-if-error` | the windows behind the ttl |
//! | `must-revalidate`, `proxy-revalidate` | no such windows, whatever else is stated |
//! | `s-maxage` | only such windows as are stated beside it |
//! | nothing of a ttl, or of a window | the group decides on it |
//!
//! * RFC 9111 has `s-maxage` forbid all stale answers. A window that is stated beside it counts
//!   here all the same, as it does for content delivery networks: the service would not state it
//!   otherwise.
//! * A number over 2^31 - 1 is that. One that is missing or no number is zero: the answer is
//!   stale. Of a directive that is there several times the smallest number counts. Directives that
//!   are not known are ignored, and so is `Pragma`.
//! * An `Age` over the ttl shortens the stated windows by the difference. An `Age` that is no
//!   number is ignored.
//! * An `Expires` that is no date, as in `Expires: 0`, is stale. This machine's clock is asked
//!   only where an `Expires` has no `Date`, and never to guess an age. No ttl is made up from
//!   `Last-Modified`.
//! * All requests for a key are alike, so that `Vary` matters only as `*`. A header that the
//!   options set, such as `Authorization`, is the group's own: answers to it are kept for all who
//!   may read the group.
//!
//! # Metadata and revalidation
//!
//! `Content-Type`, `Content-Encoding`, `ETag`, `Last-Modified` and `Age` of a value are its
//! [`Metadata`](gaggle_group::Metadata). The client asks for no encoding and undoes none: a body
//! that a service encodes unasked is kept as it came, and its encoding is told.
//!
//! A load with a stale value sends that value's tag as `If-None-Match` and its date as
//! `If-Modified-Since`. A 304 then renews its freshness, validators and age. A 304 that names
//! another tag than was sent is not about the value that is kept: the service is asked again
//! without conditions. What is no well-formed tag is not sent.
//!
//! # Connections
//!
//! Connections are kept for [`idle_timeout`](HttpOptions::idle_timeout), which should be less than
//! what the service does.
//!
//! * **The service closes a kept connection just as a request leaves.** A load over a kept
//!   connection that ends without a byte of an answer, by a close, a reset or a failed write, is
//!   tried once again, over a new connection and within the same time. (The client underneath does
//!   so by itself only where nothing of the request had been written.) A load over a new
//!   connection is not, nor one whose answer had begun.
//! * **The path goes silent**: the packets of established connections are lost, while new ones
//!   come about. Kept connections are dropped, so that the next load makes a new one, when a kept
//!   one is reset without a byte of an answer; when a body stops for a second and is given up; and
//!   when a load has waited for a second for the first byte over a kept connection, while no other
//!   kept one has brought an answer, though that load waits on. That second grows to twice what
//!   the slowest answers of late took, and connections are dropped at most once a second, so that
//!   a slow service does not cost a handshake for each load. A load that its caller gives up sooner
//!   costs its own connection only.
//! * **The host is gone.** The system is told to probe a connection after 1 s without packets, to
//!   give it up after two probes without an answer, and on Linux also once sent bytes go
//!   unacknowledged for 1.5 s (`TCP_USER_TIMEOUT`): a host that is there acknowledges at once,
//!   however slow the service is.
//!
//! # Memory
//!
//! A body is read into one buffer, which is at most as large as twice what has come, or 64 KiB: a
//! `Content-Length` allocates no more than that. It is reserved in
//! [`Load::budget`](gaggle_group::Load::budget) as soon as it is known; a body without one is
//! reserved as the buffer grows. What is below 4 KiB draws on no budget.
//!
//! # Trade-offs
//!
//! * Proxies from the environment, redirects, compression and HTTP/2 are not used: one request
//!   goes to one place.
//! * A failed request is not retried, except over a kept connection as told above. A retry belongs
//!   to whoever waits for the value.
//! * Certificates signed by a private authority are not accepted.
//! * A 404 has no metadata, and is not revalidated: asking again costs the same.
//! * Each value is copied once, to an allocation of its own size: a cache keeps it long, and a
//!   slice of a read buffer would keep the buffer too.
//! * A body with neither `Content-Length` nor chunks ends where the connection does, so that its
//!   truncation cannot be told. HTTP/1.0 servers send such bodies.

mod addresses;
mod body;
mod buffer;
mod cache_control;
mod client;
mod connections;
mod error;
mod freshness;
mod metadata;
mod options;
mod origin;
#[cfg(test)]
mod properties;
mod segments;
mod template;
mod traffic;

pub use options::{Allow, HttpOptions, OptionsError};
pub use origin::HttpOrigin;
