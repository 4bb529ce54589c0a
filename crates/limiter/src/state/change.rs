//! Other options for a limiter at work.

use tokio::time::Instant;

use super::{Ceiling, Effects, State};
use crate::breaker::Breaker;
use crate::options::LONGEST;
use crate::{BreakerOptions, Limit, Options};

impl<T> State<T> {
    /// Behaves as the options say from now on. Whoever waits is to be looked at again by the
    /// caller ([`next`](Self::next)): there may be room.
    pub(crate) fn set_options(
        &mut self,
        now: Instant,
        options: &Options,
        random: fastrand::Rng,
        effects: &mut Effects<T>,
    ) {
        self.max_wait = options.max_wait.min(LONGEST);
        self.max_queue = options.max_queue;
        self.per_slot = options.per_slot.max(1);
        self.grace = options.grace;
        self.set_breaker(now, options.breaker.as_ref(), random);
        self.set_limit(now, options.limit, effects);
    }

    /// Another limit. Who can no longer be started in time is refused: the newest.
    pub(crate) fn set_limit(&mut self, now: Instant, limit: Limit, effects: &mut Effects<T>) {
        match (&mut self.ceiling, limit) {
            (Ceiling::Auto(auto), Limit::Auto { most }) => auto.set_most(most),
            (ceiling, limit) => *ceiling = Ceiling::new(limit, now),
        }
        let refused = self.queue.trim_newest(self.rules().most);
        self.refuse(refused, effects);
    }

    fn set_breaker(
        &mut self,
        now: Instant,
        options: Option<&BreakerOptions>,
        random: fastrand::Rng,
    ) {
        match (&mut self.breaker, options) {
            (Some(breaker), Some(options)) => breaker.set_options(options, now),
            (Some(breaker), None) => {
                self.opened_before += breaker.opened();
                self.breaker = None;
            }
            (None, Some(options)) => {
                self.breaker = Some(Breaker::new(options.clone(), random, now));
            }
            (None, None) => {}
        }
    }
}
