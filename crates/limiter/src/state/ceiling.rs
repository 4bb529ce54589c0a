use tokio::time::Instant;

use crate::Limit;
use crate::auto::Auto;

/// The limit, and where it comes from.
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

    /// The same, but for a measurement of what work takes without load. What was given up before
    /// that counts against this one alone.
    pub(super) fn found(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Auto(auto) => auto.found(),
        }
    }
}
