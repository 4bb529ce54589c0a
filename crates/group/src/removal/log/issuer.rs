//! The known removals of one issuer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Notice;

/// One issuer's removals, as far as they are known here.
#[derive(Default)]
pub(super) struct Issuer {
    /// All numbers up to this one have been applied here, or need not be.
    pub(super) through: u64,
    /// Applied numbers beyond that.
    pub(super) ahead: BTreeSet<u64>,
    /// The highest number that is no longer listed.
    pub(super) unlisted: u64,
    pub(super) listed: BTreeMap<u64, Notice>,
    /// When one was last learnt.
    pub(super) touched: Duration,
    /// Since when a number below a known one is missing.
    pub(super) gap_since: Option<Duration>,
}

impl Issuer {
    pub(super) fn has(&self, number: u64) -> bool {
        number <= self.through || self.ahead.contains(&number)
    }

    pub(super) fn apply(&mut self, number: u64, now: Duration) {
        self.ahead.insert(number);
        self.settle();
        if self.ahead.is_empty() {
            self.gap_since = None;
        } else {
            self.gap_since.get_or_insert(now);
        }
    }

    /// Marks all numbers up to that one as known.
    pub(super) fn pass_over(&mut self, number: u64) {
        if number > self.through {
            self.through = number;
            self.ahead = self.ahead.split_off(&number);
            self.ahead.remove(&number);
            self.settle();
            if self.ahead.is_empty() {
                self.gap_since = None;
            }
        }
    }

    fn settle(&mut self) {
        while let Some(next) = self.through.checked_add(1)
            && self.ahead.remove(&next)
        {
            self.through = next;
        }
    }
}
