//! The peer protocol of golang/groupcache and similar systems over HTTP, client and server, with
//! Gaggle's additions.
//!
//! [`router`] answers for the groups of this node; [`HttpTransport`] makes a
//! [`Peer`](gaggle_group::Peer) for each other node, which the read path asks.
//!
//! ```
//! use bytes::Bytes;
//! use std::time::Duration;
//! use gaggle_group::{Entry, Fetch, Group, Groups, Key, Peer};
//! use gaggle_transport_http::{ClientOptions, HttpTransport, ServerOptions, router};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Group::builder("scores")
//!     .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("630")) })
//!     .build()?;
//! let app = router(Groups::new([scores])?, ServerOptions::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move { axum::serve(listener, app).await });
//!
//! let transport = HttpTransport::new(ClientOptions::default())?;
//! let peer = transport.peer(&format!("http://{address}"))?;
//! let key = Key::from("Tom");
//! let fetch = Fetch::new("scores", &key, 1 << 20, Duration::from_secs(1));
//! assert_eq!(peer.fetch(fetch).await?.entry, Entry::value("630"));
//! # Ok(()) }
//! ```
//!
//! # The protocol
//!
//! **Request.** `GET {base path}{group}/{key}`. In group and key the bytes `A-Z a-z 0-9 - _ . ~`
//! are unchanged, and every other byte is `%XX` in upper case: a space is `%20`, a plus `%2B`. The
//! server splits the raw path at the first `/` after the group, then decodes plain
//! percent-encoding (`+` is a plus), so a key is any bytes: none at all, slashes, NUL, invalid
//! UTF-8. The query is ignored. `HEAD` and `POST` read like `GET`; a request's body is ignored,
//! except for batches and control requests. `DELETE` drops the receiver's own copies of the key.
//! Any other method is answered with 405.
//!
//! The keys `.` and `..` cannot be in a path, since URL parsers remove such parts even when they
//! are escaped. The client sends `GET {base path}{group}` for them, without a slash, and the
//! escaped key in the header `gaggle-key`. Other implementations answer 400 to that, so they
//! cannot mistake it for another key.
//!
//! | request header | meaning |
//! |---|---|
//! | `gaggle-forwarded: 1` | a node has forwarded this: answer it here, whichever node owns the key |
//! | `gaggle-deadline-ms: N` | the asker waits that long for the answer |
//! | `gaggle-max-value: N` | the longest value that the asker takes, in bytes |
//! | `gaggle-key: K` | the key, escaped; read only if no `/` follows the group |
//! | `gaggle-removals: ID ID` | removals of the key that the asker knows: they are applied before the answer. At most 8 are read |
//! | `gaggle-kept: 1` | answer only from the receiver's memory: otherwise it answers `not-kept`, and loads nothing |
//! | `traceparent: T` | the trace that it belongs to ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); a malformed one is ignored |
//! | `gaggle-removal: ID` | with `DELETE`: the name of the removal |
//! | `gaggle-batch: 1` | with `POST {base path}`: the body asks for many keys |
//! | `gaggle-control: 1` | with `POST {base path}`: the body is a control request |
//!
//! An `ID` is 16 hexadecimal digits, `-` and a number from 1 on
//! ([`RemovalId`](gaggle_group::RemovalId)).
//!
//! **Answer.** 200 and the value, in one of two encodings that the ring agrees on ([`Encoding`]):
//! `application/x-protobuf` with a `GetResponse` (an empty value is `0A 00`), or
//! `application/octet-stream` with the value alone. The client takes protobuf under any content
//! type, ignores unknown fields, and reads an empty body as an empty value.
//!
//! After the value, the key's owner adds `minute_qps` to the `GetResponse` of a forward: the
//! number of fetches of the key per minute that it answers for peers
//! ([`Served::minute_qps`](gaggle_group::Served)). golang/groupcache defines the field and ignores
//! it. The client reads a missing, negative or infinite number as unknown. Raw values have no
//! `minute_qps`; answers in batches have it with either encoding.
//!
//! | answer header | meaning |
//! |---|---|
//! | `gaggle-ttl-ms: N` | how much longer it is fresh |
//! | `gaggle-stale-while-revalidate-ms: N` | how long after that it may be served while it is loaded again |
//! | `gaggle-stale-if-error-ms: N` | how long after that it may be served if loading it again fails |
//! | `gaggle-age-ms: N` | how old the value is, if the origin reported it |
//! | `gaggle-metadata: M` | the origin's other [`Metadata`](gaggle_group::Metadata), escaped, at most 1 KiB |
//!
//! Each is present only if it has a value. A value without `gaggle-ttl-ms` is fresh forever, and
//! the windows have no meaning then. A 404 with the verdict `not-found` has the same headers;
//! without `gaggle-ttl-ms` the absence is not kept. A malformed number or malformed metadata make
//! the answer [`Refused`](gaggle_group::PeerError::Refused).
//!
//! A `DELETE` is answered with 200, an empty body and `gaggle-removed: 1`. Only that header counts
//! as done, since golang/groupcache answers a `DELETE` as if it were a get. With `gaggle-removal`
//! it is a removal like any other: applied once, remembered, and passed on to nodes that missed
//! it; a removal that is already known gets the same answer. Without that header it is from
//! another program (mailgun's client, curl), and drops the receiver's copies each time.
//!
//! **Errors** have a body of one line of text. If the node did what the asker would have done, the
//! header `gaggle-verdict` has the result, so that the asker need not try the origin again:
//!
//! | status | text | verdict | further headers |
//! |---|---|---|---|
//! | 400 | `bad request` (no `/` after the group, or a malformed escape, number, name of a removal or message) | | |
//! | 404 | `no such group: NAME` | | |
//! | 404 | `KEY not found` | `not-found` | |
//! | 404 | the error | `not-kept` | |
//! | 404 | `not found` (not under the base path) | | |
//! | 405 | `method not allowed` | | `allow` |
//! | 408 | the body of a batch or a control request did not arrive within [`ServerOptions::body_timeout`] | | `connection: close` |
//! | 413 | a batch over 1 MiB, a control request over its limit | | |
//! | 413 | the error | `value-too-large` | `gaggle-limit`, `gaggle-len` if it is known |
//! | 414 | the error | `key-too-long` | `gaggle-limit` |
//! | 500 | the origin's error, or the panic of the load | `origin-failed` | |
//! | 503 | the error: too many loads, a failing origin, or no room for the bytes (`gaggle-limit: 0`) | `shed` | `gaggle-limit`, `gaggle-after-ms`, `retry-after` |
//! | 503 | the load was cancelled: the node is shutting down | | |
//! | 504 | the error | `deadline` | `gaggle-after-ms` |
//!
//! A ping is `GET {base path}`; any answer at all means that the node is up.
//!
//! **Batches** are Gaggle's own. A server says `gaggle-batch: 1` in every answer to a request that
//! is marked `gaggle-forwarded: 1`. A client that has seen this in the peer's last answer may send
//! `POST {base path}` with the header `gaggle-batch: 1` and a `BatchRequest` (`batch.proto` in
//! gaggle-proto): at most 1,024 keys and 1 MiB, each key with its own group, limit, deadline and
//! trace. Each is answered as a forward. The answer is 200, `gaggle-batch: 1`, and one
//! length-prefixed `BatchAnswer` for each key, in the order in which they become ready, so that a
//! slow key does not delay the others. Values are protobuf here, whatever the ring's encoding is.
//!
//! A failure affects one key only, with the verdicts of the table above; `not_kept` answers an
//! item with `kept_only`, which an older server ignores, so that it loads the value. A value over
//! 64 KiB that is in the server's cache is answered with "separately", and the client gets it with
//! a separate request. A stream that breaks off is
//! [`Unavailable`](gaggle_group::PeerError::Unavailable) for the keys that had no answer yet. Any
//! other answer to a batch means that the peer no longer takes batches, as when a node of another
//! kind has replaced it: the client asks once for each of the keys with a separate request, and
//! sends batches again when the peer reports that it takes them.
//!
//! A get is sent at once while fewer than [`Batching::requests_at_once`] requests to its peer are
//! in flight: by itself, or, if the previous request was a batch, with the gets that arrive in the
//! same turn of the runtime. Further gets wait until one of those requests has its first answer,
//! at most [`Batching::longest_wait`], and are sent together; if only a few wait
//! ([`Batching::smallest_batch`]), as single requests. An unknown peer is asked for one key first,
//! and its answer says whether it takes batches.
//!
//! The gets of one `get_many` that go to one peer are sent in one batch of at most 1,024 keys and
//! 1 MiB, as soon as all of them have reached this crate. Fewer than 64 join the waiting gets, if
//! they would have to wait: many small concurrent batches would cost a busy peer more than a few
//! large ones.
//!
//! **Control requests** are Gaggle's own as well: `POST {base path}` with `gaggle-control: 1` and
//! a `ControlRequest` (`control.proto` in gaggle-proto). It is one of
//!
//! * a removal of any number of keys, or of the whole group;
//! * a value for the receiver to keep as the key's owner, with the name of the removal that goes
//!   with it;
//! * a request for removals that the receiver knows and the asker does not, with the asker's name,
//!   to which the receiver can send further ones. A name that is not a base URL of at most 256
//!   bytes is ignored;
//! * up to 1,024 entries that the sender held and the receiver keeps from now on, with the
//!   removals that the sender had applied before. The answer has the number of entries that were
//!   kept;
//! * the announcement that a node leaves, with the time until it stops, or that it stays. Its name
//!   is a base URL of at most 256 bytes.
//!
//! The answer has the header `gaggle-control: 1`, whatever its status; failures have the statuses
//! of the table above. A request is at most 2 MiB, one with values 2 MiB plus the largest value
//! that any group takes; an answer at most 4 MiB; a key at most 64 KiB. A removal of one key
//! travels as a `DELETE`, which other implementations understand.
//!
//! An answer without that header comes from a peer without control requests, unless it is a
//! failure (5xx except 501). Such a peer reports no removals, takes no values, removes no group,
//! gets no hand-over, and gets a `DELETE` for each of many keys. An older Gaggle answers 400 to a
//! kind of control request that it does not know.
//!
//! **How the client reads an answer.** 200 is a value if all of its body arrived and decodes; for
//! a status with a verdict, the verdict counts; any other status, a redirect included, a body that
//! does not decode, and a value of more bytes than were asked for are
//! [`Refused`](gaggle_group::PeerError::Refused): the peer has failed, and the asker gets the
//! value elsewhere. Only a peer's verdict says that a value is too large. No connection, a broken
//! one, an answer that is not HTTP (or a head of more than 100 lines or some 400 KiB), and a
//! timeout are [`Unavailable`](gaggle_group::PeerError::Unavailable). A request on a connection
//! that the peer is just closing is retried once.
//!
//! A get is [shed](gaggle_group::Verdict::Shed) here, without asking the peer, if the maximum of
//! requests to the peer is in flight until its deadline, if the maximum of gets is waiting, or if
//! there is no room for the bytes of its value. The asker then does not load the value itself:
//! that would need the same bytes, or move the peer's load to its origin.
//!
//! # Bounds
//!
//! No memory is allocated for a length that is only announced. A buffer grows with the bytes that
//! have arrived, from 64 KiB on by doubling, or is reserved in full in the asker's
//! [`ByteBudget`](gaggle_group::ByteBudget) before the first byte is read. A server's buffers for
//! requests draw on the budget of its groups as they grow. Values of 4 KiB and more draw on it
//! until the connection has written them, which a slow reader may delay. A request that gets no
//! room in time is shed. If the asker has no room for an answer in a batch, it abandons the rest
//! of the batch, and asks for the missing keys one by one. Times are bounded in total: an answer
//! by the deadline of its fetch, a request's body by [`ServerOptions::body_timeout`], so that a
//! sender of single bytes cannot keep either open.
//!
//! In the answer to a batch, values in memory are looked up as there is room to write them. A
//! value that was loaded for the batch counts from then on; if it is large and in the cache, it is
//! released and answered with "separately".
//!
//! # Connections
//!
//! Each peer has connections of its own. All of them are dropped when a connection breaks, and
//! when a request or a ping has had no answer by its deadline, or its caller drops it after 100
//! ms, while no other request to that peer had an answer. So a network path that is silent for
//! existing connections, but works for new ones, costs one failure and not one for each of them.
//! Requests in flight stay on their connections. It happens at most twice a second.
//!
//! # Trade-offs
//!
//! * HTTP/1.1, and TLS if the feature `tls` and the options enable it. Without client certificates
//!   and without a token there is no authentication: anyone who reaches the port can read and drop
//!   cached values, so such peers belong on a network of their own.
//! * Nodes of other kinds know neither verdicts nor marks. Their 404 and 500 cost the asker a load
//!   of its own, and they forward a request by their own ring; for requests from them see
//!   [`Unmarked`].
//! * The two encodings cannot be distinguished in general: GeeCache sends protobuf as
//!   `application/octet-stream`. A client that expects raw values refuses
//!   `application/x-protobuf`; one that expects protobuf may misread a raw value which happens to
//!   decode.
//! * A value is copied once between the network and the cache, into an allocation of its own size.
//!   A slice of the network's buffer would avoid the copy, but could keep many times the memory
//!   alive that the cache counts for it.
//! * If a caller gives up on a slow peer that answers no other request, the peer's idle
//!   connections may be dropped as if the path were silent. New ones are cheap, while the opposite
//!   mistake costs a deadline for each of them.
//! * While a request to a peer is in flight, a further get waits for its first answer instead of
//!   taking a connection of its own. If that answer is slow, the wait is a millisecond or two,
//!   once; on a network with a longer round trip, a batch is what arrives in that time.
//! * A value over 64 KiB costs two round trips if it is requested in a batch.
//! * A removal whose keys take more than a control request (about 2 MiB, or 1 MiB if it is sent
//!   later to a node that missed it) removes the whole group at the peers: more than necessary,
//!   and never less.
//! * The owner gets a deadline up to 100 ms shorter than the asker's, so that its verdict
//!   `deadline` arrives in time.
//! * An answer without a stated length, as HTTP/1.0 allows, is refused: its truncation could not
//!   be detected.

mod base_path;
mod batch;
mod bounds;
mod client;
mod encoding;
mod escape;
mod headers;
#[cfg(test)]
mod hostile;
mod message;
mod room;
mod server;
mod terms;

pub use base_path::{BasePath, BasePathError};
#[cfg(feature = "tls")]
pub use client::Tls;
pub use client::{
    Authorization, BaseUrlError, BaseUrlProblem, BatchStats, Batching, ClientError, ClientOptions,
    HttpPeer, HttpTransport,
};
pub use encoding::{Encoding, EncodingError};
pub use server::{ServerOptions, Unmarked, router};
