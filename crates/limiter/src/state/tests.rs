use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::BreakerOptions;
use crate::Limit;

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
enum Event {
    Comes,
    Leaves(usize),
    Passes(u16),
    Ends {
        which: usize,
        outcome: u8,
    },
    GivesUp {
        which: usize,
        late: bool,
    },
    Changes {
        limit: usize,
        breaker: bool,
        max_queue: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Comes),
        1 => any::<usize>().prop_map(Event::Leaves),
        2 => (1..40_u16).prop_map(Event::Passes),
        1 => (1..2_000_u16).prop_map(Event::Passes),
        4 => (any::<usize>(), 0..3_u8).prop_map(|(which, outcome)| Event::Ends { which, outcome }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, late)| Event::GivesUp { which, late }),
        1 => (1..6_usize, any::<bool>(), 0..13_usize).prop_map(|(limit, breaker, max_queue)| {
            Event::Changes { limit, breaker, max_queue }
        }),
    ]
}

/// The result of each piece of work, taken only from the state's answers.
struct Model {
    state: State<u32>,
    now: Instant,
    limit: usize,
    max_queue: usize,
    next: u32,
    waiting: BTreeMap<u32, u64>,
    running: BTreeMap<u32, (Slot, bool, bool)>,
    /// Started, refused or dropped: once each.
    done: BTreeSet<u32>,
    probes: usize,
}

impl Model {
    fn new(limit: usize, breaker: bool) -> Self {
        let options = options(limit, breaker, 12);
        let now = Instant::now();
        Self {
            state: State::new(&options, fastrand::Rng::with_seed(5), now),
            now,
            limit,
            max_queue: 12,
            next: 0,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            done: BTreeSet::new(),
            probes: 0,
        }
    }

    fn step(&mut self, event: &Event) {
        let mut effects = Effects::default();
        match event {
            Event::Comes => self.comes(&mut effects),
            Event::Leaves(which) => {
                if let Some((item, id)) = nth(&self.waiting, *which) {
                    assert_eq!(self.state.leave(id), Some(item));
                    self.waiting.remove(&item);
                    self.finish(item);
                }
            }
            Event::Passes(time) => self.now += u32::from(*time) * MS,
            Event::Ends { which, outcome } => {
                if let Some((item, (slot, given_up, late))) = nth(&self.running, *which) {
                    self.running.remove(&item);
                    let outcome = match outcome {
                        _ if late => Outcome::Counted,
                        0 => Outcome::Succeeded,
                        1 => Outcome::Failed,
                        _ => Outcome::Unknown,
                    };
                    self.state
                        .release(self.now, &slot, given_up, outcome, &mut effects);
                }
            }
            Event::GivesUp { which, late } => {
                if let Some((item, (slot, false, _))) = nth(&self.running, *which) {
                    self.state.give_up(self.now, &slot, *late, &mut effects);
                    self.running.insert(item, (slot, true, *late));
                }
            }
            Event::Changes {
                limit,
                breaker,
                max_queue,
            } => {
                (self.limit, self.max_queue) = (*limit, *max_queue);
                let options = options(*limit, *breaker, *max_queue);
                let random = fastrand::Rng::with_seed(6);
                self.state
                    .set_options(self.now, &options, random, &mut effects);
            }
        }
        self.refused(effects);
        while let Some((item, slot)) = self.state.next(self.now) {
            assert!(self.waiting.remove(&item).is_some(), "{item} did not wait");
            self.starts(item, slot);
        }
        self.check();
    }

    fn comes(&mut self, effects: &mut Effects<u32>) {
        let item = self.next;
        self.next += 1;
        match self.state.arrive(self.now, || item, effects) {
            Arrived::Started(slot) => self.starts(item, slot),
            Arrived::Queued(id) => {
                self.waiting.insert(item, id);
            }
            Arrived::Refused(_) => self.finish(item),
            Arrived::Full { newcomer, oldest } => {
                assert_eq!(newcomer, item);
                self.state.keep_oldest(oldest);
                self.finish(item);
            }
        }
    }

    fn starts(&mut self, item: u32, slot: Slot) {
        self.finish(item);
        self.running.insert(item, (slot, false, false));
        // More than that may run only since before the limit was lowered.
        assert!(self.running.len() <= self.limit + 1);
        self.probes = self
            .running
            .values()
            .filter(|(slot, ..)| slot.probe)
            .count();
    }

    fn finish(&mut self, item: u32) {
        assert!(self.done.insert(item), "{item} twice");
    }

    fn refused(&mut self, effects: Effects<u32>) {
        for (item, _) in effects.refused {
            assert!(self.waiting.remove(&item).is_some(), "{item} did not wait");
            self.finish(item);
        }
    }

    fn check(&mut self) {
        let stats = self.state.stats(self.now);
        assert_eq!(stats.in_use, self.running.len());
        assert_eq!(
            stats.given_up,
            self.running.values().filter(|(_, up, _)| *up).count()
        );
        assert_eq!(stats.queued, self.waiting.len());
        assert_eq!(stats.limit, self.limit);
        assert!(stats.queued <= self.max_queue);
        // A caller waits only because all slots are taken, or the breaker closes.
        assert!(
            stats.queued == 0
                || stats.in_use >= self.limit
                || stats.breaker == BreakerState::Closing,
            "{stats:?}"
        );
        assert!(stats.breaker != BreakerState::Open || stats.queued == 0);
        assert_eq!(self.done.len() + self.waiting.len(), self.next as usize);
    }

    /// Everything ends: all slots are returned, and no waiter is forgotten.
    fn end(mut self) {
        while let Some(which) = self.running.keys().next().copied() {
            let at = self.running.keys().position(|item| *item == which);
            self.step(&Event::Ends {
                which: at.unwrap_or_default(),
                outcome: 0,
            });
        }
        let stats = self.state.stats(self.now);
        assert_eq!((stats.in_use, stats.given_up, stats.queued), (0, 0, 0));
        assert_eq!(self.done.len(), self.next as usize);
    }
}

fn options(limit: usize, breaker: bool, max_queue: usize) -> Options {
    Options {
        limit: Limit::Fixed(limit),
        max_queue,
        breaker: breaker.then(BreakerOptions::default),
        ..Options::default()
    }
}

fn nth<V: Copy>(map: &BTreeMap<u32, V>, which: usize) -> Option<(u32, V)> {
    let at = which.checked_rem(map.len())?;
    map.iter().nth(at).map(|(item, value)| (*item, *value))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_lost_or_started_twice_and_the_limit_holds(
        limit in 1..6_usize,
        breaker in any::<bool>(),
        events in proptest::collection::vec(event(), 1..300),
    ) {
        let mut model = Model::new(limit, breaker);
        for event in &events {
            model.step(event);
        }
        model.end();
    }
}

fn state(limit: usize) -> (State<u32>, Instant) {
    let now = Instant::now();
    let options = Options {
        limit: Limit::Fixed(limit),
        ..Options::default()
    };
    (State::new(&options, fastrand::Rng::with_seed(5), now), now)
}

fn started(arrived: &Arrived<u32>) -> Slot {
    match arrived {
        Arrived::Started(slot) => *slot,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_queue_holds_what_can_be_started_in_time() {
    let (mut state, mut now) = state(8);
    let mut effects = Effects::default();
    let slots: Vec<Slot> = (0..8)
        .map(|n| started(&state.arrive(now, || n, &mut effects)))
        .collect();
    for n in 0..1_000 {
        assert!(matches!(
            state.arrive(now, || n, &mut effects),
            Arrived::Queued(_)
        ));
    }
    // Unknown until the first ends: 8 / 20 ms, for 0.8 s, makes 320.
    now += 20 * MS;
    state.release(now, &slots[0], false, Outcome::Succeeded, &mut effects);
    assert_eq!(state.stats(now).queued, 320);
    assert_eq!(effects.refused.len(), 680);
    assert!(matches!(
        state.arrive(now, || 0, &mut effects),
        Arrived::Full { .. }
    ));
}

#[test]
fn one_probe_runs_beyond_a_limit_that_is_held_by_work_that_was_given_up() {
    let (mut state, mut now) = state(2);
    let mut effects = Effects::default();
    let slots: Vec<Slot> = (0..2)
        .map(|n| started(&state.arrive(now, || n, &mut effects)))
        .collect();
    assert!(matches!(
        state.arrive(now, || 7, &mut effects),
        Arrived::Queued(_)
    ));
    for slot in &slots {
        state.give_up(now, slot, true, &mut effects);
    }
    // It opens, and refuses the waiter.
    assert!(matches!(effects.refused[..], [(7, Refused::Open { .. })]));
    now += Duration::from_secs(1);
    let probe = started(&state.arrive(now, || 3, &mut effects));
    assert!(probe.probe);
    assert_eq!(state.stats(now).in_use, 3);
    assert!(matches!(
        state.arrive(now, || 4, &mut effects),
        Arrived::Refused(Refused::Open { .. })
    ));
    state.release(now, &probe, false, Outcome::Succeeded, &mut effects);
    // While it closes, one after the other runs beside cancelled work.
    let next = started(&state.arrive(now, || 5, &mut effects));
    assert!(matches!(
        state.arrive(now, || 6, &mut effects),
        Arrived::Queued(_)
    ));
    assert!(state.next(now).is_none());
    state.release(now, &next, false, Outcome::Succeeded, &mut effects);
    for slot in &slots {
        state.release(now, slot, true, Outcome::Counted, &mut effects);
    }
    assert!(matches!(state.next(now), Some((6, _))));
    assert_eq!(state.stats(now).breaker, BreakerState::Closed);
}

#[test]
fn no_wait_means_no_queue() {
    let now = Instant::now();
    let options = Options {
        limit: Limit::Fixed(1),
        max_wait: Duration::ZERO,
        ..Options::default()
    };
    let mut state = State::new(&options, fastrand::Rng::with_seed(5), now);
    let mut effects = Effects::default();
    started(&state.arrive(now, || 0, &mut effects));
    assert!(matches!(
        state.arrive(now, || 1, &mut effects),
        Arrived::Refused(Refused::Busy { .. })
    ));
}
