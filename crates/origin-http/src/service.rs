//! The URLs of a service, and the order in which they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::OriginError;
use hyper::Uri;
use tokio::time::{Instant, sleep};

use crate::Balance;
use crate::answer::Answer;
use crate::origin::Due;
use crate::retry::{RetryBudget, wait};
use crate::standing::Worth;
use crate::upstream::{Ask, Outcome, Patience, Then, Tried, Upstream};

/// URLs that give the same values.
pub(crate) struct Service {
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) balance: Balance,
    /// Where the next load begins, of [`Balance::RoundRobin`].
    pub(crate) turn: AtomicUsize,
    pub(crate) retries: u32,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) patience: Patience,
}

/// The progress of a load.
struct Progress {
    tried: Vec<bool>,
    retries: u32,
}

impl Service {
    /// Asks until there is an answer, or no attempt is left: then the answer is a failure, or
    /// there is none. `uris` has one for each of the URLs.
    pub(crate) async fn ask(&self, ask: &Ask, uris: &[Uri]) -> Result<Answer<'_>, OriginError> {
        self.budget.asked();
        let mut progress = Progress {
            tried: vec![false; self.upstreams.len()],
            retries: self.retries,
        };
        let mut at = self.first();
        loop {
            progress.tried[at] = true;
            let upstream = &self.upstreams[at];
            let Tried {
                outcome,
                then,
                twice,
            } = match upstream.ask(ask, &uris[at], self.patience).await {
                Ok(answer) => return Ok(answer),
                Err(tried) => tried,
            };
            if twice {
                progress.retries = progress.retries.saturating_sub(1);
            }
            let next = self.next(&mut progress, then, ask.due);
            let Some((next, wait)) = next else {
                return match outcome {
                    Outcome::Answer(answer) => Ok(*answer),
                    Outcome::Error(error) => Err(error),
                };
            };
            match outcome {
                Outcome::Answer(answer) => {
                    tracing::debug!(url = %upstream.name, status = %answer.status(),
                        next = %self.upstreams[next].name, ?wait, "trying again");
                    answer.drop_soon().await;
                }
                Outcome::Error(error) => {
                    tracing::debug!(%error, next = %self.upstreams[next].name, ?wait,
                        "trying again");
                }
            }
            if !wait.is_zero() {
                sleep(wait).await;
            }
            at = next;
        }
    }

    /// Where a load begins: at a URL that has not failed recently, or otherwise at the one that
    /// failed the longest ago.
    fn first(&self) -> usize {
        if self.upstreams.len() == 1 {
            return 0;
        }
        let from = match self.balance {
            Balance::First => 0,
            Balance::RoundRobin => self.turn.fetch_add(1, Relaxed) % self.upstreams.len(),
        };
        let now = Instant::now();
        let order = (from..self.upstreams.len()).chain(0..from);
        order
            .clone()
            .find(|&at| self.worth(at, now) != Worth::Left)
            .or_else(|| order.min_by_key(|&at| self.upstreams[at].standing.failed_at()))
            .unwrap_or(0)
    }

    /// Where a load continues, and after which wait.
    fn next(&self, progress: &mut Progress, then: Then, due: Due) -> Option<(usize, Duration)> {
        if due.left().is_some_and(|left| left.is_zero()) {
            return None;
        }
        if let Some(other) = self.other(&progress.tried) {
            return Some((other, Duration::ZERO));
        }
        let Then::Again(asked_for) = then else {
            return None;
        };
        let left = progress.retries.checked_sub(1)?;
        let wait = wait(asked_for, due)?;
        if !self.budget.take() {
            return None;
        }
        progress.retries = left;
        let oldest = |at: &usize| self.upstreams[*at].standing.failed_at();
        Some(((0..self.upstreams.len()).min_by_key(oldest)?, wait))
    }

    /// A URL that this load has not asked. A healthy one costs nothing; a doubtful one costs a
    /// retry of the budget.
    fn other(&self, tried: &[bool]) -> Option<usize> {
        let now = Instant::now();
        let of = |worth| {
            let mut all = 0..self.upstreams.len();
            all.find(|&at| !tried[at] && self.worth(at, now) == worth)
        };
        of(Worth::Good).or_else(|| of(Worth::Doubtful).filter(|_| self.budget.take()))
    }

    fn worth(&self, at: usize, now: Instant) -> Worth {
        self.upstreams[at].standing.worth(now)
    }
}
