//! Which keys of a batch are looked up by one statement, and for how long.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

/// Keys that one statement looks up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range<usize>,
    /// How often a statement for more keys, these among them, took too long.
    timeouts: u32,
}

/// The rest of a batch. The whole batch has the time of one statement for each statement that it
/// needs at best, so that the waiting loads still get the answer.
pub(super) struct Parts {
    /// The next one is at the end.
    left: Vec<Part>,
    statement_timeout: Duration,
    deadline: Instant,
}

impl Parts {
    pub(super) fn of(keys: usize, most: usize, statement_timeout: Duration) -> Self {
        let left = ranges(0..keys, most, 0);
        let statements = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let time = statement_timeout.saturating_mul(statements.max(1));
        Self {
            left,
            statement_timeout,
            deadline: Instant::now() + time,
        }
    }

    /// The next keys, and how long the server may work on them; none if no time is left.
    pub(super) fn next(&mut self) -> Option<(Part, Duration)> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining < Duration::from_millis(1) {
            return None;
        }
        let part = self.left.pop()?;
        let is_last = self.left.is_empty();
        // One slow key in a part leaves the others a third of the time.
        let share = match (part.range.len(), part.timeouts) {
            (1, 0) => 1,
            (1, _) if is_last => 1,
            (_, 0) => 2,
            (1, _) => 16,
            _ => 8,
        };
        let limit = (self.statement_timeout / share).min(remaining);
        // The servers count milliseconds, and treat 0 as no limit.
        let limit = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        Some((part, limit.max(Duration::from_millis(1))))
    }

    /// Some key is at fault, and the others are soon looked up without it.
    pub(super) fn halve(&mut self, part: &Part) {
        let most = part.range.len().div_ceil(2);
        let halves = ranges(part.range.clone(), most, part.timeouts);
        self.left.extend(halves);
    }

    /// Some key is slow. The parts come after all others, and they are few, so that the slow key
    /// takes its time only twice more.
    pub(super) fn split_slow(&mut self, part: &Part) {
        let len = part.range.len();
        let most = if part.timeouts == 0 {
            len.isqrt().max(1)
        } else {
            1
        };
        let parts = ranges(part.range.clone(), most, part.timeouts + 1);
        self.left.splice(0..0, parts);
    }

    /// The keys that have not been looked up.
    pub(super) fn take_all(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.left)
    }
}

fn ranges(all: Range<usize>, most: usize, timeouts: u32) -> Vec<Part> {
    let froms = all.clone().step_by(most.max(1));
    froms
        .map(|from| Part {
            range: from..all.end.min(from + most),
            timeouts,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(16);

    /// Which keys are found where some are slow, and how long that takes.
    async fn found(keys: usize, slow: &[usize]) -> (Vec<usize>, Duration) {
        let started = Instant::now();
        let mut parts = Parts::of(keys, 128, TIMEOUT);
        let mut found = Vec::new();
        while let Some((part, limit)) = parts.next() {
            if slow.iter().any(|key| part.range.contains(key)) {
                tokio::time::advance(limit).await;
                if part.range.len() > 1 {
                    parts.split_slow(&part);
                }
            } else {
                found.extend(part.range);
            }
        }
        found.sort_unstable();
        (found, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn slow_keys_leave_the_others_their_time() {
        for slow in [&[0][..], &[127], &[64], &[3, 90]] {
            let (found, took) = found(128, slow).await;
            let others: Vec<_> = (0..128).filter(|key| !slow.contains(key)).collect();
            assert_eq!(found, others);
            assert!(took <= TIMEOUT, "{slow:?}: {took:?}");
        }
        let (_, took) = found(128, &(0..128).collect::<Vec<_>>()).await;
        assert!(took <= TIMEOUT, "{took:?}");
        assert_eq!(found(1, &[0]).await, (vec![], TIMEOUT));
    }

    #[test]
    fn halves_hold_all_keys() {
        let mut parts = Parts::of(5, 128, TIMEOUT);
        let (part, limit) = parts.next().unwrap();
        assert_eq!((part.range.clone(), limit), (0..5, TIMEOUT / 2));
        parts.halve(&part);
        let mut halves: Vec<_> = parts
            .take_all()
            .into_iter()
            .map(|part| part.range)
            .collect();
        halves.sort_by_key(|range| range.start);
        assert_eq!(halves, [0..3, 3..5]);
    }
}
