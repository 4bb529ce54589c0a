use tokio::time::Instant;

use crate::Limit;
use crate::auto::Auto;

/// The limit, and its source.
#[derive(Debug)]
pub(super) enum Ceiling {
    Fixed(usize),
    Auto(Auto),
}

impl Ceiling {
    pub(super) fn new(limit: Limit, now: Instant) -> Self {
        match limit {
            Limit::Fixed(limit) => Self::Fixed(limit.max(1)),
            Limit::Auto { most } => Self::Auto(Auto::new(most, now)),
        }
    }

    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Auto(auto) => auto.limit(),
        }
    }

    /// The same, except during a measurement of the latency without load. Work that was cancelled
    /// before that counts against this one only.
    pub(super) fn found(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Auto(auto) => auto.found(),
        }
    }
}
