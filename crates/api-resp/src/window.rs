//! How many keys are loaded at a time.

use gaggle_group::Group;

use crate::commands::Named;
use crate::keys::Keyspace;

/// The values of a window are to be no more than this, in bytes, by what is known of their sizes.
const TARGET: u64 = 1 << 20;

/// The least and the most keys that are loaded before anything is known of their values.
const FIRST: (u64, u64) = (2, 16);

/// How much more a window may have than the one before: the values in it may be of another kind.
const GROWTH: usize = 8;

/// Few keys at first, then as many as their mean size allows: the values of a window are in memory
/// together until they are written.
#[derive(Debug)]
pub(crate) struct Window {
    size: usize,
    most: usize,
    keys: u64,
    bytes: u64,
}

impl Window {
    /// The window for keys of one command, by the group of the first of them. One key needs no
    /// look at what its group holds.
    pub(crate) fn of(most: usize, groups: &Keyspace, keys: &[Named]) -> Self {
        let first = keys.iter().flatten().next().filter(|_| keys.len() > 1);
        match first.and_then(|(at, _)| groups.group(*at)) {
            Some(group) => Self::of_group(most, group),
            None => Self::new(most, u64::MAX, 1, None),
        }
    }

    fn of_group(most: usize, group: &Group) -> Self {
        let budget = group.in_flight().limit();
        Self::new(most, budget, group.limits().max_value, group.mean_entry())
    }

    /// A first window, by the mean size of the values that are known. Where there are none, its
    /// values take no more than a quarter of `budget` bytes, were they as large as may be.
    fn new(most: usize, budget: u64, max_value: u64, mean: Option<u64>) -> Self {
        let fits = budget / 4 / max_value.max(1);
        let fits = fits.clamp(FIRST.0, FIRST.1);
        // Values that are not in memory may be others, but are not wildly so as a rule.
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

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes note of a window of so many keys that has brought so many bytes.
    pub(crate) fn brought(&mut self, keys: usize, bytes: u64) {
        if keys == 0 {
            return;
        }
        let keys = keys as u64;
        self.keys += keys;
        self.bytes += bytes;
        // The last window counts alone, too, so that large values are noticed behind many small
        // ones.
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
    fn it_begins_small_and_follows_the_sizes() {
        let mut window = Window::new(128, u64::MAX, 8 << 20, None);
        assert_eq!(window.size(), 16);
        window.brought(16, 1600);
        assert_eq!(window.size(), 128);
        window.brought(128, 128 << 22);
        assert_eq!(window.size(), 1);
        assert_eq!(Window::new(128, 64 << 20, 8 << 20, None).size(), 2);
        assert_eq!(Window::new(128, 64 << 20, 8 << 20, Some(100)).size(), 128);
        assert_eq!(Window::new(7, u64::MAX, 1, None).size(), 7);
    }
}
