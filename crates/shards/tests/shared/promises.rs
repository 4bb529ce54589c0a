//! Any sequence of operations, on a store with any number of shards, against the last value given
//! for each key.

use std::collections::HashMap;
use std::time::Duration;

use gaggle_shards::Clock;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::subject::{Subject, Value};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Get(u64),
    Peek(u64),
    Insert(u64, u64, Option<u64>),
    Remove(u64),
    Advance(u64),
    Evict,
    Clear,
    /// To this many quarters of the initial capacity.
    Resize(u64),
}

/// Values up to the unit mostly, a few of nearly eight, and some that do not fit into those.
pub(crate) fn op(unit: u64) -> impl Strategy<Value = Op> {
    let key = 0..60_u64;
    let size = prop_oneof![
        8 => 16..unit, 2 => 16..8 * unit, 1 => Just(7 * unit), 1 => 7 * unit..9 * unit
    ];
    let ttl = proptest::option::weighted(0.4, 0..20_u64);
    prop_oneof![
        8 => key.clone().prop_map(Op::Get),
        2 => key.clone().prop_map(Op::Peek),
        10 => (key.clone(), size, ttl).prop_map(|(k, w, t)| Op::Insert(k, w, t)),
        3 => key.prop_map(Op::Remove),
        3 => (1..8_u64).prop_map(Op::Advance),
        1 => Just(Op::Evict),
        1 => prop_oneof![8 => 1..16_u64, 1 => Just(0)].prop_map(Op::Resize),
        1 => proptest::bool::weighted(0.1).prop_map(|yes| if yes { Op::Clear } else { Op::Evict }),
    ]
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[derive(Default)]
struct Given {
    /// The last value of each key, and its expiry; an entry of the cache must equal that.
    values: HashMap<u64, (Value, Option<u64>)>,
    now: u64,
}

pub(crate) fn play<S: Subject>(first: u64, shards: usize, ops: Vec<Op>) -> TestCaseResult {
    let clock = Clock::manual();
    let cache = S::new(first, shards, &clock);
    let mut capacity = first;
    let mut given = Given::default();
    for (version, op) in ops.into_iter().enumerate() {
        match op {
            Op::Insert(key, size, ttl) => {
                let value = Value {
                    key,
                    version: version as u64,
                    size,
                };
                insert(&cache, capacity, &mut given, value, ttl)?;
            }
            Op::Advance(by) => {
                clock.advance(secs(by));
                given.now += by;
            }
            Op::Resize(quarters) => {
                capacity = first / 4 * quarters;
                resize(&cache, capacity, first)?;
            }
            op => other(&cache, &given, &op)?,
        }
        prop_assert_eq!(cache.capacity(), capacity);
        prop_assert!(cache.bytes() <= capacity);
    }
    let stats = cache.stats();
    let gone = stats.overwrites + stats.removals + stats.evictions.total();
    prop_assert_eq!(stats.insertions, cache.len() as u64 + gone);
    for key in 0..60 {
        let fresh = cache.peek(key);
        prop_assert_eq!(fresh.is_some(), cache.contains(key));
        prop_assert!(fresh.is_none() || fresh == given.values.get(&key).map(|(value, _)| *value));
    }
    let mut left = cache.len();
    while left > 0 {
        let evicted = cache.evict();
        prop_assert!(evicted > 0);
        left -= evicted;
        prop_assert_eq!(cache.len(), left);
    }
    prop_assert_eq!(cache.bytes(), 0);
    Ok(())
}

fn insert(
    cache: &impl Subject,
    capacity: u64,
    given: &mut Given,
    value: Value,
    ttl: Option<u64>,
) -> TestCaseResult {
    let before = cache.stats().evictions.capacity;
    if cache.insert(value, ttl.map(secs)) {
        given
            .values
            .insert(value.key, (value, ttl.map(|ttl| given.now + ttl)));
        prop_assert!(cache.contains(value.key));
    } else {
        // A much smaller value does fit.
        prop_assert!(value.size > capacity / 2 || ttl == Some(0));
        prop_assert!(!cache.contains(value.key));
        given.values.remove(&value.key);
        // If the older value leaves a page of holes, expired entries are swept from that.
        prop_assert_eq!(cache.stats().evictions.capacity, before);
    }
    Ok(())
}

/// Entries that fit stay; otherwise no more are evicted than necessary.
fn resize(cache: &impl Subject, capacity: u64, first: u64) -> TestCaseResult {
    let keys = || {
        (0..60)
            .filter(|key| cache.contains(*key))
            .collect::<Vec<_>>()
    };
    let (bytes, stats, kept) = (cache.bytes(), cache.stats(), keys());
    cache.set_capacity(capacity);
    if bytes <= capacity {
        prop_assert_eq!((cache.bytes(), cache.stats(), keys()), (bytes, stats, kept));
        return Ok(());
    }
    prop_assert!(cache.stats().evictions.total() > stats.evictions.total());
    prop_assert_eq!(cache.stats().insertions, stats.insertions);
    // The last one evicted was a page or a value: at most nine eighths of the initial size, and
    // the bookkeeping.
    prop_assert!(cache.bytes() + first * 3 / 2 >= capacity);
    Ok(())
}

fn other(cache: &impl Subject, given: &Given, op: &Op) -> TestCaseResult {
    match *op {
        Op::Get(key) => {
            if let Some((value, ttl)) = cache.get(key) {
                let (last, end) = given.values.get(&key).unwrap();
                prop_assert_eq!(&value, last);
                prop_assert_eq!(ttl, end.map(|end| secs(end - given.now)));
                prop_assert!(ttl != Some(Duration::ZERO));
            }
        }
        Op::Peek(key) => {
            let before = cache.stats();
            let value = cache.peek(key);
            prop_assert!(value.is_none() || value == given.values.get(&key).map(|last| last.0));
            prop_assert_eq!(cache.stats(), before);
        }
        Op::Remove(key) => {
            let removed = cache.remove(key);
            prop_assert!(removed.is_none() || removed == given.values.get(&key).map(|last| last.0));
            prop_assert!(!cache.contains(key));
        }
        Op::Evict => {
            let len = cache.len();
            let evicted = cache.evict();
            prop_assert_eq!(evicted > 0, len > 0);
            prop_assert_eq!(cache.len() + evicted, len);
        }
        Op::Clear => {
            cache.clear();
            prop_assert_eq!((cache.len(), cache.bytes()), (0, 0));
        }
        Op::Insert(..) | Op::Advance(_) | Op::Resize(_) => unreachable!("played by the caller"),
    }
    Ok(())
}
