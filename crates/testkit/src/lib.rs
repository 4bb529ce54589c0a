//! Fakes and an in-memory cluster for Gaggle's own tests. A dev-dependency only.
//!
//! * [`CountingOrigin`]: an origin that counts what it is asked, and that can be held up or made to fail.
//! * [`Cluster`]: nodes of one group in one process, joined by a [`Network`] whose links can be cut or made to hang.
//! * [`Proxy`]: a TCP proxy between real processes, with a [`Fault`] that is switched at run time.
//!
//! ```
//! use gaggle_testkit::{Cluster, Link};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let cluster = Cluster::new(3);
//! for node in cluster.nodes() {
//!     assert_eq!(node.group.get("Tom").await.unwrap(), "value of Tom");
//! }
//! assert_eq!(cluster.origin().loads_of("Tom"), 1);
//!
//! cluster.network().isolate(cluster.nodes()[0].name.as_ref(), Link::Refused);
//! # }
//! ```
//!
//! # Trade-offs
//!
//! A message between two nodes is a function call: nothing of the wire format is exercised. Time is tokio's, that of values
//! too, so a test under `start_paused` waits for nothing, and one `advance` moves everything.

mod cluster;
mod network;
mod origin;
mod proxy;

pub use cluster::{Cluster, Node, tokio_clock};
pub use network::{Link, MemoryPeer, Mutant, Network};
pub use origin::CountingOrigin;
pub use proxy::{Counters, Fault, Proxy, Scope};
