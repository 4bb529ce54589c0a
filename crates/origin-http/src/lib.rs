//! Values from an HTTP service: a GET of a URL that the key is put into.
//!
//! ```
//! use gaggle_group::{Key, Origin};
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
//! let found = origin.load(&Key::from("Tom"), 1024).await?;
//! assert_eq!(found.map(|loaded| loaded.value), Some("630".into()));
//! assert_eq!(origin.load(&Key::from("Kesa"), 1024).await?, None);
//! # Ok(()) }
//! ```
//!
//! # What is asked, and what an answer means
//!
//! The key takes the place of `{key}` in the path or the query, percent-encoded byte by byte except for letters, digits and
//! `-_.~`: a slash in a key is `%2F`. The request is sent as it was built; nothing normalises it on the way out.
//!
//! | answer | meaning |
//! |---|---|
//! | 200 | the value is the body, as sent |
//! | 404, 410 | not found |
//! | any other status, redirects included | a failure |
//! | no connection, a silence over the timeout, a body that breaks off | a failure |
//! | a body over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge), from its `Content-Length` where there is one |
//!
//! A key that would leave `.` or `..` as a whole segment of the path is a failure and is not asked for: encoded or not, such
//! a segment means another path to most servers and proxies (RFC 3986, section 5.2.4). A template that puts the key in
//! the query, or that adds a letter to it (`/v-{key}`), has no such keys.
//!
//! The feature `tls`, on by default, adds https: rustls with *ring*, HTTP/1.1, and Mozilla's root certificates compiled in,
//! so that a container needs no certificate files.
//!
//! # Trade-offs
//!
//! * Proxies from the environment, redirects, compression and HTTP/2 are not used: one request goes to one place.
//! * A failed request is not retried, except where a kept connection turns out to be closed before anything was sent.
//!   A retry belongs to whoever waits for the value.
//! * Certificates signed by a private authority are not accepted.
//! * Each value is copied once, to an allocation of its own size: a cache keeps it long, and a slice of a read buffer
//!   would keep the buffer too.
//! * A body with neither `Content-Length` nor chunks ends where the connection does, so that its truncation cannot be
//!   told. HTTP/1.0 servers send such bodies.

mod body;
mod client;
mod freshness;
mod options;
mod origin;
mod template;

pub use options::{HttpOptions, OptionsError};
pub use origin::HttpOrigin;
