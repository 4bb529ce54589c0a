//! The store alone: `gaggle_paged::PagedCache`, which a group has.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use gaggle_benches::{Draws, Workload, criterion, on_threads};
use gaggle_paged::{Options, PagedCache};

const KEYS: usize = 100_000;

fn main() {
    let mut criterion = criterion();
    let load = Workload::new(KEYS);
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    reads(&mut group, &load);
    inserts(&mut group, &load);
    mixed(&mut group, &load);
    group.finish();
    criterion.final_summary();
}

/// A store that holds all keys.
fn full(load: &Workload) -> PagedCache {
    let store = room_for(load, KEYS * 2);
    fill(&store, load);
    assert_eq!(store.len(), KEYS);
    store
}

/// An empty store with room for that many entries.
fn room_for(load: &Workload, entries: usize) -> PagedCache {
    let roomy = PagedCache::new(Options {
        capacity: 1 << 30,
        ..Options::default()
    });
    fill(&roomy, load);
    PagedCache::new(Options {
        capacity: roomy.bytes() * entries as u64 / load.len() as u64,
        ..Options::default()
    })
}

fn fill(store: &PagedCache, load: &Workload) {
    for (key, value) in load.entries() {
        store.insert(key, value.clone());
    }
}

fn reads(group: &mut BenchmarkGroup<'_, WallTime>, load: &Workload) {
    let store = full(load);
    for threads in [1, 2] {
        let name = format!("get hit, 100-byte values, zipf 0.99, {}", count(threads));
        per_thread(group, &name, threads, |draws| {
            store.get(load.entry(draws.next()).0)
        });
        let name = format!(
            "get_with hit, 100-byte values, zipf 0.99, {}",
            count(threads)
        );
        per_thread(group, &name, threads, |draws| {
            store.get_with(load.entry(draws.next()).0, <[u8]>::len)
        });
    }
    assert_eq!(store.stats().misses, 0, "a bench of hits");

    // As full as the other, but of keys that nobody asks for.
    let absent = room_for(load, KEYS * 2);
    for (key, value) in load.entries() {
        absent.insert(&[b"other-", key].concat(), value.clone());
    }
    let name = "get miss, zipf 0.99, 1 thread";
    per_thread(group, name, 1, |draws| {
        absent.get(load.entry(draws.next()).0)
    });
    assert_eq!(absent.stats().hits, 0, "a bench of misses");
}

/// Each key is new, a number of as many bytes as those of the others, and takes the place of one
/// other.
fn inserts(group: &mut BenchmarkGroup<'_, WallTime>, load: &Workload) {
    let store = room_for(load, KEYS / 2);
    fill(&store, load);
    let mut values = load.entries().cycle();
    let (mut key, mut next) = (*b"new-000000", 0_u32);
    group.bench_function("insert evicting one, 100-byte values, 1 thread", |b| {
        b.iter(|| {
            let (_, value) = values.next().expect("a cycle has no end");
            next += 1;
            key[6..].copy_from_slice(&next.to_be_bytes());
            store.insert(&key, value.clone())
        });
    });
    assert_eq!(store.stats().overwrites, 0, "a bench of new keys");
}

/// Half of the keys fit. Nine in ten draws are read, hit or miss; one in ten is inserted, whether
/// it is there or not.
fn mixed(group: &mut BenchmarkGroup<'_, WallTime>, load: &Workload) {
    for threads in [1, 2] {
        let store = room_for(load, KEYS / 2);
        fill(&store, load);
        let name = format!(
            "90 % get, 10 % insert, half of the keys fit, zipf 0.99, {}",
            count(threads)
        );
        let mut states: Vec<_> = (0..threads).map(|turn| (draws(turn), 0_u32)).collect();
        group.bench_function(name, |b| {
            b.iter_custom(|iters| {
                on_threads(&mut states, |(draws, turn)| {
                    for _ in 0..iters {
                        *turn = (*turn + 1) % 10;
                        let (key, value) = load.entry(draws.next());
                        if *turn == 0 {
                            std::hint::black_box(store.insert(key, value.clone()));
                        } else {
                            std::hint::black_box(store.get(key));
                        }
                    }
                })
            });
        });
    }
}

/// The time of one `work` while that many threads do it: with two threads and cores to spare, as
/// much as with one.
fn per_thread<R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    threads: u64,
    work: impl Fn(&mut Draws) -> R + Sync,
) {
    let mut states: Vec<Draws> = (0..threads).map(draws).collect();
    group.bench_function(name, |b| {
        b.iter_custom(|iters| -> Duration {
            on_threads(&mut states, |draws| {
                for _ in 0..iters {
                    std::hint::black_box(work(draws));
                }
            })
        });
    });
}

fn draws(turn: u64) -> Draws {
    Draws::zipf(KEYS, 0.99, turn)
}

fn count(threads: u64) -> String {
    let s = if threads == 1 { "" } else { "s" };
    format!("{threads} thread{s}")
}
