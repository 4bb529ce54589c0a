//! A concurrent cache with a budget in bytes, in LRU order, on the [`lru`] crate.
//!
//! The main design decision: **one budget, many locks**. The entries are spread over shards, each
//! an `lru::LruCache` behind a lock of its own, but their weight is charged to one total. A value
//! may therefore take the whole budget, whatever the number of shards; making room for it evicts
//! from all of them.
//!
//! The second one: **strict LRU within a shard**. An insertion, an overwrite and a hit move their
//! entry to the front of the shard's list, and eviction takes the last. With one shard that is
//! exact LRU, whose hits can be calculated by hand: a reference for other policies. The cost is
//! that a hit changes its shard: see the trade-offs.
//!
//! ```
//! use std::time::Duration;
//! use gaggle_lru::{Cache, Insertion, Options, byte_len};
//!
//! // 64 MiB for keys, values and the cache's own bookkeeping. The weigher counts an entry's payload.
//! let cache: Cache<String, Vec<u8>> =
//!     Cache::new(Options { capacity: 64 << 20, ..Options::default() }, byte_len);
//!
//! cache.insert("Tom".to_owned(), b"630".to_vec());
//! cache.insert_with_ttl("Jack".to_owned(), b"589".to_vec(), Some(Duration::from_secs(60)));
//!
//! assert_eq!(cache.get("Tom"), Some(b"630".to_vec()));
//! assert_eq!(cache.get_with("Jack", |value| value.len()), Some(3));     // borrowed: nothing is cloned
//! assert!(cache.get_entry("Jack").is_some_and(|hit| hit.ttl.is_some()));
//!
//! // What can never fit is refused, and evicts nothing.
//! let huge = vec![0; 65 << 20];
//! assert!(matches!(cache.insert("huge".to_owned(), huge), Insertion::Refused { .. }));
//! assert_eq!(cache.len(), 2);
//! assert_eq!(cache.stats().hits, 3);
//! ```
//!
//! For byte strings, and if many threads read, use `gaggle-paged`: it packs small entries into
//! pages, which takes a fifth of the bookkeeping, and its hits share a lock.
//!
//! # What holds at all times
//!
//! - When no insertion is running, [`bytes`](Cache::bytes) is the exact sum of the weights held,
//!   and not above the [`capacity`](Cache::capacity). During insertions it exceeds it by at most
//!   what they are inserting.
//! - A lookup returns a value only for an equal key. The 64-bit hash of a key finds its slot; the
//!   key kept there is compared. Two keys with one hash displace each other, which is counted as
//!   [`Evictions::collision`].
//! - `insertions == len + overwrites + removals + evictions`: the counters of [`Stats`] account
//!   for each entry.
//! - Values are dropped outside the locks: a slow `Drop` blocks no other caller, and a panic in
//!   user code (`Hash`, `Eq`, `Clone`, `Drop`, the weigher) leaves the cache usable and its
//!   accounts right.
//!
//! # Trade-offs
//!
//! - A hit takes its shard's lock exclusively, as it moves its entry in the list. Hits of one
//!   shard wait for each other, and threads that need the same key take turns.
//!   [`get_with`](Cache::get_with) clones nothing, and so holds the lock for less time if a clone
//!   is expensive. More shards help with different keys, not with one. `gaggle-paged` moves
//!   nothing on a hit.
//! - The order is exact within a shard, and approximate over all: eviction for an insertion takes
//!   from the insertion's own shard if its oldest entry is among the oldest of all (within an
//!   eighth), and otherwise from the shard that has the oldest, one entry at a time. A hit does
//!   not advance the time by which shards are compared, as all of them would have to write one
//!   counter: entries that were used between the same two insertions count as equally old. Small
//!   caches have one shard.
//! - LRU keeps the entries that were used last. A loop over a few more keys than fit never hits.
//! - Everything is admitted: a long scan over cold keys flushes the cache. `moka` and
//!   `quick_cache` resist that.
//! - Nothing runs in the background. An expired entry is found by a lookup of its key, or is
//!   evicted when it is the least recently used of its shard; until then it occupies its bytes.
//! - The capacity can change, but the number of shards is fixed: a cache that is made small and
//!   raised a lot has few locks for its size.
//! - A hash table of a `Cache` keeps the slots of its fullest time (17 bytes each) until
//!   [`Cache::clear`]. The budget bounds them, for each entry pays for its slots, but a cache
//!   first full of tiny and then of large values holds more than it reports.
//! - The default hasher is xxh3 with a random seed, not a keyed cryptographic hash. If attackers
//!   choose the keys and can measure, pass `std::hash::RandomState` to [`Cache::with_hasher`].

mod cache;
mod entry;
mod shard;

pub use cache::Cache;
pub use entry::Evicted;
pub use gaggle_shards::{
    Clock, Evictions, Hit, Insertion, Options, Stats, Xxh3Hasher, Xxh3State, byte_len,
};
