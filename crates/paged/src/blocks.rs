use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use gaggle_shards::Oldest;

use crate::block::{Block, Found, Listed, Live, Page, Single, Slot};
use crate::order::{Links, List};
use crate::place::{Location, Tag};
use crate::queue::Queue;
use crate::record::{self, Record, Small};
use crate::shared::Shared;
use crate::weight;

mod shorten;

pub(crate) use self::shorten::{Shorten, lowered};

/// The blocks of a shard, in two queues, each in the order in which they were made.
///
/// New records are appended to a queue's open page, whose bytes are in a reusable buffer: the
/// content of a full page is copied into one block of memory of exactly that size. A page is
/// therefore freed at once, and the value of a hit is a slice of it.
#[repr(C)]
pub(crate) struct Blocks {
    // Fields that lookups read come first.
    slots: Vec<Slot>,
    /// The first of the free slots.
    free: Option<u32>,
    /// As many links as slots.
    links: Links,
    /// For each queue, its blocks except for the open page, the oldest first.
    lists: [List; 2],
    /// For each queue.
    open: [Open; 2],
    /// Pages that have become sparse, some of which may have been freed since.
    sparse: Vec<u32>,
    bytes: u64,
    /// The [content](Block::content) of the small queue.
    small: u64,
    layout: Layout,
}

/// An open page's bytes. The buffers are reused for the next one.
#[derive(Default)]
struct Open {
    number: Option<u32>,
    /// When it was last written to, while its queue has no other blocks: their ages are then
    /// compared by this.
    since: u32,
    /// Where the last written record begins, and its key's tag.
    last: Option<(Tag, usize)>,
    /// The number of values copied out of it.
    copies: AtomicU32,
    records: Vec<u8>,
    values: Vec<u8>,
    /// The number of records, including holes.
    count: usize,
}

/// The layout that all shards of a cache share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The most bytes of a page.
    page: usize,
    /// The most blocks of a shard.
    blocks: usize,
}

impl Layout {
    const MIN_PAGE: u64 = 256;
    const PAGES_OF_A_SHARD: u64 = 64;
    /// More would make the work for one page longer, and gain nothing.
    pub(crate) const MAX_RECORDS: usize = 64;
    /// After this many copied values a page is closed though it is not full: if nothing is stored,
    /// nothing else would close it, and all hits of a small cache may be in its open page.
    const MAX_COPIES: u32 = 64;

    /// Pages of at most 4 KiB, and at least 64 in a shard's part of the capacity.
    pub(crate) fn of(capacity: u64, shards: usize) -> Self {
        let share = capacity / shards as u64 / Self::PAGES_OF_A_SHARD;
        let page = share.clamp(Self::MIN_PAGE, Location::MAX_PAGE as u64);
        Self {
            page: 1 << page.ilog2(),
            blocks: Location::MAX_BLOCKS,
        }
    }

    #[cfg(test)]
    pub(crate) fn with_blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }

    pub(crate) fn page(self) -> usize {
        self.page
    }

    /// Whether an entry of that many bytes is put into a page: at most a quarter of it, as a page
    /// is closed as soon as one no longer fits.
    #[inline]
    pub(crate) fn packs(self, len: usize) -> bool {
        len <= self.page / 4
    }

    /// The approximate bytes of an entry.
    pub(crate) fn footprint(self, key: usize, value: usize) -> u64 {
        let len = key + value;
        weight::ENTRY
            + if self.packs(len) {
                len as u64
            } else {
                weight::single(key, value)
            }
    }
}

impl Open {
    /// The number, and the content of the buffers in a block of memory of exactly that size.
    fn close(&mut self, queue: Queue) -> Option<(u32, Page)> {
        let number = self.number.take()?;
        let page = Page::new(queue, &self.records, &self.values);
        self.records.clear();
        self.values.clear();
        self.count = 0;
        self.last = None;
        *self.copies.get_mut() = 0;
        Some((number, page))
    }
}

impl Blocks {
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            links: Links::default(),
            lists: [List::default(); 2],
            open: [Open::default(), Open::default()],
            sparse: Vec::new(),
            bytes: 0,
            small: 0,
            layout,
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of the blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The [content](Block::content) of the small queue.
    pub(crate) fn small(&self) -> u64 {
        self.small
    }

    /// The bytes that the open pages have been charged for and do not use yet.
    pub(crate) fn unused(&self) -> u64 {
        let open = self.open.iter().filter(|open| open.number.is_some());
        open.map(|open| {
            let used = (open.records.len() + open.values.len()) as u64;
            weight::open(self.layout.page).saturating_sub(used)
        })
        .sum()
    }

    /// Whether there may be no number left for an insertion, which takes at most two; as many may
    /// be open.
    pub(crate) fn are_full(&self) -> bool {
        let closed: usize = self.lists.iter().map(List::len).sum();
        closed + self.open.len() + 2 > self.layout.blocks
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Block> {
        self.slots.get(number as usize).map(|slot| &slot.0)
    }

    #[inline]
    pub(crate) fn find(&self, location: Location, key: &[u8]) -> Option<Found<'_>> {
        self.get(location.block())?
            .find(location.offset(), key, |queue| {
                let open = &self.open[queue as usize];
                (&open.records, &open.values)
            })
    }

    /// The queue of a block, and the time of its place there; no time for an open page.
    pub(crate) fn place_of(&self, number: u32) -> Option<(Queue, Option<u32>)> {
        let queue = self.get(number)?.queue()?;
        Some((queue, self.links.since(number)))
    }

    /// The entry that begins at an offset of a block, or a hole.
    pub(crate) fn entry_at(&self, number: u32, offset: usize) -> Option<Listed<'_>> {
        self.get(number)?.entry_at(offset, |queue| {
            let open = &self.open[queue as usize];
            (&open.records, &open.values)
        })
    }

    /// Counts a copy of a value out of an open page; returns whether there were so many that it
    /// should be closed.
    #[inline(never)]
    pub(crate) fn note_copy(&self, location: Location) -> bool {
        let number = Some(location.block());
        let open = self.open.iter().find(|open| open.number == number);
        open.is_some_and(|open| {
            open.copies.fetch_add(1, Ordering::Relaxed) + 1 >= Layout::MAX_COPIES
        })
    }

    /// Closes the open pages with many copies.
    pub(crate) fn close_if_copied(&mut self, shared: &Shared) {
        for queue in Queue::BOTH {
            if *self.open[queue as usize].copies.get_mut() >= Layout::MAX_COPIES {
                self.close(queue, shared);
            }
        }
    }

    /// Closes an open page, that of `queue` if it has one; returns whether there was any.
    pub(crate) fn close_any(&mut self, queue: Queue, shared: &Shared) -> bool {
        self.close(queue, shared) || self.close(queue.other(), shared)
    }

    /// Adds an entry's block to a queue as the youngest.
    pub(crate) fn add(&mut self, queue: Queue, single: Single, shared: &Shared) -> Location {
        let mut single = single;
        single.queue = queue;
        let number = self.put(Block::Single(single));
        self.push(queue, number, shared.ages(queue).next());
        self.count_in(number);
        Location::new(number, 0)
    }

    /// Adds an entry to the open page of a queue.
    pub(crate) fn append(&mut self, queue: Queue, entry: Small<'_>, shared: &Shared) -> Location {
        let len = entry.record_len();
        let number = self.open_for(queue, len, entry.value.len(), shared);
        let alone = self.lists[queue as usize].is_empty();
        let Open {
            records,
            values,
            count,
            last,
            since,
            ..
        } = &mut self.open[queue as usize];
        let offset = records.len();
        *last = Some((entry.tag, offset));
        if alone {
            *since = shared.ages(queue).next();
        }
        entry.write(records, values);
        debug_assert_eq!(records.len(), offset + len, "as long as announced");
        *count += 1;
        if let Block::Open(live, _) = self.block(number) {
            live.add(len + entry.value.len());
        }
        if queue == Queue::Small {
            self.small += (len + entry.value.len()) as u64 + weight::ENTRY;
        }
        Location::new(number, offset)
    }

    /// Stores a value in place of an entry's older one that it [fits](Found::fits), unless a
    /// caller holds that one.
    pub(crate) fn overwrite(&mut self, location: Location, entry: Small<'_>) -> bool {
        let (offset, Small { value, terms, .. }) = (location.offset(), entry);
        let Some(Slot(block)) = self.slots.get_mut(location.block() as usize) else {
            return false;
        };
        match block {
            Block::Page(_, page) => page.overwrite(offset, value, terms),
            Block::Open(_, queue) => {
                let open = &mut self.open[*queue as usize];
                record::overwrite(&mut open.records, &mut open.values, offset, value, terms);
                true
            }
            Block::Single(..) | Block::Free(_) => false,
        }
    }

    /// The open page of a queue, with room for a record and its value.
    fn open_for(&mut self, queue: Queue, record: usize, value: usize, shared: &Shared) -> u32 {
        let page = self.layout.page;
        let open = &self.open[queue as usize];
        if open.count == Layout::MAX_RECORDS
            || open.records.len() + open.values.len() + record + value > page
        {
            self.close(queue, shared);
        }
        let open = &mut self.open[queue as usize];
        if let Some(number) = open.number {
            return number;
        }
        open.records.reserve_exact(page);
        open.values.reserve_exact(page);
        let number = self.put(Block::Open(Live::default(), queue));
        self.open[queue as usize].number = Some(number);
        number
    }

    /// Makes an open page a block, the youngest: its last entry is the newest. Returns whether
    /// there was one.
    fn close(&mut self, queue: Queue, shared: &Shared) -> bool {
        let Some((number, page)) = self.open[queue as usize].close(queue) else {
            return false;
        };
        self.push(queue, number, shared.ages(queue).next());
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
        true
    }

    /// An entry is no longer in the index: its block is returned if it was the last one.
    pub(crate) fn release(&mut self, location: Location, shared: &Shared) -> Option<Block> {
        let number = location.block();
        let (records, left) = match &self.slots.get(number as usize)?.0 {
            Block::Free(_) => return None,
            Block::Single(..) => return self.take(number, shared),
            Block::Page(live, page) => (page.parts().0, *live),
            Block::Open(live, queue) => (&self.open[*queue as usize].records[..], *live),
        };
        let record = Record::at(records, location.offset())?;
        let mut left = left;
        left.remove(record.end - location.offset() + record.value.len());
        if left.records == 0 {
            return self.take(number, shared);
        }
        self.count_out(number);
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
        self.count_in(number);
        None
    }

    /// A page that has become sparse. It may have been freed since, and its number may be another
    /// block's.
    pub(crate) fn pop_sparse(&mut self) -> Option<u32> {
        loop {
            let number = self.sparse.pop()?;
            if let Some(Block::Page(live, page)) = self.get(number)
                && live.is_sparse(page.len())
            {
                return Some(number);
            }
        }
    }

    /// The oldest block of a queue that is no open page, except for the large entry `spared` if
    /// that is the only one.
    pub(crate) fn oldest_but(&self, queue: Queue, spared: Option<u32>) -> Option<u32> {
        let list = &self.lists[queue as usize];
        let (number, _) = list.front(&self.links)?;
        let is_single = matches!(self.get(number), Some(Block::Single(..)));
        let alone = list.len() == 1 && is_single && spared == Some(number);
        (!alone).then_some(number)
    }

    /// The age of a queue's oldest block.
    pub(crate) fn age(&self, queue: Queue) -> Oldest {
        if let Some((_, since)) = self.lists[queue as usize].front(&self.links) {
            return Oldest::Since(since);
        }
        let open = &self.open[queue as usize];
        open.number
            .map_or(Oldest::Nothing, |_| Oldest::OpenSince(open.since))
    }

    /// The place of the entry that was stored last, if there are open pages only.
    pub(crate) fn youngest_if_all_open(&self) -> Option<(Tag, Location)> {
        if !self.lists.iter().all(List::is_empty) {
            return None;
        }
        let [small, main] = &self.open;
        let open = if small.number.is_some() { small } else { main };
        let (tag, offset) = open.last?;
        Some((tag, Location::new(open.number?, offset)))
    }

    /// Makes a block the youngest of a queue, in which it need not have been.
    pub(crate) fn move_to(&mut self, queue: Queue, number: u32, shared: &Shared) {
        let Some((from, Some(_))) = self.place_of(number) else {
            return;
        };
        self.count_out(number);
        self.lists[from as usize].remove(&mut self.links, number);
        match self.block(number) {
            Block::Page(_, page) => page.queue = queue,
            Block::Single(single) => single.queue = queue,
            Block::Open(..) | Block::Free(_) => {}
        }
        self.push(queue, number, shared.ages(queue).next());
        self.count_in(number);
    }

    /// Takes a block out; an open page is closed for that.
    pub(crate) fn take(&mut self, number: u32, shared: &Shared) -> Option<Block> {
        let block = self.lift(number, shared);
        self.give_back(number);
        block
    }

    /// Takes a block out without freeing its number.
    pub(crate) fn lift(&mut self, number: u32, shared: &Shared) -> Option<Block> {
        if let Some(&Block::Open(_, queue)) = self.get(number) {
            self.close(queue, shared);
        }
        let queue = self.get(number)?.queue()?;
        if !self.lists[queue as usize].remove(&mut self.links, number) {
            return None;
        }
        self.count_out(number);
        let block = mem::replace(self.block(number), Block::Free(None));
        self.bytes -= block.weight(self.layout.page);
        Some(block)
    }

    /// Frees the number of a block that was taken out.
    pub(crate) fn give_back(&mut self, number: u32) {
        let next = self.free.replace(number);
        *self.block(number) = Block::Free(next);
    }

    /// Adds a block's content to its queue's.
    fn count_in(&mut self, number: u32) {
        self.small += self.content_if_small(number);
    }

    /// Subtracts a block's content from its queue's.
    fn count_out(&mut self, number: u32) {
        self.small -= self.content_if_small(number);
    }

    fn content_if_small(&self, number: u32) -> u64 {
        let block = self.get(number);
        let small = block.filter(|block| block.queue() == Some(Queue::Small));
        small.map_or(0, Block::content)
    }

    fn push(&mut self, queue: Queue, number: u32, since: u32) {
        self.lists[queue as usize].push_back(&mut self.links, number, since);
    }

    pub(crate) fn into_all(self) -> impl Iterator<Item = Block> {
        self.slots.into_iter().map(|slot| slot.0)
    }

    /// Puts a block into a slot, and returns its number.
    fn put(&mut self, block: Block) -> u32 {
        self.bytes += block.weight(self.layout.page);
        let Some(number) = self.free else {
            return self.push_slot(block);
        };
        if let Block::Free(next) = *self.block(number) {
            self.free = next;
        }
        *self.block(number) = block;
        number
    }

    /// Grows by an eighth, where `push` would double: the slots are charged accordingly.
    #[expect(clippy::cast_possible_truncation, reason = "24 bits")]
    fn push_slot(&mut self, block: Block) -> u32 {
        let number = self.slots.len();
        debug_assert!(number < Location::MAX_BLOCKS, "see `are_full`");
        if number == self.slots.capacity() {
            self.slots.reserve_exact(number / 8 + 4);
        }
        self.slots.push(Slot(block));
        self.links.add();
        number as u32
    }

    /// An existing block: numbers are from here, and no slot is ever removed.
    fn block(&mut self, number: u32) -> &mut Block {
        &mut self.slots[number as usize].0
    }
}

#[cfg(test)]
mod audit;
