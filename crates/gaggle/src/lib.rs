//! A read-through cache that a whole cluster shares: groupcache's idea, in Rust.
//!
//! A program asks any node for a key. The node answers from memory, or asks the one node that owns
//! the key, which loads it once from the origin, however many callers wait. This crate is the
//! facade: it has the parts that a service needs in one place, with defaults to start with. Each
//! part is a crate of its own and can be used without the rest.
//!
//! ```
//! # #[cfg(all(feature = "cluster", feature = "typed"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gaggle::{Cluster, TypedGroup};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct User { name: String, points: u32 }
//!
//! let users: TypedGroup<u64, User> = TypedGroup::builder("users")
//!     .capacity(64 << 20)
//!     .origin_fn(|id: u64| async move {
//!         // Ask the database here: Ok(Some(user)), Ok(None) for "no such user", or Err.
//!         Ok::<_, std::io::Error>((id == 7).then(|| User { name: "Tom".into(), points: 630 }))
//!     })
//!     .build()?;
//! assert_eq!(users.get(&7).await?.points, 630);
//!
//! // Two more lines, and it is shared. (Port 0 is for this example; peers need one they know.)
//! let peers = ["http://127.0.0.1:8001"];
//! # let peers: [&str; 0] = [];
//! let cluster = Cluster::join(peers).serve("127.0.0.1:0", [&users]).await?;
//!
//! assert_eq!(users.get(&7).await?.name, "Tom");
//! cluster.leave().await;
//! # Ok(()) }
//! # #[cfg(not(all(feature = "cluster", feature = "typed")))]
//! # fn main() {}
//! ```
//!
//! A group holds bytes. A program that only passes them on uses the plain [`Group`]:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pages = gaggle::Group::builder("pages")
//!     .origin_fn(|key: bytes::Bytes| async move {
//!         Ok::<_, std::io::Error>((key == "home").then_some("<h1>Home</h1>"))
//!     })
//!     .build()?;
//! assert_eq!(pages.get("home").await?, "<h1>Home</h1>");
//! # Ok(()) }
//! ```
//!
//! # Starting warm
//!
//! A process starts with an empty memory. With the feature `snapshot` it loads the keys that it
//! held before and owns now, in the background, after the loads of its callers:
//!
//! ```
//! # #[cfg(feature = "snapshot")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use gaggle::snapshot::{Keeper, Options, Snapshot};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("pages.keys");
//! # let pages = gaggle::Group::builder("pages")
//! #     .origin_fn(|_| async { Ok::<_, std::io::Error>(Some("page")) })
//! #     .build()?;
//! // After `Cluster::serve`, so that it is known who owns what. Writes the keys every five minutes, too.
//! let keeper = Keeper::start(pages.clone(), Snapshot::new(path), Options::default());
//! // At the end, before `Cluster::leave`:
//! keeper.stop(Duration::from_secs(1)).await;
//! # Ok(()) }
//! # #[cfg(not(feature = "snapshot"))]
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! | for | see | feature |
//! |---|---|---|
//! | the group: gets, limits, statistics, the traits to implement | [`Group`], [`group`] | |
//! | keys and values with types | `TypedGroup`, `typed` | `typed`; `typed-postcard`, `typed-prost` |
//! | a cluster of programs | `Cluster`, `peers`, `ring`, `serve`, `transport_http` | `cluster` |
//! | TLS and tokens between its members | `ClusterBuilder::tls`, `ClusterBuilder::token` | `tls`, `token` |
//! | members from DNS, a file or gossip | `Peers::follow` | `discovery-dns`, `discovery-file`, `discovery-gossip` |
//! | the front door and the admin endpoints, as axum routers | `api_http` | `api` |
//! | a port for the clients of Redis | `api_resp` | `resp` |
//! | ready-made origins | `origin_http`, `origin_files`, `origin_sql`, `origin_object` | `origin-http`, `origin-files`, `origin-sql` (SQLite), `origin-postgres`, `origin-mysql`, `origin-object` (S3), `origin-object-gcp`, `origin-object-azure` |
//! | removals when a source changes | `follow`, `follow_files`, `follow_postgres` | `follow`, `follow-files`, `follow-postgres` |
//! | warm starts, by a file of the keys that a group holds | `snapshot` | `snapshot` |
//! | logs, metrics and traces | `telemetry` | `telemetry`, `opentelemetry`, `otlp` (an exporter) |
//! | gRPC between members | `transport_grpc` | `grpc` |
//! | one layer by itself | [`paged`], [`lru`], [`shards`], [`limiter`], [`singleflight`] | |
//!
//! `cluster`, `api`, `typed`, `origin-http` and `origin-files` are on by default. With none of
//! them, this is a cache for one process, with 28 crates in place of 140.
//!
//! For tests there is the crate `gaggle-testkit`: clusters in memory, under paused time.
//!
//! # Trade-offs
//!
//! `Cluster` speaks HTTP and takes a list of members, which `Cluster::peers` changes at any time
//! or follows from a `Discovery`. For gRPC put the parts together as it does: its source is a few
//! pages long.

#[cfg(feature = "cluster")]
mod cluster;

#[cfg(feature = "cluster")]
pub use cluster::{Cluster, ClusterBuilder, ClusterError, Embedded};

pub use gaggle_group::{
    Answer, BadTraceParent, Batch, BatchHandle, BuildError, ByWorth, ByteBudget, CacheStats,
    Candidate, Clock, Contact, Content, Cursor, DuplicateGroup, Entry, Error, Exemplar, Fetch,
    Fetched, Field, FollowState, FollowStats, Freshness, FreshnessPolicy, GetStats, Group,
    GroupBuilder, Groups, HandedOver, Hint, Histogram, Hop, HotCopies, Key, Known, Limits, Load,
    LoadStats, Loaded, LocalOnly, LruStore, Member, Metadata, Missed, News, NoHotCopies, Notice,
    Origin, OriginError, OriginFailure, OriginFault, OriginFn, OriginQueue, OverBudget, Overload,
    PagedStore, Peer, PeerError, PeerRequests, Propagation, Public, Put, ReconfigureError, Removal,
    RemovalId, RemovalStats, RequestRate, Route, Router, SPAN_TARGET, Sampled, Scope, Serve,
    Served, Settings, Source, Stats, Store, StoreStats, Terms, TraceParent, Verdict, WarmEnd,
    WarmOptions, WarmStats, Warmed, Window, async_trait,
};

#[cfg(feature = "cluster")]
pub use gaggle_peers::{
    Discovery, DiscoveryError, DiscoveryStats, Listed, Peers, PeersError, StaticList,
};
#[cfg(feature = "cluster")]
pub use gaggle_ring::Profile;
#[cfg(feature = "cluster")]
pub use gaggle_serve::{Drained, ServeError};
#[cfg(feature = "opentelemetry")]
pub use gaggle_telemetry::OpenTelemetry;
#[cfg(feature = "tls")]
pub use gaggle_tls::{ClientCerts, Tls, TlsError, TlsFiles};
#[cfg(feature = "token")]
pub use gaggle_token::{TokenError, Tokens};
#[cfg(feature = "cluster")]
pub use gaggle_transport_http::{BasePath, BasePathError, ClientError, ClientOptions};
#[cfg(feature = "typed")]
pub use gaggle_typed::{
    BadKey, ByText, Codec, Found, FromKey, Json, OnMismatch, ToKey, TypedAnswer, TypedBuilder,
    TypedError, TypedGroup, TypedOptions, TypedOrigin, TypedStats, text_key,
};

#[cfg(feature = "api")]
pub use gaggle_api_http as api_http;
#[cfg(feature = "resp")]
pub use gaggle_api_resp as api_resp;
#[cfg(feature = "api")]
pub use gaggle_console as console;
#[cfg(feature = "discovery-dns")]
pub use gaggle_discovery_dns as discovery_dns;
#[cfg(feature = "discovery-file")]
pub use gaggle_discovery_file as discovery_file;
#[cfg(feature = "discovery-gossip")]
pub use gaggle_discovery_gossip as discovery_gossip;
#[cfg(feature = "follow")]
pub use gaggle_follow as follow;
#[cfg(feature = "follow-files")]
pub use gaggle_follow_files as follow_files;
#[cfg(feature = "follow-postgres")]
pub use gaggle_follow_postgres as follow_postgres;
pub use gaggle_group as group;
pub use gaggle_limiter as limiter;
pub use gaggle_lru as lru;
#[cfg(feature = "origin-files")]
pub use gaggle_origin_files as origin_files;
#[cfg(feature = "origin-http")]
pub use gaggle_origin_http as origin_http;
#[cfg(any(
    feature = "origin-object",
    feature = "origin-object-gcp",
    feature = "origin-object-azure"
))]
pub use gaggle_origin_object as origin_object;
#[cfg(any(
    feature = "origin-sql",
    feature = "origin-postgres",
    feature = "origin-mysql"
))]
pub use gaggle_origin_sql as origin_sql;
pub use gaggle_paged as paged;
#[cfg(feature = "cluster")]
pub use gaggle_peers as peers;
#[cfg(feature = "cluster")]
pub use gaggle_proto as proto;
#[cfg(feature = "cluster")]
pub use gaggle_ring as ring;
#[cfg(feature = "cluster")]
pub use gaggle_serve as serve;
pub use gaggle_shards as shards;
pub use gaggle_singleflight as singleflight;
#[cfg(feature = "snapshot")]
pub use gaggle_snapshot as snapshot;
#[cfg(feature = "telemetry")]
pub use gaggle_telemetry as telemetry;
#[cfg(feature = "tls")]
pub use gaggle_tls as tls;
#[cfg(feature = "token")]
pub use gaggle_token as token;
#[cfg(feature = "grpc")]
pub use gaggle_transport_grpc as transport_grpc;
#[cfg(feature = "cluster")]
pub use gaggle_transport_http as transport_http;
#[cfg(feature = "typed")]
pub use gaggle_typed as typed;

/// The chapter of the manual, whose examples are tests of this crate.
#[cfg(all(doctest, feature = "cluster", feature = "typed"))]
#[doc = include_str!("../../../docs/src/embed.md")]
mod manual {}
