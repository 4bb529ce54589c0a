use std::mem;
use std::num::NonZeroUsize;

use bytes::Bytes;
use hashbrown::HashTable;

use super::block::{Age, Block, Found, Single};
use super::blocks::{Blocks, Layout, lowered};
use super::ceiling::Ceiling;
use super::place::{Location, Place, Tag};
use super::record::{Record, Small};
use super::terms::{State, Terms};
use super::weight;
use crate::Stats;
use crate::budget::Budget;
use crate::clock::Now;

mod scan;
mod shorten;

/// The entries of a shard: a log of blocks, and an index of where in it each key's entry lies.
///
/// No foreign code is called here but the closures of lookups, before any change, and `Bytes::clone`. What is taken out is
/// handed to the caller, to be dropped after unlocking.
pub(super) struct Log {
    /// Which of the shards this is.
    number: usize,
    index: HashTable<Place>,
    blocks: Blocks,
    /// While lives are lowered: what that of an entry is lowered to as it is moved.
    ceiling: Option<Ceiling>,
    /// But for the hits and misses, which lookups count beside the lock.
    pub(super) stats: Stats,
}

/// An entry to be stored, made outside the lock.
pub(super) enum Fresh<'a> {
    Small(Small<'a>),
    Single(Single),
}

/// What an eviction leaves alone.
#[derive(Clone, Copy)]
pub(super) enum Spare<'a> {
    Nothing,
    Key(Tag, &'a [u8]),
    /// The entry stored last, where it is not the only one.
    Youngest,
}

impl Log {
    /// How many entries an eviction passes at most, before it takes the next ones whatever their uses; see `Cache`.
    const MAX_PASSED: usize = 64;
    /// Below this the index is not made smaller.
    const MIN_INDEX: usize = 64;

    pub(super) fn new(number: usize, layout: Layout) -> Self {
        Self {
            number,
            index: HashTable::new(),
            blocks: Blocks::new(layout),
            ceiling: None,
            stats: Stats::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.bytes() + self.index.len() as u64 * weight::ENTRY
    }

    /// Looks up, and changes nothing.
    #[inline]
    pub(super) fn find(&self, tag: Tag, key: &[u8]) -> Option<(&Place, Found<'_>)> {
        // The tag alone is nearly always enough to tell, and the key is compared once there is no probing to remember.
        let place = self.index.find(tag.hash(), |place| place.tag() == tag)?;
        match self.blocks.find(place.location(), key) {
            Some(found) => Some((place, found)),
            None => self.find_among(tag, key),
        }
    }

    /// Looks up among several of that tag.
    #[cold]
    fn find_among(&self, tag: Tag, key: &[u8]) -> Option<(&Place, Found<'_>)> {
        let mut found = None;
        let place = self.index.find(tag.hash(), |place| {
            place.tag() == tag && {
                found = self.blocks.find(place.location(), key);
                found.is_some()
            }
        })?;
        Some((place, found?))
    }

    /// See [`Blocks::note_copy`].
    pub(super) fn note_copy(&self, place: &Place) -> bool {
        self.blocks.note_copy(place.location())
    }

    /// See [`Blocks::close_if_copied`].
    pub(super) fn close_if_copied(
        &mut self,
        now: &mut Now<'_>,
        budget: &Budget,
        dropped: &mut Vec<Block>,
    ) {
        let before = self.bytes();
        self.blocks.close_if_copied(budget.ages());
        self.tidy(now, budget, dropped);
        self.settle(before, budget);
    }

    /// Stores an entry as the youngest, or in the place of its key's older one; whether there was one.
    pub(super) fn insert(
        &mut self,
        tag: Tag,
        key: &[u8],
        fresh: Fresh<'_>,
        now: &mut Now<'_>,
        budget: &Budget,
        dropped: &mut Vec<Block>,
    ) -> bool {
        // The numbers of blocks have an end, though far beyond usual budgets.
        while self.blocks.are_full() && self.evict(Spare::Nothing, now, budget, dropped).is_some() {
        }
        self.stats.insertions += 1;
        let old = self.find(tag, key).map(|(place, _)| place.location());
        self.stats.overwrites += u64::from(old.is_some());
        if let (Some(old), Fresh::Small(small)) = (old, &fresh)
            && self.blocks.overwrite(old, *small)
        {
            // A use like a hit.
            self.place(tag, old).map(Place::note_use);
            return true;
        }
        let before = self.bytes();
        let location = match fresh {
            Fresh::Single(single) => self.blocks.add(single, budget.ages()),
            Fresh::Small(small) => self.blocks.append(Age::Fresh, small, budget.ages()),
        };
        if let Some(old) = old {
            // A use, which the new place at the end is worth.
            let is_old = |place: &Place| place.location() == old;
            if let Some(place) = self.index.find_mut(tag.hash(), is_old) {
                *place = Place::new(tag, place.uses(), location);
            }
            dropped.extend(self.blocks.release(old, budget.ages()));
        } else {
            self.make_place();
            let place = Place::new(tag, 0, location);
            self.index.insert_unique(tag.hash(), place, rehash);
        }
        self.tidy(now, budget, dropped);
        self.settle(before, budget);
        old.is_some()
    }

    /// Takes out a key, or only if it is gone; returns its value, unless lookups would not find that.
    pub(super) fn remove(
        &mut self,
        tag: Tag,
        key: &[u8],
        only_gone: bool,
        now: &mut Now<'_>,
        budget: &Budget,
        dropped: &mut Vec<Block>,
    ) -> Option<Bytes> {
        let before = self.bytes();
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
        dropped.extend(self.blocks.release(location, budget.ages()));
        self.tidy(now, budget, dropped);
        self.settle(before, budget);
        value
    }

    /// Takes out the oldest block but for the entries in it that were used or are spared, and so on until something has
    /// gone: returns the number of entries. `None` where there is nothing but the spared one. What is past its ttl has no
    /// second chance.
    pub(super) fn evict(
        &mut self,
        spare: Spare<'_>,
        now: &mut Now<'_>,
        budget: &Budget,
        dropped: &mut Vec<Block>,
    ) -> Option<NonZeroUsize> {
        let mut spare = self.locate(spare);
        if self.len() <= usize::from(spare.is_some()) {
            return None;
        }
        let before = self.bytes();
        let len = self.len();
        let mut passes = Self::MAX_PASSED;
        // Ends: each turn spends a pass, or takes an entry that is not the spared one.
        while self.len() == len {
            let spared = spare.map(Location::block);
            let Some(number) = self.blocks.oldest_but(spared) else {
                // Open pages have the youngest entries, and there are no others.
                if self.blocks.close_older(budget.ages()) {
                    continue;
                }
                break;
            };
            let block = if let Some(Block::Single(single)) = self.blocks.get(number) {
                let (tag, state) = (single.tag, single.terms().state(now));
                self.evict_single(number, tag, state, spare, &mut passes, budget)
            } else {
                self.evict_page(number, &mut spare, &mut passes, now, budget)
            };
            dropped.extend(block);
        }
        self.tidy(now, budget, dropped);
        self.settle(before, budget);
        NonZeroUsize::new(len - self.len())
    }

    fn evict_single(
        &mut self,
        number: u32,
        tag: Tag,
        state: State,
        spare: Option<Location>,
        passes: &mut usize,
        budget: &Budget,
    ) -> Option<Block> {
        let location = Location::new(number, 0);
        let has_chance = |place: &Place| state == State::Fresh && *passes > 0 && place.spend_use();
        if spare == Some(location) || self.place(tag, location).is_some_and(has_chance) {
            *passes = passes.saturating_sub(1);
            self.blocks.promote(number, budget.ages());
            return None;
        }
        self.forget(tag, location);
        self.count_evicted(state);
        self.blocks.take(number, budget.ages())
    }

    fn evict_page(
        &mut self,
        number: u32,
        spare: &mut Option<Location>,
        passes: &mut usize,
        now: &mut Now<'_>,
        budget: &Budget,
    ) -> Option<Block> {
        let spared = *spare;
        let keep = |from, uses: u64, terms: Terms<'_>| {
            if spared == Some(from) {
                return Ok(uses);
            }
            let state = terms.state(now);
            if state != State::Fresh || uses == 0 || *passes == 0 {
                return Err(state);
            }
            *passes -= 1;
            Ok(uses - 1)
        };
        self.rewrite(number, budget, keep, |from, to| {
            if spared == Some(from) {
                *spare = Some(to);
            }
        })
    }

    fn count_evicted(&mut self, state: State) {
        match state {
            State::Fresh | State::Stale => self.stats.evictions.capacity += 1,
            State::Gone => self.stats.evictions.expired += 1,
        }
    }

    /// Takes out everything, the index and the slots too.
    pub(super) fn clear(&mut self, budget: &Budget) -> Self {
        let mut empty = Self::new(self.number, self.blocks.layout());
        empty.stats = self.stats;
        empty.stats.removals += self.len() as u64;
        empty.ceiling = self.ceiling;
        let all = mem::replace(self, empty);
        self.settle(all.bytes(), budget);
        all
    }

    /// All the blocks, to be dropped.
    pub(super) fn into_blocks(self) -> impl Iterator<Item = Block> {
        self.blocks.into_all()
    }

    /// Takes a page out, and moves its entries to the open page with the uses that `keep` says, or evicts them where it says
    /// in which state they are. Returns the page.
    fn rewrite(
        &mut self,
        number: u32,
        budget: &Budget,
        mut keep: impl FnMut(Location, u64, Terms<'_>) -> Result<u64, State>,
        mut moved: impl FnMut(Location, Location),
    ) -> Option<Block> {
        // Its number is not given to another page meanwhile: a location is of this page, or of a later one.
        let block = self.blocks.lift(number, budget.ages());
        if let Some(Block::Page(_, page)) = &block {
            let (records, values) = page.parts();
            let mut scratch = Vec::new();
            let mut at = 0;
            while let Some(record) = Record::at(records, at) {
                let from = Location::new(number, at);
                at = record.end;
                let is_this = |place: &Place| place.location() == from;
                let Ok(mut place) = self.index.find_entry(record.tag.hash(), is_this) else {
                    // A hole.
                    continue;
                };
                let uses = match keep(from, place.get().uses(), record.terms) {
                    Ok(uses) => uses,
                    Err(state) => {
                        place.remove();
                        self.count_evicted(state);
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
                let to = self.blocks.append(Age::Moved, entry, budget.ages());
                *place.get_mut() = Place::new(record.tag, uses, to);
                moved(from, to);
            }
        }
        self.blocks.give_back(number);
        block
    }

    /// Makes room in the index for one more entry, where it would otherwise grow for want of slots never used.
    ///
    /// Removed entries leave marks in the table, which count against its growth. `hashbrown` clears them away only where the
    /// table is no more than half full, and otherwise takes twice the slots: over a long time of insertions and evictions
    /// every table would come to be a quarter full, at twice the price that entries are charged for.
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

    /// What each change ends with: no page is more holes than entries, and the index not much too large.
    fn tidy(&mut self, now: &mut Now<'_>, budget: &Budget, dropped: &mut Vec<Block>) {
        while let Some(number) = self.blocks.pop_sparse() {
            let keep = |_, uses, terms: Terms<'_>| match terms.state(now) {
                State::Fresh | State::Stale => Ok(uses),
                State::Gone => Err(State::Gone),
            };
            dropped.extend(self.rewrite(number, budget, keep, |_, _| ()));
        }
        // It was four times as large as it is charged for: the entries have become fewer and larger.
        if self.index.capacity() > Self::MIN_INDEX.max(8 * self.index.len()) {
            self.index.shrink_to(2 * self.index.len(), rehash);
        }
    }

    /// What each change ends with, too: the accounts, and the age that the shards are compared by.
    fn settle(&self, before: u64, budget: &Budget) {
        budget.exchange(before, self.bytes());
        budget.ages().tell(self.number, self.blocks.age());
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
    pub(super) fn blocks(&self) -> usize {
        self.blocks.audit_count()
    }

    pub(super) fn index_slots(&self) -> usize {
        self.index.num_buckets()
    }

    /// Everything that is kept twice agrees; returns what the shard takes.
    pub(super) fn audit(&self) -> u64 {
        let mut live = std::collections::HashMap::new();
        for place in &self.index {
            *live.entry(place.location().block()).or_insert(0) += 1;
            let (tag, record) = self.blocks.audit_entry(place.location());
            assert_eq!(tag, place.tag());
            let found = self.find(tag, &record).map(|(place, _)| place.location());
            assert_eq!(found, Some(place.location()), "found by its key");
        }
        assert!(self.index.capacity() <= Self::MIN_INDEX.max(8 * self.len()));
        self.blocks.audit(&live) + self.len() as u64 * weight::ENTRY
    }
}

fn rehash(place: &Place) -> u64 {
    place.tag().hash()
}
