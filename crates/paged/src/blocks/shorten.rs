//! Lowers the lifetimes of entries in place.

use super::{Blocks, Open};
use crate::block::Block;
use crate::ceiling::Ceiling;
use crate::record::{self, Record, is_timed};
use crate::shared::Shared;
use crate::terms::Terms;

/// How the lifetimes in a block can be lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shorten {
    /// None of its entries has a longer lifetime.
    Nothing,
    /// Each has a place for the new one.
    InPlace,
    /// Some have no end yet, and no place for one.
    Moved,
}

impl Blocks {
    /// The upper bound of the blocks' numbers.
    pub(crate) fn numbers(&self) -> u32 {
        // There are at most `Location::MAX_BLOCKS`.
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn needs(&self, number: u32, ceiling: &Ceiling) -> Shorten {
        let records = match self.get(number) {
            None | Some(Block::Free(_)) => return Shorten::Nothing,
            Some(Block::Single(single)) if ceiling.is_below(single.terms()) => {
                return Shorten::InPlace;
            }
            Some(Block::Single(_)) => return Shorten::Nothing,
            Some(Block::Page(_, page)) => page.parts().0,
            Some(Block::Open(_, queue)) => &self.open[*queue as usize].records,
        };
        let mut needs = Shorten::Nothing;
        let (mut at, mut scratch) = (0, Vec::new());
        while let Some(record) = Record::at(records, at) {
            at = record.end;
            if ceiling.is_below(record.terms) {
                let lower = lowered(record.terms, ceiling, &mut scratch);
                if is_timed(lower) != is_timed(record.terms) {
                    return Shorten::Moved;
                }
                needs = Shorten::InPlace;
            }
        }
        needs
    }

    /// Lowers the lifetimes of a block's entries in place, holes or not; returns whether that was
    /// possible. It is not while a caller holds values of its page.
    pub(crate) fn shorten(&mut self, number: u32, ceiling: &Ceiling) -> bool {
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return true;
        };
        match &mut slot.0 {
            Block::Free(_) => true,
            Block::Single(single) => {
                single.shorten(ceiling);
                true
            }
            Block::Page(_, page) => page.edit(|records, _| lower_all(records, ceiling)),
            Block::Open(_, queue) => {
                let Open { records, .. } = &mut self.open[*queue as usize];
                lower_all(records, ceiling);
                true
            }
        }
    }

    /// Closes an open page.
    pub(crate) fn close_if_open(&mut self, number: u32, shared: &Shared) {
        if let Some(&Block::Open(_, queue)) = self.get(number) {
            self.close(queue, shared);
        }
    }
}

/// Terms with a lowered lifetime. The scratch buffer takes the extras, if there are any.
pub(crate) fn lowered<'a>(
    terms: Terms<'_>,
    ceiling: &Ceiling,
    scratch: &'a mut Vec<u8>,
) -> Terms<'a> {
    scratch.clear();
    scratch.extend_from_slice(terms.extras);
    ceiling.lower_windows(scratch);
    Terms {
        deadline: ceiling.lower(terms.deadline),
        extras: scratch,
    }
}

fn lower_all(records: &mut [u8], ceiling: &Ceiling) {
    let (mut at, mut scratch) = (0, Vec::new());
    while let Some(record) = Record::at(records, at) {
        let (offset, end) = (at, record.end);
        if ceiling.is_below(record.terms) {
            let lower = lowered(record.terms, ceiling, &mut scratch);
            record::set_terms(records, offset, lower);
        }
        at = end;
    }
}
