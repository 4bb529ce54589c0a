use std::thread::available_parallelism;

use crate::Clock;

/// A smaller shard is too small to represent the whole in its order of use.
const MIN_SHARD_BYTES: u64 = 1 << 20;
const MAX_DEFAULT_SHARDS: usize = 64;
/// The most shards of a store.
pub const MAX_SHARDS: usize = 1024;

/// The most bytes of a store: 2^48, which is 256 TiB.
///
/// The sum of a few thousand weights of this size, as concurrent insertions may reach before they
/// have evicted, still fits in 64 bits.
pub const MAX_CAPACITY: u64 = 1 << 48;

/// The options of a cache.
#[derive(Debug, Clone)]
pub struct Options {
    /// The budget in bytes, for payload and overhead together; 64 MiB by default. Values above
    /// 2^48 (256 TiB) are reduced to that. With zero, every value is refused.
    pub capacity: u64,
    /// The number of parts with a lock of their own; rounded up to a power of two, from 1 to 1024.
    /// By default four for each core, but not more than 64, nor more than one for each MiB of
    /// capacity. With one, the order is that of one list.
    pub shards: Option<usize>,
    /// The clock of expiry; the machine's monotonic clock by default.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capacity: 64 << 20,
            shards: None,
            clock: Clock::monotonic(),
        }
    }
}

impl Options {
    /// The capacity, bounded.
    #[must_use]
    pub fn effective_capacity(&self) -> u64 {
        bounded_capacity(self.capacity)
    }

    /// The number of shards: a power of two up to [`MAX_SHARDS`].
    #[must_use]
    pub fn effective_shards(&self) -> usize {
        let asked = self.shards.unwrap_or_else(|| {
            let cores = available_parallelism().map_or(1, usize::from);
            default_shards(self.capacity, cores)
        });
        asked.clamp(1, MAX_SHARDS).next_power_of_two()
    }
}

/// A capacity of at most [`MAX_CAPACITY`].
#[must_use]
pub fn bounded_capacity(capacity: u64) -> u64 {
    capacity.min(MAX_CAPACITY)
}

fn default_shards(capacity: u64, cores: usize) -> usize {
    let by_cores = cores
        .saturating_mul(4)
        .min(MAX_DEFAULT_SHARDS)
        .next_power_of_two();
    let by_size = usize::try_from(capacity / MIN_SHARD_BYTES)
        .unwrap_or(usize::MAX)
        .max(1);
    // Rounded down here: the power of two must not make shards smaller than the minimum.
    by_cores.min(1 << by_size.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_caches_have_one_shard() {
        assert_eq!(default_shards(0, 8), 1);
        assert_eq!(default_shards((2 << 20) - 1, 8), 1);
        assert_eq!(default_shards(2 << 20, 8), 2);
        assert_eq!(default_shards(7 << 20, 8), 4);
    }

    #[test]
    fn large_caches_have_shards_for_their_cores() {
        assert_eq!(default_shards(1 << 40, 1), 4);
        assert_eq!(default_shards(1 << 40, 3), 16);
        assert_eq!(default_shards(u64::MAX, 1000), 64);
    }

    #[test]
    fn wild_numbers_are_tamed() {
        let shards = |n| {
            Options {
                shards: Some(n),
                ..Options::default()
            }
            .effective_shards()
        };
        assert_eq!(
            [shards(0), shards(3), shards(64), shards(usize::MAX)],
            [1, 4, 64, 1024]
        );
        let greedy = Options {
            capacity: u64::MAX,
            ..Options::default()
        };
        assert_eq!(greedy.effective_capacity(), 1 << 48);
    }
}
