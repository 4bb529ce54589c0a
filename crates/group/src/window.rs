//! How many keys a front end loads at the same time.

use crate::Group;

/// The size, in bytes, that the values of a window should not exceed, by what is known of them.
const TARGET: u64 = 1 << 20;

/// The most keys that are loaded before anything is known of their values.
const FIRST: u64 = 16;

/// How much more a window may have than the one before: the values in it may be of another kind.
const GROWTH: usize = 8;

/// How many keys of one request a front end loads at the same time: few at first, then as many as
/// their mean size allows. The values of a window are in memory together until they are written.
#[derive(Debug)]
pub struct Window {
    size: usize,
    most: usize,
    keys: u64,
    bytes: u64,
}

impl Window {
    /// The size, in bytes, that the values of a window should not exceed, by what is known of them.
    pub const TARGET: u64 = TARGET;

    /// The first window for keys of that group, of at most `most` keys and at least one.
    pub fn of(group: &Group, most: usize) -> Self {
        let budget = group.in_flight().limit();
        Self::new(most, budget, group.limits().max_value, group.mean_entry())
    }

    /// The first window for keys of which nothing is known, of at most `most` keys.
    pub fn unknown(most: usize) -> Self {
        Self::new(most, u64::MAX, 1, None)
    }

    /// A first window, by the mean size of the values that are known. If there are none, its
    /// values take no more than a quarter of `budget` bytes, even if each has the maximum size.
    fn new(most: usize, budget: u64, max_value: u64, mean: Option<u64>) -> Self {
        let fits = budget / 4 / max_value.max(1);
        let fits = fits.clamp(2, FIRST);
        // Values that are not in memory may differ from these, but usually not by much.
        let fits = mean.map_or(fits, |mean| fits.max(TARGET.min(budget / 4) / mean.max(1)));
        let first = usize::try_from(fits).unwrap_or(usize::MAX);
        let most = most.max(1);
        Self {
            size: first.clamp(1, most),
            most,
            keys: 0,
            bytes: 0,
        }
    }

    /// The number of keys in the next window.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Records that a window of `keys` keys had `bytes` bytes of values.
    pub fn brought(&mut self, keys: usize, bytes: u64) {
        if keys == 0 {
            return;
        }
        let keys = keys as u64;
        self.keys += keys;
        self.bytes += bytes;
        // The last window also counts by itself, so that large values are noticed after many
        // small ones.
        let mean = (self.bytes / self.keys).max(bytes / keys).max(1);
        let fits = usize::try_from(TARGET / mean).unwrap_or(usize::MAX);
        let grown = self.size.saturating_mul(GROWTH);
        self.size = fits.min(grown).clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_small_and_grows_to_the_most() {
        let mut window = Window::new(128, u64::MAX, 8 << 20, None);
        let mut sizes = vec![window.size()];
        for _ in 0..3 {
            let keys = window.size();
            window.brought(keys, 100 * keys as u64);
            sizes.push(window.size());
        }
        assert_eq!(sizes, [16, 128, 128, 128]);
        assert_eq!(Window::new(7, u64::MAX, 1, None).size(), 7);
        assert_eq!(Window::new(0, u64::MAX, 1, None).size(), 1);
    }

    #[test]
    fn it_begins_smaller_where_values_may_be_much_of_the_budget() {
        for (budget, max_value, size) in [
            (64 << 20, 8 << 20, 2),
            (256 << 20, 8 << 20, 8),
            (64 << 20, 1 << 20, 16),
            (1, u64::MAX, 2),
            (0, 0, 2),
        ] {
            assert_eq!(Window::new(128, budget, max_value, None).size(), size);
        }
    }

    #[test]
    fn it_begins_large_where_values_are_known_to_be_small() {
        for (mean, size) in [(100, 128), (64 << 10, 16), (1 << 20, 2), (8 << 20, 2)] {
            let window = Window::new(128, 64 << 20, 8 << 20, Some(mean));
            assert_eq!(window.size(), size, "{mean}");
        }
        assert_eq!(Window::new(128, 400, 8 << 20, Some(10)).size(), 10);
    }

    #[test]
    fn it_follows_the_mean_size_and_notices_large_values_at_once() {
        let mut window = Window::new(128, u64::MAX, 8 << 20, None);
        window.brought(16, 16 << 16);
        assert_eq!(window.size(), 16);
        window.brought(16, 16 << 22);
        assert_eq!(window.size(), 1);
        for _ in 0..10_000 {
            let keys = window.size();
            window.brought(keys, 10 * keys as u64);
        }
        assert_eq!(window.size(), 128, "they were long ago");
        window.brought(0, 0);
        assert_eq!(window.size(), 128);
    }
}
