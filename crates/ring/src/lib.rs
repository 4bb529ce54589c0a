//! Placement of keys on members: which node of a cluster owns a key.
//!
//! A [`Ring`] is computed from a [`Profile`] and a set of member names and never changes. Every
//! process that has the same profile and members finds the same owners, on every platform and in
//! every release (the tests' golden vectors ensure that). It does no networking.
//!
//! ```
//! use gaggle_ring::{Profile, Ring};
//!
//! let ring = Ring::new(Profile::Gaggle, ["http://10.0.0.1:8001", "http://10.0.0.2:8001"])?;
//! let owner = ring.owner(b"Tom").unwrap_or("nobody");
//! assert!(owner.starts_with("http://10.0.0."));
//!
//! // A third node takes a third of the keys and moves no others.
//! let grown = ring.with("http://10.0.0.3:8001")?;
//! let now = grown.owner(b"Tom").unwrap_or("nobody");
//! assert!(now == owner || now == "http://10.0.0.3:8001");
//! # Ok::<(), gaggle_ring::RingError>(())
//! ```
//!
//! # The profiles
//!
//! **[`Profile::Groupcache`]** is exactly golang/groupcache's ring of CRC-32 virtual nodes,
//! including its precedence on colliding points. It is for clusters with nodes that are not
//! Gaggle's.
//!
//! **[`Profile::Gaggle`]**, the default, is rendezvous hashing (Thaler and Ravishankar, "A
//! Name-Based Mapping Scheme for Rendezvous", 1996) over 2²² slots. The top 22 bits of a key's
//! xxh3 are its slot. Each member's name selects a permutation of the slots (xxh3-128 gives the
//! parameters of a small invertible mixer), and the member that ranks a slot lowest owns it. The
//! properties:
//!
//! * *Least movement, and no history.* A joining member only takes slots, a leaving one only gives
//!   up its own; the result depends on the set of members alone. Schemes that keep state for this
//!   (AnchorHash, `DxHash`) place by the order of past changes, which nodes do not share, and jump
//!   hash can only drop the last of its buckets.
//! * *An even load.* Independent ranks would spread a member's share of S slots with a relative
//!   standard deviation of 1/√S. A permutation gives every member each rank exactly once, which
//!   halves the variance: 1/√(2S), or 1.1 % at 1,000 members.
//! * *A constant lookup.* Up to 24 members a lookup ranks them all, four at a time. Beyond that, a
//!   table has the owners of all slots. It is filled as Maglev's (Eisenbud et al., NSDI 2016) by
//!   walking the permutations backwards from rank to slot, but does not move on from taken slots
//!   as Maglev does. A join or leave touches only the slots concerned.
//!
//! Alternatives: a circle of 512 virtual nodes per member was measured at max/mean 1.10 with 100
//! members, and by calculation needs about 2,900 per member for 1.06 with 1,000. Multi-probe
//! hashing (Appleton and O'Reilly, 2015) needs 21 searches per lookup for 1.05. Maglev itself
//! moves keys between members that stay. Two-level rendezvous moves about twice the minimum.
//!
//! # Trade-offs
//!
//! * From 25 members on, a ring of the default profile holds 8 MiB, and lookups share the CPU's
//!   caches with everything else. Building one from scratch takes on the order of 100 ms; use
//!   [`Ring::with_members`], [`Ring::with`] or [`Ring::without`] to follow a membership.
//! * 2²² slots are the granularity: beyond some thousands of members the load grows uneven (at
//!   16,384, the limit, a member has 256 slots), and a single hot key is always on one member.
//! * All members have the same weight.
//! * xxh3 is not keyed. A client that can choose keys can choose keys of one owner, as with every
//!   placement that all nodes can compute from public data.
//! * The CRC-32 profile is as uneven as its original: max/mean 1.1 to 1.7, measured on one machine
//!   with 3 to 1,000 members (`examples/balance.rs` prints this for both profiles).

mod circle;
mod error;
mod profile;
mod rendezvous;
mod ring;
mod shuffle;
mod table;

pub use error::RingError;
pub use profile::Profile;
pub use ring::Ring;
