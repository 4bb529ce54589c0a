use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use lru::LruCache;

use super::block::{Age, Block, Found, Listed, Live, Page, Single, Slot};
use super::place::{Location, Tag};
use super::record::{self, Record, Small};
use crate::Xxh3State;
use crate::ages::{Ages, Oldest};

mod shorten;

pub(super) use self::shorten::{Shorten, lowered};

/// What the entries of a shard lie in, in the order in which it was made.
///
/// New records go to the end of the open page, whose bytes are in a buffer that goes on being used: what it holds when the
/// page is full is copied into one block of memory of exactly that size. So all of a page is freed at once, and the value of
/// a hit is a part of it.
pub(super) struct Blocks {
    slots: Vec<Slot>,
    /// The first of the free slots.
    free: Option<u32>,
    /// The numbers of the blocks but for the open pages, the oldest first, and since when they are where they are. (The
    /// time takes no room: it lies where the node would be padded.)
    order: LruCache<u32, u32, Xxh3State>,
    /// For each `Age`.
    open: [Open; 2],
    /// Pages that have become sparse, as far as they still are there.
    sparse: Vec<u32>,
    bytes: u64,
    layout: Layout,
}

/// An open page's bytes. The buffers go on being used for the next one.
#[derive(Default)]
struct Open {
    number: Option<u32>,
    /// When it was written to last, while there are no blocks but open ones: what their ages are compared by then.
    since: u32,
    /// Where the record written last begins, and its key's tag.
    last: Option<(Tag, usize)>,
    /// Values copied out of it.
    copies: AtomicU32,
    records: Vec<u8>,
    values: Vec<u8>,
    /// How many records, holes included.
    count: usize,
}

/// What is the same for all shards of a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The most bytes of a page.
    page: usize,
    /// The most blocks of a shard.
    blocks: usize,
}

impl Layout {
    const MIN_PAGE: u64 = 256;
    const PAGES_OF_A_SHARD: u64 = 64;
    /// More of them would make the work for one page longer, and gain nothing.
    pub(super) const MAX_RECORDS: usize = 64;
    /// After so many copied values a page is closed though it is not full: where nothing is stored, nothing else would do
    /// it, and a small cache may be asked for what is in its open page only.
    const MAX_COPIES: u32 = 64;

    /// Pages of at most 4 KiB, and at least 64 in a shard's part of the capacity.
    pub(super) fn of(capacity: u64, shards: usize) -> Self {
        let share = capacity / shards as u64 / Self::PAGES_OF_A_SHARD;
        let page = share.clamp(Self::MIN_PAGE, Location::MAX_PAGE as u64);
        Self {
            page: 1 << page.ilog2(),
            blocks: Location::MAX_BLOCKS,
        }
    }

    #[cfg(test)]
    pub(super) fn with_blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }

    pub(super) fn page(self) -> usize {
        self.page
    }

    /// Whether an entry of that many bytes goes into a page: a quarter at most, as a page is closed as soon as one does not
    /// fit any more.
    pub(super) fn packs(self, len: usize) -> bool {
        len <= self.page / 4
    }
}

impl Open {
    /// The number, and what was in the buffers, in a block of memory of exactly that size.
    fn close(&mut self) -> Option<(u32, Page)> {
        let number = self.number.take()?;
        let page = Page::new(&self.records, &self.values);
        self.records.clear();
        self.values.clear();
        self.count = 0;
        self.last = None;
        *self.copies.get_mut() = 0;
        Some((number, page))
    }
}

impl Blocks {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            // Any seed will do: nobody chooses the numbers.
            order: LruCache::unbounded_with_hasher(Xxh3State::with_seed(0)),
            open: [Open::default(), Open::default()],
            sparse: Vec::new(),
            bytes: 0,
            layout,
        }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// What the blocks take, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there may be no number left for an insertion, which takes two at most; as many may be open.
    pub(super) fn are_full(&self) -> bool {
        self.order.len() + self.open.len() + 2 > self.layout.blocks
    }

    pub(super) fn get(&self, number: u32) -> Option<&Block> {
        self.slots.get(number as usize).map(|slot| &slot.0)
    }

    #[inline]
    pub(super) fn find(&self, location: Location, key: &[u8]) -> Option<Found<'_>> {
        self.get(location.block())?
            .find(location.offset(), key, |age| {
                let open = &self.open[age as usize];
                (&open.records, &open.values)
            })
    }

    /// When a block took its place in the order; `None` for an open page.
    pub(super) fn since(&self, number: u32) -> Option<u32> {
        self.order.peek(&number).copied()
    }

    /// The entry that begins at an offset of a block, or a hole.
    pub(super) fn entry_at(&self, number: u32, offset: usize) -> Option<Listed<'_>> {
        self.get(number)?.entry_at(offset, |age| {
            let open = &self.open[age as usize];
            (&open.records, &open.values)
        })
    }

    /// Notes that a value was copied out of an open page; whether there were so many that it had better be closed.
    pub(super) fn note_copy(&self, location: Location) -> bool {
        let number = Some(location.block());
        let open = self.open.iter().find(|open| open.number == number);
        open.is_some_and(|open| {
            open.copies.fetch_add(1, Ordering::Relaxed) + 1 >= Layout::MAX_COPIES
        })
    }

    /// Closes the pages with many copies that still are open.
    pub(super) fn close_if_copied(&mut self, ages: &Ages) {
        for age in [Age::Fresh, Age::Moved] {
            if *self.open[age as usize].copies.get_mut() >= Layout::MAX_COPIES {
                self.close(age, ages);
            }
        }
    }

    /// Closes the open page that was written to first; whether there was one.
    pub(super) fn close_older(&mut self, ages: &Ages) -> bool {
        let older = self.older_open();
        if let Some(age) = older {
            self.close(age, ages);
        }
        older.is_some()
    }

    fn older_open(&self) -> Option<Age> {
        let since = |age: Age| {
            let open = &self.open[age as usize];
            open.number.map(|_| open.since)
        };
        match (since(Age::Fresh), since(Age::Moved)) {
            (Some(fresh), Some(moved)) if fresh.wrapping_sub(moved) > u32::MAX / 2 => {
                Some(Age::Fresh)
            }
            (_, Some(_)) => Some(Age::Moved),
            (Some(_), None) => Some(Age::Fresh),
            (None, None) => None,
        }
    }

    /// Adds an entry's block as the youngest.
    pub(super) fn add(&mut self, single: Single, ages: &Ages) -> Location {
        let number = self.put(Block::Single(single));
        self.order.put(number, ages.next());
        Location::new(number, 0)
    }

    /// Adds an entry to an open page.
    pub(super) fn append(&mut self, age: Age, entry: Small<'_>, ages: &Ages) -> Location {
        let len = entry.record_len();
        let number = self.open_for(age, len, entry.value.len(), ages);
        let first = self.order.is_empty();
        let Open {
            records,
            values,
            count,
            last,
            since,
            ..
        } = &mut self.open[age as usize];
        let offset = records.len();
        *last = Some((entry.tag, offset));
        if first {
            *since = ages.next();
        }
        entry.write(records, values);
        debug_assert_eq!(records.len(), offset + len, "as long as announced");
        *count += 1;
        if let Block::Open(live, _) = self.block(number) {
            live.add(len + entry.value.len());
        }
        Location::new(number, offset)
    }

    /// Stores a value in the place of an entry's older one of the same length, if nobody has got that.
    pub(super) fn overwrite(&mut self, location: Location, entry: Small<'_>) -> bool {
        let (offset, Small { value, terms, .. }) = (location.offset(), entry);
        let fits =
            |records| Record::at(records, offset).is_some_and(|record| record.fits(value, terms));
        let Some(Slot(block)) = self.slots.get_mut(location.block() as usize) else {
            return false;
        };
        match block {
            Block::Page(_, page) => fits(page.parts().0) && page.overwrite(offset, value, terms),
            Block::Open(_, age) => {
                let open = &mut self.open[*age as usize];
                let fits = fits(&open.records);
                if fits {
                    let (records, values) = (&mut open.records, &mut open.values);
                    record::overwrite(records, values, offset, value, terms);
                }
                fits
            }
            Block::Single(..) | Block::Free(_) => false,
        }
    }

    /// The open page, with room for a record and its value.
    fn open_for(&mut self, age: Age, record: usize, value: usize, ages: &Ages) -> u32 {
        let page = self.layout.page;
        let open = &self.open[age as usize];
        if open.count == Layout::MAX_RECORDS
            || open.records.len() + open.values.len() + record + value > page
        {
            self.close(age, ages);
        }
        let open = &mut self.open[age as usize];
        if let Some(number) = open.number {
            return number;
        }
        open.records.reserve_exact(page);
        open.values.reserve_exact(page);
        let number = self.put(Block::Open(Live::default(), age));
        self.open[age as usize].number = Some(number);
        number
    }

    /// Makes a block of an open page, the youngest: its last entry has only just come.
    fn close(&mut self, age: Age, ages: &Ages) {
        let Some((number, page)) = self.open[age as usize].close() else {
            return;
        };
        self.order.put(number, ages.next());
        let (limit, len) = (self.layout.page, page.len());
        let block = self.block(number);
        if let Block::Open(live, _) = *block {
            let before = block.weight(limit);
            *block = Block::Page(live, page);
            let after = block.weight(limit);
            self.bytes = self.bytes - before + after;
            if live.is_sparse(len) {
                self.sparse.push(number);
            }
        }
    }

    /// An entry is in the index no more: its block goes with the last one, and is handed over.
    pub(super) fn release(&mut self, location: Location, ages: &Ages) -> Option<Block> {
        let number = location.block();
        let (records, left) = match &self.slots.get(number as usize)?.0 {
            Block::Free(_) => return None,
            Block::Single(..) => return self.take(number, ages),
            Block::Page(live, page) => (page.parts().0, *live),
            Block::Open(live, age) => (&self.open[*age as usize].records[..], *live),
        };
        let record = Record::at(records, location.offset())?;
        let mut left = left;
        left.remove(record.end - location.offset() + record.value.len());
        if left.records == 0 {
            return self.take(number, ages);
        }
        match self.block(number) {
            Block::Page(live, page) => {
                *live = left;
                if left.is_sparse(page.len()) {
                    self.sparse.push(number);
                }
            }
            Block::Open(live, _) => *live = left,
            Block::Free(_) | Block::Single(..) => {}
        }
        None
    }

    /// A page that has become sparse. It may have gone since, and its number may be another block's.
    pub(super) fn pop_sparse(&mut self) -> Option<u32> {
        loop {
            let number = self.sparse.pop()?;
            if let Some(Block::Page(live, page)) = self.get(number)
                && live.is_sparse(page.len())
            {
                return Some(number);
            }
        }
    }

    /// The oldest block that is no open page, nor the large entry `spared` where that is the only one.
    pub(super) fn oldest_but(&self, spared: Option<u32>) -> Option<u32> {
        let (&number, _) = self.order.peek_lru()?;
        let is_single = matches!(self.get(number), Some(Block::Single(..)));
        let alone = self.order.len() == 1 && is_single && spared == Some(number);
        (!alone).then_some(number)
    }

    /// How old that is; of open pages the younger one counts, so that the shard written to last is the youngest.
    pub(super) fn age(&self) -> Oldest {
        if let Some((_, &since)) = self.order.peek_lru() {
            return Oldest::Since(since);
        }
        let open = self.open.iter().filter(|open| open.number.is_some());
        let younger = open
            .map(|open| open.since)
            .reduce(|a, b| if a.wrapping_sub(b) < 1 << 31 { a } else { b });
        younger.map_or(Oldest::Nothing, Oldest::OpenSince)
    }

    /// Where the entry stored last lies, if there are open pages only.
    pub(super) fn youngest_if_all_open(&self) -> Option<(Tag, Location)> {
        let open = &self.open[Age::Fresh as usize];
        let (tag, offset) = open.last.filter(|_| self.order.is_empty())?;
        Some((tag, Location::new(open.number?, offset)))
    }

    /// Makes a block the youngest.
    pub(super) fn promote(&mut self, number: u32, ages: &Ages) {
        self.order.put(number, ages.now());
    }

    /// Takes a block out; an open page as a closed one.
    pub(super) fn take(&mut self, number: u32, ages: &Ages) -> Option<Block> {
        let block = self.lift(number, ages);
        self.give_back(number);
        block
    }

    /// Takes a block out without giving its number back.
    pub(super) fn lift(&mut self, number: u32, ages: &Ages) -> Option<Block> {
        if let Some(&Block::Open(_, age)) = self.get(number) {
            self.close(age, ages);
        }
        self.order.pop(&number)?;
        let block = mem::replace(self.block(number), Block::Free(None));
        self.bytes -= block.weight(self.layout.page);
        Some(block)
    }

    /// Gives the number of a block back that was taken out.
    pub(super) fn give_back(&mut self, number: u32) {
        let next = self.free.replace(number);
        *self.block(number) = Block::Free(next);
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = Block> {
        self.slots.into_iter().map(|slot| slot.0)
    }

    /// Puts a block into a slot, and returns its number.
    fn put(&mut self, block: Block) -> u32 {
        self.bytes += block.weight(self.layout.page);
        let Some(number) = self.free else {
            return self.push(block);
        };
        if let Block::Free(next) = *self.block(number) {
            self.free = next;
        }
        *self.block(number) = block;
        number
    }

    /// Grows by an eighth, where `push` would double: the slots are charged for so much.
    #[expect(clippy::cast_possible_truncation, reason = "24 bits")]
    fn push(&mut self, block: Block) -> u32 {
        let number = self.slots.len();
        debug_assert!(number < Location::MAX_BLOCKS, "see `are_full`");
        if number == self.slots.capacity() {
            self.slots.reserve_exact(number / 8 + 4);
        }
        self.slots.push(Slot(block));
        number as u32
    }

    /// A block that there is: numbers come from here, and no slot ever goes.
    fn block(&mut self, number: u32) -> &mut Block {
        &mut self.slots[number as usize].0
    }
}

#[cfg(test)]
mod audit;
