//! Log lines about a source that cannot be followed, without a line for each attempt.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::FeedError;

/// A lasting condition is logged once in this time.
const EVERY: Duration = Duration::from_secs(60);
/// A source that another node holds for longer than this is logged.
const HELD_FOR: Duration = Duration::from_secs(10);

pub(crate) struct Complaints {
    group: Arc<str>,
    warned: Option<Instant>,
    told_held: Option<Instant>,
    /// The first of the latest attempts that all found the source held by another node.
    held_since: Option<Instant>,
    /// Whether a warning was logged whose end has to be logged as well.
    owed: bool,
}

impl Complaints {
    pub(crate) fn new(group: Arc<str>) -> Self {
        Self {
            group,
            warned: None,
            told_held: None,
            held_since: None,
            owed: false,
        }
    }

    /// The source was lost, or could not be reached.
    pub(crate) fn failed(&mut self, error: &FeedError) {
        self.held_since = None;
        if is_due(&mut self.warned) {
            self.owed = true;
            warn!(group = %self.group, %error, "the group's source cannot be followed; trying again");
        } else {
            debug!(group = %self.group, %error, "the group's source cannot be followed");
        }
    }

    /// Another node holds the source. Returns whether it has done so for long.
    pub(crate) fn held(&mut self, error: &FeedError) -> bool {
        let long = self.held_since.get_or_insert_with(Instant::now).elapsed() >= HELD_FOR;
        if long && is_due(&mut self.told_held) {
            info!(group = %self.group, %error, "another node still follows the group's source");
        } else {
            debug!(group = %self.group, %error, "another node follows the group's source");
        }
        long
    }

    /// The source is followed.
    pub(crate) fn over(&mut self) {
        self.held_since = None;
        if std::mem::take(&mut self.owed) {
            info!(group = %self.group, "the group's source is followed again");
        }
    }

    /// This node no longer follows, so what another node does is not logged here.
    pub(crate) fn not_ours(&mut self) {
        self.held_since = None;
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= EVERY);
    if due {
        *last = Some(Instant::now());
    }
    due
}
