//! What the port has done.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What the port has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that are open now.
    pub open: usize,
    /// Connections that were served.
    pub accepted: u64,
    /// Connections that were refused, as there were too many.
    pub refused: u64,
    /// Connections that were closed as their time was over.
    pub timed_out: u64,
    /// Requests for values and what is known of them.
    pub reads: u64,
    /// Requests that put or remove values.
    pub writes: u64,
    /// All other requests, those that are not known included.
    pub others: u64,
    /// Errors that were answered, of each key for itself.
    pub errors: u64,
    /// Passwords that were wrong.
    pub denied: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) open: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) denied: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    others: AtomicU64,
    errors: AtomicU64,
}

/// What a connection has counted since it last told, so that a request costs no shared write.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) others: u64,
}

impl Counters {
    pub(crate) fn add(&self, untold: &mut Untold, errors: &mut u64) {
        let Untold {
            reads,
            writes,
            others,
        } = std::mem::take(untold);
        let add = |to: &AtomicU64, n: u64| {
            if n > 0 {
                to.fetch_add(n, Relaxed);
            }
        };
        add(&self.reads, reads);
        add(&self.writes, writes);
        add(&self.others, others);
        add(&self.errors, std::mem::take(errors));
    }

    pub(crate) fn snapshot(&self) -> Counts {
        Counts {
            open: self.open.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            reads: self.reads.load(Relaxed),
            writes: self.writes.load(Relaxed),
            others: self.others.load(Relaxed),
            errors: self.errors.load(Relaxed),
            denied: self.denied.load(Relaxed),
        }
    }
}
