//! Changes the options of a working limiter.

use tokio::time::Instant;

use super::{Ceiling, Effects, State};
use crate::breaker::Breaker;
use crate::options::LONGEST;
use crate::{BreakerOptions, Limit, Options};

impl<T> State<T> {
    /// Uses these options from now on. The caller then has to call [`next`](Self::next) for the
    /// waiters: there may be room.
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

    /// Sets another limit. The newest that can no longer be started in time are refused.
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
