//! What a program keeps of its log.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing::dispatcher::WeakDispatch;

use super::level::Level;
use super::limit::Limiter;
use super::line::summarize;
use super::queue::Queue;
use super::{LogError, parse};

/// A log that a thread of its own writes: its level, its counts, and the wait for its last lines.
/// Clones speak of the same log.
#[derive(Clone)]
pub struct Log {
    pub(super) queue: Arc<Queue>,
    pub(super) limiter: Option<Arc<Limiter>>,
    pub(super) level: Level,
    /// The subscriber that the log is a part of, once there is one.
    pub(super) dispatch: Arc<OnceLock<WeakDispatch>>,
}

impl Log {
    /// Has lines of another level written from now on: what
    /// [`LogOptions::level`](super::LogOptions::level) takes. Events that are being written go on.
    ///
    /// # Errors
    ///
    /// If the level cannot be read, or nothing logs to this log any more. Then all stays as it is.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        self.level.set(parse(level)?)
    }

    /// Lines that nobody will see, since the start: the queue was full, or the writer failed.
    pub fn lines_lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Events that became no line because others of their kind had been written in the same
    /// interval ([`LogOptions::interval`](super::LogOptions::interval)), since the start. Lines
    /// tell them as `left_out`.
    pub fn lines_left_out(&self) -> u64 {
        self.limiter
            .as_ref()
            .map_or(0, |limiter| limiter.left_out())
    }

    /// Tells what was left out and no line has told yet, then waits until all lines are written,
    /// but no longer than `within`. Returns whether they are. For the end of a program, on a
    /// thread that may block.
    pub fn flush(&self, within: Duration) -> bool {
        self.summarize(true);
        self.queue.flush(within)
    }

    /// Tells what was left out, of kinds whose interval is over, or of all.
    pub(super) fn summarize(&self, all: bool) {
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        let (Some(limiter), Some(dispatch)) = (&self.limiter, dispatch) else {
            return;
        };
        for summary in limiter.due(all, Instant::now()) {
            summarize(&dispatch, &summary);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("lines_lost", &self.lines_lost())
            .field("lines_left_out", &self.lines_left_out())
            .finish_non_exhaustive()
    }
}
