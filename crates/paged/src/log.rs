use std::mem;

use bytes::Bytes;
use gaggle_shards::Now;
use hashbrown::HashTable;

use crate::Stats;
use crate::block::{Block, Found, Single};
use crate::blocks::{Blocks, Layout, lowered};
use crate::ceiling::Ceiling;
use crate::ghost::Ghost;
use crate::place::{Location, Place, Tag};
use crate::policy::Charge;
use crate::queue::Queue;
use crate::record::{Record, Small};
use crate::shared::Shared;
use crate::terms::{State, Terms};
use crate::weight;

mod evict;
mod scan;
mod shorten;

pub(crate) use self::evict::Passes;

/// The entries of a shard: a log of blocks, and an index with the place of each key's entry in it.
///
/// No user code is called here except the closures of lookups, before any change, and
/// `Bytes::clone`. Entries taken out are returned to the caller, to be dropped after unlocking.
#[repr(C)]
pub(crate) struct Log {
    // First, in the rest of the lock's cache line, the fields that lookups do not read, and then,
    // in the next line, those that they do.
    /// Which of the shards this is.
    number: usize,
    ghost: Ghost,
    index: HashTable<Place>,
    blocks: Blocks,
    /// While lifetimes are lowered: the ceiling for entries that are moved.
    ceiling: Option<Ceiling>,
    /// Without the hits and misses, which lookups count beside the lock.
    pub(crate) stats: Stats,
}

/// An entry to be stored, made outside the lock.
pub(crate) enum Fresh<'a> {
    Small(Small<'a>),
    Single(Single),
}

/// The entry that an eviction spares.
#[derive(Clone, Copy)]
pub(crate) enum Spare<'a> {
    Nothing,
    Key(Tag, &'a [u8]),
    /// The entry stored last, unless it is the only one.
    Youngest,
}

/// An entry in a page that is being rewritten.
struct Leaving<'a> {
    from: Location,
    queue: Queue,
    uses: u64,
    /// In bytes, including its place in the index.
    len: u64,
    terms: Terms<'a>,
}

/// What happens to an entry whose page is taken out.
#[derive(Clone, Copy)]
enum Fate {
    /// It moves to that queue, with this many uses.
    Stays(Queue, u64),
    /// It is evicted in that state.
    Leaves(State),
}

/// The bytes of a shard, and of its small queue.
#[derive(Clone, Copy)]
struct Taken {
    all: u64,
    small: u64,
}

impl Log {
    /// A smaller index is not shrunk.
    const MIN_INDEX: usize = 64;

    pub(crate) fn new(number: usize, layout: Layout) -> Self {
        Self {
            index: HashTable::new(),
            blocks: Blocks::new(layout),
            number,
            ghost: Ghost::default(),
            ceiling: None,
            stats: Stats::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The bytes of the whole shard.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.bytes() + self.index.len() as u64 * weight::ENTRY + self.ghost.bytes()
    }

    /// The bytes of the entries, without the unused rest of open pages.
    pub(crate) fn content(&self) -> u64 {
        self.bytes().saturating_sub(self.blocks.unused())
    }

    fn taken(&self) -> Taken {
        Taken {
            all: self.bytes(),
            small: self.blocks.small(),
        }
    }

    /// Looks up, and changes nothing.
    #[inline]
    pub(crate) fn find(&self, tag: Tag, key: &[u8]) -> Option<(&Place, Found<'_>)> {
        find(&self.index, &self.blocks, tag, key)
    }

    /// See [`Blocks::note_copy`].
    #[inline]
    pub(crate) fn note_copy(&self, place: &Place) -> bool {
        self.blocks.note_copy(place.location())
    }

    /// See [`Blocks::close_if_copied`].
    pub(crate) fn close_if_copied(
        &mut self,
        now: &mut Now<'_>,
        shared: &Shared,
        dropped: &mut Vec<Block>,
    ) {
        let before = self.taken();
        self.blocks.close_if_copied(shared);
        self.tidy(now, shared, dropped);
        self.settle(before, shared);
    }

    /// Stores an entry as the youngest, or in place of its key's older one; returns whether there
    /// was one.
    pub(crate) fn insert(
        &mut self,
        tag: Tag,
        key: &[u8],
        fresh: Fresh<'_>,
        now: &mut Now<'_>,
        shared: &Shared,
        dropped: &mut Vec<Block>,
    ) -> bool {
        // The numbers of blocks are limited, though far beyond usual budgets.
        let mut passes = Passes::default();
        while self.blocks.are_full()
            && self
                .evict(
                    Queue::Small,
                    Spare::Nothing,
                    &mut passes,
                    now,
                    shared,
                    dropped,
                )
                .is_some()
        {}
        self.stats.insertions += 1;
        let old = find(&self.index, &self.blocks, tag, key).map(|(place, found)| {
            let fits = matches!(&fresh, Fresh::Small(small) if found.fits(small));
            (place, fits)
        });
        self.stats.overwrites += u64::from(old.is_some());
        if let (Some((place, true)), Fresh::Small(small)) = (old, &fresh)
            && self.blocks.overwrite(place.location(), *small)
        {
            // A use like a hit.
            place.note_use();
            return true;
        }
        let old = old.map(|(place, _)| place.location());
        let before = self.taken();
        let queue = self.queue_for(tag, old, shared);
        let location = match fresh {
            Fresh::Single(single) => self.blocks.add(queue, single, shared),
            Fresh::Small(small) => self.blocks.append(queue, small, shared),
        };
        if let Some(old) = old {
            // This counts as a use, for which it gets the new place at the end.
            let is_old = |place: &Place| place.location() == old;
            if let Some(place) = self.index.find_mut(tag.hash(), is_old) {
                *place = Place::new(tag, place.uses(), location);
            }
            dropped.extend(self.blocks.release(old, shared));
        } else {
            self.make_place();
            let place = Place::new(tag, 0, location);
            self.index.insert_unique(tag.hash(), place, rehash);
            self.ghost.grow(self.index.len());
        }
        self.fill_main(shared);
        self.tidy(now, shared, dropped);
        self.settle(before, shared);
        old.is_some()
    }

    /// The queue of a new entry: that of its key's older one, or directly the main queue if its
    /// key has recently left the small one.
    fn queue_for(&mut self, tag: Tag, old: Option<Location>, shared: &Shared) -> Queue {
        let old = old.and_then(|old| self.blocks.get(old.block()));
        if let Some(queue) = old.and_then(Block::queue) {
            return queue;
        }
        let recalled = self.ghost.recall(tag);
        if recalled {
            shared.count_recall();
        }
        if recalled || !shared.policy().rules().has_small() {
            Queue::Main
        } else {
            Queue::Small
        }
    }

    /// Takes out a key, or only if it is gone; returns its value, unless lookups would not find
    /// it.
    pub(crate) fn remove(
        &mut self,
        tag: Tag,
        key: &[u8],
        only_gone: bool,
        now: &mut Now<'_>,
        shared: &Shared,
        dropped: &mut Vec<Block>,
    ) -> Option<Bytes> {
        let before = self.taken();
        let (place, found) = self.find(tag, key)?;
        let location = place.location();
        let expired = found.terms.deadline.expired(now);
        let gone = expired.is_some_and(|expired| found.terms.is_gone(expired));
        if only_gone && !gone {
            return None;
        }
        let served = expired.is_none_or(|expired| found.terms.is_served(expired));
        let value = served.then(|| found.value.to_bytes());
        self.forget(tag, location);
        if gone {
            self.stats.evictions.expired += 1;
        } else {
            self.stats.removals += 1;
        }
        dropped.extend(self.blocks.release(location, shared));
        self.tidy(now, shared, dropped);
        self.ghost.shrink(self.len());
        self.settle(before, shared);
        value
    }

    fn count_evicted(&mut self, state: State) {
        match state {
            State::Fresh | State::Stale => self.stats.evictions.capacity += 1,
            State::Gone => self.stats.evictions.expired += 1,
        }
    }

    /// Takes out everything, including the index and the slots.
    pub(crate) fn clear(&mut self, shared: &Shared) -> Self {
        let mut empty = Self::new(self.number, self.blocks.layout());
        empty.stats = self.stats;
        empty.stats.removals += self.len() as u64;
        empty.ceiling = self.ceiling;
        let all = mem::replace(self, empty);
        self.settle(all.taken(), shared);
        all
    }

    /// All the blocks, to be dropped.
    pub(crate) fn into_blocks(self) -> impl Iterator<Item = Block> {
        self.blocks.into_all()
    }

    /// Takes a page out, and moves each of its entries as `fate` decides, or evicts it. Returns
    /// the page.
    fn rewrite(
        &mut self,
        number: u32,
        shared: &Shared,
        mut fate: impl FnMut(&Leaving<'_>) -> Fate,
        mut moved: impl FnMut(Location, Location),
    ) -> Option<Block> {
        // Its number is not given to another page meanwhile: a location is in this page, or in a
        // later one.
        let block = self.blocks.lift(number, shared);
        if let Some(Block::Page(_, page)) = &block {
            let (records, values) = page.parts();
            let mut scratch = Vec::new();
            let mut at = 0;
            while let Some(record) = Record::at(records, at) {
                let from = Location::new(number, at);
                let len = (record.end - at + record.value.len()) as u64 + weight::ENTRY;
                at = record.end;
                let is_this = |place: &Place| place.location() == from;
                let held = self.index.len();
                let Ok(mut place) = self.index.find_entry(record.tag.hash(), is_this) else {
                    // A hole.
                    continue;
                };
                let leaving = Leaving {
                    from,
                    queue: page.queue,
                    uses: place.get().uses(),
                    len,
                    terms: record.terms,
                };
                let (queue, uses) = match fate(&leaving) {
                    Fate::Stays(queue, uses) => (queue, uses),
                    Fate::Leaves(state) => {
                        place.remove();
                        self.count_evicted(state);
                        if state == State::Fresh && is_remembered(page.queue, shared) {
                            self.ghost.remember(record.tag, held);
                        }
                        continue;
                    }
                };
                let value = values.get(record.value).unwrap_or_default();
                let terms = match &self.ceiling {
                    Some(ceiling) => lowered(record.terms, ceiling, &mut scratch),
                    None => record.terms,
                };
                let entry = Small {
                    tag: record.tag,
                    key: record.key,
                    value,
                    terms,
                };
                let to = self.blocks.append(queue, entry, shared);
                *place.get_mut() = Place::new(record.tag, uses, to);
                moved(from, to);
            }
        }
        self.blocks.give_back(number);
        block
    }

    /// Makes room in the index for one more entry, if it would otherwise grow although it has
    /// unused slots.
    ///
    /// Removed entries leave marks in the table, which count against its growth. `hashbrown`
    /// removes them only if the table is at most half full, and otherwise doubles the slots: after
    /// many insertions and evictions every table would be a quarter full, at twice the price that
    /// entries are charged for.
    fn make_place(&mut self) {
        let (len, slots) = (self.index.len(), self.index.num_buckets());
        if len < self.index.capacity() || len * weight::FULLEST.1 > slots * weight::FULLEST.0 {
            return;
        }
        let old = mem::replace(&mut self.index, HashTable::with_capacity(slots / 8 * 7));
        for place in old {
            self.index.insert_unique(place.tag().hash(), place, rehash);
        }
    }

    /// The last step of each change: no page has more holes than entries, and the index is not
    /// much too large.
    fn tidy(&mut self, now: &mut Now<'_>, shared: &Shared, dropped: &mut Vec<Block>) {
        while let Some(number) = self.blocks.pop_sparse() {
            let keep = |entry: &Leaving<'_>| match entry.terms.state(now) {
                State::Fresh | State::Stale => Fate::Stays(entry.queue, entry.uses),
                State::Gone => Fate::Leaves(State::Gone),
            };
            dropped.extend(self.rewrite(number, shared, keep, |_, _| ()));
        }
        // It was four times as large as it is charged for: the entries have become fewer and
        // larger.
        if self.index.capacity() > Self::MIN_INDEX.max(8 * self.index.len()) {
            self.index.shrink_to(2 * self.index.len(), rehash);
        }
    }

    /// The last step of each change, too: the accounts, and the ages by which the shards are
    /// compared.
    fn settle(&self, before: Taken, shared: &Shared) {
        let after = self.taken();
        shared.exchange(
            Charge {
                freed: before.all,
                charged: after.all,
            },
            Charge {
                freed: before.small,
                charged: after.small,
            },
        );
        shared.tell(self.number, |queue| self.blocks.age(queue));
    }

    fn locate(&self, spare: Spare<'_>) -> Option<Location> {
        let place = match spare {
            Spare::Nothing => None,
            Spare::Key(tag, key) => self.find(tag, key).map(|(place, _)| place),
            Spare::Youngest if self.len() > 1 => {
                let (tag, location) = self.blocks.youngest_if_all_open()?;
                self.place(tag, location)
            }
            Spare::Youngest => None,
        };
        place.map(Place::location)
    }

    fn place(&self, tag: Tag, location: Location) -> Option<&Place> {
        self.index
            .find(tag.hash(), |place| place.location() == location)
    }

    fn forget(&mut self, tag: Tag, location: Location) {
        let find = |place: &Place| place.location() == location;
        if let Ok(entry) = self.index.find_entry(tag.hash(), find) {
            entry.remove();
        }
    }
}

#[cfg(test)]
impl Log {
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.audit_count()
    }

    pub(crate) fn small(&self) -> u64 {
        self.blocks.small()
    }

    /// The keys in a queue of large entries only, the oldest first, each with its uses.
    pub(crate) fn order(&self, queue: Queue) -> Vec<(Vec<u8>, u64)> {
        let entry = |number| {
            let location = Location::new(number, 0);
            let (tag, key) = self.blocks.audit_entry(location);
            (key, self.place(tag, location).map_or(0, Place::uses))
        };
        self.blocks.audit_order(queue).map(entry).collect()
    }

    pub(crate) fn index_slots(&self) -> usize {
        self.index.num_buckets()
    }

    /// Checks that all redundant state agrees; returns the bytes of the shard.
    pub(crate) fn audit(&self) -> u64 {
        let mut live = std::collections::HashMap::new();
        for place in &self.index {
            *live.entry(place.location().block()).or_insert(0) += 1;
            let (tag, record) = self.blocks.audit_entry(place.location());
            assert_eq!(tag, place.tag());
            let found = self.find(tag, &record).map(|(place, _)| place.location());
            assert_eq!(found, Some(place.location()), "found by its key");
        }
        assert!(self.index.capacity() <= Self::MIN_INDEX.max(8 * self.len()));
        self.blocks.audit(&live) + self.len() as u64 * weight::ENTRY + self.ghost.bytes()
    }
}

/// Looks a key up.
#[inline]
fn find<'i, 'b>(
    index: &'i HashTable<Place>,
    blocks: &'b Blocks,
    tag: Tag,
    key: &[u8],
) -> Option<(&'i Place, Found<'b>)> {
    // The tag alone nearly always decides, and the key is compared once there is no probing state
    // to keep.
    let place = index.find(tag.hash(), |place| place.tag() == tag)?;
    match blocks.find(place.location(), key) {
        Some(found) => Some((place, found)),
        None => find_among(index, blocks, tag, key),
    }
}

/// Looks a key up among several with that tag.
#[cold]
fn find_among<'i, 'b>(
    index: &'i HashTable<Place>,
    blocks: &'b Blocks,
    tag: Tag,
    key: &[u8],
) -> Option<(&'i Place, Found<'b>)> {
    let mut found = None;
    let place = index.find(tag.hash(), |place| {
        place.tag() == tag && {
            found = blocks.find(place.location(), key);
            found.is_some()
        }
    })?;
    Some((place, found?))
}

/// Whether a key that leaves that queue is remembered. Without a small queue those of the main one
/// are, so that [`recalls`](Shared::recalls) continues to count; such keys are stored in the main
/// queue in any case.
fn is_remembered(queue: Queue, shared: &Shared) -> bool {
    queue == Queue::Small || !shared.policy().rules().has_small()
}

fn rehash(place: &Place) -> u64 {
    place.tag().hash()
}
