//! The parts of a sharded store: a clock, the lifetimes of entries, a byte budget over shards, the
//! choice of a shard, statistics.
//!
//! [`gaggle-lru`](https://docs.rs/gaggle-lru) and [`gaggle-paged`](https://docs.rs/gaggle-paged)
//! are built from them, and re-export what their users need. Use this crate to build another
//! store.
//!
//! The main design decision: **one budget, many locks**. Each shard has a lock of its own, a
//! [`Counted`], but the weight of all entries is charged to one [`Budget`]. Its [`Ages`] record
//! the age of each shard's oldest entry, so that [`make_room`], [`resize`] and [`evict_oldest`]
//! evict from the shard that has the oldest of all.
//!
//! A queue of bytes in several shards, which evicts the oldest:
//!
//! ```
//! use std::collections::VecDeque;
//! use std::hash::BuildHasher;
//! use gaggle_shards::{Budget, Counted, Oldest, Xxh3State, make_room, shard_of};
//!
//! type Queue = VecDeque<(u32, String)>;
//! let shards: Vec<Counted<Queue>> = (0..4).map(|_| Counted::default()).collect();
//! let budget = Budget::new(100, shards.len());
//! let hasher = Xxh3State::default();
//! let tell = |at: usize, queue: &Queue| {
//!     let oldest = queue.front().map_or(Oldest::Nothing, |(since, _)| Oldest::Since(*since));
//!     budget.ages().tell(at, oldest);
//! };
//!
//! for n in 0..1_000 {
//!     let text = format!("number {n}");
//!     let home = shard_of(hasher.hash_one(&text), shards.len() - 1);
//!     {
//!         let mut queue = shards[home].lock();
//!         budget.exchange(0, text.len() as u64);
//!         queue.push_back((budget.ages().next(), text));
//!         tell(home, &queue);
//!     }
//!     make_room(&budget, home, |at| {
//!         let mut queue = shards[at].lock();
//!         let Some((_, gone)) = queue.pop_front() else { return false };
//!         budget.refund(gone.len() as u64);
//!         tell(at, &queue);
//!         true
//!     });
//! }
//! assert!(budget.used() <= 100);
//! ```
//!
//! # Trade-offs
//!
//! - Shards are compared by the ages that they report: the order over all shards is approximate,
//!   within an eighth.
//! - [`Options::effective_shards`] is fixed when a store is made. The capacity can change, the
//!   number of shards cannot.

mod ages;
mod budget;
mod clock;
mod counted;
mod cursor;
mod evict;
mod hash;
mod life;
mod options;
mod result;
mod stats;

pub use ages::{Ages, Oldest};
pub use budget::Budget;
pub use clock::{Clock, Deadline, Expired, Now};
pub use counted::Counted;
pub use cursor::Cursor;
pub use evict::{Dropped, evict_oldest, make_room, make_room_from, resize, resize_with};
pub use hash::{IdentityHasher, IdentityState, Xxh3Hasher, Xxh3State, shard_of};
pub use life::Life;
pub use options::{MAX_CAPACITY, MAX_SHARDS, Options, bounded_capacity};
pub use result::{Hit, Insertion, byte_len};
pub use stats::{Evictions, Stats};
