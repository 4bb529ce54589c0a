//! When connections end: each has one deadline, and the server looks at all of them now and then.
//! A timer of each would cost more memory than the rest of an idle connection, and a call per
//! request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time since the server began, in milliseconds, as of its last look.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, now: Duration) {
        self.0.store(millis(now), Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the server knows of a connection.
#[derive(Debug)]
pub(crate) struct Slot {
    deadline: AtomicU64,
    /// Whether it waits for a request of which nothing has come.
    idle: AtomicBool,
}

impl Slot {
    pub(crate) fn new(deadline: u64) -> Self {
        Self {
            deadline: AtomicU64::new(deadline),
            idle: AtomicBool::new(false),
        }
    }

    pub(crate) fn idle_until(&self, deadline: u64) {
        self.deadline.store(deadline, Relaxed);
        self.idle.store(true, Relaxed);
    }

    pub(crate) fn busy_until(&self, deadline: u64) {
        self.deadline.store(deadline, Relaxed);
        self.idle.store(false, Relaxed);
    }

    /// Until its answer is there, which has a time of its own.
    pub(crate) fn busy(&self) {
        self.busy_until(u64::MAX);
    }

    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.deadline.load(Relaxed) < now
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Relaxed)
    }
}
