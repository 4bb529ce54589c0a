//! A concurrent cache with a budget in bytes and nearly LRU order, on the [`lru`] crate.
//!
//! The main design decision: **one budget, many locks**. The entries are spread over shards, each an `lru::LruCache`
//! behind a read-write lock of its own, but what they weigh is charged to one total. A value may therefore be as large as
//! the whole budget, whatever the number of shards; making room for it evicts from all of them.
//!
//! The second one: **a hit moves nothing**. It takes its shard's lock shared and notes the use in the entry, where two
//! are kept at most. New entries go to the end of a list; eviction looks at the front, where an entry with a use noted
//! loses that and goes to the end, and one without is evicted. That is CLOCK, or second chance (F. J. Corbató, "A Paging
//! Experiment with the Multics System", 1968), with a small counter in place of its bit (as in A. J. Smith, "Sequentiality
//! and Prefetching in Database Systems", 1978).
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
//! [`ByteCache`] is the one for byte strings, in a fifth of the bookkeeping: it packs small entries into pages. What is said
//! here holds for it as well, except where its own documentation says otherwise.
//!
//! # What holds at all times
//!
//! - When no insertion is running, [`bytes`](Cache::bytes) is the exact sum of the weights held, and not above the
//!   [`capacity`](Cache::capacity). During insertions it exceeds it by at most what they are inserting.
//! - A value comes back for an equal key only. The 64-bit hash of a key finds its slot; the key kept there is compared.
//!   Two keys with one hash displace each other, which is counted as [`Evictions::collision`] (in a `ByteCache` both stay).
//! - `insertions == len + overwrites + removals + evictions`: the counters of [`Stats`] account for each entry.
//! - Values leave outside the locks: a slow `Drop` holds up nobody, and a panic in foreign code (`Hash`, `Eq`, `Clone`,
//!   `Drop`, the weigher) leaves the cache usable and its accounts right.
//!
//! # Trade-offs
//!
//! - The order is not strictly that of use: of two entries used since eviction last came by, the one that came first into
//!   the list goes first, whichever was used last. On most recorded traces that gives more hits than strict LRU (up to
//!   four percentage points), on some fewer: on those with a scan just within the capacity, a few tenths of a point, or
//!   much where the whole trace is such loops.
//! - An eviction passes 64 entries at most, and then takes the next one though it was used: what it does under the lock is
//!   bounded.
//! - Lookups share a lock, so they may read the same value at the same time: keys and values must be `Sync` for the cache
//!   to be. Sharing is not free either: each lookup writes to the lock and to a counter beside it. Two threads that hit
//!   the same shard pass that cache line to and fro, and so with the reference count of a popular value if they clone it;
//!   [`get_with`](Cache::get_with) clones nothing.
//! - Order is kept within a shard, and approximately over all: eviction for an insertion takes from the insertion's own
//!   shard if what is oldest there is among the oldest of all, and otherwise from the shard where that is, one entry or page
//!   at a time. Small caches have one shard.
//! - Everything is admitted: a long scan over cold keys flushes the cache. `moka` and `quick_cache` resist that.
//! - Nothing runs in the background. An expired entry is found by the lookup that wants it, or leaves as eviction
//!   comes to it, which gives it no second chance; until then it occupies its bytes.
//! - A capacity can change, but the number of shards stays as it was made: a cache made small and raised far has few locks for
//!   its size.
//! - A hash table of a `Cache` keeps the slots of its fullest time (17 bytes each) until [`Cache::clear`]. The budget
//!   bounds them, for each entry pays for its slots, but a cache first full of tiny and then of large values holds more
//!   than it says.
//! - The default hasher is xxh3 with a random seed, not a keyed cryptographic hash. Where enemies choose the keys and can
//!   measure, pass `std::hash::RandomState` to [`Cache::with_hasher`].

mod ages;
mod budget;
mod byte_cache;
mod cache;
mod clock;
mod cursor;
mod entry;
mod evict;
mod hash;
mod life;
mod options;
mod shard;
mod stats;

pub use byte_cache::{ByteCache, Holding};
pub use cache::Cache;
pub use clock::Clock;
pub use cursor::Cursor;
pub use entry::{Evicted, Held, Hit, Insertion, byte_len};
pub use hash::{Xxh3Hasher, Xxh3State};
pub use life::Life;
pub use options::Options;
pub use stats::{Evictions, Stats};
