//! The duel that decides which setting the cache follows.

use super::setting::{CLOCK, FOR_LOOPS, SETTINGS};
use super::shadow::{Lookup, Shadow, UNITS, units};
use super::shift::{Detector, Finding, Sign};
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
    detector: Detector,
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
            detector: Detector::default(),
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

    /// A key of the sample was requested, whose entry has that length. Returns whether the
    /// requested keys turn out to have changed as a whole.
    pub(super) fn access(&mut self, tag: Tag, len: u64) -> bool {
        self.left = self.left.saturating_sub(1);
        let units = units(len, self.mean);
        let weight = f64::midpoint(1.0, f64::from(units) / UNITS as f64);
        let room = self.room;
        let mut lookups = [Lookup::Miss; N];
        for (shadow, lookup) in self.shadows.iter_mut().zip(&mut lookups) {
            *lookup = shadow.access(tag.to_bits(), units, room);
        }
        let missed = lookups.map(|lookup| lookup == Lookup::Miss);
        let missed_more = |a: usize, b: usize| match (missed[a], missed[b]) {
            (true, false) => weight,
            (false, true) => -weight,
            _ => 0.0,
        };
        let sign = Sign {
            is_for_loops: self.setting == FOR_LOOPS,
            is_old: lookups[self.setting] == Lookup::Old,
            is_repeated: lookups[CLOCK] == Lookup::Recent { is_first: true },
            lead: missed_more(self.setting, CLOCK),
        };
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
        let has_shifted = self.detect(sign);
        if has_shifted {
            self.shift();
        }
        self.choose();
        has_shifted
    }

    fn detect(&mut self, sign: Sign) -> bool {
        let finding = if self.shadows.iter().any(Shadow::has_obsolete) {
            // After a shift: what the next one is compared with is still incomplete.
            Finding::MarkAgain
        } else {
            let entries = self.room / u32::try_from(UNITS).unwrap_or(1);
            self.detector.access(sign, entries)
        };
        match finding {
            Finding::Nothing => false,
            Finding::MarkAgain => {
                self.mark();
                false
            }
            Finding::Shift => self.shadows[self.setting].is_mostly_old(),
        }
    }

    fn mark(&mut self) {
        self.detector.mark();
        self.shadows.iter_mut().for_each(Shadow::mark);
    }

    /// Forgets which setting missed less before, and begins with the one that makes room for new
    /// keys at once.
    fn shift(&mut self) {
        self.mark();
        self.shadows.iter_mut().for_each(Shadow::shift);
        self.missed = [0.0; N];
        self.apart = [[0.0; N]; N];
        self.setting = CLOCK;
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
            duel.access(tag(key), 100);
        }
    }

    fn tag(key: u64) -> Tag {
        Tag::of(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 30)
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
    fn a_shift_is_found_once_and_a_scan_is_none() {
        let mut duel = duel();
        let keys = |from: u64| (0..8_000).map(move |n| from + n * n * 7 % 150);
        let shifts = |duel: &mut Duel, keys: &mut dyn Iterator<Item = u64>| {
            let found = keys.map(|key| u32::from(duel.access(tag(key), 100)));
            found.sum::<u32>()
        };
        let mut popular = keys(0).zip(10_000..).flat_map(|(key, once)| [key, once]);
        assert_eq!(shifts(&mut duel, &mut popular), 0);
        assert_eq!(shifts(&mut duel, &mut (50_000..60_000)), 0);
        let mut popular = keys(0).zip(60_000..).flat_map(|(key, once)| [key, once]);
        assert_eq!(shifts(&mut duel, &mut popular), 0, "after the scan");
        let mut others = keys(1_000)
            .zip(80_000..)
            .flat_map(|(key, once)| [key, once]);
        assert_eq!(shifts(&mut duel, &mut others), 1);
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
