//! Any sequence of operations, with any number of shards, against the last value given for each
//! key.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use gaggle_paged::PagedCache;
use proptest::prelude::*;

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/promises.rs"]
mod promises;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;

use promises::{op, play};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // A capacity of pages of 256 bytes, so that singles begin at 64, and of pages of 1 KiB.
    #[test]
    fn of_bytes(ops in proptest::collection::vec(op(1_000), 1..400), shards in 1..40_usize) {
        play::<PagedCache>(8_000, shards, ops)?;
    }

    #[test]
    fn of_bytes_in_pages(ops in proptest::collection::vec(op(120), 200..1_500)) {
        play::<PagedCache>(64 << 10, 1, ops)?;
    }
}
