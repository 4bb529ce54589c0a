//! The batch that is returned by one call.

use std::time::Duration;

use gaggle_follow::{Batch, Change, Position};

use super::visible::Handed;
use crate::lsn::Lsn;

/// The most bytes of keys and values in a batch, unless one change alone has more.
const MOST_BYTES: usize = 256 << 10;

/// A batch that is being built.
#[derive(Debug)]
pub(super) struct Pending {
    batch: Batch,
    /// The transactions of its changes.
    transactions: Vec<u32>,
    bytes: usize,
    most: usize,
}

impl Pending {
    pub(super) fn new(most: usize) -> Self {
        Self {
            batch: Batch::default(),
            transactions: Vec::new(),
            bytes: 0,
            most: most.max(1),
        }
    }

    pub(super) fn add(&mut self, change: Change) {
        self.bytes += match &change {
            Change::Key(key) => key.len(),
            Change::Put(key, value) => key.len() + value.len(),
            _ => 0,
        };
        // A second `All` adds nothing.
        if !(change == Change::All && self.batch.changes.last() == Some(&Change::All)) {
            self.batch.changes.push(change);
        }
    }

    /// The change that was added last is of this transaction.
    pub(super) fn of(&mut self, transaction: u32) {
        // Transactions arrive one after the other.
        if self.transactions.last() != Some(&transaction) {
            self.transactions.push(transaction);
        }
    }

    /// The changes of a transaction of this age are among those that are waiting.
    pub(super) fn aged(&mut self, age: Duration) {
        self.batch.age = self.batch.age.max(Some(age));
    }

    /// It ends in the middle of a transaction, for now.
    pub(super) fn interrupt(&mut self) {
        self.batch.position = None;
    }

    /// All changes up to here are in this batch or an earlier one.
    pub(super) fn reach(&mut self, position: Lsn) {
        self.batch.position = self.batch.position.max(Some(Position(position.0)));
    }

    /// Takes the position out, if there is nothing else.
    pub(super) fn take_position(&mut self) -> Option<Lsn> {
        if self.has_changes() {
            return None;
        }
        self.batch.position.take().map(|position| Lsn(position.0))
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.batch.changes.is_empty()
    }

    pub(super) fn has_position(&self) -> bool {
        self.batch.position.is_some()
    }

    /// Whether it is full. An update can add a second change to a batch that was not full.
    pub(super) fn is_full(&self) -> bool {
        self.batch.changes.len() >= self.most || self.bytes >= MOST_BYTES
    }

    pub(super) fn take(&mut self) -> Handed {
        self.bytes = 0;
        Handed {
            batch: std::mem::take(&mut self.batch),
            transactions: std::mem::take(&mut self.transactions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_by_number_or_by_size() {
        let mut pending = Pending::new(2);
        pending.add(Change::Key("a".into()));
        assert!(!pending.is_full());
        pending.add(Change::Key("b".into()));
        assert!(pending.is_full());
        assert_eq!(pending.take().batch.changes.len(), 2);
        pending.add(Change::Put("a".into(), vec![0; MOST_BYTES].into()));
        assert!(pending.is_full());
        pending.take();
        assert!(!pending.is_full() && !pending.has_changes());
    }

    #[test]
    fn it_keeps_the_greatest_position_and_age() {
        let mut pending = Pending::new(9);
        pending.reach(Lsn(7));
        pending.reach(Lsn(5));
        pending.aged(Duration::from_secs(2));
        pending.aged(Duration::from_secs(1));
        let Handed { batch, .. } = pending.take();
        assert_eq!(batch.position, Some(Position(7)));
        assert_eq!(batch.age, Some(Duration::from_secs(2)));
        pending.reach(Lsn(9));
        assert_eq!(pending.take_position(), Some(Lsn(9)));
        assert!(!pending.has_position());
    }
}
