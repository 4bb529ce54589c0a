//! A store as the tests see it, whichever it is: small numbers as keys, and values that identify
//! themselves.

use std::time::Duration;

use gaggle_shards::{Clock, Options, Stats};

/// A value that contains its key and its version, and has some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: u64,
    pub(crate) version: u64,
    /// Bytes, 16 or more.
    pub(crate) size: u64,
}

pub(crate) trait Subject: Sync {
    fn new(capacity: u64, shards: usize, clock: &Clock) -> Self;
    fn get(&self, key: u64) -> Option<(Value, Option<Duration>)>;
    fn peek(&self, key: u64) -> Option<Value>;
    fn contains(&self, key: u64) -> bool;
    /// Whether it was stored.
    fn insert(&self, value: Value, ttl: Option<Duration>) -> bool;
    fn remove(&self, key: u64) -> Option<Value>;
    /// How many have been evicted.
    fn evict(&self) -> usize;
    fn clear(&self);
    fn len(&self) -> usize;
    fn bytes(&self) -> u64;
    fn capacity(&self) -> u64;
    fn set_capacity(&self, capacity: u64);
    fn stats(&self) -> Stats;
}

pub(crate) fn options(capacity: u64, shards: usize, clock: &Clock) -> Options {
    Options {
        capacity,
        shards: Some(shards),
        clock: clock.clone(),
    }
}
