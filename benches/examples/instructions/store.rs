//! The store alone, filled beforehand: of a fixed seed, so that each run does the same.

use std::hint::black_box;

use gaggle_benches::Workload;
use gaggle_paged::{Options, PagedCache, Xxh3State};

const KEYS: u64 = 20_000;

fn filled(load: &Workload, capacity: u64) -> PagedCache<Xxh3State> {
    let options = Options {
        capacity,
        shards: Some(4),
        ..Options::default()
    };
    let cache = PagedCache::with_hasher(options, Xxh3State::with_seed(630));
    for (key, value) in load.entries() {
        cache.insert(key, value.clone());
    }
    cache
}

/// Of one key after the other, in an order that jumps.
fn entries(load: &Workload, operations: u64) -> impl Iterator<Item = (&[u8], &bytes::Bytes)> {
    // A prime that does not divide their number: each key once in a round.
    let at = (0..operations).map(|n| n.wrapping_mul(7_919) % KEYS);
    at.filter_map(|at| Some(load.entry(u32::try_from(at).ok()?)))
}

fn load() -> Workload {
    Workload::new(usize::try_from(KEYS).unwrap_or_default())
}

/// Gets of keys that are there.
pub(crate) async fn hit(operations: u64) {
    let load = load();
    let cache = filled(&load, 16 << 20);
    for (key, _) in entries(&load, operations) {
        black_box(cache.get(key));
    }
}

/// Insertions of keys that have been evicted, or will have been before they come again: there is
/// room for a tenth.
pub(crate) async fn insert(operations: u64) {
    let load = load();
    let cache = filled(&load, 300 << 10);
    for (key, value) in entries(&load, operations) {
        cache.insert(key, value.clone());
    }
}

/// Insertions of keys that are there, with values of the same length.
pub(crate) async fn overwrite(operations: u64) {
    let load = load();
    let cache = filled(&load, 16 << 20);
    for (key, value) in entries(&load, operations) {
        cache.insert(key, value.clone());
    }
}
