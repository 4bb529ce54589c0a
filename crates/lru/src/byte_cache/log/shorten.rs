use super::Log;
use crate::budget::Budget;
use crate::byte_cache::block::Block;
use crate::byte_cache::blocks::Shorten;
use crate::byte_cache::ceiling::Ceiling;
use crate::clock::Now;

impl Log {
    /// The numbers that blocks have are below this.
    pub(in crate::byte_cache) fn numbers(&self) -> u32 {
        self.blocks.numbers()
    }

    /// Lowers the life of each entry that is moved from now on, or of none.
    ///
    /// Without it an entry could be missed: moved out of a block that has not been looked at into
    /// one that has.
    pub(in crate::byte_cache) fn lower_moved(&mut self, ceiling: Option<Ceiling>) {
        self.ceiling = ceiling;
    }

    /// Lowers the lives of a block's entries to a ceiling. `drawn` is that ceiling with the end
    /// that they get: it is asked for only if one of them ends later.
    pub(in crate::byte_cache) fn shorten(
        &mut self,
        number: u32,
        ceiling: &Ceiling,
        drawn: impl FnOnce(&Ceiling) -> Ceiling,
        now: &mut Now<'_>,
        budget: &Budget,
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
        let before = self.bytes();
        self.blocks.close_if_open(number, budget.ages());
        let others = self.ceiling.replace(drawn);
        dropped.extend(self.rewrite(number, budget, |_, uses, _| Ok(uses), |_, _| ()));
        self.ceiling = others;
        self.tidy(now, budget, dropped);
        self.settle(before, budget);
    }
}
