//! Slots, queue, breaker and limit together: the reaction to each event, without tokio and without
//! a clock.

mod ceiling;
mod change;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::ceiling::Ceiling;
use crate::breaker::{Admission, Breaker, Change};
use crate::options::LONGEST;
use crate::queue::{Pushed, Queue, Rules, Taken};
use crate::stats::Counters;
use crate::{BreakerState, Options, Refused, Stats};

/// The weight of a new latency in the mean.
const SMOOTHING: f64 = 0.1;

/// A slot that is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) started: Instant,
    /// Whether the breaker waits for its outcome.
    pub(crate) probe: bool,
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    /// It was late, and was counted as such at that time.
    Counted,
    /// It was not run, or not to its end.
    Unknown,
}

/// What has to be done once the lock is released.
#[derive(Debug)]
pub(crate) struct Effects<T> {
    pub(crate) refused: Vec<(T, Refused)>,
    pub(crate) change: Option<Change>,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self {
            refused: Vec::new(),
            change: None,
        }
    }
}

/// The result for a caller that arrives.
#[derive(Debug)]
pub(crate) enum Arrived<T> {
    Started(Slot),
    Queued(u64),
    Refused(Refused),
    /// There is no room, unless this one, the oldest, no longer wants to be started.
    Full {
        newcomer: T,
        oldest: Taken<T>,
    },
}

#[derive(Debug)]
pub(crate) struct State<T> {
    ceiling: Ceiling,
    max_wait: Duration,
    max_queue: usize,
    /// The most that are started with one slot.
    per_slot: usize,
    grace: Duration,
    in_use: usize,
    given_up: usize,
    queue: Queue<T>,
    breaker: Option<Breaker>,
    /// The openings of breakers that have since been removed.
    opened_before: u64,
    /// For how many seconds a slot is taken, on average, once that is known. By Little's law, the
    /// rate at which work is started is the limit divided by it.
    held: Option<f64>,
    counters: Counters,
}

impl<T> State<T> {
    pub(crate) fn new(options: &Options, random: fastrand::Rng, now: Instant) -> Self {
        Self {
            ceiling: Ceiling::new(options.limit, now),
            max_wait: options.max_wait.min(LONGEST),
            max_queue: options.max_queue,
            per_slot: options.per_slot.max(1),
            grace: options.grace,
            in_use: 0,
            given_up: 0,
            queue: Queue::new(now),
            breaker: options
                .breaker
                .clone()
                .map(|breaker| Breaker::new(breaker, random, now)),
            opened_before: 0,
            held: None,
            counters: Counters::default(),
        }
    }

    /// The longest wait of a caller that arrives now.
    pub(crate) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// How long work that is cancelled now keeps its slot at most.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// A caller arrives: starts, waits, or is refused. `make` is called if it waits.
    pub(crate) fn arrive(
        &mut self,
        now: Instant,
        make: impl FnOnce() -> T,
        effects: &mut Effects<T>,
    ) -> Arrived<T> {
        self.tick(now, effects);
        self.queue.count_came();
        let admission = self.admit(now);
        match admission {
            Admission::Refused { retry_after } => {
                self.counters.refused_open += 1;
                return Arrived::Refused(Refused::Open { retry_after });
            }
            Admission::Probe => return Arrived::Started(self.start(now, true)),
            Admission::Normal => {}
        }
        if self.queue.is_empty() && self.has_room() {
            return Arrived::Started(self.start(now, false));
        }
        if self.rules().most == 0 {
            return self.refuse_newcomer();
        }
        self.enqueue(now, make(), effects)
    }

    /// The part of [`arrive`](Self::arrive) that is repeated after room was made.
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        newcomer: T,
        effects: &mut Effects<T>,
    ) -> Arrived<T> {
        let rules = self.rules();
        match self.queue.push(now, newcomer, &rules) {
            Pushed::Queued { id, refused } => {
                self.refuse(refused, effects);
                Arrived::Queued(id)
            }
            Pushed::Full { newcomer, oldest } => Arrived::Full { newcomer, oldest },
        }
    }

    fn refuse_newcomer(&mut self) -> Arrived<T> {
        self.queue.count_refused();
        self.counters.refused_busy += 1;
        Arrived::Refused(self.busy())
    }

    /// The oldest is still wanted, so the new caller is refused.
    pub(crate) fn keep_oldest(&mut self, oldest: Taken<T>) -> Refused {
        self.queue.put_back(oldest);
        self.queue.count_refused();
        self.counters.refused_busy += 1;
        self.busy()
    }

    /// The work to start now, with a slot; to be called until there is none.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(T, Slot)> {
        if self.queue.is_empty() || !self.has_room() {
            return None;
        }
        let item = self.queue.pop()?;
        Some((item, self.start(now, false)))
    }

    /// A waiter leaves the queue.
    pub(crate) fn leave(&mut self, id: u64) -> Option<T> {
        self.queue.remove(id)
    }

    /// A caller has waited too long.
    pub(crate) fn waited_too_long(&mut self) -> Refused {
        self.queue.count_refused();
        self.counters.refused_busy += 1;
        self.busy()
    }

    /// This many are worked on in a slot that another has taken.
    pub(crate) fn take_along(&mut self, others: usize) {
        let others = others as u64;
        self.counters.started += others;
        self.queue.count_started(others);
    }

    pub(crate) fn count_unwanted(&mut self) {
        self.counters.refused_unwanted += 1;
    }

    /// Work is cancelled: it keeps its slot, and no caller waits for it. `late`: its deadline has
    /// passed.
    pub(crate) fn give_up(
        &mut self,
        now: Instant,
        slot: &Slot,
        late: bool,
        effects: &mut Effects<T>,
    ) {
        self.given_up += 1;
        if late {
            self.counters.late += 1;
            if let Ceiling::Auto(auto) = &mut self.ceiling {
                auto.late(now);
            }
            self.record(now, slot, Outcome::Failed, effects);
        }
        if self.given_up >= self.ceiling.found()
            && let Some(breaker) = &mut self.breaker
            && let Some(change) = breaker.all_given_up(now)
        {
            self.changed(change, effects);
        }
    }

    /// Work ends and frees its slot.
    pub(crate) fn release(
        &mut self,
        now: Instant,
        slot: &Slot,
        given_up: bool,
        outcome: Outcome,
        effects: &mut Effects<T>,
    ) {
        if given_up || outcome == Outcome::Succeeded {
            self.measure(now.duration_since(slot.started), effects);
        }
        if !given_up
            && outcome == Outcome::Succeeded
            && let Ceiling::Auto(auto) = &mut self.ceiling
        {
            auto.succeeded(now, slot.started, self.in_use);
        }
        self.in_use -= 1;
        self.given_up -= usize::from(given_up);
        match outcome {
            Outcome::Succeeded | Outcome::Failed => self.record(now, slot, outcome, effects),
            Outcome::Unknown if slot.probe => {
                if let Some(breaker) = &mut self.breaker {
                    breaker.probe_lost(now);
                }
            }
            Outcome::Unknown | Outcome::Counted => {}
        }
        self.tick(now, effects);
    }

    pub(crate) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn stats(&self, now: Instant) -> Stats {
        Stats {
            limit: self.limit(),
            in_use: self.in_use,
            given_up: self.given_up,
            queued: self.queue.len(),
            pressure: self.queue.under_pressure(),
            started: self.counters.started,
            late: self.counters.late,
            refused_busy: self.counters.refused_busy,
            refused_open: self.counters.refused_open,
            refused_unwanted: self.counters.refused_unwanted,
            breaker: self
                .breaker
                .as_ref()
                .map_or(BreakerState::Closed, |breaker| breaker.state(now)),
            opened: self.opened_before + self.breaker.as_ref().map_or(0, Breaker::opened),
        }
    }

    fn limit(&self) -> usize {
        self.ceiling.limit()
    }

    fn admit(&mut self, now: Instant) -> Admission {
        // One probe may run beyond the limit, whose slots cancelled work may hold.
        let room = self.in_use <= self.ceiling.found();
        match &mut self.breaker {
            None => Admission::Normal,
            Some(breaker) => breaker.admit(now, room),
        }
    }

    fn has_room(&self) -> bool {
        let limit = self.ceiling.found();
        let running = self.in_use - self.given_up;
        match self.breaker.as_ref().and_then(Breaker::allowed) {
            None => self.in_use < limit && running < self.limit(),
            // While the breaker closes, one runs however much was cancelled, like the probe.
            Some(allowed) => {
                running < allowed && (self.in_use < limit || (running == 0 && self.in_use == limit))
            }
        }
    }

    fn start(&mut self, now: Instant, probe: bool) -> Slot {
        self.in_use += 1;
        self.counters.started += 1;
        self.queue.count_started(1);
        Slot {
            started: now,
            probe,
        }
    }

    fn tick(&mut self, now: Instant, effects: &mut Effects<T>) {
        if self.queue.is_due(now) {
            let rules = self.rules();
            let refused = self.queue.tick(now, &rules);
            self.refuse(refused, effects);
        }
    }

    fn measure(&mut self, held: Duration, effects: &mut Effects<T>) {
        let held = held.as_secs_f64();
        let Some(mean) = self.held else {
            self.held = Some(held);
            // Until now the room was unknown. The first to end are the fastest: the room is not
            // smaller than they show.
            let refused = self.queue.trim_newest(self.rules().most);
            self.refuse(refused, effects);
            return;
        };
        self.held = Some(mean + SMOOTHING * (held - mean));
    }

    fn record(&mut self, now: Instant, slot: &Slot, outcome: Outcome, effects: &mut Effects<T>) {
        let limit = self.limit();
        let Some(breaker) = &mut self.breaker else {
            return;
        };
        let failed = outcome == Outcome::Failed;
        if slot.probe && !failed {
            // A measurement from before the breaker opened describes another state.
            self.held = Some(now.duration_since(slot.started).as_secs_f64());
        }
        if let Some(change) = breaker.record(now, slot.started, slot.probe, failed, limit) {
            self.changed(change, effects);
        }
    }

    fn changed(&mut self, change: Change, effects: &mut Effects<T>) {
        effects.change = Some(change);
        let Change::Opened { length, .. } = change else {
            return;
        };
        for item in self.queue.drain() {
            self.counters.refused_open += 1;
            effects.refused.push((
                item,
                Refused::Open {
                    retry_after: length,
                },
            ));
        }
    }

    fn refuse(&mut self, items: Vec<T>, effects: &mut Effects<T>) {
        for item in items {
            self.counters.refused_busy += 1;
            effects.refused.push((item, self.busy()));
        }
    }

    fn busy(&self) -> Refused {
        Refused::Busy {
            retry_after: self.max_wait,
        }
    }

    fn rules(&self) -> Rules {
        let limit = match &self.ceiling {
            Ceiling::Fixed(limit) => *limit,
            Ceiling::Auto(auto) => auto.found(),
        };
        let (max_wait, max_queue) = (self.max_wait, self.max_queue);
        self.held.map_or_else(
            || Rules::unmeasured(max_wait, max_queue),
            |held| {
                let rate = limit as f64 * self.per_slot as f64 / held.max(1e-6);
                Rules::measured(max_wait, max_queue, rate)
            },
        )
    }
}
