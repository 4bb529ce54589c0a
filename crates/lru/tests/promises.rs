//! Any sequence of operations, with any number of shards, against the last value given for each
//! key.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use gaggle_lru::Cache;
use proptest::prelude::*;

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/promises.rs"]
mod promises;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;

use promises::{op, play};
use subject::Value;

const UNIT: u64 = Cache::<u64, Value>::ENTRY_OVERHEAD;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_keys_and_values(ops in proptest::collection::vec(op(UNIT), 1..300), shards in 1..40_usize) {
        play::<Cache<u64, Value>>(8 * UNIT, shards, ops)?;
    }
}
