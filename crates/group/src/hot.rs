//! Which of the values that other nodes own are kept as hot copies.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Clock;

/// Decides on hot copies: values of keys that other nodes own, kept so that a popular key does not
/// overload its owner.
pub trait HotCopies: Send + Sync + 'static {
    /// A key that another node owns was requested and was not in memory. Called once for each such
    /// get.
    fn asked(&self, key: &[u8]) {
        let _ = key;
    }

    /// Its value has arrived from the owner: whether to keep a copy. Called once for each fetch
    /// that returns a value, unless the value renews a copy that is still kept: those are kept.
    fn keep(&self, copy: &Candidate<'_>) -> bool;
}

/// A value that has arrived from the owner of its key.
///
/// # What the rate means
///
/// The owner counts only the fetches of the key that it answers for its peers, as the key's owner,
/// with a value. It does not count the gets of its own programs, nor those that its peers' copies
/// answer. A fetch counts less the longer ago it was, 1/e after a minute, so the rate is that of
/// the last minute or so; a key that has been fetched once has the rate 1.
///
/// It therefore falls as copies spread: a node with a copy fetches once within the time to live of
/// a copy ([`hot_ttl`](crate::FreshnessPolicy::hot_ttl)), so once all nodes have one the owner
/// sees at most their number divided by that time, however hot the key is. A low rate can mean a
/// cold key, or a hot one of which every node has a copy. A policy that refuses copies at a low
/// rate corrects itself: when copies end and new ones are refused, the fetches reach the owner
/// again and the rate rises.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The length of the value, in bytes.
    pub len: usize,
    /// The number of fetches of the key per minute that the owner answers for peers, as reported
    /// by the owner: at least 0 and finite. `None` if it does not report it, such as a node of
    /// another kind, one that stands in for the owner, or a ring whose values are raw.
    pub minute_qps: Option<f64>,
    /// Whether the group's budget has unused room for the copy: refusing it then gains nothing.
    pub room: bool,
}

impl<'a> Candidate<'a> {
    /// A value of `len` bytes whose rate is unknown, and for which other entries would have to be
    /// evicted.
    #[must_use]
    pub fn new(key: &'a [u8], len: usize) -> Self {
        Self {
            key,
            len,
            minute_qps: None,
            room: false,
        }
    }

    /// Adds the rate that the owner reports, in fetches per minute.
    #[must_use]
    pub fn asked_for(self, minute_qps: Option<f64>) -> Self {
        Self { minute_qps, ..self }
    }

    /// Sets whether there is room for it.
    #[must_use]
    pub fn with_room(self, room: bool) -> Self {
        Self { room, ..self }
    }
}

/// Keeps no copies.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHotCopies;

impl HotCopies for NoHotCopies {
    fn keep(&self, _copy: &Candidate<'_>) -> bool {
        false
    }
}

/// Keeps one fetched value in `one_in`, at random: golang/groupcache's rule, with its 10 as the
/// default. A key's chance grows with the number of times that it is fetched. Ignores the rate and
/// the room.
#[derive(Debug, Clone, Copy)]
pub struct Sampled {
    /// One in how many fetches is kept as a copy; 0 keeps none.
    pub one_in: u32,
}

impl Default for Sampled {
    fn default() -> Self {
        Self { one_in: 10 }
    }
}

impl HotCopies for Sampled {
    fn keep(&self, _copy: &Candidate<'_>) -> bool {
        self.one_in != 0 && fastrand::u32(0..self.one_in) == 0
    }
}

/// Keeps the value of a key once it has been requested at least `per_minute` times within a
/// minute: carrotCache's rule. It counts the gets on this node, and ignores the owner's rate and
/// the room.
///
/// Counts in windows of a minute that start with a key's first request. Memory is bounded: at most
/// 65,536 keys are counted at a time; keys beyond them wait for the next sweep, which drops the
/// windows that have ended.
#[derive(Debug)]
pub struct RequestRate {
    per_minute: u32,
    clock: Clock,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    by_key: HashMap<Box<[u8]>, Window>,
    swept: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    started: Duration,
    count: u32,
}

impl RequestRate {
    const WINDOW: Duration = Duration::from_secs(60);
    const MAX_KEYS: usize = 1 << 16;

    /// Keys requested at least `per_minute` times a minute, by that clock. carrotCache uses 100.
    pub fn new(per_minute: u32, clock: Clock) -> Self {
        Self {
            per_minute,
            clock,
            windows: Mutex::default(),
        }
    }
}

impl HotCopies for RequestRate {
    fn asked(&self, key: &[u8]) {
        let now = self.clock.now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.by_key.get_mut(key) {
            if now.saturating_sub(window.started) >= Self::WINDOW {
                *window = Window {
                    started: now,
                    count: 0,
                };
            }
            window.count = window.count.saturating_add(1);
            return;
        }
        // A full table is swept at most once a second: the sweep walks all of it.
        if windows.by_key.len() >= Self::MAX_KEYS
            && now.saturating_sub(windows.swept) >= Duration::from_secs(1)
        {
            windows.swept = now;
            windows
                .by_key
                .retain(|_, window| now.saturating_sub(window.started) < Self::WINDOW);
        }
        if windows.by_key.len() < Self::MAX_KEYS {
            windows.by_key.insert(
                key.into(),
                Window {
                    started: now,
                    count: 1,
                },
            );
        }
    }

    fn keep(&self, copy: &Candidate<'_>) -> bool {
        let now = self.clock.now();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.by_key.get(copy.key).is_some_and(|window| {
            window.count >= self.per_minute && now.saturating_sub(window.started) < Self::WINDOW
        })
    }
}

/// Keeps a copy unless its key is known to be fetched too rarely.
///
/// While there is room it keeps every copy. Otherwise it refuses copies of keys whose owner
/// reports a rate below a threshold, and keeps any other: the store decides which entries are
/// evicted for it, as copies and the values of this node's own keys compete in the store's order.
#[derive(Debug, Clone, Copy)]
pub struct ByWorth {
    least: f64,
}

impl ByWorth {
    /// Refuses copies of keys that all peers together fetch from their owner less than `least`
    /// times a minute, if there is no room for them. A fetch is in its own rate, so with 1 or less
    /// every copy is kept; with 1.5, for example, a key has to be fetched twice within 41 seconds.
    ///
    /// `least` should not be above the number of fetching nodes divided by the minutes for which a
    /// copy lives: that is the rate of a key of which every node has a copy ([`Candidate`]).
    #[must_use]
    pub fn new(least: f64) -> Self {
        Self { least }
    }
}

impl Default for ByWorth {
    /// A threshold of 1.5 fetches a minute.
    fn default() -> Self {
        Self::new(1.5)
    }
}

impl HotCopies for ByWorth {
    fn keep(&self, copy: &Candidate<'_>) -> bool {
        copy.room || copy.minute_qps.is_none_or(|rate| rate >= self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(policy: &impl HotCopies, key: &[u8]) -> bool {
        policy.keep(&Candidate::new(key, 9))
    }

    #[test]
    fn worth_refuses_only_what_is_known_to_be_rare_where_there_is_no_room() {
        let worth = ByWorth::new(2.0);
        let copy = Candidate::new(b"k", 9);
        for (minute_qps, room, kept) in [
            (None, false, true),
            (Some(1.9), false, false),
            (Some(2.0), false, true),
            (Some(0.0), true, true),
        ] {
            let copy = copy.asked_for(minute_qps).with_room(room);
            assert_eq!(worth.keep(&copy), kept, "{copy:?}");
        }
        let once = copy.asked_for(Some(1.0));
        assert!(ByWorth::new(1.0).keep(&once) && !ByWorth::default().keep(&once));
    }

    #[test]
    fn the_older_rules_look_neither_at_the_rate_nor_at_the_room() {
        let tempting = Candidate::new(b"k", 9).asked_for(Some(1e6)).with_room(true);
        assert!(!NoHotCopies.keep(&tempting));
        assert!(!Sampled { one_in: 0 }.keep(&tempting));
        assert!(!RequestRate::new(1, Clock::manual()).keep(&tempting));
        assert!(Sampled { one_in: 1 }.keep(&Candidate::new(b"k", 9).asked_for(Some(0.0))));
    }

    #[test]
    fn sampled_keeps_about_one_in_ten_and_zero_keeps_none() {
        let kept = (0..20_000)
            .filter(|_| keeps(&Sampled::default(), b"k"))
            .count();
        assert!((1_500..2_500).contains(&kept), "{kept} of 20000");
        assert!((0..1_000).all(|_| !keeps(&Sampled { one_in: 0 }, b"k")));
        assert!((0..1_000).all(|_| keeps(&Sampled { one_in: 1 }, b"k")));
    }

    #[test]
    fn rate_counts_within_a_minute_of_the_first_request() {
        let clock = Clock::manual();
        let rate = RequestRate::new(3, clock.clone());
        rate.asked(b"k");
        rate.asked(b"k");
        assert!(!keeps(&rate, b"k"));
        rate.asked(b"k");
        assert!(keeps(&rate, b"k"));
        assert!(!keeps(&rate, b"other"));

        clock.advance(Duration::from_secs(60));
        assert!(!keeps(&rate, b"k"), "the window has ended");
        rate.asked(b"k");
        assert!(!keeps(&rate, b"k"), "and the next one starts from one");
    }

    #[test]
    fn rate_counts_a_bounded_number_of_keys() {
        let clock = Clock::manual();
        let rate = RequestRate::new(1, clock.clone());
        for i in 0..RequestRate::MAX_KEYS {
            rate.asked(&i.to_be_bytes());
        }
        rate.asked(b"one too many");
        assert!(!keeps(&rate, b"one too many"));
        clock.advance(Duration::from_secs(61));
        rate.asked(b"one too many");
        assert!(keeps(&rate, b"one too many"), "old windows make room");
    }
}
