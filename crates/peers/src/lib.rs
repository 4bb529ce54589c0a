//! Live membership: the members of the ring, a handle for each of them, and whether they are up.
//!
//! [`Peers`] is the [`Router`](gaggle_group::Router) of a node in a cluster. It holds a ring and a
//! handle per peer, swaps both in one step when the list of members changes, and skips a peer
//! that does not answer. It knows no wire format: the caller supplies a function that makes a
//! handle from a name and an address ([`Connect`]), and the source of the list ([`Discovery`]).
//!
//! ```
//! use std::sync::Arc;
//! use gaggle_group::{Entry, Fetch, Fetched, Notice, Peer, PeerError, Router, async_trait};
//! use gaggle_peers::{Options, Peers, Profile};
//!
//! struct Dummy(String);
//!
//! #[async_trait]
//! impl Peer for Dummy {
//!     fn name(&self) -> &str { &self.0 }
//!     async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> { Ok(Entry::absent().into()) }
//!     async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> { Ok(()) }
//!     async fn ping(&self) -> Result<(), PeerError> { Ok(()) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connect = |name: &str, _address: &str| Ok(Arc::new(Dummy(name.to_owned())) as Arc<dyn Peer>);
//! let peers = Peers::new("http://10.0.0.1:8001", Profile::Gaggle, Options::default(), connect)?;
//! peers.update(["http://10.0.0.2:8001", "http://10.0.0.3:8001"])?;
//! assert_eq!(peers.members().len(), 3); // this node is in the ring, listed or not
//! # Ok(()) }
//! ```
//!
//! # Names and addresses
//!
//! The ring is made of names, and nodes are reached by addresses. A node's name is
//! [`Options::name`], or what its own address [stands for](name_of): host and port without the
//! scheme. Each node has a random identity for each run ([`Peers::instance`]). Every address of
//! the list is asked which node it is ([`Peer::hello`](gaggle_group::Peer::hello)), at once and
//! then every [`Options::greet_every`]:
//!
//! * An address that answers with this node's identity is this node, however it is spelled.
//! * Addresses of one node are one member. A name belongs to its latest run, so that a node which
//!   returns under another address keeps its keys.
//! * A gateway is not a member of the ring, and gets removals.
//! * A node of another [cluster](Options::cluster), and an address that is no node at all, is left
//!   out. If a node answered there before, that takes three such answers in sequence.
//! * An address at which several nodes answer in turn counts as one of them, and is reported.
//!
//! Until an address has answered, it counts as a member with the name that it stands for. If nodes
//! spell the address of a node differently and it has never been up, their rings differ until it
//! is. In a ring shared with golang/groupcache the name is exactly the list's spelling, since its
//! nodes cannot be asked.
//!
//! A node whose ring, profile, protocol version or groups differ from this node's for longer than
//! 5 s is listed by [`disagreements`](gaggle_group::Router::disagreements), and logged once.
//!
//! # Health
//!
//! A peer is up until it fails to answer. A request that it fails, or that it has not answered
//! after [`Options::suspect_after`], makes the peer's monitor, a task beside the data path, send a
//! ping. A ping that is not answered within [`Options::ping_timeout`] marks the peer down, unless
//! it has answered anything else meanwhile. Requests that wait for it then fail at once, and the
//! ring's next live member stands in for its keys until a ping, sent every
//! [`Options::probe_every`], is answered. A hung peer therefore costs its first callers at most
//! the sum of the first two options, 400 ms, while a slow origin behind a live peer causes no
//! error.
//!
//! A peer that goes down again within [`Options::damping`] is up again only when it has answered
//! all pings for 1 s, then 2 s, 4 s, up to that interval.
//!
//! # Peers that are slow or fail
//!
//! How long a peer's last answers took is kept in a histogram. A fetch is hedged, by a second
//! request to [the stand-in](gaggle_group::Router::stand_in), after twice the 95th percentile of
//! the fastest peer, at least 150 ms, and only if the median of the peer's recent answers is that
//! slow: a hedge may cost the origin a second load, and a busy machine is late by tens of
//! milliseconds. One slow peer stands out against this threshold, while an origin that is slow for
//! all peers raises it for all. There is no hedge before 50 recent answers, nor if it would be
//! sent after more than a second, nor in a ring shared with golang/groupcache, whose only stand-in
//! is this node's own origin. Each fetch earns a sixth of a hedge, and at most ten are saved:
//! hedges are at most a fifth of the other requests.
//!
//! A peer that answers pings is left out, and the stand-in asked in its place, when five requests
//! in sequence fail, or when the median of at least 20 recent answers is over 200 ms and over ten
//! times the median of the other peers'. It is left out for 1 s, the next time for 2 s, 4 s, up to
//! 30 s; then one request at a time tries it. At most half of the members, or one of two, are left
//! out in this way at the same time: a fault that all have in common is no reason to ask none. In
//! its first 30 s a peer with quick pings is not considered too slow, since its memory is empty
//! and each answer takes as long as the origin does.
//!
//! # Hand-over
//!
//! When the ring changes, the previous one is kept for [`Options::hand_over_for`], and at most
//! four of them are kept. [`previous_owner`](gaggle_group::Router::previous_owner) of a key that
//! this node owns is the latest other node that owned it and is up. A node that has just started
//! asks the one that owns the key in a ring without it.
//!
//! [`Peers::leave`] makes all others remove this node from their rings while it still answers, so
//! that the new owners of its keys ask it for them. They add it again when it announces that it
//! [stays](Peers::arrive), when it has been down and is up again, or when the time that it
//! announced is over, two minutes at most.
//!
//! # Lists that change quickly
//!
//! [`Peers::update`] takes effect at once. Lists from a [`Discovery`] are damped: a member that
//! the list lacks is dropped at once if it is down or has announced that it leaves; otherwise when
//! the list has lacked it for [`Options::damping`]. New members are added at once, at most four
//! times in an interval, and then at its end. A member that was dropped in this way is added again
//! at the end of the interval, or once it has announced itself, and from then on changes once in
//! an interval.
//!
//! # Who gets removals
//!
//! Removals go to the members of the ring, to those that are leaving, and to every other node that
//! has followed this node's removals, or has been a member, within [`Options::remember_for`]:
//! gateways, and nodes that a member list lacks for a moment.
//!
//! # Trade-offs
//!
//! * Each node judges its peers by itself: two nodes may disagree for a moment about who stands
//!   in, and then load a key twice. They never wait for each other.
//! * A single peer is never considered too slow: there is no other peer to compare it with, and
//!   its origin may be slow.
//! * A member that a list has dropped permanently while it answers owns its keys for another
//!   damping interval.
//! * While a new cluster starts, each node first asks others for values that they cannot have,
//!   until 256 requests have shown that.

mod connect;
mod discovery;
mod fleet;
mod followers;
mod greetings;
mod history;
mod identity;
mod leaving;
mod listing;
mod membership;
mod naming;
mod options;
mod peers;
mod settling;
mod view;
mod watched;

pub use connect::{Connect, PeersError};
pub use discovery::{Discovery, DiscoveryError, Listed, StaticList};
pub use gaggle_ring::Profile;
pub use listing::DiscoveryStats;
pub use naming::name_of;
pub use options::Options;
pub use peers::Peers;
pub use settling::Settled;
