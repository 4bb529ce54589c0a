use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use lru::LruCache;

use super::block::{Age, Block, Found, Live, Page, Single, Slot};
use super::place::{Location, Tag};
use super::record::{self, Record, Small};
use crate::Xxh3State;

/// What the entries of a shard lie in, in the order in which it was made.
///
/// New records go to the end of the open page, whose bytes are in a buffer that goes on being used: what it holds when the
/// page is full is copied into one block of memory of exactly that size. So all of a page is freed at once, and the value of
/// a hit is a part of it.
pub(super) struct Blocks {
    slots: Vec<Slot>,
    /// The first of the free slots.
    free: Option<u32>,
    /// The numbers of the blocks, the oldest first.
    order: LruCache<u32, (), Xxh3State>,
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
    const MAX_RECORDS: usize = 64;
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

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there may be none left for an insertion, which takes two at most.
    pub(super) fn are_full(&self) -> bool {
        self.order.len() + 2 > self.layout.blocks
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

    /// Notes that a value was copied out of an open page; whether there were so many that it had better be closed.
    pub(super) fn note_copy(&self, location: Location) -> bool {
        let number = Some(location.block());
        let open = self.open.iter().find(|open| open.number == number);
        open.is_some_and(|open| {
            open.copies.fetch_add(1, Ordering::Relaxed) + 1 >= Layout::MAX_COPIES
        })
    }

    /// Closes the pages with many copies that still are open.
    pub(super) fn close_if_copied(&mut self) {
        for age in [Age::Fresh, Age::Moved] {
            if *self.open[age as usize].copies.get_mut() >= Layout::MAX_COPIES {
                self.close(age);
            }
        }
    }

    /// Adds an entry's block as the youngest.
    pub(super) fn add(&mut self, tag: Tag, single: Single) -> Location {
        Location::new(self.put(Block::Single(tag, single)), 0)
    }

    /// Adds an entry to an open page.
    pub(super) fn append(&mut self, age: Age, entry: Small<'_>) -> Location {
        let len = entry.record_len();
        let number = self.open_for(age, len, entry.value.len());
        let Open {
            records,
            values,
            count,
            ..
        } = &mut self.open[age as usize];
        let offset = records.len();
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
        let (
            offset,
            Small {
                value, deadline, ..
            },
        ) = (location.offset(), entry);
        let fits = |records| {
            Record::at(records, offset).is_some_and(|record| record.fits(value, deadline))
        };
        let Some(Slot(block)) = self.slots.get_mut(location.block() as usize) else {
            return false;
        };
        match block {
            Block::Page(_, page) => fits(page.parts().0) && page.overwrite(offset, value, deadline),
            Block::Open(_, age) => {
                let open = &mut self.open[*age as usize];
                let fits = fits(&open.records);
                if fits {
                    let (records, values) = (&mut open.records, &mut open.values);
                    record::overwrite(records, values, offset, value, deadline);
                }
                fits
            }
            Block::Single(..) | Block::Free(_) => false,
        }
    }

    /// The open page, with room for a record and its value.
    fn open_for(&mut self, age: Age, record: usize, value: usize) -> u32 {
        let page = self.layout.page;
        let open = &self.open[age as usize];
        if open.count == Layout::MAX_RECORDS
            || open.records.len() + open.values.len() + record + value > page
        {
            self.close(age);
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

    fn close(&mut self, age: Age) {
        let Some((number, page)) = self.open[age as usize].close() else {
            return;
        };
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
    pub(super) fn release(&mut self, location: Location) -> Option<Block> {
        let number = location.block();
        let (records, left) = match &self.slots.get(number as usize)?.0 {
            Block::Free(_) => return None,
            Block::Single(..) => return self.take(number),
            Block::Page(live, page) => (page.parts().0, *live),
            Block::Open(live, age) => (&self.open[*age as usize].records[..], *live),
        };
        let record = Record::at(records, location.offset())?;
        let mut left = left;
        left.remove(record.end - location.offset() + record.value.len());
        if left.records == 0 {
            return self.take(number);
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

    /// The oldest block.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.order.peek_lru().map(|(&number, ())| number)
    }

    pub(super) fn is_open(&self, number: u32) -> bool {
        matches!(self.get(number), Some(Block::Open(..)))
    }

    /// Makes a block the youngest.
    pub(super) fn promote(&mut self, number: u32) {
        self.order.promote(&number);
    }

    /// Takes a block out; an open page as a closed one.
    pub(super) fn take(&mut self, number: u32) -> Option<Block> {
        let block = self.lift(number);
        self.give_back(number);
        block
    }

    /// Takes a block out without giving its number back.
    pub(super) fn lift(&mut self, number: u32) -> Option<Block> {
        if let Some(&Block::Open(_, age)) = self.get(number) {
            self.close(age);
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

    /// Puts a block in as the youngest.
    fn put(&mut self, block: Block) -> u32 {
        self.bytes += block.weight(self.layout.page);
        let number = match self.free {
            Some(number) => {
                if let Block::Free(next) = *self.block(number) {
                    self.free = next;
                }
                *self.block(number) = block;
                number
            }
            None => self.push(block),
        };
        self.order.put(number, ());
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
