use gaggle_shards::Now;

use super::Log;
use crate::block::Block;
use crate::place::Location;
use crate::scan::{Batch, Position, Step};

impl Log {
    /// How many blocks a step passes while none belongs to the pass.
    const MAX_SKIPPED: usize = 64;

    /// Continues a scan to the end of the next block that belongs to its pass, or over a number of
    /// blocks that do not.
    pub(crate) fn scan(&self, at: &mut Position, batch: &mut Batch, now: &mut Now<'_>) -> Step {
        for _ in 0..Self::MAX_SKIPPED {
            match self.blocks.get(at.block) {
                None => return Step::End,
                Some(Block::Free(_)) => {}
                Some(_) if at.wants(self.blocks.place_of(at.block)) => {
                    return self.scan_block(at, batch, now);
                }
                Some(_) => {}
            }
            at.next_block();
        }
        Step::Within
    }

    /// The number may have been given to another block since the last step, in which no record
    /// need begin at that offset. The bytes there are not taken for an entry: the index does not
    /// have it.
    fn scan_block(&self, at: &mut Position, batch: &mut Batch, now: &mut Now<'_>) -> Step {
        while let Some(entry) = self.blocks.entry_at(at.block, at.offset) {
            let location = Location::new(at.block, at.offset);
            if self.place(entry.tag, location).is_some()
                && let left @ Ok(_) = entry.found.terms.deadline.left_by(now)
                && !batch.push(&entry, left)
            {
                return Step::Full;
            }
            at.offset = entry.end;
        }
        at.next_block();
        Step::Within
    }
}
