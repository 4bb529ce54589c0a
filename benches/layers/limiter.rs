//! A limit on work: what it adds to work that is ready at once, and what it costs when many wait.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput};
use gaggle_benches::{criterion, on_worker, one_thread, two_workers};
use gaggle_limiter::{ByteBudget, Limit, Limiter, Options};
use tokio::sync::Semaphore;

const DEADLINE: Duration = Duration::from_secs(5);

fn main() {
    let mut criterion = criterion();
    uncontended(&mut criterion);
    contended(&mut criterion);
    holds(&mut criterion);
    criterion.final_summary();
}

fn limiter(limit: usize) -> Limiter {
    Limiter::new(Options {
        limit: Limit::Fixed(limit),
        max_wait: DEADLINE,
        ..Options::default()
    })
}

/// A free slot, and work that is ready at once, beside tokio's semaphore.
fn uncontended(criterion: &mut Criterion) {
    let runtime = one_thread().expect("a runtime");
    let mut group = criterion.benchmark_group("limiter");
    group.bench_function("a permit of tokio's semaphore", |b| {
        b.iter_custom(|iters| {
            on_worker(&runtime, async move {
                let semaphore = Arc::new(Semaphore::new(8));
                for _ in 0..iters {
                    assert!(Arc::clone(&semaphore).acquire_owned().await.is_ok());
                }
            })
        });
    });
    group.bench_function("acquire and run, uncontended", |b| {
        b.iter_custom(|iters| {
            on_worker(&runtime, async move {
                let limiter = limiter(8);
                for _ in 0..iters {
                    let permit = limiter.acquire(|| true).await.expect("a free slot");
                    let output = permit.run(DEADLINE, std::future::ready(7), |_| false).await;
                    assert!(output.is_ok());
                }
            })
        });
    });
    group.finish();
}

/// 64 tasks, 8 slots, and work that yields once.
fn contended(criterion: &mut Criterion) {
    const TASKS: u64 = 64;
    const PIECES: u64 = 20;
    let runtime = two_workers().expect("a runtime");
    let mut group = criterion.benchmark_group("limiter");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(TASKS * PIECES));
    group.bench_function(
        "acquire and run, 64 tasks on a limit of 8, 2 workers",
        |b| {
            b.iter_custom(|iters| {
                on_worker(&runtime, async move {
                    let limiter = limiter(8);
                    for _ in 0..iters {
                        let tasks: Vec<_> = (0..TASKS)
                            .map(|_| tokio::spawn(pieces(limiter.clone(), PIECES)))
                            .collect();
                        for task in tasks {
                            assert!(task.await.is_ok());
                        }
                    }
                })
            });
        },
    );
    group.finish();
}

async fn pieces(limiter: Limiter, pieces: u64) {
    for _ in 0..pieces {
        // Under pressure some are refused, as they should be.
        if let Ok(permit) = limiter.acquire(|| true).await {
            let output = permit
                .run(DEADLINE, tokio::task::yield_now(), |()| false)
                .await;
            assert!(output.is_ok());
        }
    }
}

/// Counting a value that is being sent.
fn holds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limiter");
    for (name, bytes) in [("100 B", 100), ("64 KiB", 64 * 1024)] {
        let budget = ByteBudget::new(1 << 30, DEADLINE);
        let value = Bytes::from(vec![7; bytes]);
        group.bench_function(format!("a hold of {name}, taken and dropped"), |b| {
            b.iter(|| budget.try_hold(&value).is_some());
        });
        let _held = budget.try_hold(&value);
        group.bench_function(format!("a hold of {name} that another has too"), |b| {
            b.iter(|| budget.try_hold(&value).is_some());
        });
    }
    group.finish();
}
