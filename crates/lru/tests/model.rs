//! The cache with one shard against a plain list, the most recently used entry last.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, dead_code)]

use std::time::Duration;

use gaggle_lru::{Cache, Clock, Insertion};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/promises.rs"]
mod promises;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;

use promises::{Op, op};
use subject::{Value, options};

type Subject = Cache<u64, Value>;

const OVERHEAD: u64 = Subject::ENTRY_OVERHEAD;
/// Most values are smaller.
const UNIT: u64 = 2 * OVERHEAD;
const CAPACITY: u64 = 16 * OVERHEAD;

#[derive(Clone, Debug)]
struct Kept {
    value: Value,
    end: Option<u64>,
}

struct Model {
    order: Vec<Kept>,
    now: u64,
    capacity: u64,
}

impl Model {
    fn bytes(&self) -> u64 {
        let weigh = |kept: &Kept| OVERHEAD + kept.value.size;
        self.order.iter().map(weigh).sum()
    }

    fn take(&mut self, key: u64) -> Option<Kept> {
        let at = self.order.iter().position(|kept| kept.value.key == key)?;
        Some(self.order.remove(at))
    }

    fn is_fresh(&self, kept: &Kept) -> bool {
        kept.end.is_none_or(|end| end > self.now)
    }

    fn take_fresh(&mut self, key: u64) -> Option<Kept> {
        self.take(key).filter(|kept| self.is_fresh(kept))
    }

    fn peek(&self, key: u64) -> Option<Value> {
        let kept = self.order.iter().find(|kept| kept.value.key == key)?;
        self.is_fresh(kept).then_some(kept.value)
    }

    fn get(&mut self, key: u64) -> Option<(Value, Option<Duration>)> {
        let kept = self.take_fresh(key)?;
        self.order.push(kept.clone());
        let left = kept.end.map(|end| secs(end - self.now));
        Some((kept.value, left))
    }

    fn evict(&mut self) -> Option<Value> {
        (!self.order.is_empty()).then(|| self.order.remove(0).value)
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        while self.bytes() > capacity {
            self.evict();
        }
    }

    fn insert(&mut self, value: Value, ttl: Option<u64>) -> Insertion {
        let old = self.take(value.key);
        if ttl == Some(0) {
            return Insertion::Expired;
        }
        let weight = OVERHEAD + value.size;
        if weight > self.capacity {
            let capacity = self.capacity;
            return Insertion::Refused { weight, capacity };
        }
        let end = ttl.map(|ttl| self.now + ttl);
        self.order.push(Kept { value, end });
        self.resize(self.capacity);
        if old.is_some() {
            Insertion::Overwrote
        } else {
            Insertion::Added
        }
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn evict(cache: &Subject) -> Option<Value> {
    cache.evict_one().map(|evicted| evicted.value)
}

fn step(
    cache: &Subject,
    clock: &Clock,
    model: &mut Model,
    version: u64,
    op: &Op,
) -> TestCaseResult {
    match *op {
        Op::Get(key) => {
            let hit = cache.get_entry(&key).map(|hit| (hit.value, hit.ttl));
            prop_assert_eq!(hit, model.get(key));
        }
        Op::Peek(key) => {
            let value = cache.peek(&key).map(|hit| hit.value);
            prop_assert_eq!(value, model.peek(key));
            prop_assert_eq!(cache.contains(&key), value.is_some());
        }
        Op::Insert(key, size, ttl) => {
            let value = Value { key, version, size };
            let insertion = cache.insert_with_ttl(key, value, ttl.map(secs));
            prop_assert_eq!(insertion, model.insert(value, ttl));
        }
        Op::Remove(key) => {
            let removed = model.take_fresh(key).map(|kept| kept.value);
            prop_assert_eq!(cache.remove(&key), removed);
        }
        Op::Advance(by) => {
            clock.advance(secs(by));
            model.now += by;
        }
        Op::Evict => prop_assert_eq!(evict(cache), model.evict()),
        Op::Resize(quarters) => {
            cache.set_capacity(CAPACITY / 4 * quarters);
            model.resize(CAPACITY / 4 * quarters);
        }
        Op::Clear => {
            cache.clear();
            model.order.clear();
        }
    }
    prop_assert_eq!(cache.bytes(), model.bytes());
    prop_assert_eq!(cache.len(), model.order.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_shard_is_exactly_an_lru_list(ops in proptest::collection::vec(op(UNIT), 1..300)) {
        let clock = Clock::manual();
        let cache = Cache::new(options(CAPACITY, 1, &clock), |_, value: &Value| value.size);
        let mut model = Model { order: Vec::new(), now: 0, capacity: CAPACITY };
        for (version, op) in ops.into_iter().enumerate() {
            step(&cache, &clock, &mut model, version as u64, &op)?;
        }
        let stats = cache.stats();
        let gone = stats.overwrites + stats.removals + stats.evictions.total();
        prop_assert_eq!(stats.insertions, cache.len() as u64 + gone);
        // What is left, in its whole order.
        while let Some(value) = model.evict() {
            prop_assert_eq!(evict(&cache), Some(value));
        }
        prop_assert_eq!(cache.bytes(), 0);
    }
}
