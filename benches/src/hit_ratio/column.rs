use super::crates::{Foyer, GaggleLru, Moka, Paged, Quick};
use super::models::{Gdsf, Lru, Optimum, S3Fifo, TinyLfu};
use super::{Policy, Trace};

/// What a table has a column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The most hits that any policy can have; for entries of one size only.
    Optimum,
    /// Strict LRU.
    Lru,
    /// Greedy-Dual-Size-Frequency; for true sizes only.
    Gdsf,
    /// W-TinyLFU with a window of 1 %; for entries of one size only.
    TinyLfu1,
    /// W-TinyLFU with a window of 10 %; for entries of one size only.
    TinyLfu10,
    /// S3-FIFO with a small queue of 10 %; for entries of one size only.
    S3Fifo,
    /// S3-FIFO that fills main first; for entries of one size only.
    S3FifoFill,
    /// `quick_cache`.
    Quick,
    /// `moka`.
    Moka,
    /// `foyer-memory` with S3-FIFO.
    Foyer,
    /// `gaggle_paged::PagedCache`; with true sizes it pays for its bookkeeping out of the same
    /// bytes.
    Paged,
    /// The same with room for as many bytes of values as the others have; for true sizes only.
    PagedPayload,
    /// `gaggle_lru::Cache`; for entries of one size only.
    GaggleLru,
}

impl Column {
    /// Those of the tables at equal sizes.
    pub const OF_ENTRIES: [Self; 11] = [
        Self::Optimum,
        Self::Lru,
        Self::TinyLfu1,
        Self::TinyLfu10,
        Self::S3Fifo,
        Self::S3FifoFill,
        Self::Quick,
        Self::Moka,
        Self::Foyer,
        Self::Paged,
        Self::GaggleLru,
    ];

    /// Those of the tables with true sizes.
    pub const OF_BYTES: [Self; 7] = [
        Self::Lru,
        Self::Gdsf,
        Self::Quick,
        Self::Moka,
        Self::Foyer,
        Self::Paged,
        Self::PagedPayload,
    ];

    /// Its heading, and its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Optimum => "optimum",
            Self::Lru => "lru",
            Self::Gdsf => "gdsf",
            Self::TinyLfu1 => "w-tinylfu-1",
            Self::TinyLfu10 => "w-tinylfu-10",
            Self::S3Fifo => "s3-fifo",
            Self::S3FifoFill => "s3-fifo-fill",
            Self::Quick => "quick_cache",
            Self::Moka => "moka",
            Self::Foyer => "foyer",
            Self::Paged => "paged",
            Self::PagedPayload => "paged-payload",
            Self::GaggleLru => "gaggle-lru",
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = Self::OF_ENTRIES.into_iter().chain(Self::OF_BYTES);
        all.find(|column| column.name() == name)
    }

    /// Empty, with room for so many entries whatever their size.
    ///
    /// # Panics
    ///
    /// If it is for true sizes only.
    #[must_use]
    pub fn of_entries(self, trace: &Trace, entries: usize) -> Box<dyn Policy> {
        match self {
            Self::Optimum => Box::new(Optimum::of_entries(trace, entries)),
            Self::Lru => Box::new(Lru::of_entries(entries)),
            Self::TinyLfu1 => Box::new(TinyLfu::of_entries(entries, 1)),
            Self::TinyLfu10 => Box::new(TinyLfu::of_entries(entries, 10)),
            Self::S3Fifo => Box::new(S3Fifo::of_entries(entries)),
            Self::S3FifoFill => Box::new(S3Fifo::with_fill(entries)),
            Self::Quick => Box::new(Quick::of_entries(entries)),
            Self::Moka => Box::new(Moka::of_entries(entries)),
            Self::Foyer => Box::new(Foyer::of_entries(entries)),
            Self::Paged => Box::new(Paged::of_entries(entries)),
            Self::GaggleLru => Box::new(GaggleLru::of_entries(entries)),
            Self::Gdsf | Self::PagedPayload => unreachable!("{} is for true sizes", self.name()),
        }
    }

    /// Empty, with room for so many bytes of the trace's values.
    ///
    /// # Panics
    ///
    /// If it is for entries of one size only.
    #[must_use]
    pub fn of_bytes(self, trace: &Trace, capacity: u64) -> Box<dyn Policy> {
        match self {
            Self::Lru => Box::new(Lru::of_bytes(capacity)),
            Self::Gdsf => Box::new(Gdsf::of_bytes(capacity)),
            Self::Quick => Box::new(Quick::of_bytes(capacity, expected(trace, capacity))),
            Self::Moka => Box::new(Moka::of_bytes(capacity)),
            Self::Foyer => Box::new(Foyer::of_bytes(capacity)),
            Self::Paged => Box::new(Paged::of_bytes(trace, capacity)),
            Self::PagedPayload => Box::new(Paged::of_payload(trace, capacity)),
            Self::Optimum
            | Self::TinyLfu1
            | Self::TinyLfu10
            | Self::S3Fifo
            | Self::S3FifoFill
            | Self::GaggleLru => unreachable!("{} is for entries of one size", self.name()),
        }
    }
}

/// How many values of mean size these bytes have room for.
fn expected(trace: &Trace, capacity: u64) -> usize {
    let mean = (trace.footprint() / (trace.keys() as u64).max(1)).max(1);
    usize::try_from(capacity / mean)
        .unwrap_or(usize::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::replay;

    #[test]
    fn every_column_is_found_by_its_name() {
        for column in Column::OF_ENTRIES.into_iter().chain(Column::OF_BYTES) {
            assert_eq!(Column::of_name(column.name()), Some(column));
        }
        assert_eq!(Column::of_name("fifo"), None);
    }

    #[test]
    fn with_room_for_every_key_all_but_the_first_accesses_are_hits() {
        let trace = Trace::of((0..1_000).map(|n| (n % 50, 10)));
        for column in Column::OF_ENTRIES {
            let tally = replay(&trace, column.of_entries(&trace, 2_000).as_mut());
            assert_eq!(tally.hits(), 950, "{}", column.name());
        }
        for column in Column::OF_BYTES {
            let tally = replay(&trace, column.of_bytes(&trace, 1 << 20).as_mut());
            assert_eq!(tally.hits(), 950, "{}", column.name());
        }
    }
}
