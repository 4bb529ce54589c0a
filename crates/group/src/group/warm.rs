//! Loads keys before they are requested, for example after a restart, with the keys of the last
//! run.
//!
//! A load by warming is like any other: in a flight that callers join, from the node that kept the
//! key before or from the origin, in a slot of the limiter. Warming differs in when it begins one:
//! only while the origin has capacity to spare.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use gaggle_limiter::BreakerState;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::flight::PolledBy;
use super::many::Batches;
use super::{Group, Inner};
use crate::settings::AGES;
use crate::warm::WarmResult;
use crate::{Cursor, Key, WarmEnd, WarmOptions, WarmStats, Warmed};

/// The most keys of one request, if the origin takes several.
const MOST_TOGETHER: usize = 64;

/// How soon to check again for room, while callers use it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long to pause after a load was shed, whichever caller wanted it, or a load by warming
/// failed.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// After how many keys that need no load other tasks get a chance to run.
const YIELD_EVERY: u64 = 128;

impl Group {
    /// The keys of fresh values that this node keeps as their owner, and the cursor to continue
    /// with. The first are those that it would evict last, as far as its store knows. Begins with
    /// [`Cursor::default`]; without a cursor, it has ended. Neither counted nor a use.
    ///
    /// A call returns at most `most` keys (zero is taken as one), whose values have up to
    /// `most_bytes` together, or a single one; it may return fewer, or none, although there are
    /// more. It is synchronous and takes about a millisecond for each thousand keys. See
    /// [`Store::scan`](crate::Store::scan).
    pub fn kept_keys(
        &self,
        from: Cursor,
        most: usize,
        most_bytes: u64,
    ) -> (Vec<Key>, Option<Cursor>) {
        let (entries, next) = self.inner.tiers.main.scan(from, most, most_bytes);
        (entries.into_iter().map(|(key, _)| key).collect(), next)
    }

    /// Loads the keys that this node owns and does not have, in their order, in the background:
    /// callers go first.
    ///
    /// - It uses at most [an eighth](WarmOptions::one_in) of the origin's slots, and begins a load
    ///   only while fewer than half of all slots are taken, no caller waits for one and the
    ///   circuit breaker is closed. It pauses for a second when a load was shed, or one of its own
    ///   has failed. A load that it has begun is finished: if the origin has a single slot, a
    ///   caller may have to wait for that one.
    /// - If the origin [takes several keys](crate::Origin::max_batch), up to 64 of them are one
    ///   request.
    /// - It ends when the keys end, when the group is full (later keys are less valuable), or when
    ///   it has taken [too long](WarmOptions::within). If it is dropped, it begins no more loads.
    /// - While the breaker is open it waits for callers to find out whether the origin is back.
    ///
    /// Loads by warming are no gets. [`Stats::warm`](crate::Stats::warm) has the results of the
    /// keys.
    pub async fn warm(
        &self,
        keys: impl Stream<Item = Key> + Send,
        options: &WarmOptions,
    ) -> Warmed {
        let mut warming = Warming::new(self, options);
        let until = Instant::now() + options.within.min(AGES);
        let run = timeout_at(until, warming.run(keys)).await;
        let end = run.unwrap_or(WarmEnd::OutOfTime);
        Warmed::new(warming.done, end)
    }
}

struct Warming<'a> {
    group: &'a Group,
    pace: Pace,
    one_in: usize,
    /// The evictions for room before this began.
    evicted: u64,
    /// The number of shed loads at the last check.
    shed: u64,
    done: WarmStats,
}

/// When the next request may begin.
struct Pace {
    each: Duration,
    next: Instant,
}

/// Whether a request may begin now.
enum Room {
    Now,
    /// Not before this time has passed.
    Later(Duration),
    /// When one of the running ones has ended.
    AfterOne,
}

impl<'a> Warming<'a> {
    fn new(group: &'a Group, options: &WarmOptions) -> Self {
        Self {
            group,
            pace: Pace {
                each: Duration::from_secs(1) / options.keys_per_second.max(1),
                next: Instant::now(),
            },
            one_in: options.one_in.max(1),
            evicted: evicted_for_room(group),
            shed: group.inner.counters.shed.load(Relaxed),
            done: WarmStats::default(),
        }
    }

    async fn run(&mut self, keys: impl Stream<Item = Key> + Send) -> WarmEnd {
        let mut keys = pin!(keys);
        let mut open = FuturesUnordered::new();
        let end = loop {
            let batch = self.next_batch(&mut keys).await;
            if batch.is_empty() {
                break WarmEnd::NoMoreKeys;
            }
            loop {
                let ended = match self.room(open.len()) {
                    Room::Now => break,
                    Room::AfterOne => open.next().await,
                    Room::Later(wait) if open.is_empty() => {
                        sleep(wait).await;
                        None
                    }
                    Room::Later(wait) => timeout(wait, open.next()).await.ok().flatten(),
                };
                self.count(ended.unwrap_or_default());
            }
            if evicted_for_room(self.group) > self.evicted {
                break WarmEnd::Full;
            }
            self.pace.begin(batch.len());
            open.push(load(&self.group.inner, &batch));
        };
        while let Some(ended) = open.next().await {
            self.count(ended);
        }
        end
    }

    /// The next keys to be loaded, for one request. None if there are no more.
    async fn next_batch(&mut self, keys: &mut (impl Stream<Item = Key> + Unpin)) -> Vec<Key> {
        let most = self.group.inner.origin.max_batch().clamp(1, MOST_TOGETHER);
        let mut batch = Vec::new();
        while batch.len() < most {
            let Some(key) = keys.next().await else {
                break;
            };
            if self.group.inner.is_to_be_warmed(&key) {
                batch.push(key);
            } else {
                self.count(vec![WarmResult::Skipped]);
                if self.done.skipped.is_multiple_of(YIELD_EVERY) {
                    yield_now().await;
                }
            }
        }
        batch
    }

    /// Whether another request may begin, with `open` running.
    fn room(&mut self, open: usize) -> Room {
        let inner = &self.group.inner;
        let shed = inner.counters.shed.load(Relaxed);
        if shed != self.shed {
            self.shed = shed;
            self.pace.pause(AFTER_TROUBLE);
        }
        let limiter = inner.origin_limiter.stats();
        let most_flights = inner.settings().limits.max_loads;
        let is_calm = limiter.queued == 0
            && limiter.breaker == BreakerState::Closed
            && limiter.in_use < half(limiter.limit)
            && inner.counters.in_flight.load(Relaxed) < half(most_flights);
        if open > 0 && open >= limiter.limit / self.one_in {
            return Room::AfterOne;
        }
        match self.pace.wait() {
            Some(wait) => Room::Later(wait),
            None if is_calm => Room::Now,
            None => Room::Later(LOOK_AGAIN),
        }
    }

    fn count(&mut self, results: Vec<WarmResult>) {
        for result in results {
            // Each of these costs a key that is more valuable than later ones.
            if result == WarmResult::Failed {
                self.pace.pause(AFTER_TROUBLE);
            }
            self.done.count(result);
            self.group.inner.counters.warm.count(result);
        }
    }
}

impl Pace {
    /// A request with this many keys begins.
    fn begin(&mut self, keys: usize) {
        let keys = u32::try_from(keys).unwrap_or(u32::MAX);
        // Time without a load is not made up for.
        self.next = self.next.max(Instant::now()) + self.each.saturating_mul(keys);
    }

    fn pause(&mut self, pause: Duration) {
        self.next = self.next.max(Instant::now() + pause);
    }

    /// How long to wait, if at all.
    fn wait(&self) -> Option<Duration> {
        let wait = self.next.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }
}

impl Inner {
    fn is_to_be_warmed(&self, key: &Key) -> bool {
        self.check_key(key).is_ok() && self.router().is_mine(key) && self.tiers.peek(key).is_none()
    }
}

/// Starts or joins the loads of these keys, in one request if the origin takes several.
fn load(inner: &Arc<Inner>, keys: &[Key]) -> impl Future<Output = Vec<WarmResult>> + Send + use<> {
    let mut batches = Batches::default();
    let begun: Vec<_> = keys
        .iter()
        .map(|key| {
            let batch = inner.loads_together().then(|| batches.loads());
            inner.join_load(key, batch, false, PolledBy::Task)
        })
        .collect();
    async move {
        let outcomes = join_all(begun).await;
        let results = outcomes.into_iter().map(|outcome| match outcome {
            Ok(Ok(answer)) if answer.value.is_some() => WarmResult::Loaded,
            Ok(Ok(_)) => WarmResult::Absent,
            Ok(Err(_)) | Err(_) => WarmResult::Failed,
        });
        results.collect()
    }
}

fn evicted_for_room(group: &Group) -> u64 {
    let stats = group.stats();
    stats.main.store.evicted_capacity + stats.hot.store.evicted_capacity
}

/// Half, but at least one.
fn half(of: usize) -> usize {
    (of / 2).max(1)
}
