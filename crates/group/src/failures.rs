//! When a key whose load has failed may be loaded again, if a stale value can be served meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Key;

/// Keys whose last load failed. A key's first retry is about a second after the failure, and each
/// further one after twice as long, up to half a minute; randomly a fifth earlier or later.
///
/// At most 65,536 keys: if more fail, further ones are loaded with each get, as if there were no
/// failures.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    keys: Mutex<Keys>,
    /// The number of keys, so that a get without a failure takes no lock.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Keys {
    by_key: HashMap<Key, Failure>,
    swept: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    times: u32,
    /// By the group's clock.
    again_at: Duration,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
const MAX_KEYS: usize = 1 << 16;
/// A key that was not requested for this long is dropped.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

impl Failures {
    /// Whether a load of that key has to wait.
    pub(crate) fn must_wait(&self, key: &[u8], now: impl FnOnce() -> Duration) -> bool {
        if self.count.load(Relaxed) == 0 {
            return false;
        }
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.by_key
            .get(key)
            .is_some_and(|failure| now() < failure.again_at)
    }

    /// A load of that key has failed.
    pub(crate) fn failed(&self, key: &Key, now: Duration) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // At most once a second, as it walks all of it.
        if now.saturating_sub(keys.swept) >= FIRST && keys.by_key.len() >= MAX_KEYS / 2 {
            keys.swept = now;
            keys.by_key
                .retain(|_, failure| now < failure.again_at + FORGOTTEN_AFTER);
        }
        if keys.by_key.len() >= MAX_KEYS && !keys.by_key.contains_key(key) {
            return;
        }
        let failure = keys.by_key.entry(key.clone()).or_insert(Failure {
            times: 0,
            again_at: now,
        });
        let pause = FIRST.saturating_mul(1 << failure.times.min(5)).min(LONGEST);
        failure.times = failure.times.saturating_add(1);
        failure.again_at = now + pause.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.count.store(keys.by_key.len(), Relaxed);
    }

    /// A load of that key has returned an answer, or the key has been removed.
    pub(crate) fn over(&self, key: &[u8]) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.by_key.remove(key);
        self.count.store(keys.by_key.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_until_one_succeeds() {
        let failures = Failures::default();
        let key = Key::from_static(b"k");
        let mut attempts = 0;
        for tick in 0..600 {
            let now = Duration::from_millis(100 * tick);
            if !failures.must_wait(b"k", || now) {
                attempts += 1;
                failures.failed(&key, now);
            }
        }
        // At 0, 1, 3, 7, 15, 31 and 61 seconds, or a fifth earlier.
        assert!((6..=8).contains(&attempts), "{attempts} in a minute");
        let now = || Duration::from_secs(60);
        failures.failed(&key, now());
        assert!(failures.must_wait(b"k", now) && !failures.must_wait(b"other", now));
        failures.over(b"k");
        assert!(!failures.must_wait(b"k", now));
    }
}
