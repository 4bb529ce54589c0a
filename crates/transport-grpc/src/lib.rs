//! The peer seam of Gaggle over gRPC: a client and a server on tonic.
//!
//! [`GrpcTransport`] makes peers that a group asks ([`gaggle_group::Peer`]); [`router`] answers
//! them. The service is `gaggle.peer.v1.Peers` of `gaggle.proto` in gaggle-proto. It carries the
//! same as Gaggle's HTTP transport, and the read path cannot tell the two apart. Of Gaggle, this
//! crate depends only on `gaggle-group` and the messages in `gaggle-proto`.
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use gaggle_group::{Entry, Fetch, Group, Groups, Peer};
//! use gaggle_transport_grpc::{GrpcTransport, ServerOptions, router};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The owner of the key.
//! let scores = Group::builder("scores")
//!     .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("630")) })
//!     .build()?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let base_url = format!("http://{}", listener.local_addr()?);
//! let routes = router(Groups::new([scores])?, ServerOptions::default());
//! tokio::spawn(async move { axum::serve(listener, routes).await });
//!
//! // Another node, that asks it. A group does this by itself, once its router hands it the peer.
//! let peer = GrpcTransport::default().peer(&base_url)?;
//! let key = &Bytes::from("Tom");
//! let fetch = Fetch::new("scores", key, 1 << 20, Duration::from_secs(5));
//! assert_eq!(peer.fetch(fetch).await?.entry, Entry::value("630"));
//! # Ok(()) }
//! ```
//!
//! # What a peer's answer means
//!
//! | answer | for the asker |
//! |---|---|
//! | a value, or `not_found` | the same; a `not_found` without a ttl is not kept |
//! | `not_kept` | [`NotKept`](gaggle_group::Verdict::NotKept): the peer's memory does not have the value, and the request was for memory only |
//! | a `failure` | a [`Verdict`](gaggle_group::Verdict): the owner did what the asker would have done |
//! | `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `CANCELLED`, `UNKNOWN`, or a connection that failed | [`Unavailable`](gaggle_group::PeerError::Unavailable): counts against the peer's health |
//! | `RESOURCE_EXHAUSTED` | [`Shed`](gaggle_group::Verdict::Shed): there was no room for the request |
//! | any other status (`NOT_FOUND` is an unknown group), an answer that cannot be read, or a value of more bytes than were asked for | [`Refused`](gaggle_group::PeerError::Refused): the peer is alive, and the asker gets the value elsewhere |
//!
//! A request is always a forward: the server answers it itself
//! ([`Hop::Forwarded`](gaggle_group::Hop::Forwarded)), so that two nodes that disagree about the
//! ring cannot wait for each other. The deadline travels as `grpc-timeout`; the server gives up a
//! little before it ([`ServerOptions::answer_ahead`]), so that the asker is still waiting when its
//! verdict arrives.
//!
//! A `Get` carries removals that the asker knows, which the server applies before it answers.
//! `Remove` carries removals, `Put` values for the owner of a key to keep, and `News` asks for
//! removals. The trace of a `Get`, a `Remove` or a `Put` travels as the metadata `traceparent`
//! ([W3C Trace Context](https://www.w3.org/TR/trace-context/)). `HandOver` carries entries that the
//! receiver keeps from now on, and `Leaving` announces that a node leaves or stays. A peer of an
//! older release answers `UNIMPLEMENTED` to a call that it does not know: it takes no values,
//! removes no group, and gets many keys one by one.
//!
//! A get is shed here, without asking the peer, if the maximum of requests is in flight until its
//! deadline, or if there is no room for the bytes of its answer: the same value from elsewhere
//! would need the same room.
//!
//! # Bounds
//!
//! A request is at most 1 MiB; `News` 2 MiB; `Put` 1 MiB plus the largest value that any group
//! takes, and `HandOver` 2 MiB plus that value. `HandOver` has at most 1,024 entries. Longer
//! requests are not sent. An answer is at most the largest value that the asker takes plus 8 KiB,
//! or 4 MiB of removals; a longer one is abandoned at its announced length. A key in a removal is
//! at most 64 KiB. The text of an origin's failure is cut off after 4 KiB.
//!
//! A message of 4 KiB or more is reserved in a [`ByteBudget`](gaggle_group::ByteBudget) before
//! memory is allocated for it: an answer that arrives in the asker's budget; a request, and an
//! answer until it is written, in that of the server's groups. The whole request has to arrive
//! within [`ServerOptions::body_timeout`].
//!
//! A connection on which a request ends without an answer from the peer, after 100 ms or more, is
//! closed, at most twice a second: a network path that is silent for it may work for a new one.
//!
//! # Trade-offs
//!
//! * One HTTP/2 connection to a peer. Requests do not wait for each other, but they share one
//!   window, and one lost packet delays all; for values of a megabyte HTTP/1.1 with a connection
//!   for each request moves more bytes a second.
//! * A value is copied once on each side: into its frame by the sender, out of the connection by
//!   the receiver. One of up to 16 KiB is copied once more, into an allocation of its own, so that
//!   it does not keep a receive buffer alive in a cache that counts only the value.
//! * While a connection is being made, requests to that peer queue behind it; if it fails, each of
//!   them makes its own attempt, one after the other. The time of each is bounded by its deadline,
//!   and their number by [`ClientOptions::max_requests_per_peer`]; it takes a health check,
//!   outside of this crate, to stop asking.
//! * A request is retried only if the connection closed before it was sent, and only once. A
//!   request that was in flight when the peer died fails.
//! * A removal whose keys take more than 1 MiB removes the whole group at the peers: more than
//!   necessary, and never less.
//! * TLS is a feature, `tls`; the caller supplies the configuration for rustls.
//! * It speaks with Gaggle nodes only. Older groupcache-like systems speak HTTP.

mod client;
mod codec;
mod counted;
mod deadline;
#[cfg(test)]
mod hostile;
mod server;
mod trace;
mod verdict;
mod wire;

#[cfg(feature = "tls")]
pub use client::Tls;
pub use client::base_url::BaseUrlError;
pub use client::{Authorization, ClientOptions, GrpcPeer, GrpcTransport};
pub use server::{ServerOptions, router};
