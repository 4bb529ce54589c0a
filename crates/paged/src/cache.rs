use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::mem;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use gaggle_shards::{Counted, Deadline, Dropped, Expired, Now, shard_of};

use crate::block::{Found, Single, hit, hold};
use crate::blocks::Layout;
use crate::log::{Fresh, Log, Passes, Spare};
use crate::place::Tag;
use crate::policy::Extent;
use crate::record::{Record, Small};
use crate::shared::Shared;
use crate::terms::{Left, Terms};
use crate::{Clock, Held, Hit, Insertion, Life, Options, Stats, Xxh3State, terms, weight};

mod capacity;
mod scan;
mod shorten;

/// A view of an entry in place, in [`PagedCache::hold_with`].
pub struct Holding<'a, 'b> {
    found: &'a Found<'b>,
    left: Left,
}

impl Holding<'_, '_> {
    /// The value, shared with the cache or, if it is in a page that is still written to, copied.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Bytes {
        self.found.value.to_bytes()
    }

    /// How much longer it is fresh; zero if it is stale, `None` if it has no end.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.left.unwrap_or(Some(Duration::ZERO))
    }

    /// Whether it has neither windows nor a note, so that its value and its ttl are the whole
    /// entry.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.found.terms.extras.is_empty()
    }

    /// The whole entry.
    #[must_use]
    pub fn to_held(&self) -> Held {
        hold(self.found, self.left)
    }
}

/// A concurrent cache of byte strings with a budget in bytes, for many small values and some large
/// ones. Share it by reference or in an `Arc`.
///
/// An entry of 8 bytes of key and 100 of value takes about 40 bytes more than those in total, in a
/// cache of 100,000.
///
/// **A log of pages.** A shard appends new entries to an open page of up to 4 KiB; when it is full
/// it becomes one block of memory, and the values that hits return are slices of it. An entry too
/// large for a quarter of a page is a block of its own: a copy of the key, and the value as it was
/// passed in. An index of eight bytes for each entry has its place.
///
/// **Two queues.** Blocks are evicted in the order of S3-FIFO (Yang et al., "FIFO queues are all
/// you need for cache eviction", 2023), by the page. New entries are in a small queue. When its
/// oldest page is due, the entries that were used often enough move to the main queue, and the
/// others are evicted. The main queue evicts entries that were not used since they were last
/// examined. The keys that have recently left the small queue are remembered by two bytes each,
/// and are stored directly in the main queue when they are inserted again.
///
/// **Four settings.** A sample of the keys runs through four shadow caches. The one with the
/// fewest recent misses decides how large the small queue is, and how often an entry has to be
/// used: 1 % and two uses, 10 % and two, 40 % and one, or no small queue at all. Caches of less
/// than 8 KiB stay at 10 %. Larger entries need more uses. If the shadows show that the requested
/// keys have changed as a whole, the main queue is evicted first, and new entries take its place.
///
/// **Holes.** A value that is overwritten by one of the same length, and is held by no caller, is
/// overwritten in place. Otherwise overwriting, removal and expiry leave a hole. A page without
/// entries is freed immediately, and one with more than half of holes is swept: its entries are
/// moved to an open page.
///
/// **Lifetimes.** [`insert_entry`](Self::insert_entry) stores a value with a [`Life`] and a note.
/// Lookups find entries that are fresh or may be served stale, and [`hold_any`](Self::hold_any)
/// also those that are only kept. An entry past all of that is gone: a lookup takes it out, and so
/// does the sweeping of its page. Eviction never lets an entry past its ttl stay.
///
/// **Scans.** [`scan`](Self::scan) walks the cache in batches beside lookups and changes: the main
/// queue first, and its youngest entries first.
///
/// **Accounts.** [`bytes`](Self::bytes) is the sum of what an allocator gives for the blocks, by
/// sizes of which there are eight to each doubling, and of a share of bookkeeping for each block
/// and each entry. It is never above the [`capacity`](Self::capacity) when no insertion is
/// running. It includes the unused rest of open pages, two of up to 8 KiB in each shard, and the
/// marks of evicted keys, three bytes for each entry. It does not include the shadow caches of
/// about 19 KiB, but the capacity bounds them.
///
/// Notes for users:
///
/// - A value that a caller holds keeps its page alive: up to 4 KiB that the budget does not count.
/// - Values of up to about 1 KiB are copied when they are stored, so a small slice of a large
///   buffer does not keep the buffer alive. A hit that finds its value in an open page copies it
///   too; after 64 such hits the page is closed early.
/// - Work under a shard's lock is bounded (a page of 64 entries moved or evicted, and a page or
///   two swept), except for the growing and shrinking of its index and of the marks, as in any
///   hash table. An insertion lets at most 256 entries stay.
/// - If values of changing lengths are overwritten all the time, up to half of the pages may be
///   holes.
///
/// ```
/// use bytes::Bytes;
/// use gaggle_paged::{PagedCache, Options};
///
/// let cache = PagedCache::new(Options { capacity: 64 << 20, ..Options::default() });
/// cache.insert(b"Tom", Bytes::from_static(b"630"));
/// assert_eq!(cache.get(b"Tom"), Some(Bytes::from_static(b"630")));
/// assert_eq!(cache.get_with(b"Tom", |value| value.len()), Some(3)); // borrowed
/// ```
pub struct PagedCache<S = Xxh3State> {
    shards: Box<[Counted<Log>]>,
    shared: Shared,
    hasher: S,
    clock: Clock,
    layout: Layout,
    /// Held while lifetimes are lowered.
    shortening: Mutex<()>,
}

impl PagedCache {
    /// The longest note that an entry may have, in bytes.
    pub const MAX_NOTE: usize = 4 << 10;

    /// A cache with a randomly seeded xxh3.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_hasher(options, Xxh3State::default())
    }
}

impl<S: BuildHasher> PagedCache<S> {
    /// A cache with a hasher of your own. It must be good in all bits: they choose shard and slot
    /// directly.
    pub fn with_hasher(options: Options, hasher: S) -> Self {
        let (shards, capacity) = (options.effective_shards(), options.effective_capacity());
        let layout = Layout::of(capacity, shards);
        Self {
            shards: (0..shards)
                .map(|n| Counted::new(Log::new(n, layout)))
                .collect(),
            shared: Shared::new(capacity, shards, layout.page()),
            hasher,
            clock: options.clock,
            layout,
            shortening: Mutex::default(),
        }
    }

    /// The value of a key, if it is fresh or past its ttl for less than
    /// [`serve_stale`](Life::serve_stale).
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.read(key, |found, _| found.value.to_bytes())
    }

    /// The result of `read` for a key's value. Counts, and records the use, like
    /// [`get`](Self::get).
    ///
    /// `read` runs under the shard's lock: using the same cache in it may deadlock.
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.read(key, |found, _| read(found.value.as_slice()))
    }

    /// The value of a key with the time it has left. Counts, and records the use, like
    /// [`get`](Self::get).
    pub fn get_entry(&self, key: &[u8]) -> Option<Hit<Bytes>> {
        self.read(key, hit)
    }

    /// The whole entry of a key. Finds, counts and records the use like [`get`](Self::get). An
    /// entry that is only [kept](Life::keep_stale) is a miss, and stays.
    pub fn hold(&self, key: &[u8]) -> Option<Held> {
        self.read(key, hold)
    }

    /// The result of `read` for the entry that [`hold`](Self::hold) would return, without making
    /// an owned one. `read` runs under the shard's lock: using the same cache in it may deadlock.
    #[inline]
    pub fn hold_with<R>(&self, key: &[u8], read: impl FnOnce(Holding<'_, '_>) -> R) -> Option<R> {
        self.read(key, |found, left| read(Holding { found, left }))
    }

    /// The whole entry of a key, even if it is only [kept](Life::keep_stale); neither counted nor
    /// a use.
    pub fn hold_any(&self, key: &[u8]) -> Option<Held> {
        let is_there = |found: &Found<'_>, expired| !found.terms.is_gone(expired);
        self.look(key, is_there, hold)
    }

    /// Like [`get_entry`](Self::get_entry), but neither counted nor a use; an expired entry stays.
    pub fn peek(&self, key: &[u8]) -> Option<Hit<Bytes>> {
        self.look(key, is_served, hit)
    }

    /// Whether lookups would find a value; neither counted nor a use.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.look(key, is_served, |_, _| ()).is_some()
    }

    /// Stores a value that does not expire; see [`insert_with_ttl`](Self::insert_with_ttl).
    pub fn insert(&self, key: &[u8], value: Bytes) -> Insertion {
        self.insert_with_ttl(key, value, None)
    }

    /// Stores a value that expires after `ttl`, counted from now; see
    /// [`insert_entry`](Self::insert_entry).
    pub fn insert_with_ttl(&self, key: &[u8], value: Bytes, ttl: Option<Duration>) -> Insertion {
        let life = Life {
            ttl,
            ..Life::default()
        };
        self.insert_entry(key, value, &life, &[])
    }

    /// Stores a value as the newest of its shard, or over the key's older one as a use of it, and
    /// evicts others until the total fits. The note is stored with it: lookups return it with the
    /// value, and it takes part of the budget as well.
    ///
    /// A value whose `life` is already over is not stored, and one with a note longer than
    /// [`MAX_NOTE`](PagedCache::MAX_NOTE) is refused. In both cases an older value of the key is
    /// removed.
    pub fn insert_entry(&self, key: &[u8], value: Bytes, life: &Life, note: &[u8]) -> Insertion {
        let (hash, tag, home) = self.locate(key);
        if life.is_nothing() {
            self.take(tag, key, home, false);
            return Insertion::Expired;
        }
        let extras = terms::encode(life, note);
        let terms = Terms {
            deadline: Deadline::after(life.ttl, &self.clock),
            extras: &extras,
        };
        let value_len = value.len();
        let len = Record::len(key, terms).saturating_add(value_len);
        let packed = self.layout.packs(len);
        let weight = weight::ENTRY.saturating_add(if packed {
            weight::open(self.layout.page())
        } else {
            weight::single(extras.len().saturating_add(key.len()), value.len())
        });
        if weight > self.shared.budget().capacity() || note.len() > PagedCache::MAX_NOTE {
            return self.refuse(tag, key, home, weight);
        }
        let mut value = value;
        let fresh = if packed {
            Fresh::Small(Small {
                tag,
                key,
                value: &value,
                terms,
            })
        } else {
            Fresh::Single(Single::new(tag, key, mem::take(&mut value), terms))
        };

        let spare = Spare::Key(tag, key);
        let mut blocks = Vec::new();
        let mut passes = Passes::default();
        let overwrote = {
            let mut log = self.shards[home].lock();
            let mut now = self.now();
            let overwrote = log.insert(tag, key, fresh, &mut now, &self.shared, &mut blocks);
            // Usually this is all that `make_room` would do, without locking again.
            if self.shared.budget().is_over()
                && let due = self.shared.due(Some(home))
                && due.shard == home
            {
                let shared = &self.shared;
                log.evict(due.queue, spare, &mut passes, &mut now, shared, &mut blocks);
            }
            overwrote
        };
        if self.shared.policy().samples(hash) {
            self.observe(tag, self.layout.footprint(key.len(), value_len), true);
        }

        let mut dropped = Dropped::default();
        dropped.take(Some(value));
        if !blocks.is_empty() {
            dropped.take_all(blocks);
        }
        if self.shared.budget().is_over() {
            self.make_room(home, spare, weight, passes, &mut dropped);
        }
        dropped.finish();
        if overwrote {
            Insertion::Overwrote
        } else {
            Insertion::Added
        }
    }

    /// Takes a key out, and returns its value if [`get`](Self::get) would have found it. An entry
    /// that was gone is counted as an eviction.
    pub fn remove(&self, key: &[u8]) -> Option<Bytes> {
        let (_, tag, home) = self.locate(key);
        self.take(tag, key, home, false)
    }

    /// Removes every entry that exists when its shard is cleared, and frees the index.
    pub fn clear(&self) {
        let mut dropped = Dropped::default();
        for shard in &self.shards {
            let log = shard.lock().clear(&self.shared);
            dropped.take_all(log.into_blocks());
        }
        self.shared.forget_statistics();
        dropped.finish();
    }

    /// The number of entries, including expired ones that have not been found. Takes each lock in
    /// turn.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.share().len()).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the entries. Takes no lock.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    /// How many insertions stored a key that had been evicted recently, without having been used
    /// enough to stay. With a little more room it would still have been there. Takes no lock.
    pub fn recalls(&self) -> u64 {
        self.shared.recalls()
    }

    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The counters, summed over the shards. Takes each lock in turn.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for shard in &self.shards {
            sum += shard.stats(|log| log.stats);
        }
        sum
    }

    /// From the only hash of an operation, the part that the index keeps, and the shard that it
    /// chooses.
    #[inline(always)]
    fn locate(&self, key: &[u8]) -> (u64, Tag, usize) {
        let hash = self.hash(key);
        (hash, Tag::of(hash), shard_of(hash, self.shards.len() - 1))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        // Without the length that a slice's `Hash` writes first: nothing follows.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    #[inline]
    fn read<R>(&self, key: &[u8], read: impl FnOnce(&Found<'_>, Left) -> R) -> Option<R> {
        let (hash, tag, home) = self.locate(key);
        let shard = &self.shards[home];
        let log = shard.share();
        let Some((place, found)) = log.find(tag, key) else {
            shard.count_miss();
            return None;
        };
        let left = found.terms.deadline.left(&self.clock);
        if let Err(expired) = left
            && !is_served(&found, expired)
        {
            shard.count_miss();
            let gone = found.terms.is_gone(expired);
            drop(log);
            if gone {
                self.remove_gone(tag, key, home);
            }
            return None;
        }
        let is_news = place.note_use();
        shard.count_hit();
        let much_copied = found.value.is_copied() && log.note_copy(place);
        let len = found.value.len();
        let answer = read(&found, left);
        drop(log);
        // A key that was used often recently is hit in every setting.
        if is_news && self.shared.policy().samples(hash) {
            self.observe(tag, self.layout.footprint(key.len(), len), false);
        }
        if much_copied {
            self.close_copied(home);
        }
        Some(answer)
    }

    /// Reports an access to a key of the sample to the policy.
    #[cold]
    fn observe(&self, tag: Tag, len: u64, is_insertion: bool) {
        let observed = self.shared.policy().observe(tag, len, is_insertion, || {
            let taken = |shard: &Counted<Log>| {
                let log = shard.share();
                (log.len() as u64, log.content())
            };
            let (entries, bytes) = self
                .shards
                .iter()
                .map(taken)
                .fold((0, 0), |sum, shard| (sum.0 + shard.0, sum.1 + shard.1));
            Extent {
                entries,
                bytes,
                capacity: self.shared.limit(),
            }
        });
        self.shared.charge_statistics(observed.charge);
        if observed.has_shifted {
            self.shared.give_up_main();
        }
    }

    #[cold]
    fn close_copied(&self, home: usize) {
        let mut blocks = Vec::new();
        self.shards[home]
            .lock()
            .close_if_copied(&mut self.now(), &self.shared, &mut blocks);
        let mut dropped = Dropped::default();
        dropped.take_all(blocks);
        self.tidy_up(home, &mut dropped);
        dropped.finish();
    }

    /// Takes out an entry that a lookup has found gone, after unlocking.
    ///
    /// Since then another thread may have made any change: stored a fresh value under the key
    /// (which stays: the deadline is checked again), or taken the expired one out (and counted
    /// it). The lookup is a miss in any case, as it was at its own time.
    #[cold]
    fn remove_gone(&self, tag: Tag, key: &[u8], home: usize) {
        self.take(tag, key, home, true);
    }

    /// Takes a key out, or only if it is gone; returns its value, if lookups would have found it.
    fn take(&self, tag: Tag, key: &[u8], home: usize, only_gone: bool) -> Option<Bytes> {
        let mut blocks = Vec::new();
        let value = self.shards[home].lock().remove(
            tag,
            key,
            only_gone,
            &mut self.now(),
            &self.shared,
            &mut blocks,
        );
        let mut dropped = Dropped::default();
        dropped.take_all(blocks);
        // A page that was swept for its holes may have needed another one.
        self.tidy_up(home, &mut dropped);
        dropped.finish();
        value
    }

    /// The result of `read` for a key, if it is fresh or `finds` accepts it past its ttl.
    fn look<R>(
        &self,
        key: &[u8],
        finds: impl FnOnce(&Found<'_>, Expired) -> bool,
        read: impl FnOnce(&Found<'_>, Left) -> R,
    ) -> Option<R> {
        let (_, tag, home) = self.locate(key);
        let log = self.shards[home].share();
        let (_, found) = log.find(tag, key)?;
        let left = found.terms.deadline.left(&self.clock);
        if let Err(expired) = left
            && !finds(&found, expired)
        {
            return None;
        }
        Some(read(&found, left))
    }

    #[inline]
    fn now(&self) -> Now<'_> {
        Now::of(&self.clock)
    }

    fn refuse(&self, tag: Tag, key: &[u8], home: usize, weight: u64) -> Insertion {
        self.shards[home].lock().stats.refusals += 1;
        self.take(tag, key, home, false);
        Insertion::Refused {
            weight,
            capacity: self.shared.budget().capacity(),
        }
    }
}

fn is_served(found: &Found<'_>, expired: Expired) -> bool {
    found.terms.is_served(expired)
}

impl<S> fmt::Debug for PagedCache<S> {
    /// The sizes; not the entries, whose keys may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedCache")
            .field("bytes", &self.shared.budget().used())
            .field("capacity", &self.shared.budget().capacity())
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
