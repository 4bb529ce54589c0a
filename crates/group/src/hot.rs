//! Which of the values that other nodes own are worth a copy here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gaggle_lru::Clock;

/// Decides on hot copies: values of keys that other nodes own, kept so that a key that everybody asks for does not melt
/// its owner.
pub trait HotCopies: Send + Sync + 'static {
    /// A key that another node owns was asked for and was not in memory. Called once for each such get.
    fn asked(&self, key: &[u8]) {
        let _ = key;
    }

    /// Its value has come from the owner: keep a copy? Called once for each fetch.
    fn keep(&self, key: &[u8]) -> bool;
}

/// Keeps no copies.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHotCopies;

impl HotCopies for NoHotCopies {
    fn keep(&self, _key: &[u8]) -> bool {
        false
    }
}

/// Keeps one fetched value in `one_in`, by chance: golang/groupcache's rule, with its 10 as the default. A key's odds
/// grow with the number of times that it is fetched.
#[derive(Debug, Clone, Copy)]
pub struct Sampled {
    /// One in how many fetches leaves a copy; 0 is taken as "none".
    pub one_in: u32,
}

impl Default for Sampled {
    fn default() -> Self {
        Self { one_in: 10 }
    }
}

impl HotCopies for Sampled {
    fn keep(&self, _key: &[u8]) -> bool {
        self.one_in != 0 && fastrand::u32(0..self.one_in) == 0
    }
}

/// Keeps the value of a key once it has been asked for at least `per_minute` times within a minute: carrotCache's rule.
///
/// Counts in windows of a minute that start with a key's first request. Memory is bounded: at most 65,536 keys are
/// counted at a time; keys beyond them wait for the next sweep, which drops the windows that have ended.
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

    /// Keys asked for at least `per_minute` times a minute, by that clock. carrotCache uses 100.
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
        // A full table is swept once a second at most: the sweep walks all of it.
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

    fn keep(&self, key: &[u8]) -> bool {
        let now = self.clock.now();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.by_key.get(key).is_some_and(|window| {
            window.count >= self.per_minute && now.saturating_sub(window.started) < Self::WINDOW
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampled_keeps_about_one_in_ten_and_zero_keeps_none() {
        let kept = (0..20_000)
            .filter(|_| Sampled::default().keep(b"k"))
            .count();
        assert!((1_500..2_500).contains(&kept), "{kept} of 20000");
        assert!((0..1_000).all(|_| !Sampled { one_in: 0 }.keep(b"k")));
        assert!((0..1_000).all(|_| Sampled { one_in: 1 }.keep(b"k")));
    }

    #[test]
    fn rate_counts_within_a_minute_of_the_first_request() {
        let clock = Clock::manual();
        let rate = RequestRate::new(3, clock.clone());
        rate.asked(b"k");
        rate.asked(b"k");
        assert!(!rate.keep(b"k"));
        rate.asked(b"k");
        assert!(rate.keep(b"k"));
        assert!(!rate.keep(b"other"));

        clock.advance(Duration::from_secs(60));
        assert!(!rate.keep(b"k"), "the window has ended");
        rate.asked(b"k");
        assert!(!rate.keep(b"k"), "and the next one starts from one");
    }

    #[test]
    fn rate_counts_a_bounded_number_of_keys() {
        let clock = Clock::manual();
        let rate = RequestRate::new(1, clock.clone());
        for i in 0..RequestRate::MAX_KEYS {
            rate.asked(&i.to_be_bytes());
        }
        rate.asked(b"one too many");
        assert!(!rate.keep(b"one too many"));
        clock.advance(Duration::from_secs(61));
        rate.asked(b"one too many");
        assert!(rate.keep(b"one too many"), "old windows make room");
    }
}
