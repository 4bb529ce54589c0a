//! More work arrives than can be done: how much is lost, and how early it is refused.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::Duration;

use gaggle_limiter::{Limit, Limiter, Options};
use support::{Abandoned, Got, MS, Mode, Origin, Seens, load, one};
use tokio::sync::mpsc;
use tokio::time::Instant;

fn eight() -> Limiter {
    Limiter::new(Options {
        limit: Limit::Fixed(8),
        ..Options::default()
    })
}

async fn overload(times: f64, length: Duration) {
    let origin = Origin::new(8, Mode::Takes(20 * MS), Abandoned::Finished);
    let capacity = origin.capacity(8).await;
    let limiter = eight();
    let begun = Instant::now();
    let seen = load(
        &limiter,
        &origin,
        capacity * times,
        length,
        Duration::from_secs(1),
    )
    .await;
    let goodput = seen.goodput(begun, begun + length) / capacity;
    let refused = seen.quantile(&[Got::Busy], 1.0);
    println!(
        "{times:>5} x capacity ({capacity:.0}/s) for {length:?}: goodput {:.1} %, {} came, {} refused (p50 {:?}, p99 {:?}, \
         slowest {refused:?}), values p50 {:?}, p99 {:?}, slowest {:?}",
        goodput * 100.0,
        seen.0.len(),
        seen.got(Got::Busy).count(),
        seen.quantile(&[Got::Busy], 0.5),
        seen.quantile(&[Got::Busy], 0.99),
        seen.quantile(&[Got::Value], 0.5),
        seen.quantile(&[Got::Value], 0.99),
        seen.quantile(&[Got::Value], 1.0),
    );
    assert!(goodput >= 0.95, "goodput {goodput}");
    assert!(refused <= 50 * MS, "refusals are told late");
    let others = seen.0.len() - seen.got(Got::Value).count() - seen.got(Got::Busy).count();
    assert_eq!(others, 0, "late, failed, or stopped by the breaker");
}

#[tokio::test(start_paused = true)]
async fn at_1_2_times_the_capacity() {
    overload(1.2, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn at_twice_the_capacity() {
    overload(2.0, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_capacity() {
    overload(10.0, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn at_a_hundred_times_the_capacity() {
    overload(100.0, Duration::from_secs(5)).await;
}

/// Nothing arrives after a burst, so refusing any of it gains nothing.
#[tokio::test(start_paused = true)]
async fn a_burst_loses_nothing() {
    let origin = Origin::new(256, Mode::Takes(100 * MS), Abandoned::Finished);
    let limiter = Limiter::new(Options::default());
    let (send, mut receive) = mpsc::unbounded_channel();
    for _ in 0..3 {
        let begun = Instant::now();
        for _ in 0..1_000 {
            let (limiter, origin) = (limiter.clone(), origin.clone());
            tokio::spawn(one(limiter, origin, Duration::from_secs(5), send.clone()));
        }
        let mut seen = Vec::new();
        while seen.len() < 1_000 {
            seen.push(receive.recv().await.unwrap());
        }
        let seen = Seens(seen);
        println!(
            "burst of 1,000: {} values in {:?}",
            seen.got(Got::Value).count(),
            begun.elapsed()
        );
        assert_eq!(seen.got(Got::Value).count(), 1_000);
    }
}

/// A load below the capacity is not refused, and an overload that is over is forgotten.
#[tokio::test(start_paused = true)]
async fn after_an_overload_everybody_is_served_again() {
    let origin = Origin::new(8, Mode::Takes(20 * MS), Abandoned::Finished);
    let capacity = origin.capacity(8).await;
    let limiter = eight();
    let deadline = Duration::from_secs(1);
    for times in [0.8, 5.0] {
        let seen = load(
            &limiter,
            &origin,
            capacity * times,
            Duration::from_secs(5),
            deadline,
        )
        .await;
        assert_eq!(seen.got(Got::Busy).count() > 0, times > 1.0);
    }
    assert!(limiter.stats().pressure);
    let begun = Instant::now();
    let seen = load(
        &limiter,
        &origin,
        capacity * 0.8,
        Duration::from_secs(5),
        deadline,
    )
    .await;
    let last = seen.got(Got::Busy).map(|seen| seen.ended - begun).max();
    println!(
        "after an overload, at 80 %: {} of {} refused, the last after {last:?}",
        seen.got(Got::Busy).count(),
        seen.0.len()
    );
    assert!(last.unwrap_or_default() < Duration::from_secs(2));
    assert!(seen.got(Got::Busy).count() * 100 < seen.0.len());
    assert!(!limiter.stats().pressure);
}
