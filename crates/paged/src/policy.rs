//! The policy that decides which entries stay: S3-FIFO by the page, in one of four settings.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use self::duel::Duel;
pub(crate) use self::setting::Rules;
use self::setting::SETTINGS;
use crate::place::Tag;

mod duel;
mod setting;
mod shadow;
mod shift;

/// The setting of a cache, and the duel that chooses it.
///
/// No setting is right for all programs: a loop just larger than the cache needs a tiny small
/// queue, a working set that moves needs new entries to stay for long. A sample of the keys
/// therefore runs through four shadow caches, one for each setting, which hold no values; the
/// cache follows the one with the fewest misses. They also show when the requested keys have
/// changed as a whole.
pub(crate) struct Policy {
    /// An index of [`SETTINGS`].
    setting: AtomicU8,
    /// The mean length of an entry.
    mean: AtomicU32,
    /// A key is in the sample if its hash has none of these bits.
    sample: AtomicU32,
    duel: Mutex<Duel>,
}

/// The size of a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) entries: u64,
    /// Their bytes, without the unused rest of open pages.
    pub(crate) bytes: u64,
    pub(crate) capacity: u64,
}

impl Policy {
    /// A smaller cache has no shadows: they would take too much of it.
    pub(crate) const LEAST: u64 = 8 << 10;
    /// A shadow's room in entries, or up to twice as many, in a cache of fewer than `MANY`. (Fewer
    /// if a quarter of the keys are fewer.)
    const FEW_ENTRIES: u64 = 128;
    /// The same in a larger cache.
    const ENTRIES: u64 = 256;
    const MANY: u64 = 16_384;
    /// The largest part of the keys in the sample: one in this many.
    const ONE_IN: u64 = 4;
    /// The smallest part.
    const LEAST_OFTEN: u64 = 1 << 30;
    const FIRST_SAMPLE: u32 = 3;

    pub(crate) fn new(capacity: u64) -> Self {
        let setting = if capacity < Self::LEAST {
            setting::ALONE
        } else {
            Duel::FIRST
        };
        Self {
            setting: AtomicU8::new(setting),
            mean: AtomicU32::new(0),
            sample: AtomicU32::new(Self::FIRST_SAMPLE),
            duel: Mutex::default(),
        }
    }

    // Relaxed throughout: a setting that is seen late costs a few entries their place.

    pub(crate) fn rules(&self) -> Rules {
        let setting = usize::from(self.setting.load(Ordering::Relaxed));
        Rules {
            setting: SETTINGS[setting % SETTINGS.len()],
            mean: self.mean.load(Ordering::Relaxed),
        }
    }

    /// Whether a key's accesses have to be [observed](Self::observe). `hash` is the key's, whose
    /// low bits are its tag.
    #[inline]
    pub(crate) fn samples(&self, hash: u64) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the bits above the tag")]
        let bits = (hash >> Tag::BITS) as u32;
        bits & self.sample.load(Ordering::Relaxed) == 0
    }

    /// A key of the sample, with an entry of that length, was found or stored. The shadows grow
    /// only if they `may`, and an access before that is left out.
    #[cold]
    pub(crate) fn observe(
        &self,
        tag: Tag,
        len: u64,
        may_grow: bool,
        extent: impl FnOnce() -> Extent,
    ) -> Observed {
        // If another thread holds it, this access is left out: no caller waits for statistics.
        let Ok(mut duel) = self.duel.try_lock() else {
            return Observed::default();
        };
        let freed = duel.bytes();
        if duel.is_to_be_fitted() {
            if !may_grow {
                return Observed::default();
            }
            let extent = extent();
            if extent.capacity < Self::LEAST || extent.entries == 0 {
                return Observed::default();
            }
            self.fit(&mut duel, extent);
        }
        let has_shifted = duel.access(tag, len);
        self.follow(&duel);
        let charged = duel.bytes();
        Observed {
            charge: Charge { freed, charged },
            has_shifted,
        }
    }

    /// Writes only changes: every insertion reads it.
    fn follow(&self, duel: &Duel) {
        if self.setting.load(Ordering::Relaxed) != duel.setting() {
            self.setting.store(duel.setting(), Ordering::Relaxed);
        }
    }

    /// Forgets what the shadows have seen; returns the bytes they took.
    pub(crate) fn clear(&self) -> Charge {
        let mut duel = self.duel.lock().unwrap_or_else(PoisonError::into_inner);
        let freed = duel.bytes();
        *duel = Duel::default();
        self.follow(&duel);
        self.sample.store(Self::FIRST_SAMPLE, Ordering::Relaxed);
        Charge { freed, charged: 0 }
    }

    /// Sizes the sample so that the shadows are of a fixed range of sizes, whatever that of the
    /// cache.
    fn fit(&self, duel: &mut Duel, extent: Extent) {
        let mean = (extent.bytes / extent.entries.max(1)).max(1);
        let room = extent.capacity / mean;
        let mut one_in = u64::from(self.sample.load(Ordering::Relaxed)) + 1;
        let each = if room < Self::MANY {
            Self::FEW_ENTRIES
        } else {
            Self::ENTRIES
        };
        // Within an eighth it stays, to avoid changing it back and forth.
        let is_right = (each - each / 8..2 * each + each / 4).contains(&(room / one_in));
        if !is_right {
            let wanted = 1 << (room / each).max(1).ilog2();
            // Not immediately: the first few entries say little, and a sample that is too small is
            // accessed too rarely to notice.
            let wanted = wanted
                .clamp(Self::ONE_IN, Self::LEAST_OFTEN)
                .min(2 * one_in);
            if wanted != one_in {
                // Some of the keys in the shadows would no longer be in the sample.
                duel.forget();
                one_in = wanted;
            }
        }
        let sample = u32::try_from(one_in - 1).unwrap_or(u32::MAX);
        self.sample.store(sample, Ordering::Relaxed);
        let mean_len = u32::try_from(mean).unwrap_or(u32::MAX);
        self.mean.store(mean_len, Ordering::Relaxed);
        duel.fit(mean, room / one_in);
    }

    /// Follows a setting, for entries of that mean length, until the next access to a key of the
    /// sample.
    #[cfg(test)]
    pub(crate) fn force(&self, setting: u8, mean: u32) {
        self.setting.store(setting, Ordering::Relaxed);
        self.mean.store(mean, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.duel.lock().unwrap().bytes()
    }
}

/// The consequences of an access to a key of the sample, for the caller to apply.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Observed {
    /// The bytes of the shadows.
    pub(crate) charge: Charge,
    /// The requested keys have changed as a whole: what is in the main queue is obsolete.
    pub(crate) has_shifted: bool,
}

/// The bytes before and after a change.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) freed: u64,
    pub(crate) charged: u64,
}
