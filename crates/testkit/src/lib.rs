//! Clusters for tests: in one process, in memory, under paused time.
//!
//! A program that shares values through Gaggle has cases that are hard to reproduce with real
//! processes: the node that owns a key is cut off, hangs, or has just been restarted; the origin
//! fails; a value has expired. Here each of them is one line, and a test of minutes takes
//! milliseconds.
//!
//! * [`Cluster`]: nodes with the groups of your choice, joined by a [`Network`] whose links can be
//!   cut, slowed or made to hang.
//! * [`CountingOrigin`]: an origin that counts loads, and can be slow, fail or hang, by itself or
//!   in front of your own.
//! * [`tokio_clock`]: makes a group's values age by tokio's time, which a test can move.
//! * [`Proxy`]: a TCP proxy between real processes, with a [`Fault`] that is switched at run time.
//!
//! ```
//! use std::time::Duration;
//! use gaggle_testkit::{Cluster, Link};
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), gaggle_group::Error> {
//! let cluster = Cluster::builder(3)
//!     .group("users", |group| group.ttl(Some(Duration::from_secs(60))))
//!     .group("teams", |group| group)
//!     .start();
//! cluster.origin().put("7", "Tom");
//! let (owner, asker) = (cluster.owner_of("7"), cluster.asker_of("7"));
//! assert_eq!(asker.part_of("users").get("7").await?, "Tom");
//! assert_eq!(owner.part_of("users").get("7").await?, "Tom");
//! assert_eq!(cluster.origin().loads_of("7"), 1);           // asked once for the whole cluster
//!
//! tokio::time::advance(Duration::from_secs(61)).await;     // past its ttl, in no time
//! cluster.network().isolate(&owner.name, Link::Lost);      // and the owner does not answer
//! assert_eq!(asker.part_of("users").get("7").await?, "Tom");
//! assert_eq!(cluster.origin().loads_of("7"), 2);           // so that another node has loaded it
//! # Ok(()) }
//! ```
//!
//! # Paused time
//!
//! All time is tokio's, including the age of values. Under `#[tokio::test(start_paused = true)]`,
//! which needs tokio's feature `test-util`, time stands still while any task can run, and advances
//! to the next timer immediately when none can: a wait of a minute takes no time, and
//! `tokio::time::advance` moves it by hand. A ttl is shortened at random, by a tenth at most,
//! unless [`ttl_jitter`](gaggle_group::FreshnessPolicy::ttl_jitter) is 0.
//!
//! # A program's own groups
//!
//! `Cluster::builder(3).group("users", ...)` gives each node's builder to a function. A program
//! whose set-up takes a `GroupBuilder` and returns one is tested as it is. To count the loads of
//! its own origin, or to make them fail, put the origin behind a [`CountingOrigin::over`].
//!
//! # Trade-offs
//!
//! A message between two nodes is a function call: the wire format is not exercised. All nodes
//! share one process and one clock.

mod cluster;
mod network;
mod origin;
mod proxy;

pub use cluster::{Cluster, ClusterBuilder, Node, tokio_clock};
pub use network::{Link, MemoryPeer, Mutant, Network};
pub use origin::CountingOrigin;
pub use proxy::{Counters, Fault, Proxy, Scope};

/// The chapter of the manual, whose examples are tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/src/test.md")]
mod manual {}
