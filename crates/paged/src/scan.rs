//! Walks the cache in steps, without blocking it.
//!
//! The list that keeps the order of the blocks cannot be resumed in the middle. The number of a
//! block does not change while the block exists, so a scan walks the numbers several times, each
//! time for the blocks of one band of ages. It needs no memory of its own, and an entry that is
//! not moved belongs to exactly one pass, whatever else changes.

use bytes::Bytes;
use gaggle_shards::Ages;

use super::block::{Listed, hold};
use super::blocks::Layout;
use super::place::Location;
use super::queue::Queue;
use super::terms::Left;
use crate::{Cursor, Held};

/// The position of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// There is one pass for each band of ages, first those of the main queue and then those of
    /// the small one, the youngest first, and a last one for open pages and for blocks that took
    /// their place in the order after the scan had begun.
    ///
    /// Open pages are last because they may close at any time: a page that was seen as the
    /// youngest would then have an age of the last pass, and be seen again. Blocks that eviction
    /// has moved meanwhile are in the last pass too.
    pass: u32,
    pub(crate) shard: usize,
    pub(crate) block: u32,
    /// In bytes.
    pub(crate) offset: usize,
    main: Bands,
    small: Bands,
}

/// The ages of a queue in bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bands {
    /// The time, as [`Ages`] counts it, at which the scan began.
    start: u32,
    /// The time that a band covers: two to the power of this.
    shift: u32,
}

impl Bands {
    fn of(ages: &Ages, most: u32) -> Self {
        let width = (ages.span() / most + 1).next_power_of_two();
        Self {
            start: ages.now(),
            shift: width.ilog2(),
        }
    }

    /// The band of a block that took its place at that time, of `most` bands; `None` if that was
    /// after the scan had begun.
    fn band(self, since: u32, most: u32) -> Option<u32> {
        let age = self.start.wrapping_sub(since);
        // The oldest may be older than reported.
        (age > 0 && age <= u32::MAX / 2).then(|| ((age - 1) >> self.shift.min(31)).min(most - 1))
    }
}

/// The result of a call of [`PagedCache::scan`](crate::PagedCache::scan).
pub(crate) struct Batch {
    pub(crate) entries: Vec<(Bytes, Held)>,
    bytes: u64,
    most_entries: usize,
    most_bytes: u64,
}

/// The result of a step under a shard's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There is more in the shard.
    Within,
    /// The shard has no more blocks.
    End,
    /// The batch has no room for the next entry.
    Full,
}

impl Position {
    /// The most bands of the main queue, and of the small one. More bands make the order finer,
    /// but the blocks are visited more often.
    const MAIN: u32 = 8;
    const SMALL: u32 = 4;
    const LAST: u32 = Self::MAIN + Self::SMALL;

    pub(crate) fn first<'a>(ages: impl Fn(Queue) -> &'a Ages) -> Self {
        Self {
            pass: 0,
            shard: 0,
            block: 0,
            offset: 0,
            main: Bands::of(ages(Queue::Main), Self::MAIN),
            small: Bands::of(ages(Queue::Small), Self::SMALL),
        }
    }

    /// Whether a block belongs to this pass, by its queue and the time at which it took its place
    /// there.
    pub(crate) fn wants(&self, place: Option<(Queue, Option<u32>)>) -> bool {
        let pass = match place {
            Some((Queue::Main, Some(since))) => self.main.band(since, Self::MAIN),
            Some((Queue::Small, Some(since))) => {
                let band = self.small.band(since, Self::SMALL);
                band.map(|band| Self::MAIN + band)
            }
            _ => None,
        };
        pass.unwrap_or(Self::LAST) == self.pass
    }

    pub(crate) fn next_block(&mut self) {
        self.block += 1;
        self.offset = 0;
    }

    /// Moves to the next shard or the next pass; returns whether there is one.
    pub(crate) fn next_shard(&mut self, shards: usize) -> bool {
        (self.block, self.offset) = (0, 0);
        self.shard += 1;
        if self.shard >= shards {
            self.shard = 0;
            self.pass += 1;
        }
        self.pass <= Self::LAST
    }
}

/// How many bits each field has; see [`Location`] for the block and the offset. The first is never
/// zero.
const FIELDS: [u32; 8] = [6, 32, 5, 32, 24, 10, 10, 4];

impl From<Position> for Cursor {
    fn from(at: Position) -> Self {
        let fields = [
            u128::from(at.main.shift) + 1,
            at.main.start.into(),
            at.small.shift.into(),
            at.small.start.into(),
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
    /// The position of a cursor, unless that is the beginning. Arbitrary bits give a position too,
    /// perhaps one without entries.
    #[expect(clippy::cast_possible_truncation, reason = "32 bits at most")]
    pub(crate) fn of(cursor: Cursor) -> Option<Self> {
        let mut bits = cursor.to_bits();
        let mut fields = FIELDS.map(|_| 0);
        for (field, len) in fields.iter_mut().zip(FIELDS).rev() {
            *field = (bits & ((1 << len) - 1)) as u32;
            bits >>= len;
        }
        let [
            main_shift,
            main,
            small_shift,
            small,
            block,
            offset,
            shard,
            pass,
        ] = fields;
        Some(Self {
            pass,
            shard: shard as usize,
            block,
            offset: offset as usize * Location::GRANULARITY,
            main: Bands {
                start: main,
                shift: main_shift.checked_sub(1)?,
            },
            small: Bands {
                start: small,
                shift: small_shift,
            },
        })
    }
}

impl Batch {
    pub(crate) fn new(most_entries: usize, most_bytes: u64) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            most_entries: most_entries.max(1),
            most_bytes,
        }
    }

    /// Reserves memory for the entries of a page, so that no lock is held for that.
    pub(crate) fn reserve(&mut self) {
        let room = self.most_entries.saturating_sub(self.entries.len());
        self.entries.reserve(room.min(Layout::MAX_RECORDS));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.most_entries
    }

    /// Adds an entry; returns whether there was room for it. There is always room for the first
    /// one: the scan could not continue otherwise.
    pub(crate) fn push(&mut self, entry: &Listed<'_>, left: Left) -> bool {
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
