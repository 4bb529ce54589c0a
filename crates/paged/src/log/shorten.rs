use gaggle_shards::Now;

use super::{Fate, Leaving, Log};
use crate::block::Block;
use crate::blocks::Shorten;
use crate::ceiling::Ceiling;
use crate::shared::Shared;

impl Log {
    /// The upper bound of the blocks' numbers.
    pub(crate) fn numbers(&self) -> u32 {
        self.blocks.numbers()
    }

    /// Lowers the lifetime of each entry that is moved from now on, or of none.
    ///
    /// Without it an entry could be missed: moved out of a block that has not been visited into
    /// one that has.
    pub(crate) fn lower_moved(&mut self, ceiling: Option<Ceiling>) {
        self.ceiling = ceiling;
    }

    /// Lowers the lifetimes of a block's entries to a ceiling. `drawn` returns that ceiling with
    /// the end that they get: it is called only if one of them ends later.
    pub(crate) fn shorten(
        &mut self,
        number: u32,
        ceiling: &Ceiling,
        drawn: impl FnOnce(&Ceiling) -> Ceiling,
        now: &mut Now<'_>,
        shared: &Shared,
        dropped: &mut Vec<Block>,
    ) {
        let needs = self.blocks.needs(number, ceiling);
        if needs == Shorten::Nothing {
            return;
        }
        let drawn = drawn(ceiling);
        if needs == Shorten::InPlace && self.blocks.shorten(number, &drawn) {
            return;
        }
        let before = self.taken();
        self.blocks.close_if_open(number, shared);
        let others = self.ceiling.replace(drawn);
        let stay = |entry: &Leaving<'_>| Fate::Stays(entry.queue, entry.uses);
        dropped.extend(self.rewrite(number, shared, stay, |_, _| ()));
        self.ceiling = others;
        self.tidy(now, shared, dropped);
        self.settle(before, shared);
    }
}
