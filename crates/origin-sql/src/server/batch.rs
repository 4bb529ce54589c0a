//! The load of several keys in one statement.

use std::ops::Range;
use std::sync::Arc;

use gaggle_group::{Key, Load, Loaded, OriginError, OriginFault};

use super::dialect::Row;
use super::failure::failed;
use super::origin::IN_PASSING;
use super::parts::Parts;
use super::reserved::Reserved;
use super::{Dialect, Kind, Remote};

/// The most bytes of values that one statement may return, over all its keys.
const IN_BATCH: u64 = 8 << 20;

/// After how many failures that may be about one key or about all, they count as about all. One
/// bad key of 1,024 causes 11.
const MOST_ODDITIES: usize = 24;

type Outcome = Result<Loaded, OriginError>;

/// Several loads in progress.
struct Batch<'a> {
    loads: &'a [Load<'a>],
    /// The load of each valid key.
    of: Vec<usize>,
    keys: Vec<Key>,
    outcomes: Vec<Option<Outcome>>,
    /// Rows whose values have not arrived, or arrived when there was no room for them.
    left: Vec<(usize, Row)>,
    reserved: Reserved,
}

impl<D: Dialect> Remote<D> {
    pub(crate) fn max_batch(&self) -> usize {
        self.lookup.max_batch()
    }

    pub(crate) async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Outcome> {
        let mut batch = Batch::new(loads);
        for (of, load) in loads.iter().enumerate() {
            match self.check_key(load.key) {
                Ok(()) => batch.add(of, load.key),
                Err(error) => batch.set(of, Err(error)),
            }
        }
        let mut parts = Parts::of(batch.keys.len(), self.max_batch(), self.statement_timeout());
        let mut oddities = 0;
        while let Some((part, limit)) = parts.next() {
            let range = part.range.clone();
            let room = batch.room(&range);
            let keys = Arc::from(&batch.keys[range.clone()]);
            let rows = self.rows(keys, room, &mut batch.reserved, limit).await;
            let unanswered = match rows {
                Ok(rows) => {
                    batch.take(&range, rows).await;
                    continue;
                }
                Err(unanswered) => unanswered,
            };
            let concerns_all = match unanswered.kind {
                // Some key or row is at fault: the others are looked up without it.
                Kind::Data | Kind::Key | Kind::TimedOut => false,
                // Perhaps.
                Kind::Other | Kind::Unusable => {
                    oddities += 1;
                    oddities > MOST_ODDITIES
                }
                Kind::Broken | Kind::Busy | Kind::All => true,
            };
            if concerns_all {
                batch.fail(range, &unanswered.error);
                for part in parts.take_all() {
                    batch.fail(part.range, &unanswered.error);
                }
            } else if range.len() == 1 {
                batch.fail(range, &unanswered.error);
            } else if unanswered.kind == Kind::TimedOut {
                parts.split_slow(&part);
            } else {
                parts.halve(&part);
            }
        }
        let late = parts.take_all();
        if !late.is_empty() {
            let reason = "other keys of the batch took all the time that there is".to_owned();
            let error = failed(self.name(), reason).known_as(OriginFault::TimedOut);
            for part in late {
                batch.fail(part.range, &error);
            }
        }
        for (of, row) in std::mem::take(&mut batch.left) {
            let outcome = self.settle(&loads[of], row, &mut batch.reserved).await;
            batch.set(of, outcome);
        }
        batch.into_outcomes()
    }
}

impl<'a> Batch<'a> {
    fn new(loads: &'a [Load<'a>]) -> Self {
        let budget = loads.iter().find_map(|load| load.budget);
        Self {
            loads,
            of: Vec::with_capacity(loads.len()),
            keys: Vec::with_capacity(loads.len()),
            outcomes: loads.iter().map(|_| None).collect(),
            left: Vec::new(),
            reserved: Reserved::nothing(budget),
        }
    }

    fn add(&mut self, of: usize, key: &Key) {
        self.of.push(of);
        self.keys.push(key.clone());
    }

    fn set(&mut self, of: usize, outcome: Outcome) {
        self.outcomes[of] = Some(outcome);
    }

    fn fail(&mut self, range: Range<usize>, error: &OriginError) {
        for at in range {
            self.set(self.of[at], Err(error.clone()));
        }
    }

    /// The longest value that may be returned for each of these keys.
    fn room(&self, range: &Range<usize>) -> u64 {
        let limits = self.of[range.clone()].iter();
        let limit = limits.map(|of| self.loads[*of].max_value).min();
        let share = IN_BATCH / (range.len() as u64).max(1);
        IN_PASSING.min(share).min(limit.unwrap_or(0))
    }

    /// Takes the rows of these keys.
    async fn take(&mut self, range: &Range<usize>, rows: Vec<Row>) {
        for at in range.clone() {
            // Until a row says otherwise.
            self.set(self.of[at], Ok(Loaded::absent()));
        }
        for mut row in rows {
            // A row for none of these keys is padding of the statement.
            let Some(of) = range
                .clone()
                .nth(row.of)
                .and_then(|at| self.of.get(at).copied())
            else {
                continue;
            };
            let freshness = crate::freshness::hint_of(row.seconds);
            let Some(len) = row.len else {
                self.set(of, Ok(Loaded::absent().with_freshness(freshness)));
                continue;
            };
            match row.value.take() {
                Some(value) if self.reserved.add_at_once(len).await => {
                    self.set(of, Ok(Loaded::value(value).with_freshness(freshness)));
                }
                _ => self.left.push((of, row)),
            }
        }
    }

    fn into_outcomes(self) -> Vec<Outcome> {
        // Each has been set: a load is refused, answered, failed, or left and then settled.
        let missing = || Err(OriginError::failed("the database gave no outcome"));
        let outcomes = self.outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(missing))
            .collect()
    }
}
