//! Waits for the membership to settle.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::{Discovery, Peers};

/// How often it checks.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// The least time that a node has to find itself in a list.
const FINDS_ITSELF: Duration = Duration::from_secs(2);

/// How the wait for the membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// All listed nodes have answered or are down, and no more have been added for a while.
    Yes,
    /// The time is over; some nodes have not answered, or the list still changes.
    Late,
    /// This node has not found itself in the list, and has no name.
    Unknown,
}

impl Peers {
    /// Waits until each node of the list has been asked who it is, and, if the list may grow,
    /// until it has not grown for [`Options::quiet`](crate::Options); `within` at most. A node
    /// should wait for it before it reports itself ready: otherwise nodes that start together
    /// would each be a ring of its own. This node must answer its peers already, and
    /// [`follow`](Self::follow) must run.
    pub async fn settle(&self, discovery: Option<&dyn Discovery>, within: Duration) -> Settled {
        let grows = discovery.is_some_and(Discovery::grows);
        let settled = async {
            while !self.is_settled(grows) {
                sleep(LOOKS_EVERY).await;
            }
        };
        // To find itself, a node has to ask, however little time is left for the others.
        let within = match self.inner.knows_itself() {
            true => within,
            false => within.max(FINDS_ITSELF),
        };
        let is_in_time = timeout(within, settled).await.is_ok();
        self.inner.membership().has_settled = true;
        if !self.inner.knows_itself() {
            Settled::Unknown
        } else if is_in_time {
            Settled::Yes
        } else {
            Settled::Late
        }
    }

    fn is_settled(&self, grows: bool) -> bool {
        let quiet = self.inner.options.quiet;
        let is_quiet = !grows || self.inner.moved.at().elapsed() >= quiet;
        // Held while a ring is built.
        let Some(membership) = self.inner.try_membership() else {
            return false;
        };
        let mut handles = membership.handles.values();
        let all_asked = membership.is_whole(grows) && handles.all(|peer| peer.is_judged());
        is_quiet && all_asked && self.inner.knows_itself()
    }
}

/// When the membership last changed.
#[derive(Debug)]
pub(crate) struct Moved(std::sync::Mutex<Instant>);

impl Moved {
    pub(crate) fn new() -> Self {
        Self(std::sync::Mutex::new(Instant::now()))
    }

    pub(crate) fn now(&self) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn at(&self) -> Instant {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
