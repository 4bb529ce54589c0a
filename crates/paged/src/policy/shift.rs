//! Detects that the requested keys have changed as a whole.

/// What two of the shadows say of one access.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    /// The cache's setting is the one for loops.
    pub(super) is_for_loops: bool,
    /// The shadow of the cache's setting held the key, and it was not requested since the mark.
    pub(super) is_old: bool,
    /// The shadow of CLOCK held the key, and this is its first use after an earlier request since
    /// the mark.
    pub(super) is_repeated: bool,
    /// By how much more the shadow of the cache's setting missed than that of CLOCK.
    pub(super) lead: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    Nothing,
    /// The mark is too old, or what was seen since speaks against a shift.
    MarkAgain,
    /// It looks like a shift, if what the cache holds was hardly requested since the mark.
    Shift,
}

/// The accesses since a mark in time, after which old entries seem to be of no more use.
///
/// A shift is found when, since the mark, hits of old entries are missing, keys that are new are
/// requested again, and CLOCK, which makes room for new keys at once, misses less than the
/// setting that the cache follows. A scan has the first of these signs, but not the others. If a
/// sign fails, the mark moves to the present, so that it is soon near the beginning of a shift.
#[derive(Debug, Default)]
pub(super) struct Detector {
    /// Since the mark.
    accesses: u32,
    old: u32,
    repeated: u32,
    lead: f64,
    /// Hits of old entries over about the last thousand accesses, and the accesses: both times
    /// `1 - DECAY`.
    rate: f64,
    weight: f64,
}

impl Detector {
    /// The weight of an access after the next one.
    const DECAY: f64 = 0.999;
    /// Hits of old entries that a shift may have: one, and some for the keys mistaken for others.
    const OLD: f64 = 1.0;
    const OLD_FOR_EACH_REPEATED: f64 = 0.1;
    /// The minimum of repeated keys, and of their part in all accesses.
    const REPEATED: u32 = 10;
    const REPEATED_PART: f64 = 0.075;
    /// The minimum lead of CLOCK, and that of twice the lead and the hits that are missing: the
    /// fewer hits old entries had, the less it says that they have none.
    const LEAD: f64 = 3.5;
    const SIGNS: f64 = 14.0;
    /// With the setting for loops, under which entries are old before they are requested again:
    /// how many of their hits have to be missing, or by how much CLOCK has to lead.
    const MISSING_FROM_LOOPS: f64 = 12.0;
    const LEAD_IN_LOOPS: f64 = 10.0;
    /// The lead of the cache's setting with which the mark moves: one miss of any length.
    const BEHIND: f64 = -0.5;

    /// Considers an access; `room` is that of a shadow, in entries.
    pub(super) fn access(&mut self, sign: Sign, room: u32) -> Finding {
        self.accesses += 1;
        self.rate *= Self::DECAY;
        self.weight = self.weight * Self::DECAY + (1.0 - Self::DECAY);
        if sign.is_old {
            self.old += 1;
            self.rate += 1.0 - Self::DECAY;
        }
        self.repeated += u32::from(sign.is_repeated);
        self.lead += sign.lead;
        if self.is_mark_outdated(sign.is_for_loops, room) {
            Finding::MarkAgain
        } else if self.is_shift(sign.is_for_loops) {
            Finding::Shift
        } else {
            Finding::Nothing
        }
    }

    fn is_mark_outdated(&self, is_for_loops: bool, room: u32) -> bool {
        let may_be_old = Self::OLD + Self::OLD_FOR_EACH_REPEATED * f64::from(self.repeated);
        // While it begins to look like a shift, it may take twice as long.
        let is_waiting = self.lead >= Self::LEAD && !is_for_loops;
        let limit = if is_waiting { 2 * room } else { room };
        f64::from(self.old) > may_be_old || self.lead < Self::BEHIND || self.accesses >= limit
    }

    fn is_shift(&self, is_for_loops: bool) -> bool {
        let accesses = f64::from(self.accesses);
        let missing = self.rate / self.weight * accesses - f64::from(self.old);
        let is_sure = !is_for_loops
            || missing >= Self::MISSING_FROM_LOOPS
            || self.lead >= Self::LEAD_IN_LOOPS;
        self.repeated >= Self::REPEATED
            && f64::from(self.repeated) >= Self::REPEATED_PART * accesses
            && self.lead >= Self::LEAD
            && 2.0 * self.lead + missing >= Self::SIGNS
            && is_sure
    }

    /// Sets the mark to the present.
    pub(super) fn mark(&mut self) {
        *self = Self {
            rate: self.rate,
            weight: self.weight,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Sign = Sign {
        is_for_loops: false,
        is_old: true,
        is_repeated: false,
        lead: 0.0,
    };
    const NEW: Sign = Sign {
        is_for_loops: false,
        is_old: false,
        is_repeated: false,
        lead: 0.0,
    };
    const REPEATED: Sign = Sign {
        is_repeated: true,
        lead: 0.5,
        ..NEW
    };
    const ROOM: u32 = 150;

    /// One that has seen old entries hit in every second access.
    fn detector() -> Detector {
        let mut detector = Detector::default();
        for _ in 0..1_000 {
            detector.access(OLD, ROOM);
            detector.access(NEW, ROOM);
        }
        detector.mark();
        detector
    }

    fn play(detector: &mut Detector, signs: impl IntoIterator<Item = Sign>) -> Finding {
        let mut findings = signs.into_iter().map(|sign| detector.access(sign, ROOM));
        findings
            .find(|finding| *finding != Finding::Nothing)
            .unwrap_or(Finding::Nothing)
    }

    #[test]
    fn new_keys_that_come_again_in_place_of_old_ones_are_a_shift() {
        let mut detector = detector();
        assert_eq!(
            play(&mut detector, [REPEATED, NEW].repeat(10)),
            Finding::Shift
        );
    }

    #[test]
    fn a_scan_is_none() {
        let mut detector = detector();
        let scan = [NEW; ROOM as usize - 1];
        assert_eq!(play(&mut detector, scan), Finding::Nothing);
        assert_eq!(detector.access(NEW, ROOM), Finding::MarkAgain);
    }

    #[test]
    fn it_is_none_while_old_entries_are_hit_or_the_setting_misses_less() {
        let mut with_old = detector();
        let signs = [REPEATED, NEW, NEW, OLD].repeat(10);
        assert_eq!(play(&mut with_old, signs), Finding::MarkAgain);
        let mut ahead = detector();
        let behind = Sign { lead: -1.0, ..NEW };
        assert_eq!(play(&mut ahead, [NEW, behind]), Finding::MarkAgain);
    }

    #[test]
    fn without_hits_of_old_entries_before_it_takes_a_larger_lead() {
        let signs = || [REPEATED, NEW].repeat(ROOM as usize / 2 - 1);
        let count = |detector: &mut Detector| {
            let mut signs = signs().into_iter();
            signs.position(|sign| detector.access(sign, ROOM) == Finding::Shift)
        };
        let (with, without) = (count(&mut detector()), count(&mut Detector::default()));
        assert!(with < without, "{with:?} {without:?}");
        assert!(with.is_some() && without.is_some());
    }
}
