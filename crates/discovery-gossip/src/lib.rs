//! The members of a cluster by gossip: nodes find each other from one or two addresses.
//!
//! Use it if no other system knows the nodes: virtual machines, processes on one host, containers
//! without a name service. Each node exchanges messages with three others every quarter of a
//! second, over UDP and through [chitchat](https://docs.rs/chitchat), and soon knows what all of
//! them know: each node's name in the ring, its base URL, whether it is a member, and its
//! [`State`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use gaggle_discovery_gossip::{Gossip, GossipOptions, Me, State};
//! use gaggle_peers::Discovery as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = GossipOptions {
//!     listen: "10.0.0.1:7946".parse()?,
//!     seeds: vec!["node-1:7946".into(), "node-2:7946".into()],
//!     keys: Some(Arc::new(|| vec![b"the token in force".to_vec(), b"the last one".to_vec()])),
//!     ..GossipOptions::default()
//! };
//! let me = Me {
//!     name: "node-1".into(),
//!     address: "http://10.0.0.1:8001".into(),
//!     member: true,
//! };
//! let gossip = Gossip::start(options, me).await?;
//! gossip.set_state(State::Ready).await;
//! for node in gossip.members().await? {
//!     println!("{} {:?}", node.address, node.name);
//! }
//! // At the end: each of the others knows before this node is gone.
//! let all_know = gossip.leave(Duration::from_secs(2)).await;
//! # let _ = all_know;
//! # Ok(()) }
//! ```
//!
//! `Peers::follow` in [gaggle-peers](gaggle_peers) keeps a ring in step with it.
//!
//! # Which nodes are listed
//!
//! * **A node that shows signs of life.** Its heartbeat travels with the gossip, and chitchat's
//!   detector (after Hayashibara's phi accrual) compares the silence with the usual pace. One that
//!   is silent for [`GossipOptions::dead_after`] is left out; one that returns is listed again
//!   after three heartbeats.
//! * **A node that is leaving.** It still answers, so it is listed, marked as leaving, until it is
//!   silent.
//! * **The newest node of a name.** A restarted node has a later generation, and supersedes its
//!   predecessor at once. Of two nodes with one name, one base URL or one gossip address, the one
//!   that was started last counts, by the clocks of their hosts. A superseded node logs that two
//!   hosts have one name.
//! * **The node itself.**
//!
//! # How soon a change is known
//!
//! Measured in memory with 1 ms of latency, at the default interval; `cargo test -p
//! gaggle-discovery-gossip -- --nocapture` prints the figures.
//!
//! | | 5 nodes | 50 nodes |
//! |---|---|---|
//! | started together, until all know all | 1.0 s | 1.8 s |
//! | a join is known everywhere after | 1.0 s | 2.3 s |
//! | a leave, after | 0.5 s | 0.5 s |
//! | a death, after | 4.5 s | 6 s to 6.5 s |
//!
//! A death takes that long on purpose: a node that pauses for three seconds must not move keys
//! twice, and `Peers` itself detects a peer that does not answer within a fraction of a second.
//!
//! # Authentication
//!
//! With [`GossipOptions::keys`], only nodes that know a token are accepted: each datagram carries
//! an HMAC-SHA-256, is meant for one start of one node, and counts once. A recorded datagram has
//! no effect, whether it is replayed to another node, to the same node, or to the same node after
//! a restart; clocks are not compared. Nothing is encrypted. Without keys there is no
//! authentication: every datagram to the address is trusted, so use that on a private network
//! only.
//!
//! In both cases a message is read with bounds: at most [`MAX_NODES`] nodes, names of at most
//! [`MAX_NAME`] bytes, base URLs (and nothing else) of at most [`MAX_ADDRESS`], no values except
//! these four. A message that does not parse to the last byte is dropped, counted
//! ([`Gossip::dropped`]) and logged at most once a second for each reason. A node's statement
//! about another one counts only while that one has said nothing newer. Nodes of another cluster
//! at the same address are ignored, with or without a token.
//!
//! # Trade-offs
//!
//! * Each message has the list of all nodes: 41 bytes a node over IPv4. At 50 nodes a node sends
//!   some 50 KB a second; for many hundreds, gossip less often. Above some 30 nodes a message is
//!   more than an Ethernet frame, and the network must pass fragments of IP.
//! * A member that has the token can lie about others, until their own messages arrive. Tokens
//!   keep strangers out.
//! * While a cluster is given its first token, nodes with and without it do not see each other. To
//!   change a token, let all nodes accept both for a while.
//! * chitchat stays at 0.11: since 0.12 its messages can be encoded by its own transports only,
//!   which neither sign nor bound anything.

mod admission;
mod dropped;
mod gossip;
mod key;
mod network;
mod node;
mod observe;
mod options;
mod replay;
mod seal;
mod seeds;
mod socket;
mod wire;

pub use dropped::Dropped;
pub use gossip::Gossip;
pub use key::{MAX_ADDRESS, MAX_NAME};
pub use network::{Datagrams, Network, Udp};
pub use node::{Node, State};
pub use options::{GossipOptions, Keys, Me, StartError};
pub use wire::MAX_NODES;
