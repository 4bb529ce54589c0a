//! The automatic limit, on an origin that becomes slower the more work it has.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::Duration;

use gaggle_limiter::{Limit, Limiter, Options};
use support::{Abandoned, Got, MS, Mode, Origin, load};
use tokio::time::Instant;

const LENGTH: Duration = Duration::from_secs(30);

/// Beyond 16 pieces at once, more pieces take longer, and no more of them are done.
fn origin() -> Origin {
    let strained = Mode::Strained {
        alone: 20 * MS,
        beyond: 16,
    };
    Origin::new(1_000, strained, Abandoned::Finished)
}

struct Found {
    limit: usize,
    goodput: f64,
    p50: Duration,
    p99: Duration,
}

async fn run(limit: Limit, times: f64) -> Found {
    let capacity = origin().capacity(16).await;
    let (origin, begun) = (origin(), Instant::now());
    let limiter = Limiter::new(Options {
        limit,
        ..Options::default()
    });
    let deadline = Duration::from_secs(1);
    let seen = load(&limiter, &origin, capacity * times, LENGTH, deadline).await;
    let from = begun + Duration::from_secs(5);
    let found = Found {
        limit: limiter.stats().limit,
        goodput: seen.goodput(from, begun + LENGTH) / capacity,
        p50: seen.quantile(&[Got::Value], 0.5),
        p99: seen.quantile(&[Got::Value], 0.99),
    };
    println!(
        "{limit:?} at {times} x capacity ({capacity:.0}/s): limit {}, goodput {:.1} %, values p50 {:?}, p99 {:?}, at most {} in the \
         origin, {} late, {} refused",
        found.limit,
        found.goodput * 100.0,
        found.p50,
        found.p99,
        origin.most_inside(),
        seen.got(Got::Late).count(),
        seen.got(Got::Busy).count(),
    );
    found
}

#[tokio::test(start_paused = true)]
async fn it_settles_where_latency_begins_to_rise() {
    for times in [1.2, 2.0] {
        let auto = run(Limit::Auto { most: 256 }, times).await;
        let fixed = run(Limit::Fixed(256), times).await;
        assert!((16..=40).contains(&auto.limit), "settled at {}", auto.limit);
        assert!(auto.goodput > 0.93 * fixed.goodput);
        assert!(auto.p50 * 3 < fixed.p50);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_needs_little_is_not_disturbed() {
    let found = run(Limit::Auto { most: 256 }, 0.5).await;
    assert!(found.goodput > 0.48);
    assert!(found.p99 < 60 * MS);
}
