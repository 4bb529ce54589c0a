//! The duel that decides which setting the cache follows.

use super::setting::SETTINGS;
use super::shadow::{Shadow, UNITS, units};
use crate::place::Tag;

const N: usize = SETTINGS.len();

/// The shadows, and the recent misses of each.
///
/// Half of a miss's weight is constant and half is by the length of its entry, so that neither the
/// share of hits nor that of bytes is sacrificed for the other. The cache follows another setting
/// once that misses less by more than chance would explain: three times the standard deviation of
/// as many disagreements as there were, and a little more.
pub(super) struct Duel {
    shadows: [Shadow; N],
    /// The misses of each.
    missed: [f64; N],
    /// The disagreements between the shadows of two settings, squared.
    apart: [[f64; N]; N],
    setting: usize,
    /// The room of each shadow.
    room: u32,
    /// The mean length of an entry, in bytes.
    mean: u64,
    /// Accesses until the sizes are checked again, and of how many those are a part.
    left: u32,
    fitted: u32,
}

impl Default for Duel {
    fn default() -> Self {
        Self {
            shadows: SETTINGS.map(Shadow::new),
            missed: [0.0; N],
            apart: [[0.0; N]; N],
            setting: usize::from(Self::FIRST),
            room: 0,
            mean: 0,
            left: 0,
            fitted: 0,
        }
    }
}

impl Duel {
    /// The setting of a cache before anything is known.
    pub(super) const FIRST: u8 = 0;
    /// The most entries that a shadow has room for.
    pub(super) const MOST: u32 = 576;
    /// The weight of an access after the next one: about the last two thousand count.
    const DECAY: f64 = 0.9995;
    /// Standard deviations.
    const DOUBT: f64 = 3.0;
    /// The minimum lead of the other setting, in misses of an entry of mean length.
    const LEAD: f64 = 5.0;
    /// How often the sizes are checked, in accesses of the sample; more often at first.
    const FIT_EVERY: u32 = 128;

    /// The bytes of the shadows.
    pub(super) fn bytes(&self) -> u64 {
        self.shadows.iter().map(Shadow::bytes).sum()
    }

    pub(super) fn setting(&self) -> u8 {
        u8::try_from(self.setting).unwrap_or_default()
    }

    /// Whether [`fit`](Self::fit) is due.
    pub(super) fn is_to_be_fitted(&self) -> bool {
        self.left == 0
    }

    /// Restarts with the same setting.
    pub(super) fn forget(&mut self) {
        *self = Self {
            setting: self.setting,
            fitted: self.fitted,
            ..Self::default()
        };
    }

    /// Sets the mean length of entries and the room of a shadow. Only this allocates.
    pub(super) fn fit(&mut self, mean: u64, entries: u64) {
        let entries = u32::try_from(entries)
            .unwrap_or(u32::MAX)
            .clamp(1, Self::MOST);
        self.mean = mean;
        self.room = entries * u32::try_from(UNITS).unwrap_or_default();
        self.fitted = (2 * self.fitted).clamp(1, Self::FIT_EVERY);
        self.left = self.fitted;
        // Entries shorter than the mean are more numerous.
        let keys = (entries as usize * 5 / 4).next_multiple_of(32);
        for shadow in &mut self.shadows {
            shadow.reserve(keys);
        }
    }

    /// A key of the sample was requested, whose entry has that length.
    pub(super) fn access(&mut self, tag: Tag, len: u64) {
        self.left = self.left.saturating_sub(1);
        let units = units(len, self.mean);
        let weight = f64::midpoint(1.0, f64::from(units) / UNITS as f64);
        let room = self.room;
        let mut missed = [false; N];
        for (shadow, missed) in self.shadows.iter_mut().zip(&mut missed) {
            *missed = !shadow.access(tag.to_bits(), units, room);
        }
        for a in 0..N {
            self.missed[a] = self.missed[a] * Self::DECAY + if missed[a] { weight } else { 0.0 };
            for b in 0..N {
                let apart = if missed[a] == missed[b] {
                    0.0
                } else {
                    weight * weight
                };
                self.apart[a][b] = self.apart[a][b] * Self::DECAY + apart;
            }
        }
        self.choose();
    }

    fn choose(&mut self) {
        let now = self.setting;
        let is_ahead = |other: usize| {
            let lead = self.missed[now] - self.missed[other];
            lead > Self::DOUBT * self.apart[now][other].sqrt() + Self::LEAD
        };
        let ahead = (0..N).filter(|other| is_ahead(*other));
        let best = ahead.min_by(|a, b| self.missed[*a].total_cmp(&self.missed[*b]));
        self.setting = best.unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(duel: &mut Duel, keys: impl IntoIterator<Item = u64>) {
        for key in keys {
            duel.access(Tag::of(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 30), 100);
        }
    }

    fn duel() -> Duel {
        let mut duel = Duel::default();
        duel.fit(100, 150);
        duel
    }

    #[test]
    fn it_follows_what_misses_least_and_turns_when_that_changes() {
        let mut duel = duel();
        assert_eq!(duel.setting(), Duel::FIRST);
        // A loop larger than the shadows: the tiny small queue it is.
        play(&mut duel, (0..10).flat_map(|_| 0..220));
        assert_eq!(duel.setting(), 0);
        // Each key is asked for twice, some time apart, and then no more.
        play(&mut duel, (1_000..4_000).flat_map(|n| [n + 45, n]));
        assert!(duel.setting() >= 2, "{}", duel.setting());
        // A hundred keys again and again, between others that never come back.
        play(&mut duel, (0..8_000).flat_map(|n| [n % 100, 100_000 + n]));
        assert!(duel.setting() < 2, "{:?} {:?}", duel.missed, duel.apart);
    }

    #[test]
    fn what_all_hit_or_all_miss_says_nothing() {
        let mut duel = duel();
        play(&mut duel, 0..5_000);
        play(&mut duel, (0..5_000).map(|n| n % 10));
        assert_eq!(duel.setting(), Duel::FIRST);
    }

    #[test]
    fn the_shadows_are_bounded() {
        let mut duel = duel();
        duel.fit(1, u64::MAX);
        play(&mut duel, 0..20_000);
        assert!(duel.bytes() < 20 << 10, "{}", duel.bytes());
    }
}
