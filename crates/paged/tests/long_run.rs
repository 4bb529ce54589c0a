//! The cache's content after a long run is as good as after a short one, for any number of shards.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gaggle_paged::{Clock, PagedCache};

#[path = "shared/cache.rs"]
mod cache;
#[path = "../../shards/tests/shared/subject.rs"]
mod subject;
#[path = "../../shards/tests/shared/windows.rs"]
mod windows;

use subject::Subject;
use windows::{CAPACITY, WINDOWS, assert_flat, hits_do_not_decay, run};

#[test]
fn a_cache_keeps_its_hit_ratio() {
    hits_do_not_decay::<PagedCache>("PagedCache");
}

// As a group does it, whose two stores share one budget.
#[test]
fn evictions_by_request_keep_the_hit_ratio() {
    let cache = <PagedCache as Subject>::new(64 * CAPACITY, 8, &Clock::manual());
    let windows = run(&cache, false, 1, || {
        while cache.bytes() > CAPACITY {
            assert!(cache.evict() > 0);
        }
    });
    assert_flat(&windows, "evicted by request");
}

#[test]
fn two_threads_keep_the_hit_ratio() {
    let cache = <PagedCache as Subject>::new(CAPACITY, 8, &Clock::manual());
    let windows: [AtomicUsize; WINDOWS] = Default::default();
    thread::scope(|scope| {
        for seed in [1, 2] {
            let (cache, windows) = (&cache, &windows);
            scope.spawn(move || {
                for (hits, window) in run(cache, false, seed, || ()).into_iter().zip(windows) {
                    window.fetch_add(hits / 2, Ordering::Relaxed);
                }
            });
        }
    });
    let windows: Vec<usize> = windows.into_iter().map(AtomicUsize::into_inner).collect();
    assert_flat(&windows, "two threads");
}
