//! Any sequence of operations on entries with lifetimes and notes, against a map, with room for
//! all of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use gaggle_paged::{Clock, Held, Insertion, Life, Options, PagedCache};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

#[derive(Clone, Debug)]
enum Op {
    Hold(u8),
    HoldAny(u8),
    Peek(u8),
    Insert(u8, usize, Life, usize),
    Remove(u8),
    Advance(u64),
    Shorten(Life),
    /// The values that lookups have returned are no longer held.
    LetGo,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..40_u8;
    let len = prop_oneof![8 => 0..200_usize, 2 => 900..1_100_usize, 1 => 0..6_000_usize];
    let note = prop_oneof![4 => Just(0), 4 => 0..40_usize, 1 => 0..4_097_usize];
    let millis = || (0..6_u64).prop_map(Duration::from_millis);
    let life = (
        proptest::option::weighted(0.8, millis()),
        millis(),
        millis(),
        millis(),
    );
    let life = life.prop_map(|(ttl, serve_stale, keep_stale, refresh_ahead)| Life {
        ttl,
        serve_stale,
        keep_stale,
        refresh_ahead,
    });
    let longest = life.clone();
    prop_oneof![
        1 => longest.prop_map(Op::Shorten),
        1 => Just(Op::LetGo),
        6 => key.clone().prop_map(Op::Hold),
        3 => key.clone().prop_map(Op::HoldAny),
        3 => key.clone().prop_map(Op::Peek),
        10 => (key.clone(), len, life, note).prop_map(|(k, len, life, note)| Op::Insert(k, len, life, note)),
        2 => key.prop_map(Op::Remove),
        3 => (1..3_u64).prop_map(Op::Advance),
    ]
}

struct Kept {
    value: Bytes,
    note: Bytes,
    life: Life,
    since: Duration,
}

impl Kept {
    /// The rest of the lifetime, and how long ago the entry became stale.
    fn left(&self, now: Duration) -> (Life, Option<Duration>) {
        let Some(ttl) = self.life.ttl else {
            return (Life::default(), None);
        };
        let age = now - self.since;
        let past = age.saturating_sub(ttl);
        let life = Life {
            ttl: Some(ttl.saturating_sub(age)),
            serve_stale: self.life.serve_stale.saturating_sub(past),
            keep_stale: self.life.keep_stale.saturating_sub(past),
            refresh_ahead: self.life.refresh_ahead,
        };
        (life, (age >= ttl).then_some(past))
    }

    /// Each part of it is at most as long as in the argument.
    fn shorten(&mut self, longest: &Life, now: Duration) {
        let life = &mut self.life;
        let end = life.ttl.map(|ttl| self.since + ttl);
        if life.ttl.is_none() {
            // Without an end they had no effect, and were not kept.
            (life.serve_stale, life.keep_stale) = (Duration::ZERO, Duration::ZERO);
            life.refresh_ahead = Duration::ZERO;
        }
        if let Some(ttl) = longest.ttl
            && end.is_none_or(|end| end > now + ttl)
        {
            (self.since, life.ttl) = (now, Some(ttl));
        }
        life.serve_stale = life.serve_stale.min(longest.serve_stale);
        life.keep_stale = life.keep_stale.min(longest.keep_stale);
        life.refresh_ahead = life.refresh_ahead.min(longest.refresh_ahead);
    }

    fn is_served(&self, now: Duration) -> bool {
        let past = self.left(now).1;
        past.is_none_or(|past| past < self.life.serve_stale)
    }

    fn is_gone(&self, now: Duration) -> bool {
        let past = self.left(now).1;
        past.is_some_and(|past| past >= self.life.serve_stale.max(self.life.keep_stale))
    }

    fn is(&self, held: &Held, now: Duration) -> bool {
        let (life, past) = self.left(now);
        let due = past.is_none() && life.ttl.is_some_and(|ttl| ttl <= life.refresh_ahead);
        (&held.value, &held.note) == (&self.value, &self.note)
            && (held.life, held.due) == (life, due)
    }
}

fn bytes(seed: usize, len: usize) -> Bytes {
    seed.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn play(ops: Vec<Op>, shards: usize) -> TestCaseResult {
    let clock = Clock::manual();
    let cache = PagedCache::new(Options {
        capacity: 16 << 20,
        shards: Some(shards),
        clock: clock.clone(),
    });
    let mut kept: HashMap<u8, Kept> = HashMap::new();
    let mut hands = Vec::new();
    for (n, op) in ops.into_iter().enumerate() {
        let now = clock.now();
        match op {
            Op::Hold(key) => {
                let misses = cache.stats().misses;
                let held = cache.hold(&[key]);
                prop_assert_eq!(cache.stats().misses, misses + u64::from(held.is_none()));
                let expected = kept.get(&key).filter(|kept| kept.is_served(now));
                prop_assert_eq!(held.is_some(), expected.is_some());
                hands.extend(held.clone());
                prop_assert!(
                    held.is_none_or(|held| expected.is_some_and(|kept| kept.is(&held, now)))
                );
            }
            Op::Shorten(longest) => {
                let before = cache.stats();
                cache.shorten(&longest, |ttl| ttl);
                for kept in kept.values_mut() {
                    kept.shorten(&longest, now);
                }
                let stats = cache.stats();
                prop_assert_eq!((stats.hits, stats.removals), (before.hits, before.removals));
            }
            Op::LetGo => hands.clear(),
            Op::HoldAny(key) => {
                let held = cache.hold_any(&[key]);
                let expected = kept.get(&key).filter(|kept| !kept.is_gone(now));
                prop_assert_eq!(held.is_some(), expected.is_some());
                prop_assert!(
                    held.is_none_or(|held| expected.is_some_and(|kept| kept.is(&held, now)))
                );
            }
            Op::Peek(key) => {
                let expected = kept.get(&key).filter(|kept| kept.is_served(now));
                prop_assert_eq!(cache.contains(&[key]), expected.is_some());
                let found = cache.peek(&[key]).map(|hit| (hit.value, hit.ttl));
                let expected = expected.map(|kept| (kept.value.clone(), kept.left(now).0.ttl));
                prop_assert_eq!(found, expected);
            }
            Op::Insert(key, len, life, note) => {
                let (value, note) = (bytes(n, len), bytes(n + 1, note));
                let insertion = cache.insert_entry(&[key], value.clone(), &life, &note);
                let nothing = life.ttl.is_some_and(|ttl| ttl.is_zero())
                    && life.serve_stale.max(life.keep_stale).is_zero();
                prop_assert_eq!(insertion == Insertion::Expired, nothing);
                kept.remove(&key);
                if !nothing {
                    prop_assert!(insertion.is_stored());
                    let since = now;
                    kept.insert(
                        key,
                        Kept {
                            value,
                            note,
                            life,
                            since,
                        },
                    );
                }
            }
            Op::Remove(key) => {
                let old = kept.remove(&key).filter(|kept| kept.is_served(now));
                prop_assert_eq!(cache.remove(&[key]), old.map(|kept| kept.value));
            }
            Op::Advance(by) => clock.advance(Duration::from_millis(by)),
        }
    }
    let stats = cache.stats();
    prop_assert_eq!(stats.evictions.capacity, 0);
    let gone = stats.overwrites + stats.removals + stats.evictions.total();
    prop_assert_eq!(stats.insertions, cache.len() as u64 + gone);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_is_found_as_long_as_its_life_says(ops in proptest::collection::vec(op(), 1..600), shards in 1..5_usize) {
        play(ops, shards)?;
    }
}
