//! The read path of a cache that a cluster shares.
//!
//! A [`Group`] is a named set of keys with one [`Origin`] behind it. [`Group::get`] answers from
//! memory, or asks the node that owns the key, or loads it from the origin. One load of a key
//! runs, however many callers wait for it.
//!
//! ```
//! use bytes::Bytes;
//! use gaggle_group::Group;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Group::builder("scores")
//!     .capacity(64 << 20)
//!     .origin_fn(|key: Bytes| async move {
//!         // Ask the database here. `Ok(None)` says "there is no such key", which is an answer and not a failure.
//!         Ok::<_, std::io::Error>((key == "Tom").then_some("630"))
//!     })
//!     .build()?;
//! assert_eq!(scores.get("Tom").await?, "630");
//! assert!(scores.get("Kesa").await.unwrap_err().is_not_found());
//! # Ok(()) }
//! ```
//!
//! # The path of one get
//!
//! 1. [`Store`]: a fresh hit in the main or the hot cache answers synchronously, without an await,
//!    a lock held over one, or I/O.
//! 2. Singleflight: a miss starts one task for the key, or joins the running one. The task belongs
//!    to no caller.
//! 3. [`Router`]: finds the owner of the key. An owner loads from the [`Origin`] into the main
//!    cache; any other node asks the owner, a [`Peer`], and may keep a hot copy ([`HotCopies`]).
//! 4. If a peer cannot be reached, the node loads the value itself; that value never enters the
//!    main cache.
//!
//! This crate owns those traits and knows no implementation of a peer, a ring or a wire format.
//!
//! # Spans
//!
//! A get that waits has spans of the `tracing` crate, at `debug` and under a target of their own
//! ([`SPAN_TARGET`]). A flight's span is a child of the span in which it was started, and the
//! spans of other callers who wait for it are linked to it (`follows_from`). What the origin logs
//! is inside of its span `origin`. With a [`Propagation`] ([`GroupBuilder::propagation`]) the
//! trace continues at the owner of the key. Hits have no span, and no extra cost.
//!
//! # Trade-offs
//!
//! * A span ends when the spans that began inside of it have ended: that of an abandoned load
//!   lasts until the origin has finished its work on it.
//! * A caller that joins a flight at the very moment in which another thread starts it waits for
//!   at most 8 ms for the flight's span. If that thread is suspended for longer, the two are not
//!   linked.
//! * Values are immutable and whole: there is no partial read, no compare-and-swap. A change at
//!   the origin shows after the time to live, or after [`Group::remove`].
//! * A load becomes a task of its own if its caller is dropped, so a group needs a tokio runtime,
//!   and a value must be `Send`.
//! * Until then its caller polls it. An origin that computes, or blocks its thread, takes its
//!   caller's time.
//! * Each node asks every other node for removals every 400 ms and for each group
//!   ([`Group::follow`]): five small requests a second for each pair and group. In rings of
//!   hundreds of nodes that is a noticeable load.
//! * "Not found" is kept only if the group has a [`negative_ttl`](FreshnessPolicy::negative_ttl)
//!   or the origin states how long it is valid.

mod answer;
mod batch;
mod builder;
mod entry;
mod error;
mod failures;
mod fault;
mod freshness;
mod group;
mod groups;
mod hand_over;
mod hello;
mod hot;
mod inspect;
mod metadata;
mod origin;
mod peer;
mod popular;
mod rate;
mod removal;
mod router;
mod settings;
mod share;
mod stats;
mod store;
mod terms;
mod tiers;
mod trace;
mod warm;
mod window;

pub use answer::{Answer, Source};
pub use batch::{Batch, BatchHandle, BatchMember};
pub use builder::{BuildError, GroupBuilder};
pub use entry::{Content, Entry, Freshness, Hint, Key, Loaded};
pub use error::{Error, OriginError, Overload, Public};
pub use fault::{NoFault, OriginFailure, OriginFault};
pub use freshness::FreshnessPolicy;
pub use group::{Contact, Group, HandedOver, Hop, Missed, Removal, Serve, Served};
pub use groups::{DuplicateGroup, Groups};
pub use hand_over::{Previous, Worth};
pub use hello::{Greeting, Hello, Instance, PROTOCOL, Word};
pub use hot::{ByWorth, Candidate, HotCopies, NoHotCopies, RequestRate, Sampled};
pub use inspect::{About, Held, HeldIn, Inspect, Inspected, Report, ReportedGroup, ReportedMember};
pub use metadata::{BadMetadata, Field, Metadata};
pub use origin::{Load, Origin, OriginFn};
pub use peer::{Fetch, Fetched, HandOver, Peer, PeerError, Put, Verdict};
pub use popular::{HotKey, HotKeys};
pub use removal::{BadRemovalId, Known, News, Notice, RemovalId, Scope};
pub use router::{Disagreement, LocalOnly, Member, PeerRequests, Route, Router};
pub use settings::{Limits, ReconfigureError, Settings};
pub use stats::{
    CacheStats, Exemplar, FollowState, FollowStats, GetStats, HISTOGRAM_BOUNDS, Histogram,
    LoadStats, OriginQueue, RemovalStats, Stats,
};
pub use store::{Cached, Inserted, LruStore, PagedStore, Store, StoreStats};
pub use terms::Terms;
pub use trace::{BadTraceParent, Propagation, SPAN_TARGET, TraceParent};
pub use warm::{WarmEnd, WarmOptions, WarmStats, Warmed};
pub use window::Window;

pub use async_trait::async_trait;
pub use gaggle_limiter::{ByteBudget, Hold, OverBudget, Reservation};
pub use gaggle_shards::{Clock, Cursor};
