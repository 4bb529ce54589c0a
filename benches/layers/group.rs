//! The read path of one node: hits beside the store's own, and loads from an origin that has the
//! value at hand.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput};
use gaggle_benches::{Draws, Gate, Workload, criterion, on_worker, one_thread, two_workers};
use gaggle_group::{Cached, Clock, Freshness, Group, PagedStore, Store};

const KEYS: usize = 100_000;
const CAPACITY: u64 = 64 << 20;

fn main() {
    let mut criterion = criterion();
    hits(&mut criterion);
    misses(&mut criterion);
    crowd(&mut criterion);
    criterion.final_summary();
}

fn hits(criterion: &mut Criterion) {
    let load = Arc::new(Workload::new(KEYS));
    let runtime = one_thread().expect("a runtime");
    let store: Arc<dyn Store> = Arc::new(PagedStore::new(CAPACITY, Clock::monotonic()));
    for (key, value) in load.entries() {
        let cached = Cached::new(value.clone(), Freshness::default());
        store.insert(key, cached, Duration::ZERO);
    }
    // The group's main cache is that very store.
    let empty = Arc::new(PagedStore::new(CAPACITY, Clock::monotonic()));
    let things = Group::builder("things")
        .capacity(CAPACITY)
        .stores(Arc::clone(&store), empty)
        .origin_fn(|_| async { Ok::<_, Infallible>(None::<Bytes>) })
        .build()
        .expect("a group");

    let mut group = criterion.benchmark_group("group");
    group.throughput(Throughput::Elements(1));
    let mut draws = Draws::zipf(KEYS, 0.99, 0);
    let name = "the store's own hit, 100-byte values, zipf 0.99, 1 thread";
    group.bench_function(name, |b| {
        b.iter(|| store.get(load.entry(draws.next()).0));
    });
    let name = "cached() hit, 100-byte values, zipf 0.99, 1 thread";
    group.bench_function(name, |b| {
        b.iter(|| things.cached(load.entry(draws.next()).0));
    });
    let name = "get().await hit, 100-byte values, zipf 0.99, 1 thread";
    group.bench_function(name, |b| {
        b.iter_custom(|iters| {
            let (things, load) = (things.clone(), Arc::clone(&load));
            let mut draws = draws.clone();
            on_worker(&runtime, async move {
                for _ in 0..iters {
                    let got = things.get(load.entry(draws.next()).0).await;
                    assert!(got.is_ok());
                }
            })
        });
    });
    assert_eq!(things.stats().misses, 0, "a bench of hits");
    group.finish();
}

/// Each key is a new one, and its value takes the place of another: the cache is full.
fn misses(criterion: &mut Criterion) {
    let value = Bytes::from_static(&[7; 100]);
    let mut group = criterion.benchmark_group("group");
    group.throughput(Throughput::Elements(1));
    let runtimes = [("1 thread", one_thread()), ("2 workers", two_workers())];
    for (on, runtime) in runtimes {
        let runtime = runtime.expect("a runtime");
        let value = value.clone();
        let things = Group::builder("things")
            .capacity(8 << 20)
            .origin_fn(move |_| {
                let value = value.clone();
                async move { Ok::<_, Infallible>(Some(value)) }
            })
            .build()
            .expect("a group");
        let next = Arc::new(AtomicU64::new(0));
        let ask = |times: u64| {
            let (things, next) = (things.clone(), Arc::clone(&next));
            on_worker(&runtime, async move {
                for _ in 0..times {
                    let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    assert!(things.get(key).await.is_ok());
                }
            })
        };
        ask(100_000);
        let name = format!("get().await miss, origin ready at once, evicting one, {on}");
        group.bench_function(name, |b| b.iter_custom(ask));
        assert_eq!(things.stats().main.store.hits, 0, "a bench of misses");
    }
    group.finish();
}

/// Every caller is a task, and the origin answers when all of them wait.
fn crowd(criterion: &mut Criterion) {
    const CALLERS: usize = 1_000;
    let runtime = two_workers().expect("a runtime");
    // The gate of the one load that runs.
    let gate = Arc::new(Mutex::new(Arc::new(Gate::new(CALLERS))));
    let at_origin = Arc::clone(&gate);
    let things = Group::builder("things")
        .capacity(8 << 20)
        .origin_fn(move |_| {
            let gate = Arc::clone(&at_origin.lock().expect("no panic under it"));
            async move {
                gate.opened().await;
                Ok::<_, Infallible>(Some(Bytes::from_static(&[7; 100])))
            }
        })
        .build()
        .expect("a group");
    let next = Arc::new(AtomicU64::new(0));

    let mut group = criterion.benchmark_group("group");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(CALLERS as u64));
    let name = "1,000 callers of 1 cold key, 2 workers";
    group.bench_function(name, |b| {
        b.iter_custom(|iters| {
            let (things, next, gate) = (things.clone(), Arc::clone(&next), Arc::clone(&gate));
            on_worker(&runtime, async move {
                for _ in 0..iters {
                    let this = Arc::new(Gate::new(CALLERS));
                    *gate.lock().expect("no panic under it") = Arc::clone(&this);
                    let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    let callers: Vec<_> = (0..CALLERS)
                        .map(|_| tokio::spawn(call(things.clone(), key, Arc::clone(&this))))
                        .collect();
                    for caller in callers {
                        assert!(caller.await.is_ok());
                    }
                }
            })
        });
    });
    let (asked, loaded) = (next.load(Ordering::Relaxed), things.stats().origin.ok);
    assert_eq!(loaded, asked, "one load of each key");
    group.finish();
}

/// Gets a value, and counts as arrived as soon as it waits for it.
async fn call(things: Group, key: [u8; 8], gate: Arc<Gate>) {
    let mut get = pin!(things.get(key));
    let mut arrived = false;
    let got = poll_fn(|cx| {
        let polled = get.as_mut().poll(cx);
        if !arrived {
            arrived = true;
            gate.arrive();
        }
        polled
    });
    assert!(got.await.is_ok());
}
