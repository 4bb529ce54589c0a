//! A read-through cache that a whole cluster shares: groupcache's idea, in Rust.
//!
//! A program asks any node for a key. The node answers from memory, or asks the one node that owns the key, which loads it
//! once from the origin however many callers wait. This crate is the facade: the parts a service needs in one place, with
//! defaults that are good to begin with. Each part is a crate of its own and can be used without the rest.
//!
//! ```
//! use bytes::Bytes;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = gaggle::Group::builder("scores")
//!     .capacity(64 << 20)
//!     .origin_fn(|key: Bytes| async move {
//!         // Ask the database here: Ok(Some(value)), Ok(None) for "no such key", or Err.
//!         Ok::<_, std::io::Error>((key == "Tom").then_some("630"))
//!     })
//!     .build()?;
//! assert_eq!(scores.get("Tom").await?, "630");
//!
//! // Two more lines, and it is shared. (Port 0 is for this example; peers need one they know.)
//! let peers = ["http://127.0.0.1:8001"];
//! # let peers: [&str; 0] = [];
//! let cluster = gaggle::Cluster::join(peers).serve("127.0.0.1:0", [scores.clone()]).await?;
//!
//! assert_eq!(scores.get("Tom").await?, "630");
//! cluster.leave().await;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | the group: gets, limits, statistics, the traits to implement | [`Group`], [`group`] |
//! | a cluster of programs | [`Cluster`], [`peers`], [`transport_http`] |
//! | the front door and the admin endpoints, as axum routers | [`api_http`] |
//! | one layer by itself | [`lru`], [`ring`], [`singleflight`], [`serve`] |
//! | ready-made origins, members from DNS, a file or gossip | the cargo features `origin-http`, `origin-files`, `origin-sql`, `discovery-dns`, `discovery-file`, `discovery-gossip` |
//! | gRPC, metrics, TLS, tokens | the cargo features `grpc`, `telemetry`, `tls`, `token` |
//!
//! # Trade-offs
//!
//! [`Cluster`] speaks HTTP and takes a list of members. For gRPC, or members from elsewhere, put the parts together as it
//! does: its source is a page long.

mod cluster;

pub use cluster::{Cluster, ClusterBuilder, ClusterError, Embedded};
pub use gaggle_group::{
    Answer, Error, FreshnessPolicy, Group, Groups, Key, Limits, Loaded, Origin, ReconfigureError,
    Settings, Source, async_trait,
};

pub use gaggle_api_http as api_http;
#[cfg(feature = "discovery-dns")]
pub use gaggle_discovery_dns as discovery_dns;
#[cfg(feature = "discovery-file")]
pub use gaggle_discovery_file as discovery_file;
#[cfg(feature = "discovery-gossip")]
pub use gaggle_discovery_gossip as discovery_gossip;
pub use gaggle_group as group;
pub use gaggle_limiter as limiter;
pub use gaggle_lru as lru;
#[cfg(feature = "origin-files")]
pub use gaggle_origin_files as origin_files;
#[cfg(feature = "origin-http")]
pub use gaggle_origin_http as origin_http;
#[cfg(feature = "origin-sql")]
pub use gaggle_origin_sql as origin_sql;
pub use gaggle_peers as peers;
pub use gaggle_ring as ring;
pub use gaggle_serve as serve;
pub use gaggle_singleflight as singleflight;
#[cfg(feature = "telemetry")]
pub use gaggle_telemetry as telemetry;
#[cfg(feature = "tls")]
pub use gaggle_tls as tls;
#[cfg(feature = "token")]
pub use gaggle_token as token;
#[cfg(feature = "grpc")]
pub use gaggle_transport_grpc as transport_grpc;
pub use gaggle_transport_http as transport_http;
