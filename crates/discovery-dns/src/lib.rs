//! The members of a cluster from DNS: every address of one name is a node.
//!
//! A Docker Compose service and a headless Kubernetes Service both have a name that resolves to
//! the address of each of their containers. [`DnsDiscovery`] looks it up at an interval and makes
//! a base URL of each address.
//!
//! ```no_run
//! use gaggle_discovery_dns::{DnsDiscovery, DnsOptions};
//! use gaggle_peers::Discovery as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let discovery = DnsDiscovery::new(DnsOptions {
//!     name: "gaggle-peers".into(),
//!     ..DnsOptions::default()
//! })?;
//! for node in discovery.members().await? {
//!     println!("{}", node.address); // http://10.1.0.7:8001
//! }
//! // The name of this node in the ring: one of the above, once the name service lists it.
//! let me = discovery.url_of(discovery.own_address().await?.ip);
//! # Ok(()) }
//! ```
//!
//! `Peers::follow` in [gaggle-peers](gaggle_peers) keeps a ring in step with it.
//!
//! # What is looked up
//!
//! * **Name servers, search domains and `ndots`** are those of `/etc/resolv.conf`, read once: it
//!   names Docker's 127.0.0.11 and a cluster's DNS, so `node` and `gaggle-peers` resolve as they
//!   do for any other program in the container. The hosts file is not read: a container's own
//!   entry there would make it a cluster of one.
//! * **Nothing is cached.** Docker gives its answers a time to live of 600 s; a container that was
//!   started or stopped still shows at the next lookup.
//! * **One address family**, see [`Family`]: otherwise a node with an address of each would be
//!   two members.
//! * **An answer too long for a datagram** is requested again over TCP.
//!
//! # Errors
//!
//! No such name, no addresses, no answer in time, a name server that fails, more than
//! [`MAX_ADDRESSES`]: each is a [`LookupError`] inside a
//! [`DiscoveryError`](gaggle_peers::DiscoveryError), never an empty list. `Peers::follow` then
//! keeps the last good list: a name service that is down must not make every node a cluster of its
//! own. It also damps an answer that lists only some of the members for a moment: a member that
//! answers is dropped only when all answers of an interval lacked it.
//!
//! # Trade-offs
//!
//! * Nodes ask at different times, so for up to [`DnsOptions::every`], plus what the name service
//!   itself caches, they disagree about the ring. A key may then be loaded by two of them.
//! * A name that was deleted looks like a failed lookup: the last list stays, and members that no
//!   longer exist are found to be down by health checks.
//! * The port is the same on every node. SRV records, which could name one for each, are not
//!   read.
//! * All nodes are reached by one scheme, which [`DnsOptions::https`] sets, since DNS has no
//!   scheme.
//! * DNS is trusted: anyone who can answer for the name can join the ring.

mod discovery;
mod lookup;
mod options;
mod own_address;

pub use discovery::{DnsDiscovery, OwnAddress};
pub use lookup::{LookupError, MAX_ADDRESSES};
pub use options::{DnsOptions, Family, OptionsError};
pub use own_address::local_address_towards;
