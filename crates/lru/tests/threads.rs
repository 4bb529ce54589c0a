//! Many threads concurrently: no wrong value, no lost byte.
#![allow(clippy::unwrap_used, missing_docs)]

use gaggle_lru::Cache;

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/storm.rs"]
mod storm;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;

use storm::{ROUNDS, storm, storm_beside};
use subject::Value;

type Generic = Cache<u64, Value>;

#[test]
fn many_small_values_in_many_shards() {
    storm::<Generic>(16, 40_000, 200);
}

#[test]
fn many_small_values_in_one_shard() {
    storm::<Generic>(1, 40_000, 200);
}

// Two of these values never fit together: each insertion evicts those of the other threads, and
// some are refused.
#[test]
fn values_of_nearly_the_whole_budget_from_all_threads() {
    storm::<Generic>(16, 40_000, 41_000);
}

#[test]
fn a_capacity_that_goes_up_and_down() {
    let resized = |random| random % 80_000;
    storm_beside::<Generic>(ROUNDS / 4, 16, 40_000, 200, resized);
    // Values that fitted when they were stored, and do not any more.
    storm_beside::<Generic>(ROUNDS / 4, 4, 40_000, 41_000, resized);
}

// Each step down takes many turns: far more than one step is held.
#[test]
fn a_large_capacity_that_goes_up_and_down() {
    let resized = |random| random % (2 << 20);
    storm_beside::<Generic>(ROUNDS / 4, 16, 1 << 20, 4_000, resized);
}
