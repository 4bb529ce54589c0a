//! The load: gets that do not wait for answers, removals and puts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::ledger::{By, COLD, HOT, Judgement, Ledger, cold_key, hot_key, render};
use crate::scene::{DEADLINE, FrontDoor, FrontDoors, POWER};
use crate::support::Client;
use crate::support::client::escape;

/// Gets per second, 5 % of them of keys that are hardly ever in a cache.
const GETS: f64 = if cfg!(debug_assertions) { 200.0 } else { 400.0 };
const COLD_SHARE: f64 = 0.05;

/// Further gets of cold keys during a burst: more than the origin can answer.
const BURST: f64 = 400.0;

/// Removals and puts per second, together.
const WRITES: f64 = 4.0;

/// Requests under way at one time.
const IN_FLIGHT: usize = 8_192;

/// A get must be answered within one second after its deadline. Debug builds on a busy machine
/// have one more second.
pub(crate) const ANSWERED_WITHIN: Duration =
    Duration::from_secs(DEADLINE.as_secs() + if cfg!(debug_assertions) { 2 } else { 1 });

/// The length of the windows in which goodput is judged.
pub(crate) const WINDOW: Duration = Duration::from_secs(2);

/// Whether there is an overload at present.
#[derive(Clone, Default)]
pub(crate) struct Burst(Arc<AtomicBool>);

impl Burst {
    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, SeqCst);
    }
}

/// Which part of the load a get belongs to. The first two are what goodput is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Hot,
    Cold,
    Burst,
    /// The gets that fill the caches at the start.
    Fill,
}

/// The observations so far.
pub(crate) struct Seen {
    /// Gets by part and outcome.
    pub(crate) outcomes: BTreeMap<(Part, String), u64>,
    /// Microseconds of gets that were answered, of the first two parts.
    pub(crate) took: Histogram<u64>,
    pub(crate) writes: BTreeMap<&'static str, u64>,
    /// Values of puts that were never acknowledged, after a later removal.
    pub(crate) late_puts: u64,
    /// Broken promises, since they were last settled.
    unsettled: BTreeMap<Promise, (u64, Vec<String>)>,
    /// Like `broken`, for times while other programs took much of the machine.
    pub(crate) set_aside: BTreeMap<Promise, u64>,
    /// Broken promises: how often each kind was seen, and some of the cases.
    pub(crate) broken: BTreeMap<Promise, (u64, Vec<String>)>,
    /// Gets that ended within the last window, by part, and whether they were right.
    recent: VecDeque<(Instant, Part, bool)>,
}

/// What is promised, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    RightValues,
    NothingOlderThanAnAcknowledgedRemoval,
    AnAnswerASecondAfterTheDeadline,
    NormalGoodputWithinTenSeconds,
    NoNodeEndsByItself,
    NodesEndWhenTold,
    MemoryWithinItsBound,
}

/// Cases of each broken promise that are kept as text; more would add nothing.
const KEPT: usize = 5;

impl Promise {
    /// Whether a machine that is busy with other things can break it.
    fn is_of_time(self) -> bool {
        matches!(
            self,
            Self::AnAnswerASecondAfterTheDeadline
                | Self::NormalGoodputWithinTenSeconds
                | Self::NodesEndWhenTold
        )
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            outcomes: BTreeMap::new(),
            took: Histogram::new_with_bounds(1, 60_000_000, 3).unwrap(),
            writes: BTreeMap::new(),
            late_puts: 0,
            unsettled: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            broken: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn break_promise(&mut self, promise: Promise, case: String) {
        let (times, cases) = self.unsettled.entry(promise).or_default();
        *times += 1;
        if cases.len() < KEPT {
            cases.push(case);
        }
    }

    /// Decides which complaints since the last call count.
    pub(crate) fn settle(&mut self, disturbed: bool) {
        for (promise, (times, cases)) in std::mem::take(&mut self.unsettled) {
            if disturbed && promise.is_of_time() {
                *self.set_aside.entry(promise).or_default() += times;
                continue;
            }
            let (all, kept) = self.broken.entry(promise).or_default();
            *all += times;
            kept.extend(cases);
            kept.truncate(KEPT);
        }
    }

    /// How often a promise was broken.
    pub(crate) fn broken(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).map_or(0, |(times, _)| *times)
    }

    /// Gets of the first two parts that were not right.
    pub(crate) fn errors(&self) -> u64 {
        let errors = self.outcomes.iter().filter(|((part, outcome), _)| {
            matches!(part, Part::Hot | Part::Cold) && outcome != "200"
        });
        errors.map(|(_, count)| count).sum()
    }

    pub(crate) fn gets(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Whether 90 % of each part were right in the window that ends now, with as many as there
    /// should be.
    pub(crate) fn is_normal(&mut self) -> bool {
        let begin = Instant::now().checked_sub(WINDOW);
        while self
            .recent
            .front()
            .is_some_and(|(at, ..)| Some(*at) < begin)
        {
            self.recent.pop_front();
        }
        [(Part::Hot, 1.0 - COLD_SHARE), (Part::Cold, COLD_SHARE)]
            .into_iter()
            .all(|(part, share)| {
                let of_part = self.recent.iter().filter(|(_, of, _)| *of == part);
                let right = of_part.filter(|(_, _, right)| *right).count() as f64;
                let due = GETS * share * WINDOW.as_secs_f64();
                // Which keys are cold is drawn: four standard deviations of 40 are 25.
                let due = if part == Part::Cold { due * 0.6 } else { due };
                right >= 0.9 * due && self.share_right(part) >= 0.9
            })
    }

    fn share_right(&self, part: Part) -> f64 {
        let of_part = self.recent.iter().filter(|(_, of, _)| *of == part);
        let (all, right) = of_part.fold((0.0, 0.0), |(all, right), (_, _, is_right)| {
            (all + 1.0, right + f64::from(u8::from(*is_right)))
        });
        if all == 0.0 { 0.0 } else { right / all }
    }
}

/// The shared state of the load's tasks.
#[derive(Clone)]
pub(crate) struct Traffic {
    client: Client,
    front_doors: FrontDoors,
    ledger: Arc<Ledger>,
    pub(crate) burst: Burst,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Traffic {
    pub(crate) fn new(front_doors: FrontDoors, ledger: Arc<Ledger>) -> Self {
        Self {
            client: Client::new(),
            front_doors,
            ledger,
            burst: Burst::default(),
            seen: Arc::new(Mutex::new(Seen::new())),
        }
    }

    /// Asks for every hot key once, with as many callers as the origin has slots.
    pub(crate) async fn fill(&self) {
        let next = AtomicUsize::new(0);
        let callers = (0..POWER.slots).map(async |_| {
            loop {
                let at = next.fetch_add(1, SeqCst);
                if at >= HOT {
                    return;
                }
                if let Some(front_door) = self.front_doors.any(at as u64) {
                    self.clone().get(front_door, Part::Fill, hot_key(at)).await;
                }
            }
        });
        futures_util::future::join_all(callers).await;
    }

    /// Runs until it is dropped, which ends the requests under way as well.
    pub(crate) async fn run(self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut under_way = JoinSet::new();
        let mut tick = interval(Duration::from_millis(5));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = Instant::now();
        let (mut gets, mut bursts, mut writes) = (0.0_f64, 0.0_f64, 0.0_f64);
        loop {
            let now = tick.tick().await;
            let passed = now.duration_since(last).as_secs_f64();
            last = now;
            gets += GETS * passed;
            writes += WRITES * passed;
            if self.burst.0.load(SeqCst) {
                bursts += BURST * passed;
            }
            while gets >= 1.0 {
                gets -= 1.0;
                let part = if random.f64() < COLD_SHARE {
                    Part::Cold
                } else {
                    Part::Hot
                };
                self.send(&mut under_way, &mut random, part);
            }
            while bursts >= 1.0 {
                bursts -= 1.0;
                self.send(&mut under_way, &mut random, Part::Burst);
            }
            while writes >= 1.0 {
                writes -= 1.0;
                if let Some(front_door) = self.front_doors.any(random.u64(..)) {
                    let (this, key, put) = (self.clone(), random.usize(..HOT), random.u8(..4) == 0);
                    under_way.spawn(async move { this.write(front_door, key, put).await });
                }
            }
            while let Some(ended) = under_way.try_join_next() {
                ended.unwrap();
            }
        }
    }

    fn send(&self, under_way: &mut JoinSet<()>, random: &mut fastrand::Rng, part: Part) {
        let key = match part {
            Part::Hot => hot_key(random.usize(..HOT)),
            Part::Cold | Part::Burst | Part::Fill => cold_key(random.usize(..COLD)),
        };
        let front_door = self.front_doors.any(random.u64(..));
        match front_door {
            Some(front_door) if under_way.len() < IN_FLIGHT => {
                let this = self.clone();
                under_way.spawn(async move { this.get(front_door, part, key).await });
            }
            _ => {
                let outcomes = &mut self.seen.lock().unwrap().outcomes;
                *outcomes.entry((part, "not sent".into())).or_default() += 1;
            }
        }
    }

    async fn get(self, front_door: FrontDoor, part: Part, key: String) {
        let floor = self.ledger.floor(&key);
        let began = Instant::now();
        let target = format!("/v1/scores/{}", escape(key.as_bytes()));
        let asking = self
            .client
            .send(Method::GET, front_door.api, &target, String::new());
        let answer = timeout(ANSWERED_WITHIN, asking).await;
        let took = began.elapsed();
        let whole = self.front_doors.was_whole(front_door);
        let mut broken = None;
        let mut late_put = false;
        let outcome = match &answer {
            Err(_) if whole => {
                broken = Some((
                    Promise::AnAnswerASecondAfterTheDeadline,
                    format!(
                        "{key} at node {}: none after {ANSWERED_WITHIN:?}",
                        front_door.node
                    ),
                ));
                "no answer".to_owned()
            }
            Err(_) => "node gone".to_owned(),
            Ok(Err(_)) if !whole => "node gone".to_owned(),
            Ok(Err(failure)) if failure.is_connect() => "not connected".to_owned(),
            Ok(Err(_)) => "broken off".to_owned(),
            Ok(Ok(answer)) if answer.status == 200 => {
                match self.ledger.judge(&key, &answer.body, floor) {
                    Judgement::Right => {}
                    Judgement::LatePut => late_put = true,
                    wrong => {
                        let promise = match wrong {
                            Judgement::Stale => Promise::NothingOlderThanAnAcknowledgedRemoval,
                            _ => Promise::RightValues,
                        };
                        let head =
                            String::from_utf8_lossy(&answer.body[..answer.body.len().min(24)])
                                .replace('\n', " ");
                        let case =
                            format!("{head:?} at node {}, not before {floor}", front_door.node);
                        broken = Some((promise, case));
                    }
                }
                "200".to_owned()
            }
            Ok(Ok(answer)) => answer.status.to_string(),
        };
        let mut seen = self.seen.lock().unwrap();
        if let Some((promise, case)) = broken {
            seen.break_promise(promise, case);
        }
        seen.late_puts += u64::from(late_put);
        if matches!(part, Part::Hot | Part::Cold) {
            seen.recent
                .push_back((Instant::now(), part, outcome == "200"));
            if whole {
                seen.took.saturating_record(took.as_micros() as u64);
            }
        }
        *seen.outcomes.entry((part, outcome)).or_default() += 1;
    }

    /// Changes a key at the origin, and then removes it from the cluster or puts the new value
    /// there.
    async fn write(self, front_door: FrontDoor, key: usize, put: bool) {
        let Some(writing) = self.ledger.write(key) else {
            return;
        };
        let name = hot_key(key);
        let target = format!("/v1/scores/{}", escape(name.as_bytes()));
        let (method, body) = if put {
            let value = render(&name, writing.version, By::Put);
            (Method::PUT, String::from_utf8(value).unwrap())
        } else {
            (Method::DELETE, String::new())
        };
        let sending = self.client.send(method, front_door.admin, &target, body);
        let done = timeout(Duration::from_secs(5), sending).await;
        let told_all = matches!(&done, Ok(Ok(answer)) if answer.status == 200);
        let what = match (put, told_all) {
            (true, true) => "puts acknowledged",
            (true, false) => "puts not acknowledged",
            (false, true) => "removals acknowledged",
            (false, false) => "removals with missed nodes, or failed",
        };
        if told_all {
            writing.acknowledged();
        } else if put {
            writing.put_in_doubt();
        }
        *self.seen.lock().unwrap().writes.entry(what).or_default() += 1;
    }
}
