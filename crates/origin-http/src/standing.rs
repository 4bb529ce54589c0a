//! The recent results of a URL: one that fails is not used for a while, if there are others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a failed URL is not used. After that one load asks it, and the others only once that
/// load has had an answer.
pub(crate) const LEFT_FOR: Duration = Duration::from_secs(3);
/// How many loads in a row may fail in a way that may be their own fault.
const IN_A_ROW: u32 = 3;

/// How a load failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// No connection could be made: the next load would fail as well.
    Unreachable,
    /// A status over 499, a silence, an answer that broke off.
    Answer,
}

/// The state of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Its last answer was good.
    Good,
    /// Its last answer was a failure, or it has not been asked since.
    Doubtful,
    /// It has failed recently, and is not used.
    Left,
}

/// The record of a URL.
pub(crate) struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    /// Failures since the last good answer.
    row: u32,
    failed: Option<Instant>,
    left_until: Option<Instant>,
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(crate) fn worth(&self, now: Instant) -> Worth {
        let state = self.state();
        match state.left_until {
            Some(until) if now < until => Worth::Left,
            None if state.row == 0 => Worth::Good,
            _ => Worth::Doubtful,
        }
    }

    /// A load is about to ask it. If it was not in use, the others do not use it until this load
    /// has a result, for at most the same time again.
    pub(crate) fn asked(&self, now: Instant) {
        let mut state = self.state();
        if state.left_until.is_some_and(|until| until <= now) {
            state.left_until = Some(now + LEFT_FOR);
        }
    }

    /// It gave an answer that is not a failure. Returns whether it was not in use until now.
    pub(crate) fn answered(&self) -> bool {
        let mut state = self.state();
        let before = std::mem::take(&mut *state);
        before.left_until.is_some()
    }

    /// It failed. Returns whether it stops being used now.
    pub(crate) fn failed(&self, how: Failing, now: Instant) -> bool {
        let mut state = self.state();
        state.row = match how {
            Failing::Unreachable => state.row.max(IN_A_ROW),
            Failing::Answer => state.row.saturating_add(1),
        };
        state.failed = Some(now);
        if state.row < IN_A_ROW {
            return false;
        }
        state.left_until.replace(now + LEFT_FOR).is_none()
    }

    /// When it failed the last time; `None`, which is before all others, if it did not.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        self.state().failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_reached_is_left_at_once_and_then_asked_by_one_load() {
        let standing = Standing::new();
        let worth = || standing.worth(Instant::now());
        assert_eq!(worth(), Worth::Good);
        assert!(standing.failed(Failing::Unreachable, Instant::now()));
        assert_eq!(worth(), Worth::Left);
        tokio::time::advance(LEFT_FOR).await;
        assert_eq!(worth(), Worth::Doubtful);
        standing.asked(Instant::now());
        assert_eq!(worth(), Worth::Left, "another load asks it already");
        assert!(!standing.failed(Failing::Answer, Instant::now()));
        assert_eq!(worth(), Worth::Left);
        assert!(standing.answered());
        assert_eq!((worth(), standing.answered()), (Worth::Good, false));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_fail_count_in_a_row() {
        let standing = Standing::new();
        let now = Instant::now();
        for _ in 0..3 {
            assert!(!standing.failed(Failing::Answer, now));
            assert!(!standing.failed(Failing::Answer, now));
            assert_eq!(standing.worth(now), Worth::Doubtful);
            standing.answered();
        }
        assert!(!standing.failed(Failing::Answer, now));
        assert!(!standing.failed(Failing::Answer, now));
        assert!(standing.failed(Failing::Answer, now));
        assert_eq!(standing.worth(now), Worth::Left);
        assert_eq!(standing.failed_at(), Some(now));
    }
}
