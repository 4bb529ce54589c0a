//! Options that change while work runs and waits.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::{pending, ready};
use std::time::Duration;

use bytes::Bytes;
use gaggle_limiter::{
    BreakerOptions, BreakerState, ByteBudget, Limit, Limiter, Options, Permit, Refused,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn options(limit: usize) -> Options {
    Options {
        limit: Limit::Fixed(limit),
        breaker: None,
        ..Options::default()
    }
}

async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

async fn permit(limiter: &Limiter) -> Permit {
    limiter.acquire(|| true).await.unwrap()
}

/// This many callers, which arrive in this order and wait.
async fn waiting(limiter: &Limiter, count: usize) -> Vec<JoinHandle<Result<Permit, Refused>>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let limiter = limiter.clone();
        all.push(tokio::spawn(async move { limiter.acquire(|| true).await }));
        settle().await;
    }
    assert_eq!(limiter.stats().queued, count);
    all
}

/// Which of them have an answer.
fn answered<T>(all: &[JoinHandle<T>]) -> Vec<bool> {
    all.iter().map(JoinHandle::is_finished).collect()
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_starts_those_who_wait_at_once() {
    let limiter = Limiter::new(options(1));
    let _held = permit(&limiter).await;
    let begun = Instant::now();
    let waiting = waiting(&limiter, 3).await;
    limiter.set_limit(Limit::Fixed(3));
    settle().await;
    assert_eq!(answered(&waiting), [true, true, false]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let stats = limiter.stats();
    assert_eq!((stats.limit, stats.in_use, stats.queued), (3, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn under_a_lower_limit_what_runs_goes_on_and_nothing_starts() {
    let limiter = Limiter::new(options(3));
    let mut held = vec![
        permit(&limiter).await,
        permit(&limiter).await,
        permit(&limiter).await,
    ];
    limiter.set_limit(Limit::Fixed(1));
    assert_eq!((limiter.stats().limit, limiter.stats().in_use), (1, 3));
    let waiting = waiting(&limiter, 1).await;
    for _ in 0..2 {
        held.pop();
        settle().await;
        assert_eq!(answered(&waiting), [false]);
    }
    let last = held.pop().unwrap();
    let ran = last.run(SECOND, ready(7), |_| false).await;
    settle().await;
    assert_eq!((ran, answered(&waiting)), (Ok(7), vec![true]));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_place_in_a_shorter_queue_is_refused_at_once_the_newest_first() {
    let limiter = Limiter::new(options(1));
    let _held = permit(&limiter).await;
    let waiting = waiting(&limiter, 3).await;
    let begun = Instant::now();
    limiter.set_options(&Options {
        max_queue: 1,
        ..options(1)
    });
    settle().await;
    assert_eq!(answered(&waiting), [false, true, true]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(limiter.stats().refused_busy, 2);
    for refused in waiting.into_iter().skip(1) {
        let refused = refused.await.unwrap().unwrap_err();
        assert!(matches!(refused, Refused::Busy { .. }), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_wait_applies_to_later_callers() {
    let limiter = Limiter::new(options(1));
    let _held = permit(&limiter).await;
    let before = waiting(&limiter, 1).await;
    let begun = Instant::now();
    limiter.set_options(&Options {
        max_wait: 300 * MS,
        ..options(1)
    });
    let refused = limiter.acquire(|| true).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(300 * MS));
    assert_eq!(begun.elapsed(), 300 * MS);
    assert_eq!(answered(&before), [false]);
    for before in before {
        assert!(before.await.unwrap().is_err());
    }
    assert_eq!(begun.elapsed(), SECOND);
    // No caller waits any more.
    limiter.set_options(&Options {
        max_wait: Duration::ZERO,
        ..options(1)
    });
    assert!(limiter.acquire(|| true).await.is_err());
    assert_eq!(begun.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn another_grace_is_for_work_that_is_given_up_then() {
    let limiter = Limiter::new(options(1));
    limiter.set_options(&Options {
        grace: 10 * MS,
        ..options(1)
    });
    let late = permit(&limiter).await.run(MS, pending::<()>(), |()| false);
    assert!(late.await.is_err());
    assert_eq!(limiter.stats().given_up, 1);
    let begun = Instant::now();
    drop(permit(&limiter).await);
    assert_eq!(begun.elapsed(), 10 * MS);
}

async fn fails(limiter: &Limiter, times: usize) {
    for _ in 0..times {
        let Ok(permit) = limiter.acquire(|| true).await else {
            return;
        };
        let work = async {
            tokio::time::sleep(100 * MS).await;
        };
        permit.run(SECOND, work, |()| true).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_can_come_and_go() {
    let limiter = Limiter::new(options(5));
    fails(&limiter, 30).await;
    assert_eq!(limiter.stats().breaker, BreakerState::Closed);

    let with_breaker = Options {
        breaker: Some(BreakerOptions::default()),
        ..options(5)
    };
    limiter.set_options(&with_breaker);
    fails(&limiter, 30).await;
    let stats = limiter.stats();
    assert_eq!((stats.breaker, stats.opened), (BreakerState::Open, 1));
    // With the same options it is unchanged.
    limiter.set_options(&with_breaker);
    assert!(limiter.acquire(|| true).await.is_err());

    limiter.set_options(&options(5));
    drop(permit(&limiter).await);
    limiter.set_options(&with_breaker);
    let stats = limiter.stats();
    assert_eq!((stats.breaker, stats.opened), (BreakerState::Closed, 1));
    drop(permit(&limiter).await);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_found_stays_within_its_new_bounds() {
    let auto = |most| Options {
        limit: Limit::Auto { most },
        ..options(1)
    };
    let limiter = Limiter::new(auto(256));
    // The first few measure what the work takes alone.
    for _ in 0..40 {
        let work = async { tokio::time::sleep(20 * MS).await };
        permit(&limiter)
            .await
            .run(SECOND, work, |()| false)
            .await
            .unwrap();
    }
    let found = limiter.stats().limit;
    assert!(found >= 20, "{found}");
    limiter.set_options(&auto(300));
    assert_eq!(limiter.stats().limit, found);
    limiter.set_options(&auto(7));
    assert_eq!(limiter.stats().limit, 7);
    limiter.set_options(&auto(300));
    assert_eq!(limiter.stats().limit, 7, "and grows from there");
    limiter.set_options(&options(3));
    assert_eq!(limiter.stats().limit, 3);
}

#[tokio::test(start_paused = true)]
async fn a_larger_budget_serves_those_who_wait_at_once() {
    let budget = ByteBudget::new(100, SECOND);
    let _held = budget.reserve(80).await.unwrap();
    let waits = {
        let budget = budget.clone();
        tokio::spawn(async move { budget.reserve(50).await })
    };
    settle().await;
    assert_eq!(budget.waiting(), 1);
    let begun = Instant::now();
    budget.set_limit(130);
    let _second = waits.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((budget.used(), budget.limit()), (130, 130));
}

#[tokio::test(start_paused = true)]
async fn under_a_smaller_budget_what_is_in_use_stays() {
    let budget = ByteBudget::new(100, SECOND);
    let first = budget.reserve(50).await.unwrap();
    let second = budget.reserve(50).await.unwrap();
    budget.set_limit(60);
    assert_eq!((budget.used(), budget.limit()), (100, 60));
    assert!(budget.try_reserve(1).is_none());
    drop(first);
    assert!(budget.try_reserve(11).is_none());
    assert!(budget.try_reserve(10).is_some());
    // More than the current whole budget.
    assert_eq!(budget.reserve(61).await.unwrap_err().limit, 60);
    drop(second);
    assert_eq!(budget.used(), 0);
    assert!(budget.try_hold(&Bytes::from(vec![0; 5_000])).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_for_more_than_a_smaller_budget_delays_no_other() {
    let budget = ByteBudget::new(100, SECOND);
    let held = budget.reserve(50).await.unwrap();
    let reserve = |bytes| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.reserve(bytes).await })
    };
    let too_much = reserve(90);
    settle().await;
    budget.set_limit(60);
    let little = reserve(20);
    settle().await;
    assert_eq!(budget.waiting(), 2);
    let begun = Instant::now();
    drop(held);
    let _little = little.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let over = too_much.await.unwrap().unwrap_err();
    assert_eq!((over.asked, over.limit), (90, 60));
    assert_eq!(begun.elapsed(), SECOND);
}
