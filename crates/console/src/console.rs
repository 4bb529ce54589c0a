//! The handle, and the task that samples.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaggle_group::Groups;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::events::Watcher;
use crate::history::{INTERVAL, Sampler};
use crate::{Event, History};

/// How often a node is checked for events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The last hour of a node. A cheap-clone handle; all clones are one.
#[derive(Clone)]
pub struct Console {
    inner: Arc<Inner>,
}

struct Inner {
    groups: Groups,
    /// In seconds of Unix time.
    started: f64,
    began: Instant,
    kept: Mutex<Kept>,
}

struct Kept {
    sampler: Sampler,
    sampled: Instant,
    watcher: Watcher,
}

impl Console {
    /// The console of the node that serves these groups and starts now. Nothing is sampled until
    /// it [runs](Self::run).
    #[must_use]
    pub fn new(groups: Groups) -> Self {
        let began = Instant::now();
        let kept = Kept {
            sampler: Sampler::new(&groups),
            sampled: began,
            watcher: Watcher::new(&groups),
        };
        Self {
            inner: Arc::new(Inner {
                groups,
                started: unix_time(),
                began,
                kept: Mutex::new(kept),
            }),
        }
    }

    /// Samples for as long as it is polled. One task is enough for all clones.
    pub async fn run(&self) {
        let mut looks = interval(LOOK_EVERY);
        // After a pause, one check finds as much as many.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let mut kept = self.kept();
        let groups = &self.inner.groups;
        kept.watcher.look(groups, unix_time());
        let passed = kept.sampled.elapsed();
        if passed >= INTERVAL {
            kept.sampled += passed;
            kept.sampler.sample(groups, passed);
        }
    }

    /// When the node started, in seconds of Unix time by its own clock.
    #[must_use]
    pub fn started(&self) -> f64 {
        self.inner.started
    }

    /// How long it has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.inner.began.elapsed()
    }

    /// The last hour of all groups together and of each group, or of only one of the groups.
    #[must_use]
    pub fn history(&self, only: Option<&str>) -> History {
        self.kept().sampler.history(unix_time(), only)
    }

    /// The last events, the newest first: at most that many, and never more than 200.
    #[must_use]
    pub fn events(&self, most: usize) -> Vec<Event> {
        self.kept().watcher.events(most)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        let kept = self.inner.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("started", &self.inner.started)
            .finish_non_exhaustive()
    }
}

fn unix_time() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
