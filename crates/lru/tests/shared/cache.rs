//! `Cache` as the shared tests see it.

use std::time::Duration;

use gaggle_lru::{Cache, Clock, Stats};

use crate::subject::{Subject, Value, options};

impl Subject for Cache<u64, Value> {
    fn new(capacity: u64, shards: usize, clock: &Clock) -> Self {
        Self::new(options(capacity, shards, clock), |_, value| value.size)
    }

    fn get(&self, key: u64) -> Option<(Value, Option<Duration>)> {
        self.get_entry(&key).map(|hit| (hit.value, hit.ttl))
    }

    fn peek(&self, key: u64) -> Option<Value> {
        self.peek(&key).map(|hit| hit.value)
    }

    fn contains(&self, key: u64) -> bool {
        self.contains(&key)
    }

    fn insert(&self, value: Value, ttl: Option<Duration>) -> bool {
        self.insert_with_ttl(value.key, value, ttl).is_stored()
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.remove(&key)
    }

    fn evict(&self) -> usize {
        usize::from(self.evict_one().is_some())
    }

    fn clear(&self) {
        self.clear();
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn capacity(&self) -> u64 {
        self.capacity()
    }

    fn set_capacity(&self, capacity: u64) {
        self.set_capacity(capacity);
    }

    fn stats(&self) -> Stats {
        self.stats()
    }
}
