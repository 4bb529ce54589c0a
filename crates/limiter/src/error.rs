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
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// The work failed too often: the breaker is open.
    #[error("the work fails, try again after {retry_after:?}")]
    #[non_exhaustive]
    Open {
        /// When the breaker lets the next work through.
        retry_after: Duration,
    },
    /// Nobody wanted the work any more when its time came.
    #[error("nobody wants the work any more")]
    Unwanted,
}

impl Refused {
    /// When another try makes sense; `None` for what is not wanted.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } | Self::Open { retry_after } => Some(*retry_after),
            Self::Unwanted => None,
        }
    }
}

/// The work did not end within its deadline. It goes on without its caller, and counts until it
/// ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the work took longer than {deadline:?}")]
#[non_exhaustive]
pub struct Late {
    /// The time that the work was given.
    pub deadline: Duration,
}
