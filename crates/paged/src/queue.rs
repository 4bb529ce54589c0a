/// The queue of a block, as in S3-FIFO (Yang et al., "FIFO queues are all you need for cache
/// eviction", 2023).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queue {
    /// Entries that were stored recently, and not used yet.
    Small,
    /// Entries that were used, or were inserted again soon after they had been evicted.
    Main,
}

impl Queue {
    pub(crate) const BOTH: [Self; 2] = [Self::Small, Self::Main];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Small => Self::Main,
            Self::Main => Self::Small,
        }
    }
}
