//! A concurrent cache of byte strings with a budget in bytes, for many small values and some large
//! ones, which resists scans.
//!
//! The main design decision: **a log of pages**. Small entries are packed into pages of up to 4
//! KiB, so that an entry takes little more than its key and its value. Eviction frees whole pages,
//! whose memory can be reused for values of any size. [`PagedCache`] has the details.
//!
//! The second one: **one budget, many locks**. The entries are spread over shards, each behind a
//! read-write lock of its own, but their bytes are charged to one total. A value may therefore
//! take the whole budget, whatever the number of shards; making room for it evicts from all of
//! them. (`gaggle-shards` has the parts for that.)
//!
//! The third one: **a hit moves nothing**. It takes its shard's lock shared and records the use in
//! the index, which counts at most three. Eviction examines the oldest page of one of two queues,
//! and moves the entries that were used. This is S3-FIFO, by the page, in one of four settings
//! between which shadow caches decide. (`queue`, `log/evict`, `ghost` and `policy` in the source.)
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use gaggle_paged::{Insertion, Options, PagedCache};
//!
//! // 64 MiB for keys, values and the cache's own bookkeeping.
//! let cache = PagedCache::new(Options { capacity: 64 << 20, ..Options::default() });
//!
//! cache.insert(b"Tom", Bytes::from_static(b"630"));
//! cache.insert_with_ttl(b"Jack", Bytes::from_static(b"589"), Some(Duration::from_secs(60)));
//!
//! assert_eq!(cache.get(b"Tom"), Some(Bytes::from_static(b"630")));
//! assert_eq!(cache.get_with(b"Jack", |value| value.len()), Some(3)); // borrowed: nothing is cloned
//!
//! // What can never fit is refused, and evicts nothing.
//! let huge = Bytes::from(vec![0; 65 << 20]);
//! assert!(matches!(cache.insert(b"huge", huge), Insertion::Refused { .. }));
//! assert_eq!(cache.len(), 2);
//! ```
//!
//! # What holds at all times
//!
//! - When no insertion is running, [`bytes`](PagedCache::bytes) is the exact sum of what the
//!   entries take, and not above the [`capacity`](PagedCache::capacity). During insertions it
//!   exceeds it by at most what they are inserting.
//! - A lookup returns a value only for an equal key: the key is compared. Two keys with one hash
//!   coexist.
//! - `insertions == len + overwrites + removals + evictions`: the counters of [`Stats`] account
//!   for each entry.
//! - Values are dropped outside the locks: a buffer that is slow to drop blocks no other caller,
//!   and a panic in it, or in a reader's closure, leaves the cache usable and its accounts right.
//!
//! # Trade-offs
//!
//! - The order is that of queues, and not that of use: of two entries used since eviction last
//!   examined them, the one whose page came first is evicted first, whichever was used last.
//! - An insertion lets at most 256 entries stay, and then evicts the next ones though they were
//!   used: its work is bounded.
//! - Lookups share a lock. Sharing is not free: each lookup writes to the lock and to a counter
//!   beside it. Two threads that hit the same shard exchange that cache line, and likewise the
//!   reference count of a popular value; [`get_with`](PagedCache::get_with) clones nothing.
//! - The order is exact within a shard, and approximate over all: eviction for an insertion takes
//!   from the insertion's own shard if its oldest entry is among the oldest of all, and otherwise
//!   from the shard that has the oldest, one page or large entry at a time. Small caches have one
//!   shard.
//! - An entry that is used once and then not for a long time is taken for part of a scan. Its key
//!   is remembered until about 1.35 times as many other keys have left, and is kept for longer if
//!   it is inserted again within that time.
//! - The shadow caches and the marks of evicted keys are part of the capacity: see [`PagedCache`].
//! - Nothing runs in the background. An expired entry is found by a lookup of its key, or is
//!   evicted when eviction reaches it or its page is swept; until then it occupies its bytes.
//! - The capacity can change, but the number of shards and the size of pages are fixed.
//! - The default hasher is xxh3 with a random seed, not a keyed cryptographic hash. If attackers
//!   choose the keys and can measure, pass `std::hash::RandomState` to
//!   [`PagedCache::with_hasher`].

mod block;
mod blocks;
mod cache;
mod ceiling;
mod ghost;
mod held;
mod log;
mod order;
mod place;
mod policy;
mod queue;
mod record;
mod scan;
mod shared;
mod terms;
mod weight;

pub use cache::{Holding, PagedCache};
pub use gaggle_shards::{
    Clock, Cursor, Evictions, Hit, Insertion, Life, Options, Stats, Xxh3Hasher, Xxh3State,
};
pub use held::Held;
