//! Live membership: who is in the ring, a handle for each of them, and whether they are up.
//!
//! [`Peers`] is the [`Router`](gaggle_group::Router) of a node in a cluster. It holds a ring and a handle per peer, swaps
//! both at once when the list of members changes, and skips a peer that gives no sign of life. It knows no wire format:
//! the caller says how a handle is made from a name ([`Connect`]) and where the list comes from ([`Discovery`]).
//!
//! ```
//! use std::sync::Arc;
//! use gaggle_group::{Entry, Fetch, Notice, Peer, PeerError, Router, async_trait};
//! use gaggle_peers::{Options, Peers, Profile};
//!
//! struct Dummy(String);
//!
//! #[async_trait]
//! impl Peer for Dummy {
//!     fn name(&self) -> &str { &self.0 }
//!     async fn fetch(&self, _: Fetch<'_>) -> Result<Entry, PeerError> { Ok(Entry::absent()) }
//!     async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> { Ok(()) }
//!     async fn ping(&self) -> Result<(), PeerError> { Ok(()) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connect = |name: &str| Ok(Arc::new(Dummy(name.to_owned())) as Arc<dyn Peer>);
//! let peers = Peers::new("http://10.0.0.1:8001", Profile::Gaggle, Options::default(), connect)?;
//! peers.update(["http://10.0.0.2:8001", "http://10.0.0.3:8001"])?;
//! assert_eq!(peers.members().len(), 3); // this node is in the ring, listed or not
//! # Ok(()) }
//! ```
//!
//! # Health
//!
//! A peer is up until it fails to answer. A request that it fails, or that it has
//! not answered after [`Options::suspect_after`], asks the peer's monitor, a task beside the data path, for a ping. A
//! ping unanswered within [`Options::ping_timeout`] marks the peer down, unless it has answered anything else meanwhile.
//! Requests that wait for it then fail at once, and the ring's next live member stands in for its keys until a ping, sent
//! every [`Options::probe_every`], is answered. So a hung peer costs its first callers at most the sum of the first two,
//! while a slow origin behind a live peer costs nobody an error.
//!
//! # Who is told of removals
//!
//! The members of the ring, and everyone else that has followed this node's removals, or has been a member, within
//! [`Options::remember_for`]: front ends, and nodes that a member list lacks for a moment.
//!
//! # Trade-offs
//!
//! * Each node judges its peers by itself: two nodes may disagree for a moment about who stands in, and then load a key
//!   twice. They never wait for each other.
//! * A peer that answers pings but fails every request stays up: each request then costs one failed try.

mod discovery;
mod followers;
mod peers;
mod view;
mod watched;

pub use discovery::{Discovery, DiscoveryError, StaticList};
pub use gaggle_ring::Profile;
pub use peers::{Connect, Options, Peers, PeersError};
