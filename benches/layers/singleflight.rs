//! Loads that callers share: what one load costs by itself, and what a crowd costs.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput};
use gaggle_benches::{Gate, criterion, on_worker, one_thread, two_workers};
use gaggle_singleflight::Flights;
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = criterion();
    lone(&mut criterion);
    crowds(&mut criterion);
    criterion.final_summary();
}

/// One caller, one load that is ready at once, beside the task that a load is, spawned and awaited
/// by itself.
fn lone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("singleflight");
    let value = Bytes::from_static(&[7; 100]);
    for (on, runtime) in runtimes() {
        group.bench_function(format!("a task, spawned and awaited, {on}"), |b| {
            b.iter_custom(|iters| {
                let value = value.clone();
                on_worker(&runtime, async move {
                    for _ in 0..iters {
                        let value = value.clone();
                        let task = tokio::spawn(async move { value });
                        assert!(task.await.is_ok());
                    }
                })
            });
        });
        group.bench_function(format!("a load by a lone caller, {on}"), |b| {
            b.iter_custom(|iters| {
                let value = value.clone();
                let flights = Flights::<Bytes, Bytes>::new();
                on_worker(&runtime, async move {
                    for _ in 0..iters {
                        let value = value.clone();
                        let load = flights.join(b"key-000123".as_slice(), |_| async move { value });
                        assert!(load.await.is_ok());
                    }
                })
            });
        });
    }
    group.finish();
}

/// Every caller is a task, and no load ends before all of its callers wait: one load for each key,
/// in each run.
fn crowds(criterion: &mut Criterion) {
    let runtime = two_workers().expect("a runtime");
    let mut group = criterion.benchmark_group("singleflight");
    group.sampling_mode(SamplingMode::Flat);

    group.throughput(Throughput::Elements(1_000));
    group.bench_function("1,000 tasks, spawned and awaited, 2 workers", |b| {
        b.iter_custom(|iters| {
            on_worker(&runtime, async move {
                for _ in 0..iters {
                    let tasks: Vec<_> = (0..1_000_u32)
                        .map(|n| tokio::spawn(async move { n }))
                        .collect();
                    for task in tasks {
                        assert!(task.await.is_ok());
                    }
                }
            })
        });
    });
    for (name, keys, callers) in [
        ("1,000 waiters on 1 key, 2 workers", 1, 1_000),
        ("100 waiters on each of 100 keys, 2 workers", 100, 100),
        ("100,000 waiters on 1 key, 2 workers", 1, 100_000),
    ] {
        group.throughput(Throughput::Elements((keys * callers) as u64));
        group.sample_size(if keys * callers > 1_000 { 10 } else { 30 });
        group.bench_function(name, |b| {
            b.iter_custom(|iters| {
                on_worker(&runtime, async move {
                    let flights = Flights::new();
                    for _ in 0..iters {
                        crowd(&flights, keys, callers).await;
                    }
                })
            });
        });
    }
    group.finish();
}

async fn crowd(flights: &Flights<Bytes, Bytes>, keys: usize, callers: usize) {
    let loads = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::with_capacity(keys * callers);
    for key in 0..keys {
        let key = Bytes::from(format!("key-{key:06}"));
        let gate = Arc::new(Gate::new(callers));
        for _ in 0..callers {
            let (flights, key) = (flights.clone(), key.clone());
            let (gate, loads) = (Arc::clone(&gate), Arc::clone(&loads));
            tasks.push(tokio::spawn(async move {
                let waiter = flights.join(&key, |_| {
                    loads.fetch_add(1, Ordering::Relaxed);
                    let gate = Arc::clone(&gate);
                    async move {
                        gate.opened().await;
                        Bytes::from_static(&[7; 100])
                    }
                });
                gate.arrive();
                waiter.await
            }));
        }
    }
    for task in tasks {
        assert!(matches!(task.await, Ok(Ok(_))));
    }
    assert_eq!(loads.load(Ordering::Relaxed), keys);
}

fn runtimes() -> [(&'static str, Runtime); 2] {
    [
        ("1 thread", one_thread().expect("a runtime")),
        ("2 workers", two_workers().expect("a runtime")),
    ]
}
