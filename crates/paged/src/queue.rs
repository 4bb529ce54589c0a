/// Where in the order a block is, as in S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", 2023).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queue {
    /// Entries that were stored of late, and have yet to be used.
    Small,
    /// Entries that were used, or that came back soon after they had left.
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
