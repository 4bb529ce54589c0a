//! The cache's content after a long run is as good as after a short one, for any number of shards.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

use gaggle_lru::Cache;

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;
#[path = "../../shards/tests/shared/windows.rs"]
mod windows;

use subject::Value;
use windows::hits_do_not_decay;

#[test]
fn a_cache_keeps_its_hit_ratio() {
    hits_do_not_decay::<Cache<u64, Value>>("Cache");
}
