//! Walking the cache in steps, without holding it up.
//!
//! The list that keeps the order of the blocks cannot be resumed in the middle. The number of a
//! block does not change while the block exists, so a scan goes through the numbers several times,
//! each time for the blocks of one band of ages. It needs no memory of its own, and an entry that
//! stays where it is belongs to one pass, whatever happens around it.

use std::hash::BuildHasher;

use bytes::Bytes;

use super::ByteCache;
use super::block::{Listed, hold};
use super::blocks::Layout;
use super::place::Location;
use super::terms::Left;
use crate::ages::Ages;
use crate::{Cursor, Held};

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The passes are one for each band of ages, the youngest first, and a last one for open pages
    /// and for blocks that took their place in the order after the scan had begun.
    ///
    /// Open pages are last because they may close at any time: a page that was seen as the
    /// youngest would then have an age of the last pass, and be seen again. What eviction has
    /// moved meanwhile is in the last pass too.
    pass: u32,
    shard: usize,
    pub(super) block: u32,
    /// In bytes.
    pub(super) offset: usize,
    /// The time, as [`Ages`] counts it, at which the scan began.
    start: u32,
    /// How much of that time a band covers; one or more.
    width: u32,
}

/// What a call of [`ByteCache::scan`] gives.
pub(super) struct Batch {
    entries: Vec<(Bytes, Held)>,
    bytes: u64,
    most_entries: usize,
    most_bytes: u64,
}

/// How a step under a shard's lock has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// There is more in the shard.
    Within,
    /// The shard has no more blocks.
    End,
    /// The batch has no room for the next entry.
    Full,
}

impl Position {
    /// More of them make the order finer, and have the blocks looked at more often.
    const BANDS: u32 = 8;

    fn first(ages: &Ages) -> Self {
        let start = ages.now();
        Self {
            pass: 0,
            shard: 0,
            block: 0,
            offset: 0,
            start,
            width: ages.span() / Self::BANDS + 1,
        }
    }

    /// Whether a block belongs to this pass, by the time at which it took its place in the order.
    pub(super) fn wants(&self, since: Option<u32>) -> bool {
        let age = since.map_or(0, |since| self.start.wrapping_sub(since));
        let pass = if age == 0 || age > u32::MAX / 2 {
            Self::BANDS
        } else {
            // The oldest may be older than it was said to be.
            ((age - 1) / self.width).min(Self::BANDS - 1)
        };
        pass == self.pass
    }

    pub(super) fn next_block(&mut self) {
        self.block += 1;
        self.offset = 0;
    }

    /// Goes to the next shard or the next pass; whether there is one.
    fn next_shard(&mut self, shards: usize) -> bool {
        (self.block, self.offset) = (0, 0);
        self.shard += 1;
        if self.shard >= shards {
            self.shard = 0;
            self.pass += 1;
        }
        self.pass <= Self::BANDS
    }
}

/// How many bits each field has; see [`Location`] for the offsets.
const FIELDS: [u32; 6] = [32, 32, 32, 10, 10, 4];

impl From<Position> for Cursor {
    fn from(at: Position) -> Self {
        let fields = [
            at.start.into(),
            at.width.into(),
            at.block.into(),
            (at.offset / Location::GRANULARITY) as u128,
            at.shard as u128,
            at.pass.into(),
        ];
        let with = |bits, (field, len): (u128, u32)| bits << len | field & ((1 << len) - 1);
        Self::from_bits(fields.into_iter().zip(FIELDS).fold(0, with))
    }
}

impl Position {
    /// What a cursor says, unless that is the beginning. Bits of any other origin give a position
    /// too, perhaps one where there is nothing.
    #[expect(clippy::cast_possible_truncation, reason = "32 bits at most")]
    fn of(cursor: Cursor) -> Option<Self> {
        let mut bits = cursor.to_bits();
        let mut fields = FIELDS.map(|_| 0);
        for (field, len) in fields.iter_mut().zip(FIELDS).rev() {
            *field = (bits & ((1 << len) - 1)) as u32;
            bits >>= len;
        }
        let [start, width, block, offset, shard, pass] = fields;
        (width > 0).then_some(Self {
            pass,
            shard: shard as usize,
            block,
            offset: offset as usize * Location::GRANULARITY,
            start,
            width,
        })
    }
}

impl Batch {
    fn new(most_entries: usize, most_bytes: u64) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            most_entries: most_entries.max(1),
            most_bytes,
        }
    }

    /// Makes room for the entries of a page, so that no lock is held for that.
    fn reserve(&mut self) {
        let room = self.most_entries.saturating_sub(self.entries.len());
        self.entries.reserve(room.min(Layout::MAX_RECORDS));
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.most_entries
    }

    /// Takes an entry; whether there was room for it. The first one has room whatever its length:
    /// the scan could not go on otherwise.
    pub(super) fn push(&mut self, entry: &Listed<'_>, left: Left) -> bool {
        let bytes = self.bytes.saturating_add(entry.len());
        if self.is_full() || (bytes > self.most_bytes && !self.entries.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.entries
            .push((entry.to_key(), hold(&entry.found, left)));
        true
    }
}

impl<S: BuildHasher> ByteCache<S> {
    /// How many steps a call takes at most, each of a page that belongs to the pass or of 64
    /// blocks that do not. That takes about a millisecond, also where all entries are stale.
    const MAX_STEPS: usize = 128;

    /// The next fresh entries with their keys, and the cursor to go on with; no cursor means that
    /// the scan has ended. It is neither counted nor taken as a use. Stale entries are left out.
    ///
    /// A batch has up to `most_entries` (zero is taken as one), whose keys, values and notes have
    /// up to `most_bytes` together, or a single entry that has more. It may have fewer entries, or
    /// none, although there is more to come: a call takes about a millisecond at most.
    ///
    /// **Order.** The cache's order is that of insertion, or of the last time that an eviction
    /// came to an entry and saved it for its uses. The youngest eighth of that time comes first,
    /// over all shards, then the next eighth, and so on. Pages that are still written to (two of
    /// up to 4 KiB in each shard) come last, together with what was stored or moved after the scan
    /// had begun.
    ///
    /// **Consistency.** An entry that is there when the scan begins, and stays where it is until
    /// the scan ends, is seen exactly once. One that is stored, overwritten, removed or moved
    /// meanwhile may be missed or seen twice; it is moved by an eviction that saves it, or with a
    /// page that is swept for its holes. A scan ends however much is stored meanwhile: it looks at
    /// each block that the cache has room for nine times at most.
    ///
    /// **Locks.** A scan holds the lock of one shard at a time, shares it with lookups, and holds
    /// it for as long as it takes to pass 64 blocks, or to copy out the entries of one page or one
    /// large key. Values are shared as lookups share them.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use gaggle_lru::{ByteCache, Cursor, Options};
    ///
    /// let cache = ByteCache::new(Options::default());
    /// cache.insert(b"Tom", Bytes::from_static(b"630"));
    /// cache.insert(b"Jack", Bytes::from_static(b"589"));
    ///
    /// let mut all = Vec::new();
    /// let mut next = Some(Cursor::default());
    /// while let Some(from) = next {
    ///     let (batch, then) = cache.scan(from, 100, 1 << 20);
    ///     all.extend(batch.into_iter().map(|(key, held)| (key, held.value)));
    ///     next = then;
    /// }
    /// all.sort();
    /// assert_eq!(all, [("Jack".into(), "589".into()), ("Tom".into(), "630".into())]);
    /// ```
    #[must_use]
    pub fn scan(
        &self,
        from: Cursor,
        most_entries: usize,
        most_bytes: u64,
    ) -> (Vec<(Bytes, Held)>, Option<Cursor>) {
        let begin = || Position::first(self.budget.ages());
        let mut at = Position::of(from).unwrap_or_else(begin);
        let mut batch = Batch::new(most_entries, most_bytes);
        for _ in 0..Self::MAX_STEPS {
            if batch.is_full() {
                break;
            }
            batch.reserve();
            let step = match self.shards.get(at.shard) {
                Some(shard) => shard.share().scan(&mut at, &mut batch, &mut self.now()),
                None => Step::End,
            };
            match step {
                Step::Within => {}
                Step::End if at.next_shard(self.shards.len()) => {}
                Step::End => return (batch.entries, None),
                Step::Full => break,
            }
        }
        (batch.entries, Some(at.into()))
    }
}
