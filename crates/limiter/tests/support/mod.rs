//! An origin with a few slots and a queue of its own, and an open-loop load on it, both under
//! paused time.

#![allow(dead_code, reason = "each test program uses a part")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gaggle_limiter::{Limiter, Refused};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// How the origin behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// Each piece of work takes that long in its slot.
    Takes(Duration),
    /// Like `Takes`, multiplied by the excess over this many in the slots.
    Strained { alone: Duration, beyond: usize },
    /// Answers nothing until the mode changes.
    Hangs,
    /// Never answers work that arrived during it, nor continues that work once the mode has
    /// changed.
    Loses,
    /// Fails after that long in its slot.
    Fails(Duration),
    /// Fails at once, without a slot.
    Refuses,
}

/// What the origin does with work that its caller has dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Abandoned {
    Dropped,
    Finished,
}

#[derive(Clone)]
pub(crate) struct Origin {
    shared: Arc<Shared>,
    abandoned: Abandoned,
}

struct Shared {
    slots: Semaphore,
    mode: watch::Sender<Mode>,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    working: AtomicUsize,
}

/// Counts the origin's work, waiting or not.
struct Inside(Arc<Shared>);

impl Inside {
    fn new(shared: &Arc<Shared>) -> Self {
        let now = shared.inside.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_inside.fetch_max(now, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Origin {
    pub(crate) fn new(slots: usize, mode: Mode, abandoned: Abandoned) -> Self {
        Self {
            shared: Arc::new(Shared {
                slots: Semaphore::new(slots),
                mode: watch::Sender::new(mode),
                inside: AtomicUsize::new(0),
                most_inside: AtomicUsize::new(0),
                working: AtomicUsize::new(0),
            }),
            abandoned,
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// The most work that it had at the same time.
    pub(crate) fn most_inside(&self) -> usize {
        self.shared.most_inside.load(Ordering::Relaxed)
    }

    /// One piece of work.
    pub(crate) fn work(&self) -> impl Future<Output = Result<(), ()>> + Send + use<> {
        let (shared, abandoned) = (Arc::clone(&self.shared), self.abandoned);
        async move {
            let work = serve(shared);
            match abandoned {
                Abandoned::Dropped => work.await,
                Abandoned::Finished => {
                    let (answer, answered) = oneshot::channel();
                    tokio::spawn(async move {
                        let _ = answer.send(work.await);
                    });
                    answered.await.unwrap_or(Err(()))
                }
            }
        }
    }

    /// Pieces a second, with all slots busy all the time: the reference for goodput.
    pub(crate) async fn capacity(&self, workers: usize) -> f64 {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let origin = self.clone();
                tokio::spawn(async move {
                    let mut done = 0_u32;
                    while begun.elapsed() < Duration::from_secs(2) {
                        origin.work().await.unwrap();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        f64::from(done) / begun.elapsed().as_secs_f64()
    }
}

async fn serve(shared: Arc<Shared>) -> Result<(), ()> {
    let inside = Inside::new(&shared);
    let mut mode = shared.mode.subscribe();
    if *mode.borrow() == Mode::Refuses {
        return Err(());
    }
    let slot = shared.slots.acquire().await.unwrap();
    if *mode.borrow() == Mode::Loses {
        mode.wait_for(|mode| *mode != Mode::Loses).await.unwrap();
        drop((slot, inside));
        return std::future::pending().await;
    }
    let now = *mode.wait_for(|mode| *mode != Mode::Hangs).await.unwrap();
    match now {
        Mode::Takes(time) => sleep(time).await,
        Mode::Strained { alone, beyond } => {
            let working = shared.working.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(alone.mul_f64((working as f64 / beyond as f64).max(1.0))).await;
            shared.working.fetch_sub(1, Ordering::Relaxed);
        }
        Mode::Fails(time) => {
            sleep(time).await;
            return Err(());
        }
        Mode::Hangs | Mode::Loses | Mode::Refuses => return Err(()),
    }
    drop((slot, inside));
    Ok(())
}

/// The result of one caller, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) came: Instant,
    pub(crate) ended: Instant,
    pub(crate) got: Got,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Value,
    Failure,
    Late,
    Busy,
    Open,
    Unwanted,
}

impl Seen {
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.came
    }
}

/// All results.
pub(crate) struct Seens(pub(crate) Vec<Seen>);

impl Seens {
    pub(crate) fn got(&self, got: Got) -> impl Iterator<Item = &Seen> {
        self.0.iter().filter(move |seen| seen.got == got)
    }

    /// The callers that arrived between two times.
    pub(crate) fn came(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Seen> {
        self.0
            .iter()
            .filter(move |seen| (from..to).contains(&seen.came))
    }

    /// Values a second between two times.
    pub(crate) fn goodput(&self, from: Instant, to: Instant) -> f64 {
        let values = self
            .got(Got::Value)
            .filter(|seen| (from..to).contains(&seen.ended))
            .count();
        values as f64 / (to - from).as_secs_f64()
    }

    /// The share `q` of the callers with this result took at most this long.
    pub(crate) fn quantile(&self, got: &[Got], q: f64) -> Duration {
        let mut took: Vec<_> = self
            .0
            .iter()
            .filter(|seen| got.contains(&seen.got))
            .map(Seen::took)
            .collect();
        took.sort_unstable();
        let beyond = took.len() as f64 * (1.0 - q);
        // The first after which at most this many arrive.
        (0..took.len())
            .find(|at| (took.len() - 1 - at) as f64 <= beyond)
            .map_or(Duration::ZERO, |at| took[at])
    }
}

/// Sends `rate` pieces a second, at random times, for `length`; resolves once all of them have
/// ended.
pub(crate) async fn load(
    limiter: &Limiter,
    origin: &Origin,
    rate: f64,
    length: Duration,
    deadline: Duration,
) -> Seens {
    let (send, mut receive) = mpsc::unbounded_channel();
    let mut random = fastrand::Rng::with_seed(7);
    let end = Instant::now() + length;
    let mut ticks = interval(MS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut wait = 0.0;
    while Instant::now() < end {
        ticks.tick().await;
        wait -= 1.0;
        while wait < 0.0 {
            // Exponential gaps, in milliseconds.
            wait += -(1.0 - random.f64()).ln() * 1_000.0 / rate;
            tokio::spawn(one(limiter.clone(), origin.clone(), deadline, send.clone()));
        }
    }
    drop(send);
    let mut seen = Vec::new();
    while let Some(one) = receive.recv().await {
        seen.push(one);
    }
    Seens(seen)
}

pub(crate) async fn one(
    limiter: Limiter,
    origin: Origin,
    deadline: Duration,
    send: mpsc::UnboundedSender<Seen>,
) {
    let came = Instant::now();
    let got = match limiter.acquire(|| true).await {
        Ok(permit) => match permit.run(deadline, origin.work(), Result::is_err).await {
            Ok(Ok(())) => Got::Value,
            Ok(Err(())) => Got::Failure,
            Err(_late) => Got::Late,
        },
        Err(Refused::Busy { .. }) => Got::Busy,
        Err(Refused::Open { .. }) => Got::Open,
        Err(_) => Got::Unwanted,
    };
    let ended = Instant::now();
    let _ = send.send(Seen { came, ended, got });
}
