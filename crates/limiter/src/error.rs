//! Why work was not started, or not awaited.

use std::time::Duration;

use thiserror::Error;

/// Why work was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// All slots are taken, and the queue is full or the wait was too long.
    #[error("too much work, try again after {retry_after:?}")]
    #[non_exhaustive]
    Busy {
        /// When a retry makes sense.
        retry_after: Duration,
    },
    /// The work failed too often: the breaker is open.
    #[error("the work fails, try again after {retry_after:?}")]
    #[non_exhaustive]
    Open {
        /// When the breaker admits the next work.
        retry_after: Duration,
    },
    /// The work was no longer wanted when its turn came.
    #[error("the work is no longer wanted")]
    Unwanted,
}

impl Refused {
    /// When a retry makes sense; `None` for unwanted work.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } | Self::Open { retry_after } => Some(*retry_after),
            Self::Unwanted => None,
        }
    }
}

/// The work did not end within its deadline. It continues without its caller, and counts until it
/// ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the work took longer than {deadline:?}")]
#[non_exhaustive]
pub struct Late {
    /// The time that the work was given.
    pub deadline: Duration,
}
