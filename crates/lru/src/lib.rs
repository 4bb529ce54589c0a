//! A concurrent LRU cache with a budget in bytes, on the [`lru`] crate.
//!
//! The main design decision: **one budget, many locks**. The entries are spread over shards, each an `lru::LruCache`
//! behind a mutex of its own, but what they weigh is charged to one total. A value may therefore be as large as the whole
//! budget, whatever the number of shards; making room for it evicts from all of them.
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
//! # What holds at all times
//!
//! - When no insertion is running, [`bytes`](Cache::bytes) is the exact sum of the weights held, and not above the
//!   [`capacity`](Cache::capacity). During insertions it exceeds it by at most what they are inserting.
//! - A value comes back for an equal key only. The 64-bit hash of a key finds its slot; the key kept there is compared.
//!   Two keys with one hash displace each other, which is counted as [`Evictions::collision`].
//! - `insertions == len + overwrites + removals + evictions`: the counters of [`Stats`] account for each entry.
//! - Values leave outside the locks: a slow `Drop` holds up nobody, and a panic in foreign code (`Hash`, `Eq`, `Clone`,
//!   `Drop`, the weigher) leaves the cache usable and its accounts right.
//!
//! # Trade-offs
//!
//! - A hit takes the shard's mutex and moves the entry to the front. A cache which only marks the entry (SIEVE, CLOCK,
//!   `quick_cache`) answers faster from many threads. The API takes `&self` and lends values to closures only, so that
//!   the inside can become such a cache later.
//! - The order is LRU within a shard, and approximately over all: eviction for an insertion begins at the insertion's own
//!   shard and goes on round the others, one entry at a time. Small caches have one shard and are strictly LRU.
//! - LRU admits everything: a scan over cold keys flushes the cache. `moka` and `quick_cache` resist that.
//! - Nothing runs in the background. An expired entry is found by the lookup that wants it, or leaves as it becomes the
//!   least recently used; until then it occupies its bytes.
//! - A hash table keeps the slots of its fullest time (17 bytes each) until [`Cache::clear`]. The budget bounds them, for
//!   each entry pays for its slots, but a cache first full of tiny and then of large values holds more than it says.
//! - The default hasher is xxh3 with a random seed, not a keyed cryptographic hash. Where enemies choose the keys and can
//!   measure, pass `std::hash::RandomState` to [`Cache::with_hasher`].

mod cache;
mod clock;
mod entry;
mod evict;
mod hash;
mod options;
mod shard;
mod stats;

pub use cache::Cache;
pub use clock::Clock;
pub use entry::{Evicted, Hit, Insertion, byte_len};
pub use hash::{Xxh3Hasher, Xxh3State};
pub use options::Options;
pub use stats::{Evictions, Stats};
