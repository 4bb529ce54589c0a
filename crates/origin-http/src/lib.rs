//! Values from an HTTP service: a GET of a URL that the key is put into, or a POST of several
//! keys.
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
//! The key replaces `{key}` in the path or the query, percent-encoded byte by byte except for
//! letters, digits and `-_.~`: a slash in a key is `%2F`. The request is sent as it was built;
//! nothing normalises it on the way out.
//!
//! | answer | meaning |
//! |---|---|
//! | 200 | the value is the body, as sent |
//! | 404, 410 | not found |
//! | 304, if the request had conditions | the group's value is still correct |
//! | 400, 414, 422, 431 to a GET | the service does not accept the key: [`OriginFault::Key`](gaggle_group::OriginFault::Key) |
//! | any other status, redirects included | a failure |
//! | no connection, a silence over the timeout, a body that breaks off | a failure |
//! | a body over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge), from its `Content-Length` if it has one |
//!
//! A key that the service refuses is the client's fault. It does not count for the group's circuit
//! breaker, so that requests for such keys do not block other keys, and the front door answers 400
//! Bad Request. A batch that is refused in this way is a failure, since it is not known which key
//! was meant.
//!
//! The text of a failure is for the log of the node that loads: it has the scheme, host and port
//! of the URL. Clients and other nodes get the status, or that there was no connection, a timeout
//! or an incomplete answer, and nothing more ([`OriginFault`](gaggle_group::OriginFault)).
//!
//! # Options
//!
//! Each is a field of [`HttpOptions`]; an error at start names it ([`OptionsError::field`]).
//!
//! | field | default | what it sets |
//! |---|---|---|
//! | `url` | must be set | the template that is asked |
//! | `fallbacks` | none | further templates for the same values, at most 16 |
//! | `balance` | `First` | which URL a load asks first; `RoundRobin` takes turns |
//! | `headers` | none | headers of each request |
//! | `bearer` | none | a token, as text or from a file that is rotated |
//! | `trust` | `Platform` | whose certificates count: the machine's, or `Mozilla`'s |
//! | `ca` | none | a PEM file of authorities, which are then the only ones trusted |
//! | `client_cert`, `client_key` | none | PEM files of the certificate to show, and its key |
//! | `connect_timeout` | 1 s | the wait for a connection, TLS excluded |
//! | `read_timeout` | 10 s | the longest silence; the head of an answer has both of these |
//! | `total_timeout` | none | the whole of a load, with retries and other URLs |
//! | `retries` | 1 | how often a load is tried again, at most 10 |
//! | `max_idle_connections` | 32 | connections to each URL that are kept while idle |
//! | `idle_timeout` | 4 s | how long they are kept |
//! | `honour_freshness` | on | whether the answer's headers set for how long it is served |
//! | `send_trace` | on | whether requests have the `traceparent` of their load's trace |
//! | `send_timeout` | on | whether requests have `Request-Timeout`, the seconds that are left |
//! | `batch` | none | how several keys are loaded in one request, see [below](#batches) |
//!
//! | feature | on by default | what it adds |
//! |---|---|---|
//! | `tls` | yes | https: rustls with *ring*, rustls-native-certs, webpki-roots |
//! | `batch` | no | [`HttpOptions::batch`]: `serde_json`, base64 |
//!
//! # What is refused
//!
//! * **Keys that lead to another path.** If `{key}` is in the path, a key that has or makes a
//!   segment `.` or `..` is a failure and is not requested: most servers and proxies resolve it to
//!   another path (RFC 3986, section 5.2.4), and many decode first, so that nginx reads
//!   `..%2Fadmin` as `/admin`. The check covers the key as it is and decoded up to four times over
//!   (`%2e%2e`, `%252e`), with `/` and `\` between segments, and before path parameters (`..;x`).
//!   A key in the query is not checked, and with a letter beside it (`/v-{key}`) `..` itself is a
//!   key like any other. [`Allow::dot_segments`] lets all of them through.
//! * **Addresses that are no service's**: link-local ones (`169.254.0.0/16`, `fe80::/10`) and
//!   those of the metadata services of clouds, also if they are embedded in an IPv6 address. They
//!   are removed from the addresses that a name resolves to, and connections are made only to the
//!   rest. The check is thus on the address that is used, not on the name or on an earlier answer
//!   for it. A URL that itself has such an address is an error at start. [`Allow::link_local`]
//!   lets them through. Loopback and private addresses are allowed, since origins have them.
//!
//! The reason is in the log; clients do not get the address.
//!
//! # Authentication and TLS
//!
//! * **A token** is sent as `Authorization: Bearer` to each URL of the options and nowhere else:
//!   redirects are not followed. [`BearerSource::File`] is checked before a request, at most once
//!   a second, and read again when its time, length or inode has changed. Requests during such a
//!   check wait for it, 250 ms at most. While the file is missing, empty or otherwise no token,
//!   the last token is kept, and one warning is logged. A token is never in an error, in a log or
//!   in `Debug`. Over `http://` anyone on the network path can read it.
//! * **TLS** is rustls with *ring*, for HTTP/1.1. By default the authorities of the machine are
//!   trusted, which `SSL_CERT_FILE` and `SSL_CERT_DIR` can name. If there are none, as in a
//!   container without certificate files, Mozilla's are trusted, which are compiled in. With
//!   [`ca`](HttpOptions::ca), only the authorities in that file are trusted: a private service
//!   does not need the public ones, each of which could issue a certificate to an impostor. To
//!   trust both, put both into the file.
//! * **A client certificate** ([`client_cert`](HttpOptions::client_cert)) is sent to services that
//!   request one.
//!
//! Files of certificates and keys are read at start.
//!
//! # Retries and other URLs
//!
//! A load is idempotent, so it may be retried. The kind of failure decides:
//!
//! | failure | the same URL | another URL |
//! |---|---|---|
//! | no connection; one that ended before the first byte of an answer | again | yes |
//! | 502, 504; 503 | again; 503 after its `Retry-After` | yes |
//! | any other status over 499, except 501 and 505 | no | yes |
//! | no answer in time; one that broke off in its head | no | yes |
//! | any other status; a body that broke off or stopped | no | no |
//!
//! * **Another URL** is asked at once, without using up [`retries`](HttpOptions::retries), if its
//!   last answer was good and the load has not asked it yet. A 404 is an answer, whichever URL
//!   sent it. A key that is refused for one of the templates is refused for all.
//! * **A URL that failed is not used** for 3 s, by any load, after one failed connection, or after
//!   three other failures in a row. Then one load asks it, and the others follow if that load gets
//!   an answer. A load that was dropped after 250 ms or more without an answer counts as a
//!   failure. If all URLs have failed, the one that failed the longest ago is asked. Each change
//!   is logged.
//! * **The same URL** is asked again after a wait of 25 to 100 ms, chosen at random, or after the
//!   `Retry-After` of a 503. There is no retry if its wait would not end within
//!   [`total_timeout`](HttpOptions::total_timeout), or, without one, within a second.
//! * **The retry budget** bounds what retries add: one for every ten loads, with at most ten saved
//!   up, for single loads and batches together. Retries add a tenth to the requests to a service
//!   that always fails, whatever `retries` is. Requests to URLs whose last answer was a failure
//!   draw on the budget as well.
//! * A kept connection that the service closed as the request left costs no budget, see
//!   [below](#connections).
//!
//! A URL that does not answer costs its `read_timeout`. For a load to reach another URL after
//! that, keep `read_timeout` below `total_timeout` and below the group's own timeout.
//!
//! # Batches
//!
//! With [`HttpOptions::batch`], loads that arrive together are one request
//! ([`Origin::load_many`](gaggle_group::Origin::load_many)): a POST to [`BatchOptions::url`] with
//! `Content-Type: application/json`, the headers and the token.
//!
//! | field | default | what it sets |
//! |---|---|---|
//! | `url` | must be set | the URL, without a place for keys |
//! | `fallbacks` | none | further URLs for the same values |
//! | `max_keys` | 100 | keys in one request, 1 to 1024 |
//! | `body` | `{"keys":{keys}}` | JSON in which an array of strings replaces `{keys}` |
//! | `answer` | `Array` | `Array`: a value for each key, in their order; `Object`: values by keys |
//! | `values` | `Text` | how strings are read: `Text`, or `Base64` for any bytes |
//! | `timeout` | `total_timeout` | the whole of a batch |
//!
//! * `null`, or a key that the object does not have, means "not found". A string is its text or
//!   its bytes. Any other JSON value is its text exactly as the service wrote it: numbers keep
//!   their digits, objects their spaces.
//! * The batch must be a read. It is retried for the same failures as a GET.
//! * The freshness of the answer applies to each value. Its validators and its content type belong
//!   to the batch, so that values from it have no metadata, and stale ones are loaded in full.
//! * A value over its limit, or a string that is not base64, fails for its key alone. An answer of
//!   another length or shape, or one that is longer than such values can be in JSON, fails for
//!   all. So does any status except 200; for 404, 405 and 501 the error says that `batch.url` is
//!   wrong. The keys are not loaded one by one instead: that would hide the wrong setting, and be
//!   a hundred times the load.
//! * Keys that are not UTF-8 are loaded by a GET each, eight at a time. Keys with dot segments are
//!   accepted, since a body has no path.
//!
//! # Freshness
//!
//! The headers of a 200, 304, 404 or 410 set for how long the answer may be served, as RFC 9111
//! and RFC 5861 require of a shared cache. [`HttpOptions::honour_freshness`] turns that off.
//!
//! | headers | meaning |
//! |---|---|
//! | `no-store`; `private` and `no-cache`, with field names too; `Vary: *` | not kept |
//! | `s-maxage`, otherwise `max-age`, otherwise `Expires` minus `Date` | the ttl, minus the `Age` |
//! | `stale-while-revalidate`, `stale-if-error` | the stale windows after the ttl |
//! | `must-revalidate`, `proxy-revalidate` | no stale windows, even if stated |
//! | `s-maxage` | only the stale windows that are stated beside it |
//! | no ttl, or no window | the group decides on it |
//!
//! * In RFC 9111 `s-maxage` forbids all stale answers. A window that is stated beside it still
//!   counts here, as it does for content delivery networks: otherwise the service would not state
//!   it.
//! * A number over 2^31 - 1 is read as 2^31 - 1. One that is missing or no number is read as zero:
//!   the answer is stale. If a directive appears several times, the smallest number counts.
//!   Unknown directives are ignored, and so is `Pragma`.
//! * An `Age` over the ttl shortens the stated windows by the difference. An `Age` that is no
//!   number is ignored.
//! * An `Expires` that is no date, as in `Expires: 0`, is stale. This machine's clock is used only
//!   for an `Expires` without a `Date`, and never to guess an age. No ttl is derived from
//!   `Last-Modified`.
//! * All requests for a key are alike, so that `Vary` matters only as `*`. A header that the
//!   options set, such as `Authorization`, belongs to the group: answers to it are cached for
//!   every client that may read the group.
//!
//! # Metadata and revalidation
//!
//! `Content-Type`, `Content-Encoding`, `ETag`, `Last-Modified` and `Age` of a value are its
//! [`Metadata`](gaggle_group::Metadata). The client requests no encoding and decodes none: a body
//! that a service encodes unasked is kept as it arrived, with its `Content-Encoding`.
//!
//! A load with a stale value sends that value's tag as `If-None-Match` and its date as
//! `If-Modified-Since`. A 304 then renews its freshness, validators and age. A 304 that names
//! another tag than was sent is not about the group's value: the service is asked again without
//! conditions. A malformed tag is not sent.
//!
//! # Connections
//!
//! Connections are kept for [`idle_timeout`](HttpOptions::idle_timeout), which should be shorter
//! than the service's own.
//!
//! * **The service closes a kept connection just as a request leaves.** A load over a kept
//!   connection that ends without a byte of an answer, by a close, a reset or a failed write, is
//!   retried once immediately, over a new connection and within the same time, even with no
//!   retries left; it counts as one of them. (The underlying client does so by itself only if
//!   nothing of the request had been written.) A load whose answer had begun is not retried.
//! * **The network path goes silent**: the packets of established connections are lost, while new
//!   connections can be made. Kept connections are dropped, so that the next load makes a new one,
//!   when a kept one is reset without a byte of an answer; when a body stops for a second and its
//!   load is dropped; and when a load has waited for a second for the first byte over a kept
//!   connection, while no other kept connection has brought an answer (that load continues to
//!   wait). That second grows to twice the time of the slowest recent answers, and connections are
//!   dropped at most once a second, so that a slow service does not cost a handshake for each
//!   load. A load that its caller drops sooner costs only its own connection.
//! * **The host is down.** The operating system is set to probe a connection after 1 s without
//!   packets, to close it after two probes without an answer, and on Linux also when sent bytes
//!   are not acknowledged for 1.5 s (`TCP_USER_TIMEOUT`): a host that is up acknowledges at once,
//!   however slow the service is.
//!
//! # Memory
//!
//! A body is read into one buffer, which is at most twice as large as what has arrived, or 64 KiB:
//! a `Content-Length` allocates no more than that. The length is reserved in
//! [`Load::budget`](gaggle_group::Load::budget) as soon as it is known; a body without one is
//! reserved as the buffer grows. A body below 4 KiB draws on no budget.
//!
//! # Trade-offs
//!
//! * Proxies from the environment, redirects, compression and HTTP/2 are not used: one request
//!   goes to one place.
//! * A silence is not retried at the same URL, nor is a body that broke off: the group's waiters
//!   have waited long by then, and the service may still be working on the request.
//! * With one URL, every load still asks a failing service: the circuit breaker belongs to the
//!   group, which knows what it can serve instead.
//! * A service that answers 400 to every key, as it may if a header of the options is wrong, does
//!   not open the breaker, and its answer is logged at `debug` only.
//! * The state of URLs is kept for each process: each node finds failures by itself.
//! * Certificates and keys are read only at start: new ones need a restart. A token file is read
//!   again.
//! * The machine's roots and Mozilla's are not used together, so that an authority that the
//!   machine has removed stays removed.
//! * A batch's answer is in memory twice for a moment, as JSON and as values; the budget counts
//!   only the JSON.
//! * A 404 has no metadata, and is not revalidated: asking again costs the same.
//! * Each value is copied once, to an allocation of its own size: a cache keeps it long, and a
//!   slice of a read buffer would keep the buffer too.
//! * A body with neither `Content-Length` nor chunks ends where the connection does, so its
//!   truncation cannot be detected. HTTP/1.0 servers send such bodies.

mod addresses;
mod answer;
#[cfg(feature = "batch")]
mod batch;
mod bearer;
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
mod retry;
mod segments;
mod service;
mod setup;
mod standing;
mod template;
#[cfg(feature = "tls")]
mod tls;
mod traffic;
mod upstream;
mod url;

pub use bearer::BearerSource;
pub use error::OptionsError;
pub use options::{Allow, Balance, BatchAnswer, BatchOptions, BatchValues, HttpOptions, Trust};
pub use origin::HttpOrigin;
