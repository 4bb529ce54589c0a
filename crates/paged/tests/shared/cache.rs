//! `PagedCache` as the shared tests see it.

use std::time::Duration;

use bytes::Bytes;
use gaggle_paged::{Clock, PagedCache, Stats};

use crate::subject::{Subject, Value, options};

impl Value {
    fn to_bytes(self) -> Bytes {
        let words = [self.key, self.version].map(u64::to_le_bytes).concat();
        words
            .into_iter()
            .cycle()
            .take(usize::try_from(self.size).unwrap())
            .collect()
    }

    fn from_bytes(bytes: &Bytes) -> Self {
        let word = |at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let value = Self {
            key: word(0),
            version: word(8),
            size: bytes.len() as u64,
        };
        assert_eq!(value.to_bytes(), bytes, "whole");
        value
    }
}

impl Subject for PagedCache {
    fn new(capacity: u64, shards: usize, clock: &Clock) -> Self {
        Self::new(options(capacity, shards, clock))
    }

    fn get(&self, key: u64) -> Option<(Value, Option<Duration>)> {
        self.get_entry(&key.to_le_bytes())
            .map(|hit| (Value::from_bytes(&hit.value), hit.ttl))
    }

    fn peek(&self, key: u64) -> Option<Value> {
        self.peek(&key.to_le_bytes())
            .map(|hit| Value::from_bytes(&hit.value))
    }

    fn contains(&self, key: u64) -> bool {
        self.contains(&key.to_le_bytes())
    }

    fn insert(&self, value: Value, ttl: Option<Duration>) -> bool {
        self.insert_with_ttl(&value.key.to_le_bytes(), value.to_bytes(), ttl)
            .is_stored()
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.remove(&key.to_le_bytes())
            .map(|value| Value::from_bytes(&value))
    }

    fn evict(&self) -> usize {
        self.evict()
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
