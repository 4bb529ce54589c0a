use bytes::Bytes;
use gaggle_paged::{Options, PagedCache, Xxh3State};

use super::default_shards;
use crate::hit_ratio::{Access, Policy, Trace};

/// `gaggle_paged::PagedCache` with keys of 8 bytes and values of zeros.
pub struct Paged {
    cache: PagedCache,
    /// As long as the longest value.
    zeros: Bytes,
    /// Every value is of 100 bytes, whatever size the trace states.
    unit: bool,
}

const SEED: u64 = 1;
const UNIT: Bytes = Bytes::from_static(&[0; 100]);

impl Paged {
    /// For values of 100 bytes: the least capacity that holds so many entries on average, once it
    /// is full, of keys in a row. As many shards as it gives itself on two cores.
    #[must_use]
    pub fn of_entries(entries: usize) -> Self {
        Self::of_units(Self::capacity_for(entries), None)
    }

    /// For values of 100 bytes: room for so many entries as [`of_entries`](Self::of_entries) has,
    /// in so many shards.
    #[must_use]
    pub fn with_shards(entries: usize, shards: usize) -> Self {
        Self::of_units(Self::capacity_for(entries), Some(shards))
    }

    /// For values of the trace's sizes: a capacity in bytes that pays for bookkeeping too.
    #[must_use]
    pub fn of_bytes(trace: &Trace, capacity: u64) -> Self {
        let longest = trace.accesses().iter().map(|access| access.size).max();
        Self {
            cache: new(capacity, None),
            zeros: vec![0; longest.unwrap_or(0) as usize].into(),
            unit: false,
        }
    }

    /// For values of the trace's sizes: the capacity with which it holds `payload` bytes of values
    /// on average over the second half of the trace, within half a percent.
    #[must_use]
    pub fn of_payload(trace: &Trace, payload: u64) -> Self {
        let mut capacity = payload;
        for _ in 0..MAX_STEPS {
            let held = Self::of_bytes(trace, capacity).mean_payload(trace);
            if held == 0 || held.abs_diff(payload) <= payload / 200 {
                break;
            }
            capacity = scale(capacity, payload, held);
        }
        Self::of_bytes(trace, capacity)
    }

    fn of_units(capacity: u64, shards: Option<usize>) -> Self {
        Self {
            cache: new(capacity, shards),
            zeros: UNIT,
            unit: true,
        }
    }

    fn capacity_for(entries: usize) -> u64 {
        let (mut low, mut high) = (0, 1_000 * entries as u64);
        while high - low > entries as u64 {
            let middle = low.midpoint(high);
            if holds(middle, entries) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// The mean of some moments in the second half of the trace.
    fn mean_payload(mut self, trace: &Trace) -> u64 {
        let (first, second) = trace.accesses().split_at(trace.accesses().len() / 2);
        for &access in first {
            self.access(access);
        }
        let (mut sum, mut moments) = (0, 0);
        for part in second.chunks(second.len().div_ceil(MOMENTS).max(1)) {
            for &access in part {
                self.access(access);
            }
            sum += self.payload(trace.keys() as u64);
            moments += 1;
        }
        sum / moments.max(1)
    }

    /// The bytes of the values that it holds, of the keys below this number.
    fn payload(&self, keys: u64) -> u64 {
        let held = (0..keys).filter_map(|key| self.cache.peek(&key.to_be_bytes()));
        held.map(|hit| hit.value.len() as u64).sum()
    }
}

/// In which the capacity for a payload is approached.
const MAX_STEPS: usize = 8;
/// In which the payload is summed up.
const MOMENTS: usize = 8;

fn new(capacity: u64, shards: Option<usize>) -> PagedCache {
    let options = Options {
        capacity,
        shards: Some(shards.unwrap_or_else(|| default_shards(capacity))),
        ..Options::default()
    };
    PagedCache::with_hasher(options, Xxh3State::with_seed(SEED))
}

/// On average over the third time that it takes so many keys, as it evicts by the page.
fn holds(capacity: u64, entries: usize) -> bool {
    let cache = new(capacity, None);
    let mut held = 0;
    for n in 0..3 * entries {
        cache.insert(&n.to_be_bytes(), UNIT);
        held += if n < 2 * entries { 0 } else { cache.len() };
    }
    held >= entries * entries
}

/// `n * by / from` without a loss on the way.
fn scale(n: u64, by: u64, from: u64) -> u64 {
    let scaled = u128::from(n) * u128::from(by) / u128::from(from.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

impl Policy for Paged {
    fn access(&mut self, access: Access) -> bool {
        let key = access.key.to_be_bytes();
        let hit = self.cache.get_with(&key, |_| ()).is_some();
        if !hit {
            let value = if self.unit {
                self.zeros.clone()
            } else {
                self.zeros.slice(..access.size as usize)
            };
            self.cache.insert(&key, value);
        }
        hit
    }
}
