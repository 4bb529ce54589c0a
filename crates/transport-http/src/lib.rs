//! The peer protocol of golang/groupcache and its kin over HTTP, client and server, with what Gaggle adds to it.
//!
//! [`router`] answers for the groups of this node; [`HttpTransport`] makes a [`Peer`](gaggle_group::Peer) of each other
//! node, for the read path to ask.
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
//! **Request.** `GET {base path}{group}/{key}`. In group and key the bytes `A-Z a-z 0-9 - _ . ~` stay, every other byte is
//! `%XX` in upper case: a space is `%20`, a plus `%2B`. The server splits the raw path at the first `/` behind the group,
//! then decodes plain percent-encoding (`+` is a plus), so a key is any bytes: none at all, slashes, NUL, no UTF-8. The
//! query is ignored. `HEAD` and `POST` read like `GET`; a request's body means nothing, but for batches and control requests.
//! `DELETE` drops the receiver's own copies of the key. Any other method is answered with 405.
//!
//! The keys `.` and `..` cannot be in a path, since URL parsers take such parts away even when they are escaped. The client
//! sends `GET {base path}{group}` for them, without a slash, and the escaped key in the header `gaggle-key`. Other
//! implementations answer 400 to that: they cannot take it for another key.
//!
//! | request header | meaning |
//! |---|---|
//! | `gaggle-forwarded: 1` | a node has forwarded this: answer it, whoever owns the key |
//! | `gaggle-deadline-ms: N` | the answer is of use for that long |
//! | `gaggle-max-value: N` | the most bytes of value that the asker takes |
//! | `gaggle-key: K` | the key, escaped; read only where no `/` follows the group |
//! | `gaggle-removals: ID ID` | removals of the key that the asker knows: they are applied before the answer. At most 8 are read |
//! | `gaggle-kept: 1` | only what is in the receiver's memory is of use: otherwise it answers `not-kept`, and loads nothing |
//! | `traceparent: T` | the trace that it belongs to ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); what cannot be read is passed over |
//! | `gaggle-removal: ID` | with `DELETE`: the name of the removal |
//! | `gaggle-batch: 1` | with `POST {base path}`: the body asks for many keys |
//! | `gaggle-control: 1` | with `POST {base path}`: the body is a control request |
//!
//! An `ID` is 16 hexadecimal digits, `-` and a number from 1 on ([`RemovalId`](gaggle_group::RemovalId)).
//!
//! **Answer.** 200 and the value, in one of two encodings that the ring agrees on ([`Encoding`]): `application/x-protobuf`
//! with a `GetResponse` (an empty value is `0A 00`), or `application/octet-stream` with the value alone. The client takes
//! protobuf under any content type, ignores unknown fields, and reads an empty body as an empty value.
//!
//! Behind the value, a `GetResponse` has `minute_qps` in the answer to a forward by the key's owner: how many fetches of the key
//! per minute it answers for peers ([`Served::minute_qps`](gaggle_group::Served)). golang/groupcache defines the field and
//! reads past it. The client takes one that is missing, negative or not finite as unknown. Raw values come without; answers
//! in batches have it in either case.
//!
//! | answer header | meaning |
//! |---|---|
//! | `gaggle-ttl-ms: N` | how much longer it is fresh |
//! | `gaggle-stale-while-revalidate-ms: N` | how long after that it may be served while it is loaded again |
//! | `gaggle-stale-if-error-ms: N` | how long after that it may be served if loading it again fails |
//! | `gaggle-age-ms: N` | how old the value is, where the origin told |
//! | `gaggle-metadata: M` | what else the origin told ([`Metadata`](gaggle_group::Metadata)), its bytes escaped, at most 1 KiB of them |
//!
//! Each is there only where it says something. A value without `gaggle-ttl-ms` is fresh without an end, and the windows mean
//! nothing then. A 404 with the verdict `not-found` has the same headers; without `gaggle-ttl-ms` the absence is not to be
//! kept. A number or metadata that cannot be read make the answer [`Refused`](gaggle_group::PeerError::Refused).
//!
//! A `DELETE` is answered with 200, an empty body and `gaggle-removed: 1`. Only that header counts as done, since
//! golang/groupcache answers a `DELETE` as if it were a get. With `gaggle-removal` it is a removal like any other: applied
//! once, remembered, and told to nodes that missed it; one that is known already is answered alike. Without that header it
//! is a stranger's (mailgun's, curl's), and drops the receiver's copies each time.
//!
//! **Errors** have a body of one line of text. Where the node did what the asker would have done, the header
//! `gaggle-verdict` says how it ended, so that the asker need not try the origin again:
//!
//! | status | text | verdict | further headers |
//! |---|---|---|---|
//! | 400 | `bad request` (no `/` behind the group, a malformed escape, number, name of a removal or message) | | |
//! | 404 | `no such group: NAME` | | |
//! | 404 | `KEY not found` | `not-found` | |
//! | 404 | the error | `not-kept` | |
//! | 404 | `not found` (not under the base path) | | |
//! | 405 | `method not allowed` | | `allow` |
//! | 408 | the body of a batch or a control request did not come within [`ServerOptions::body_timeout`] | | `connection: close` |
//! | 413 | a batch over 1 MiB, a control request over its limit | | |
//! | 413 | the error | `value-too-large` | `gaggle-limit`, `gaggle-len` where it is known |
//! | 414 | the error | `key-too-long` | `gaggle-limit` |
//! | 500 | the origin's error, or the panic of the load | `origin-failed` | |
//! | 503 | the error: too many loads, a failing origin, or no room for the bytes (`gaggle-limit: 0`) | `shed` | `gaggle-limit`, `gaggle-after-ms`, `retry-after` |
//! | 503 | the load was cancelled: the node is going down | | |
//! | 504 | the error | `deadline` | `gaggle-after-ms` |
//!
//! A ping is `GET {base path}`; any answer at all is a sign of life.
//!
//! **Batches** are Gaggle's own. A server says `gaggle-batch: 1` in every answer to a request that is marked
//! `gaggle-forwarded: 1`. A client that has seen this in the peer's last answer may send `POST {base path}` with the header
//! `gaggle-batch: 1` and a `BatchRequest` (`batch.proto` in gaggle-proto): at most 1,024 keys and 1 MiB, each key with a group, a
//! limit, a deadline and a trace of its own. Every one is answered as a forward. The answer is 200, `gaggle-batch: 1`, and one
//! `BatchAnswer` for each key behind its length, in the order in which they become ready, so that a slow key holds up none
//! of the others. Values are protobuf here, whatever the ring's encoding is.
//!
//! A failure is one key's alone, with the verdicts of the table above; `not_kept` answers an item
//! with `kept_only`, which an older server passes over: it loads. A value over 64 KiB that is in
//! the server's cache is answered by "separately", and the client gets it by a request of its own.
//! A stream that breaks off is [`Unavailable`](gaggle_group::PeerError::Unavailable) for the keys
//! that had no answer yet. Any other answer to a batch says that the peer takes none any more, as
//! when a node of another kind has taken its place: the client asks for each of the keys once by a
//! request of its own, and sends batches again when the peer says that it takes them.
//!
//! A get leaves at once while fewer than [`Batching::requests_at_once`] requests to its peer are under way: by itself, or, if
//! the last one to leave had company, with those that come in the same turn of the runtime. Others wait until one of those
//! has its first answer, at most [`Batching::longest_wait`], and leave together; where only a few wait
//! ([`Batching::smallest_batch`]), by requests of their own. A peer of which nothing is known is asked for one key, and
//! the answer tells how to go on with the others.
//!
//! The gets of one `get_many` that go to one peer leave in one batch of up to 1,024 keys and 1 MiB, as soon as all of them
//! have come here. Fewer than 64 join those that wait, if any would have to: many small batches at a time would cost a busy
//! peer more than few large ones.
//!
//! **Control requests** are Gaggle's own, too: `POST {base path}` with `gaggle-control: 1` and a `ControlRequest`
//! (`control.proto` in gaggle-proto). It is one of
//!
//! * a removal of any number of keys, or of the whole group;
//! * a value for the receiver to keep as the key's owner, with the name of the removal that goes with it;
//! * the question for removals that the receiver knows and the asker does not, with the asker's
//!   name, by which it can be told of further ones. A name that is no base URL of at most 256
//!   bytes is passed over;
//! * up to 1,024 entries that the sender held and the receiver is to keep from now on, with the
//!   removals that the sender had applied before. The answer says how many are kept;
//! * the word that a node leaves, and within what time it is gone, or that it has come to stay.
//!   Its name is a base URL of at most 256 bytes.
//!
//! The answer has the header `gaggle-control: 1`, whatever its status; failures have the statuses
//! of the table above. A request is at most 2 MiB, one with values 2 MiB and the largest value
//! that any group takes; an answer at most 4 MiB; a key at most 64 KiB. A removal of one key
//! travels as a `DELETE`, which strangers understand.
//!
//! An answer without that header comes from a peer that knows no such thing, unless it is a
//! failure (5xx but 501). Such a peer has no news, takes no values, removes no group, is handed
//! nothing, and is told of many keys by a `DELETE` for each. An older Gaggle answers 400 to a kind
//! of request that it does not know.
//!
//! **What the client makes of it.** 200 is a value if all of its body came and decodes; a status
//! with a verdict is what the verdict says; any other status, a redirect included, a body that
//! does not decode, and a value of more bytes than were asked for are
//! [`Refused`](gaggle_group::PeerError::Refused): the peer has failed, and the value is to be had
//! elsewhere. Only a peer's verdict says that a value is too large. No connection, one that
//! breaks, what is no HTTP (or a head of more than 100 lines or some 400 KiB), and no answer in
//! time are [`Unavailable`](gaggle_group::PeerError::Unavailable). A request that meets a
//! connection which the peer is just closing is sent once more.
//!
//! A get is [shed](gaggle_group::Verdict::Shed) here, without a word of the peer, where as many
//! requests are under way at the peer as may be until its deadline, where as many gets wait as
//! may, and where there is no room for the bytes of its value. The asker does not load the value
//! itself then: that would need the same bytes, or move the peer's load to its origin.
//!
//! # Bounds
//!
//! No room is made for what is only claimed. A buffer grows with what has come, from 64 KiB on by
//! doubling, or is reserved in full in the asker's [`ByteBudget`](gaggle_group::ByteBudget) before
//! the first byte is read. A server's buffers for requests draw on the budget of its groups as
//! they grow, and values of 4 KiB and more do while they are being written: until the connection
//! has written them, which a slow reader may delay. What has no room in time is shed. Where the
//! asker has no room for an answer in a batch, it gives up the rest of the batch, and asks for
//! what is missing key by key. Times are bounded in total: an answer by the deadline of its fetch,
//! a request's body by [`ServerOptions::body_timeout`], so that neither lives on drip by drip.
//!
//! In the answer to a batch, what is in memory is looked up as there is room to write it. A value
//! that was loaded for the batch counts from then on; if it is large and in the cache, it is let
//! go and told as "separately".
//!
//! # Connections
//!
//! Each peer has connections of its own, which are given up together: when a connection breaks, and
//! when a request or a ping has had no answer by its deadline, or its caller gives it up after 100
//! ms, while no other request to that peer had one. A path that is silent for connections that
//! exist, and good for new ones, so costs one failure and not one for each of them. Requests under
//! way stay on theirs. It happens twice a second at most.
//!
//! # Trade-offs
//!
//! * HTTP/1.1, and TLS where the feature `tls` and the options have it. Without TLS that asks for certificates, and without a
//!   token, whoever reaches the port can read and drop what is cached: such peers belong on a network of their own.
//! * Nodes of other kinds know neither verdicts nor marks. Their 404 and 500 cost a load of one's own, and they pass a
//!   request on by their own ring; for requests from them see [`Unmarked`].
//! * The two encodings cannot be told apart in general: GeeCache sends protobuf as `application/octet-stream`. A client
//!   that expects raw values refuses `application/x-protobuf`; one that expects protobuf may misread a raw value which
//!   happens to decode.
//! * A value is copied once between the network and the cache, into an allocation of its own size. A slice of the
//!   network's buffer would spare the copy, and could hold on to many times the memory that the cache counts for it.
//! * A caller that gives up on a slow peer which answers nobody else may cost it its idle
//!   connections, as if the path were silent. New ones are cheap, and the other mistake costs a deadline for each of them.
//! * With a request to a peer under way, a further get waits for its first answer instead of taking a connection of its
//!   own. If that is slow, it is a millisecond or two, once; on a network with a longer round trip than that, batches are
//!   what comes together in that time.
//! * A value over 64 KiB costs two round trips where it is asked for in a crowd.
//! * A removal whose keys take more than a control request (about 2 MiB, or 1 MiB where it is told later to a node that
//!   missed it) removes the whole group at the peers: more than it must, and never less.
//! * The owner is told a deadline up to 100 ms shorter than the asker's, so that its "not in time" arrives in time.
//! * Where an answer is cut off without a stated length, as HTTP/1.0 allows, nobody can tell. Such answers are refused.

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
    Authorization, BaseUrlError, BaseUrlProblem, Batching, ClientError, ClientOptions, HttpPeer,
    HttpTransport,
};
pub use encoding::{Encoding, EncodingError};
pub use server::{ServerOptions, Unmarked, router};
