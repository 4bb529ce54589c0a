//! How long a client waits, as its `Request-Timeout` says.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Error, Group};
use tokio::time::{Instant, timeout_at};

/// The time that a client waits, and when it is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    until: Instant,
    wait: Duration,
}

impl Patience {
    /// From now on. `None` if that is longer than a clock can tell.
    pub(crate) fn of(wait: Duration) -> Option<Self> {
        let until = Instant::now().checked_add(wait)?;
        Some(Self { until, wait })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// The error for a client whose time is over.
    pub(crate) fn late(&self, group: &Group) -> Error {
        Error::Deadline {
            group: Arc::clone(group.name()),
            after: self.wait,
        }
    }

    /// The result of `work`, if it is there in time. Work that is ready at once always is.
    pub(crate) async fn bound<T>(
        &self,
        group: &Group,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let done = timeout_at(self.until, work).await;
        done.map_err(|_| self.late(group))
    }
}
