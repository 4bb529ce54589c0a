//! The size of the small queue, and the uses that an entry needs to stay.

use crate::place::Place;

/// The parameters of the two queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Setting {
    /// The part of the cache that the small queue may have, in percent. With none, new entries are
    /// stored in the main queue, which is CLOCK.
    pub(crate) small: u8,
    /// How often an entry has to be used in the small queue to move to the main queue.
    pub(crate) uses: u8,
    /// Whether an entry larger than the mean pays more uses for a further round of the main queue.
    pub(crate) by_size: bool,
}

/// The settings of the duel. The first is the best while nothing is known yet: on recorded traces,
/// scan resistance in the first rounds decides.
pub(crate) const SETTINGS: [Setting; 4] = [
    Setting {
        small: 1,
        uses: 2,
        by_size: true,
    },
    Setting {
        small: 10,
        uses: 2,
        by_size: false,
    },
    Setting {
        small: 40,
        uses: 1,
        by_size: false,
    },
    Setting {
        small: 0,
        uses: 1,
        by_size: false,
    },
];

/// The setting with the smallest small queue, under which a part of a loop stays for long: an index
/// of [`SETTINGS`].
pub(crate) const FOR_LOOPS: usize = 0;

/// The setting without a small queue: an index of [`SETTINGS`].
pub(crate) const CLOCK: usize = 3;

/// The setting of a cache without a duel: the one that is never far behind.
pub(crate) const ALONE: u8 = 1;

/// A setting, applied to entries of a mean length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) setting: Setting,
    /// In bytes; zero while it is unknown.
    pub(crate) mean: u32,
}

impl Rules {
    /// The uses that a further round of the main queue costs an entry that is obsolete since a
    /// shift: as many as are counted.
    pub(crate) const PRICE_OF_OBSOLETE: u64 = Place::MAX_USES;

    /// The maximum of the small queue, of `all` bytes.
    pub(crate) fn small_of(self, all: u64) -> u64 {
        all / 100 * u64::from(self.setting.small)
    }

    /// Whether new entries are stored in the small queue.
    pub(crate) fn has_small(self) -> bool {
        self.setting.small > 0
    }

    /// Whether an entry of that length with that many uses moves from the small queue to the main
    /// queue. A large one needs one more use, and a small one one less: a large entry takes the
    /// place of many small ones.
    pub(crate) fn passes(self, uses: u64, len: u64) -> bool {
        let (mean, usual) = (u64::from(self.mean), u64::from(self.setting.uses));
        let due = if self.mean == 0 {
            usual
        } else if len > 2 * mean {
            (usual + 1).min(3)
        } else if 2 * len < mean {
            (usual - 1).max(1)
        } else {
            usual
        };
        uses >= due
    }

    /// How many uses a further round of the main queue costs.
    pub(crate) fn price(self, len: u64) -> u64 {
        let mean = u64::from(self.mean);
        if !self.setting.by_size || mean == 0 || 4 * len <= 5 * mean {
            1
        } else if len <= 2 * mean {
            2
        } else {
            3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(setting: usize) -> Rules {
        Rules {
            setting: SETTINGS[setting],
            mean: 100,
        }
    }

    #[test]
    fn a_large_entry_has_to_show_more() {
        let rules = rules(1);
        assert_eq!(
            [49, 100, 200, 201].map(|len| rules.passes(1, len)),
            [true, false, false, false]
        );
        assert_eq!(
            [49, 100, 200, 201].map(|len| rules.passes(2, len)),
            [true, true, true, false]
        );
        assert!(rules.passes(3, u64::MAX / 4) && !rules.passes(0, 0));
    }

    #[test]
    fn a_round_costs_one_use_or_more_by_size() {
        assert_eq!(
            [1, 125, 126, 200, 201].map(|len| rules(0).price(len)),
            [1, 1, 2, 2, 3]
        );
        assert_eq!([1, 1_000].map(|len| rules(3).price(len)), [1, 1]);
    }

    #[test]
    fn clock_is_the_one_without_a_small_queue() {
        for (n, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(setting.small == 0, n == CLOCK);
        }
    }

    #[test]
    fn without_a_mean_all_are_alike() {
        let rules = Rules {
            mean: 0,
            ..rules(0)
        };
        assert!(rules.passes(2, 1 << 30) && !rules.passes(1, 1));
        assert_eq!(rules.price(1 << 30), 1);
    }
}
