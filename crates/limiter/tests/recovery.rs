//! The origin fails in some way for a while and recovers: how soon goodput is what it was before.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::Duration;

use gaggle_limiter::{BreakerState, Limit, Limiter, Options};
use support::{Abandoned, Got, MS, Mode, Origin, load};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const NORMAL: Mode = Mode::Takes(Duration::from_millis(20));
/// How long it is healthy, failing, and observed after the recovery.
const WELL: Duration = Duration::from_secs(5);
const ILL: Duration = Duration::from_secs(8);
const AFTER: Duration = Duration::from_secs(20);

/// Returns the time from the recovery until goodput is normal, which it then has to stay.
async fn recovery(name: &str, fault: Mode, abandoned: Abandoned, ill: Duration) -> Duration {
    let origin = Origin::new(8, NORMAL, abandoned);
    let rate = 0.8 * origin.capacity(8).await;
    let limiter = Limiter::new(Options {
        limit: Limit::Fixed(8),
        ..Options::default()
    });
    let begun = Instant::now();
    let script = tokio::spawn({
        let origin = origin.clone();
        async move {
            sleep(WELL).await;
            origin.set(fault);
            sleep(ill).await;
            origin.set(NORMAL);
        }
    });
    let seen = load(&limiter, &origin, rate, WELL + ill + AFTER, SECOND).await;
    script.await.unwrap();
    let cured = begun + WELL + ill;
    // Normal once 95 % of the callers that arrive in each half second from then on get a value.
    let mut halves = (0..2 * AFTER.as_secs()).map(|n| cured + Duration::from_millis(500 * n));
    let good = |from: Instant| {
        let came = seen.came(from, from + Duration::from_millis(500));
        let (all, values) = came.fold((0, 0), |(all, values), seen| {
            (all + 1, values + usize::from(seen.got == Got::Value))
        });
        values as f64 >= 0.95 * f64::from(all)
    };
    let normal = halves
        .rfind(|from| !good(*from))
        .map_or(Duration::ZERO, |last| {
            last + Duration::from_millis(500) - cured
        });
    let stats = limiter.stats();
    println!(
        "{name:>9}, abandoned work is {abandoned:?}: normal {normal:?} after the cure; goodput while ill {:.0}/s of {rate:.0}, \
         opened {} times, at most {} in the origin, refused after p50 {:?}, p99 {:?}",
        seen.goodput(begun + WELL, cured),
        stats.opened,
        origin.most_inside(),
        seen.quantile(&[Got::Busy, Got::Open], 0.5),
        seen.quantile(&[Got::Busy, Got::Open], 0.99),
    );
    assert!(normal <= Duration::from_secs(10));
    assert!(stats.breaker == BreakerState::Closed);
    assert_eq!((stats.in_use, stats.given_up, stats.queued), (0, 0, 0));
    assert!(seen.goodput(begun, begun + WELL) >= 0.9 * rate);
    normal
}

async fn both(name: &str, fault: Mode) {
    recovery(name, fault, Abandoned::Dropped, ILL).await;
    recovery(name, fault, Abandoned::Finished, ILL).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_slow_origin() {
    both("slow 2 s", Mode::Takes(2 * SECOND)).await;
    both("slow .5 s", Mode::Takes(SECOND / 2)).await;
    // An origin that finishes such work has no slots for half a minute, whatever arrives.
    let slower = Mode::Takes(30 * SECOND);
    recovery("slow 30 s", slower, Abandoned::Dropped, ILL).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_hung_origin() {
    both("hung", Mode::Hangs).await;
    both("lost", Mode::Loses).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_failing_origin() {
    both("failing", Mode::Fails(20 * MS)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_refusing_origin() {
    both("refusing", Mode::Refuses).await;
}

/// The recovery may happen at any time, such as just after a probe has started.
#[tokio::test(start_paused = true)]
async fn whenever_the_recovery_happens() {
    let mut worst = Duration::ZERO;
    for tenths in (0..60).step_by(4) {
        let ill = ILL + Duration::from_millis(100 * tenths);
        let normal = recovery("lost", Mode::Loses, Abandoned::Finished, ill).await;
        worst = worst.max(normal);
    }
    println!("lost, for 8 to 14 s: normal {worst:?} after the cure at worst");
}
