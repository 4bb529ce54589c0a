//! How long a group serves what it loads.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Freshness, Hint};

/// How long a group serves what it loads. By default a value is fresh without end, as in
/// groupcache, and an absence is not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct FreshnessPolicy {
    /// How long a value is fresh; `None`, the default: without end.
    pub ttl: Option<Duration>,
    /// The largest share, from 0 to 1, by which a ttl is randomly shortened, so that values loaded
    /// together are not loaded again together. Default 0.1. If very many would still expire
    /// together, they are spread over the last three quarters of their ttl.
    pub ttl_jitter: f64,
    /// How long after its ttl a value is served while it is loaded again. Default zero.
    pub stale_while_revalidate: Duration,
    /// How long after its ttl a value is served if loading it again fails. Default zero.
    pub stale_if_error: Duration,
    /// How long "there is no such key" is kept; `None`, the default, not at all.
    pub negative_ttl: Option<Duration>,
    /// The last share of a value's ttl, from 0 to 1, in which a hit loads it again in the
    /// background. Default 0.
    pub refresh_ahead: f64,
    /// The longest that a copy of another node's key is kept, stale or not. Default 1 minute.
    pub hot_ttl: Duration,
    /// Whether the origin's own freshness takes precedence over these settings. Default true.
    pub origin_decides: bool,
}

impl Default for FreshnessPolicy {
    fn default() -> Self {
        Self {
            ttl: None,
            ttl_jitter: 0.1,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            negative_ttl: None,
            refresh_ahead: 0.0,
            hot_ttl: Duration::from_secs(60),
            origin_decides: true,
        }
    }
}

impl FreshnessPolicy {
    /// The freshness of a value or an absence that has just been loaded, before jitter.
    pub(crate) fn of(&self, absent: bool, hint: Hint) -> Freshness {
        let hint = if self.origin_decides {
            hint
        } else {
            Hint::default()
        };
        let ttl = if absent {
            Some(self.negative_ttl.unwrap_or_default())
        } else {
            self.ttl
        };
        let freshness = Freshness::until(hint.ttl.or(ttl));
        if absent {
            return freshness;
        }
        let revalidate = hint.stale_while_revalidate;
        let error = hint.stale_if_error;
        freshness
            .stale_while_revalidate(revalidate.unwrap_or(self.stale_while_revalidate))
            .stale_if_error(error.unwrap_or(self.stale_if_error))
    }

    /// The lifetimes of kept entries that have to be lowered when this policy replaces `before`.
    pub(crate) fn shortened(&self, before: &Self) -> Shortened {
        // If origins decided the freshness, kept entries may have any lifetime.
        let unknown = before.origin_decides && !self.origin_decides;
        let less = |now: Option<Duration>, before: Option<Duration>| {
            now.filter(|now| unknown || before.is_none_or(|before| *now < before))
        };
        let ttl = less(self.ttl, before.ttl);
        let of = |window: fn(&Self) -> Duration| less(Some(window(self)), Some(window(before)));
        let revalidate = of(|policy| policy.stale_while_revalidate);
        let error = of(|policy| policy.stale_if_error);
        let ahead = ttl.map_or(Duration::MAX, |ttl| {
            ttl.mul_f64(self.refresh_ahead.min(1.0))
        });
        let main = (ttl.is_some() || revalidate.is_some() || error.is_some()).then(|| {
            let freshness = Freshness::until(ttl)
                .stale_while_revalidate(revalidate.unwrap_or(Duration::MAX))
                .stale_if_error(error.unwrap_or(Duration::MAX));
            (freshness, ahead)
        });
        let hot = match of(|policy| policy.hot_ttl) {
            // Stale or not: windows would be added to it.
            Some(hot) => Some((Freshness::for_ttl(ttl.unwrap_or(hot).min(hot)), ahead)),
            None => main,
        };
        Shortened {
            main,
            hot,
            absent: of(|policy| policy.negative_ttl.unwrap_or_default()),
        }
    }

    /// The end of a ttl in which a hit loads the value again. Random, between a half and all of
    /// the share, so that the hits of many keys do not do so together.
    pub(crate) fn ahead(&self, ttl: Option<Duration>) -> Duration {
        match ttl {
            Some(ttl) if self.refresh_ahead > 0.0 => {
                ttl.mul_f64(self.refresh_ahead.min(1.0) * (0.5 + fastrand::f64() / 2.0))
            }
            _ => Duration::ZERO,
        }
    }
}

/// The limits to which the lifetimes of kept entries are lowered, and how long before its end a
/// value is due at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shortened {
    pub(crate) main: Option<(Freshness, Duration)>,
    pub(crate) hot: Option<(Freshness, Duration)>,
    /// Zero: none is kept any more.
    pub(crate) absent: Option<Duration>,
}

/// Counts when entries expire, as far as this node has loaded them, so that entries loaded
/// together are not loaded again together.
///
/// Time is divided into slots. If many more entries expire in a slot than in the slots around it
/// on average, an entry whose ttl ends there gets a shorter ttl, at least a quarter of the
/// original: of a few random ones, the one that ends in the emptiest slot.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: u64,
    ends: u32,
}

impl Expiries {
    /// A longer ttl counts as none: nothing expires together by it.
    const LONGEST: Duration = Duration::from_secs(1 << 31);
    /// Slots for each ttl.
    const FINENESS: u32 = 64;
    /// Slots kept: for ttls up to four times as long as the shortest of those that share a width.
    const SLOTS: usize = 256;
    /// A slot with fewer entries than that is no burst.
    const FEW: u32 = 16;

    /// A ttl that begins now, randomly shortened.
    pub(crate) fn draw(&self, ttl: Duration, jitter: f64, now: Duration) -> Duration {
        if jitter <= 0.0 || ttl.is_zero() || ttl > Self::LONGEST {
            return ttl;
        }
        let usual = ttl.mul_f64(1.0 - jitter.min(1.0) * fastrand::f64());
        // A power of two, so that similar ttls share their slots.
        let nanos = u64::try_from((ttl / Self::FINENESS).as_nanos()).unwrap_or(u64::MAX);
        let width = nanos
            .max(1_000_000)
            .checked_next_power_of_two()
            .unwrap_or(1 << 63);
        let slot_of = |ttl: Duration| {
            let end = u64::try_from(now.saturating_add(ttl).as_nanos()).unwrap_or(u64::MAX);
            end / width
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.is_empty() {
            slots.resize(Self::SLOTS, Slot::default());
        }
        let at = |number: u64| usize::try_from(number % Self::SLOTS as u64).unwrap_or_default();
        let ends = |slots: &[Slot], number: u64| match slots[at(number)] {
            slot if slot.number == number => slot.ends,
            _ => 0,
        };
        let (first, last) = (slot_of(ttl / 4), slot_of(ttl));
        let around = (first..=last).take(Self::SLOTS);
        let (count, sum) = around.fold((0_u64, 0_u64), |(count, sum), number| {
            (count + 1, sum + u64::from(ends(&slots, number)))
        });
        let crowded = |number| {
            let here = u64::from(ends(&slots, number));
            here > u64::from(Self::FEW) && here * count * 10 > sum * 11
        };
        let mut drawn = usual;
        if crowded(slot_of(usual)) {
            for _ in 0..8 {
                let other = ttl.mul_f64(0.25 + fastrand::f64() * 0.75);
                if ends(&slots, slot_of(other)) < ends(&slots, slot_of(drawn)) {
                    drawn = other;
                }
            }
        }
        let number = slot_of(drawn);
        let slot = &mut slots[at(number)];
        if slot.number != number {
            *slot = Slot { number, ends: 0 };
        }
        slot.ends = slot.ends.saturating_add(1);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn the_origins_freshness_takes_precedence_unless_the_group_says_otherwise() {
        let mut policy = FreshnessPolicy {
            ttl: Some(TTL),
            stale_if_error: TTL,
            ..FreshnessPolicy::default()
        };
        let hint = Hint::ttl(Duration::from_secs(5));
        let word = policy.of(false, hint);
        assert_eq!(
            (word.ttl, word.error_window()),
            (Some(Duration::from_secs(5)), TTL)
        );
        policy.origin_decides = false;
        assert_eq!(policy.of(false, hint).ttl, Some(TTL));
        assert!(
            policy.of(true, Hint::default()).is_over(),
            "absences are not kept"
        );
    }

    #[test]
    fn only_what_becomes_shorter_is_lowered() {
        let before = FreshnessPolicy {
            ttl: Some(TTL),
            stale_if_error: TTL,
            ..FreshnessPolicy::default()
        };
        let longer = FreshnessPolicy {
            ttl: None,
            stale_if_error: 2 * TTL,
            negative_ttl: Some(TTL),
            hot_ttl: 2 * TTL,
            ..before.clone()
        };
        let nothing = Shortened {
            main: None,
            hot: None,
            absent: None,
        };
        assert_eq!(before.shortened(&before), nothing);
        assert_eq!(longer.shortened(&before), nothing);

        let back = before.shortened(&longer);
        let (main, _) = back.main.unwrap();
        assert_eq!((main.ttl, main.error_window()), (Some(TTL), TTL));
        let longest = Duration::from_millis(u32::MAX.into());
        assert_eq!(main.revalidate_window(), longest, "as before");
        assert_eq!(back.absent, Some(Duration::ZERO));
        // All copies of other nodes' keys are over then, stale or not.
        assert_eq!(back.hot.unwrap().0, Freshness::for_ttl(TTL));
    }

    #[test]
    fn what_is_lowered_is_due_as_late_as_what_is_loaded() {
        let before = FreshnessPolicy {
            ttl: Some(60 * TTL),
            refresh_ahead: 0.25,
            ..FreshnessPolicy::default()
        };
        let now = FreshnessPolicy {
            ttl: Some(TTL),
            ..before.clone()
        };
        assert_eq!(now.shortened(&before).main.unwrap().1, TTL / 4);
    }

    #[test]
    fn a_few_entries_get_nearly_all_of_their_ttl() {
        let expiries = Expiries::default();
        for n in 0..100 {
            let ttl = expiries.draw(TTL, 0.1, Duration::from_secs(n));
            assert!(ttl <= TTL && ttl >= TTL.mul_f64(0.9), "{ttl:?}");
        }
        assert_eq!(expiries.draw(TTL, 0.0, Duration::ZERO), TTL);
    }

    #[test]
    fn what_is_loaded_together_expires_over_three_quarters_of_a_ttl() {
        let expiries = Expiries::default();
        let mut seconds = [0_u32; 61];
        for n in 0..10_000_u64 {
            let now = Duration::from_micros(100 * n);
            let end = now + expiries.draw(TTL, 0.1, now);
            seconds[usize::try_from(end.as_secs()).unwrap().min(60)] += 1;
        }
        let most = seconds.iter().max().unwrap();
        // 45 seconds for 10,000 is 222 in each.
        assert!(*most < 300, "{seconds:?}");
    }
}
