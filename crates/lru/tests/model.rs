//! The cache with one shard against a plain list.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::time::Duration;

use gaggle_lru::{Cache, Clock, Insertion, Options};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    id: u64,
    payload: u64,
}

type Subject = Cache<u8, Value>;

const UNIT: u64 = Subject::ENTRY_OVERHEAD;
const CAPACITY: u64 = 8 * UNIT;

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Peek(u8),
    Insert(u8, u64, Option<u64>),
    Remove(u8),
    Advance(u64),
    EvictOne,
    Clear,
    Resize(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..24_u8;
    let payload =
        prop_oneof![8 => 0..UNIT, 2 => 0..8 * UNIT, 1 => Just(7 * UNIT), 1 => 7 * UNIT..9 * UNIT];
    let ttl = proptest::option::weighted(0.4, 0..20_u64);
    prop_oneof![
        8 => key.clone().prop_map(Op::Get),
        2 => key.clone().prop_map(Op::Peek),
        10 => (key.clone(), payload, ttl).prop_map(|(k, w, t)| Op::Insert(k, w, t)),
        3 => key.prop_map(Op::Remove),
        3 => (1..8_u64).prop_map(Op::Advance),
        1 => Just(Op::EvictOne),
        1 => (0..16 * UNIT).prop_map(Op::Resize),
        1 => proptest::bool::weighted(0.1).prop_map(|yes| if yes { Op::Clear } else { Op::EvictOne }),
    ]
}

fn subject(clock: &Clock) -> Subject {
    let options = Options {
        capacity: CAPACITY,
        shards: Some(1),
        clock: clock.clone(),
    };
    Cache::new(options, |_, value: &Value| value.payload)
}

#[derive(Clone, Debug)]
struct Kept {
    key: u8,
    value: Value,
    end: Option<u64>,
    /// Uses since the evictor last came by.
    uses: u32,
}

/// The plain reference: a list whose first entry is looked at first when one must go.
struct Model {
    order: Vec<Kept>,
    now: u64,
    capacity: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            now: 0,
            capacity: CAPACITY,
        }
    }
}

impl Model {
    const MAX_USES: u32 = 2;

    fn bytes(&self) -> u64 {
        self.order
            .iter()
            .map(|kept| UNIT + kept.value.payload)
            .sum()
    }

    fn take(&mut self, key: u8) -> Option<Kept> {
        let at = self.order.iter().position(|kept| kept.key == key)?;
        Some(self.order.remove(at))
    }

    fn is_fresh(&self, kept: &Kept) -> bool {
        kept.end.is_none_or(|end| end > self.now)
    }

    fn take_fresh(&mut self, key: u8) -> Option<Kept> {
        self.take(key).filter(|kept| self.is_fresh(kept))
    }

    fn get(&mut self, key: u8) -> Option<(Value, Option<u64>)> {
        let at = self.order.iter().position(|kept| kept.key == key)?;
        if !self.is_fresh(&self.order[at]) {
            self.order.remove(at);
            return None;
        }
        let kept = &mut self.order[at];
        kept.uses = Self::MAX_USES.min(kept.uses + 1);
        let left = kept.end.map(|end| end - self.now);
        Some((kept.value.clone(), left))
    }

    /// Second chance: who was used and is fresh goes to the end, for one use less. So does the entry just stored, which is
    /// spared.
    fn evict(&mut self, fresh: Option<u8>) -> Option<Kept> {
        while !self.order.is_empty() {
            let mut first = self.order.remove(0);
            if Some(first.key) != fresh {
                if first.uses == 0 || !self.is_fresh(&first) {
                    return Some(first);
                }
                first.uses -= 1;
            }
            self.order.push(first);
        }
        None
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        while self.bytes() > capacity {
            self.evict(None);
        }
    }

    fn insert(&mut self, key: u8, value: Value, ttl: Option<u64>) -> Insertion {
        if ttl == Some(0) {
            self.take(key);
            return Insertion::Expired;
        }
        let old = self.order.iter().position(|kept| kept.key == key);
        let weight = UNIT + value.payload;
        if weight > self.capacity {
            self.take(key);
            return Insertion::Refused {
                weight,
                capacity: self.capacity,
            };
        }
        let mut kept = Kept {
            key,
            value,
            end: ttl.map(|ttl| self.now + ttl),
            uses: 0,
        };
        // Overwriting is a use, in the place of the older value.
        if let Some(at) = old {
            kept.uses = Self::MAX_USES.min(self.order[at].uses + 1);
            self.order[at] = kept;
        } else {
            self.order.push(kept);
        }
        while self.bytes() > self.capacity {
            self.evict(Some(key));
        }
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_shard_is_exactly_a_second_chance_list(ops in proptest::collection::vec(op(), 1..300)) {
        let clock = Clock::manual();
        let cache = subject(&clock);
        let mut model = Model::default();
        for (id, op) in ops.into_iter().enumerate() {
            match op {
                Op::Get(key) => {
                    let hit = cache.get_entry(&key).map(|hit| (hit.value, hit.ttl));
                    let expected = model.get(key).map(|(value, ttl)| (value, ttl.map(secs)));
                    prop_assert_eq!(hit, expected);
                }
                Op::Peek(key) => {
                    let fresh = model.order.iter().find(|kept| kept.key == key && model.is_fresh(kept));
                    prop_assert_eq!(cache.peek(&key).map(|hit| hit.value), fresh.map(|kept| kept.value.clone()));
                    prop_assert_eq!(cache.contains(&key), fresh.is_some());
                }
                Op::Insert(key, payload, ttl) => {
                    let value = Value { id: id as u64, payload };
                    let insertion = cache.insert_with_ttl(key, value.clone(), ttl.map(secs));
                    prop_assert_eq!(insertion, model.insert(key, value, ttl));
                }
                Op::Remove(key) => {
                    prop_assert_eq!(cache.remove(&key), model.take_fresh(key).map(|kept| kept.value));
                }
                Op::Advance(by) => {
                    clock.advance(secs(by));
                    model.now += by;
                }
                Op::EvictOne => {
                    let evicted = cache.evict_one().map(|evicted| (evicted.key, evicted.value));
                    prop_assert_eq!(evicted, model.evict(None).map(|kept| (kept.key, kept.value)));
                }
                Op::Resize(capacity) => {
                    cache.set_capacity(capacity);
                    model.resize(capacity);
                }
                Op::Clear => {
                    cache.clear();
                    model.order.clear();
                }
            }
            prop_assert_eq!(cache.bytes(), model.bytes());
            prop_assert_eq!(cache.len(), model.order.len());
        }
        let stats = cache.stats();
        let gone = stats.overwrites + stats.removals + stats.evictions.total();
        prop_assert_eq!(stats.insertions, cache.len() as u64 + gone);
        // What is left, in its whole order.
        while let Some(kept) = model.evict(None) {
            let evicted = cache.evict_one().unwrap();
            prop_assert_eq!((evicted.key, evicted.value), (kept.key, kept.value));
        }
        prop_assert_eq!(cache.bytes(), 0);
    }
}
