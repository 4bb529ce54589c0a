//! Records which batches are applied everywhere, and so which position may be confirmed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Position;

/// Batches that were finished within this time of each other are kept as one.
const TOGETHER: Duration = Duration::from_secs(1);

/// The batches that were read but may not be confirmed yet, in order.
///
/// It holds positions and names of nodes, no keys. Batches that finish within a second share one
/// entry, and no confirmation is delayed for much longer than ten minutes: there are some hundred
/// entries at most, in addition to the batches in progress.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    next: u64,
    /// The position up to which everything is applied everywhere.
    clear: Option<Position>,
}

/// A batch's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(u64);

struct Entry {
    id: BatchId,
    position: Option<Position>,
    arrived: Instant,
    /// How old it was when it arrived.
    age: Duration,
    /// When it was applied on all reachable nodes: the first and the last time of the batches in
    /// this entry.
    finished: Option<(Instant, Instant)>,
    /// The nodes that missed it, and when.
    missed: BTreeMap<Arc<str>, Instant>,
}

impl Ledger {
    /// A batch has been read.
    pub(crate) fn begin(&mut self, position: Option<Position>, age: Duration) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        self.entries.push_back(Entry {
            id,
            position,
            arrived: Instant::now(),
            age,
            finished: None,
            missed: BTreeMap::new(),
        });
        id
    }

    /// A batch has been applied on all nodes except these.
    pub(crate) fn finish(&mut self, id: BatchId, missed: impl IntoIterator<Item = Arc<str>>) {
        let now = Instant::now();
        if let Ok(at) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            let entry = &mut self.entries[at];
            entry.finished = Some((now, now));
            entry.missed = missed.into_iter().map(|name| (name, now)).collect();
            // The later one first: its number changes if this one is merged into the one before.
            self.merge(at + 1);
            self.merge(at);
        }
        self.advance();
    }

    /// Merges an entry with the previous one if both finished within a second of each other.
    fn merge(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1) else {
            return;
        };
        let finished = |at: usize| self.entries.get(at).and_then(|entry| entry.finished);
        let (Some(first), Some(second)) = (finished(before), finished(at)) else {
            return;
        };
        let (begin, end) = (first.0.min(second.0), first.1.max(second.1));
        if end.duration_since(begin) > TOGETHER {
            return;
        }
        let Some(later) = self.entries.remove(at) else {
            return;
        };
        let entry = &mut self.entries[before];
        entry.finished = Some((begin, end));
        entry.position = later.position.or(entry.position);
        for (name, at) in later.missed {
            let latest = entry.missed.entry(name).or_insert(at);
            *latest = at.max(*latest);
        }
    }

    /// Checks for each node that missed a batch whether it has received it by now.
    pub(crate) fn review(&mut self, knows: impl Fn(&Arc<str>, Instant) -> bool) {
        for entry in &mut self.entries {
            entry.missed.retain(|name, at| !knows(name, *at));
        }
        self.advance();
    }

    fn advance(&mut self) {
        let is_clear = |entry: &Entry| entry.finished.is_some() && entry.missed.is_empty();
        while let Some(entry) = self.entries.pop_front_if(|entry| is_clear(entry)) {
            self.clear = entry.position.or(self.clear);
        }
    }

    /// The position up to which everything is applied everywhere; `None` if it is not known yet.
    pub(crate) fn clear(&self) -> Option<Position> {
        self.clear
    }

    /// The nodes that the confirmation waits for.
    pub(crate) fn missed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries.iter().flat_map(|entry| entry.missed.keys())
    }

    /// When the oldest batch that is not applied everywhere arrived, and how old it was then.
    pub(crate) fn oldest(&self) -> Option<(Instant, Duration)> {
        self.entries.front().map(|entry| (entry.arrived, entry.age))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [Arc<str>; 0] = [];

    fn at(position: u64) -> Option<Position> {
        Some(Position(position))
    }

    #[tokio::test(start_paused = true)]
    async fn positions_are_clear_in_order_only() {
        let mut ledger = Ledger::default();
        let ids: Vec<_> = (1..=4)
            .map(|n| ledger.begin(at(n), Duration::ZERO))
            .collect();
        for id in [ids[2], ids[1], ids[3]] {
            ledger.finish(id, NONE);
            assert_eq!(ledger.clear(), None);
        }
        assert_eq!(ledger.len(), 2, "what is finished together is one entry");
        ledger.finish(ids[0], NONE);
        assert_eq!((ledger.clear(), ledger.len()), (at(4), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_middle_of_a_transaction_is_no_position() {
        let mut ledger = Ledger::default();
        let (first, middle) = (
            ledger.begin(at(1), Duration::ZERO),
            ledger.begin(None, Duration::ZERO),
        );
        ledger.finish(middle, NONE);
        ledger.finish(first, NONE);
        assert_eq!(ledger.clear(), at(1));
        let end = ledger.begin(at(2), Duration::ZERO);
        ledger.finish(end, NONE);
        assert_eq!(ledger.clear(), at(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_missed_node_holds_back_what_came_after_and_nothing_before() {
        let mut ledger = Ledger::default();
        for n in 1..=3 {
            let id = ledger.begin(at(n), Duration::from_secs(n));
            let missed: Vec<Arc<str>> = if n == 2 { vec!["b".into()] } else { Vec::new() };
            ledger.finish(id, missed);
            tokio::time::advance(2 * TOGETHER).await;
        }
        assert_eq!(ledger.clear(), at(1));
        assert_eq!(
            ledger.missed().collect::<Vec<_>>(),
            [&Arc::<str>::from("b")]
        );
        let (arrived, age) = ledger.oldest().unwrap();
        assert_eq!(
            (arrived.elapsed(), age),
            (4 * TOGETHER, Duration::from_secs(2))
        );
        ledger.review(|_, _| false);
        assert_eq!(ledger.clear(), at(1));
        ledger.review(|name, at| &**name == "b" && at.elapsed() == 4 * TOGETHER);
        assert_eq!((ledger.clear(), ledger.len()), (at(3), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn removals_that_miss_a_node_take_one_entry_for_each_second() {
        let mut ledger = Ledger::default();
        for n in 0..20_000 {
            let id = ledger.begin(at(n), Duration::ZERO);
            ledger.finish(id, [Arc::from("b")]);
            tokio::time::advance(Duration::from_millis(5)).await;
        }
        assert!(
            ledger.len() <= 101,
            "{} entries for 100 seconds",
            ledger.len()
        );
        let latest = Instant::now() - Duration::from_millis(5);
        ledger.review(|_, at| at < latest);
        assert_eq!(ledger.len(), 1, "the latest miss counts");
        assert!(ledger.clear().is_some_and(|clear| clear < Position(19_999)));
    }
}
