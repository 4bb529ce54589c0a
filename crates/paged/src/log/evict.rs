//! Eviction of the least valuable entries.

use gaggle_shards::Now;

use super::{Fate, Leaving, Log, Spare, is_remembered};
use crate::block::Block;
use crate::place::{Location, Place};
use crate::policy::Rules;
use crate::queue::Queue;
use crate::shared::Shared;
use crate::terms::State;

/// How many entries and blocks one insertion may let stay, while it makes room. Then the next ones
/// are evicted whatever their uses: if all were used, it would otherwise walk the whole cache.
#[derive(Debug)]
pub(crate) struct Passes(usize);

impl Default for Passes {
    fn default() -> Self {
        Self(256)
    }
}

impl Passes {
    /// Enough for all rounds of the used ones among this many entries. Concurrent lookups record
    /// uses again, so that without a bound it might not end.
    pub(crate) fn for_all_of(entries: usize) -> Self {
        Self(entries.saturating_mul(4).saturating_add(256))
    }

    /// Whether one more may stay.
    fn take(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

impl Log {
    /// Examines the oldest block of a queue, or of the other one if that has none: evicts its
    /// entries except for those that have earned a further round or are spared. Returns how many
    /// were evicted, which may be none; `None` if there is only the spared one. An entry past its
    /// ttl gets no further round.
    pub(crate) fn evict(
        &mut self,
        queue: Queue,
        spare: Spare<'_>,
        passes: &mut Passes,
        now: &mut Now<'_>,
        shared: &Shared,
        dropped: &mut Vec<Block>,
    ) -> Option<usize> {
        let mut spare = self.locate(spare);
        if self.len() <= usize::from(spare.is_some()) {
            return None;
        }
        let before = self.taken();
        let len = self.len();
        let may_pass = passes.take();
        let mut queue = queue;
        // Two attempts: if nothing may stay, and a queue has only a spared entry, the other one
        // has one that is not spared.
        for _ in 0..2 {
            let Some(number) = self.oldest(queue, spare, shared) else {
                break;
            };
            let room = if may_pass {
                shared.room_in_main(shared.policy().rules())
            } else {
                0
            };
            dropped.extend(self.evict_block(number, room, &mut spare, passes, now, shared));
            if may_pass || self.len() < len {
                break;
            }
            queue = queue.other();
        }
        self.tidy(now, shared, dropped);
        self.ghost.shrink(self.len());
        self.settle(before, shared);
        Some(len - self.len())
    }

    /// Moves the oldest page of the small queue to the main queue if the small one is over its
    /// part, and the main one is not full: while the cache fills, and after a change to a setting
    /// with a smaller small queue. Two at a time, as at most one is closed between two calls.
    pub(super) fn fill_main(&mut self, shared: &Shared) {
        let rules = shared.policy().rules();
        for _ in 0..2 {
            if !shared.is_small_full(rules) {
                return;
            }
            let Some(number) = self.blocks.oldest_but(Queue::Small, None) else {
                return;
            };
            let content = self.blocks.get(number).map_or(0, Block::content);
            if content > shared.room_in_main(rules) {
                return;
            }
            self.blocks.move_to(Queue::Main, number, shared);
        }
    }

    /// The oldest block of a queue, or of the other one; an open page is closed only if there is
    /// nothing else.
    fn oldest(&mut self, queue: Queue, spare: Option<Location>, shared: &Shared) -> Option<u32> {
        let spared = spare.map(Location::block);
        for _ in 0..2 {
            let find = |queue| self.blocks.oldest_but(queue, spared);
            let found = find(queue).or_else(|| find(queue.other()));
            if found.is_some() || !self.blocks.close_any(queue, shared) {
                return found;
            }
        }
        None
    }

    /// `room` is the unused part of the main queue.
    fn evict_block(
        &mut self,
        number: u32,
        room: u64,
        spare: &mut Option<Location>,
        passes: &mut Passes,
        now: &mut Now<'_>,
        shared: &Shared,
    ) -> Option<Block> {
        let block = self.blocks.get(number)?;
        let (queue, content) = (block.queue()?, block.content());
        let rules = shared.policy().rules();
        if queue == Queue::Small && content <= room {
            self.blocks.move_to(Queue::Main, number, shared);
            return None;
        }
        let is_obsolete = queue == Queue::Main && shared.take_obsolete(content);
        let spared = *spare;
        let mut fate = |entry: &Leaving<'_>| {
            if spared == Some(entry.from) {
                return Fate::Stays(entry.queue, entry.uses);
            }
            let state = entry.terms.state(now);
            match further_round(rules, is_obsolete, entry) {
                Some(uses) if state == State::Fresh && passes.take() => {
                    Fate::Stays(Queue::Main, uses)
                }
                _ => Fate::Leaves(state),
            }
        };
        if let Block::Single(single) = block {
            let from = Location::new(number, 0);
            let tag = single.tag;
            let fate = fate(&Leaving {
                from,
                queue,
                uses: self.place(tag, from).map_or(0, Place::uses),
                len: content,
                terms: single.terms(),
            });
            return self.evict_single(number, fate, shared);
        }
        self.rewrite(number, shared, fate, |from, to| {
            if spared == Some(from) {
                *spare = Some(to);
            }
        })
    }

    fn evict_single(&mut self, number: u32, fate: Fate, shared: &Shared) -> Option<Block> {
        let Some(Block::Single(single)) = self.blocks.get(number) else {
            return None;
        };
        let (tag, queue, location) = (single.tag, single.queue, Location::new(number, 0));
        match fate {
            Fate::Stays(queue, uses) => {
                let is_this = |place: &Place| place.location() == location;
                if let Some(place) = self.index.find_mut(tag.hash(), is_this) {
                    place.set_uses(uses);
                }
                self.blocks.move_to(queue, number, shared);
                None
            }
            Fate::Leaves(state) => {
                if state == State::Fresh && is_remembered(queue, shared) {
                    self.ghost.remember(tag, self.index.len());
                }
                self.forget(tag, location);
                self.count_evicted(state);
                self.blocks.take(number, shared)
            }
        }
    }
}

/// The uses that an entry has left for a round of the main queue, if it has earned one.
fn further_round(rules: Rules, is_obsolete: bool, entry: &Leaving<'_>) -> Option<u64> {
    match entry.queue {
        Queue::Small => rules.passes(entry.uses, entry.len).then_some(0),
        Queue::Main if is_obsolete => entry.uses.checked_sub(Rules::PRICE_OF_OBSOLETE),
        Queue::Main => entry.uses.checked_sub(rules.price(entry.len)),
    }
}
