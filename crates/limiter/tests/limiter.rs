//! One caller's view: waiting, leaving, work that is late, is cancelled or panics, or an open
//! breaker.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::{Future, pending, ready};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use gaggle_limiter::{
    BreakerOptions, BreakerState, Late, Limit, Limiter, Options, Permit, Refused, Stats,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn limiter(limit: usize) -> Limiter {
    Limiter::new(Options {
        limit: Limit::Fixed(limit),
        breaker: None,
        ..Options::default()
    })
}

fn with_breaker(limit: usize) -> Limiter {
    Limiter::new(Options {
        limit: Limit::Fixed(limit),
        breaker: Some(BreakerOptions {
            jitter: 0.0,
            ..BreakerOptions::default()
        }),
        ..Options::default()
    })
}

async fn permit(limiter: &Limiter) -> Permit {
    limiter.acquire(|| true).await.unwrap()
}

fn never_failed<T>(_: &T) -> bool {
    false
}

/// Slots, the number of them with cancelled work, and the waiters.
fn counts(limiter: &Limiter) -> (usize, usize, usize) {
    let Stats {
        in_use,
        given_up,
        queued,
        ..
    } = limiter.stats();
    (in_use, given_up, queued)
}

async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

/// Whether it is ready when it is polled once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = std::pin::Pin::new(future);
    std::future::poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn work_runs_and_its_slot_comes_back() {
    let limiter = limiter(2);
    let output = permit(&limiter)
        .await
        .run(SECOND, async { 7 }, never_failed)
        .await;
    assert_eq!(output, Ok(7));
    drop(permit(&limiter).await);
    assert_eq!(counts(&limiter), (0, 0, 0));
    assert_eq!(limiter.stats().started, 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order() {
    let limiter = limiter(1);
    let held = permit(&limiter).await;
    let mut first = limiter.acquire(|| true);
    let mut second = limiter.acquire(|| true);
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut second).await.is_none());
    assert_eq!(counts(&limiter), (1, 0, 2));
    drop(held);
    assert!(poll_once(&mut second).await.is_none());
    let first = poll_once(&mut first).await.unwrap().unwrap();
    drop(first);
    drop(second.await.unwrap());
    assert_eq!(counts(&limiter), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_max_wait() {
    let limiter = limiter(1);
    let _held = permit(&limiter).await;
    let begun = Instant::now();
    let refused = limiter.acquire(|| true).await.unwrap_err();
    assert!(matches!(refused, Refused::Busy { retry_after, .. } if retry_after == SECOND));
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(counts(&limiter), (1, 0, 0));
    assert_eq!(limiter.stats().refused_busy, 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_leaves_it_at_once() {
    let limiter = limiter(1);
    let held = permit(&limiter).await;
    let mut leaves = limiter.acquire(|| true);
    let mut stays = limiter.acquire(|| true);
    assert!(poll_once(&mut leaves).await.is_none());
    assert!(poll_once(&mut stays).await.is_none());
    drop(leaves);
    assert_eq!(counts(&limiter), (1, 0, 1));
    drop(held);
    assert!(poll_once(&mut stays).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_given_and_not_taken_goes_on() {
    let limiter = limiter(1);
    let held = permit(&limiter).await;
    let mut leaves = limiter.acquire(|| true);
    let mut stays = limiter.acquire(|| true);
    assert!(poll_once(&mut leaves).await.is_none());
    assert!(poll_once(&mut stays).await.is_none());
    drop(held);
    drop(leaves);
    assert!(poll_once(&mut stays).await.is_some());
    assert_eq!(counts(&limiter), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn work_without_waiters_is_not_started() {
    let limiter = limiter(1);
    let held = permit(&limiter).await;
    let wanted = Arc::new(AtomicBool::new(true));
    let asks = Arc::clone(&wanted);
    let mut unwanted = limiter.acquire(move || asks.load(Ordering::Relaxed));
    let mut next = limiter.acquire(|| true);
    assert!(poll_once(&mut unwanted).await.is_none());
    assert!(poll_once(&mut next).await.is_none());
    wanted.store(false, Ordering::Relaxed);
    drop(held);
    assert_eq!(
        poll_once(&mut unwanted).await.unwrap().unwrap_err(),
        Refused::Unwanted
    );
    assert!(poll_once(&mut next).await.unwrap().is_ok());
    assert_eq!(limiter.stats().refused_unwanted, 1);
}

#[tokio::test(start_paused = true)]
async fn work_without_waiters_takes_no_room() {
    let limiter = Limiter::new(Options {
        limit: Limit::Fixed(1),
        max_queue: 1,
        ..Options::default()
    });
    let _held = permit(&limiter).await;
    let wanted = Arc::new(AtomicBool::new(true));
    let asks = Arc::clone(&wanted);
    let mut oldest = limiter.acquire(move || asks.load(Ordering::Relaxed));
    assert!(poll_once(&mut oldest).await.is_none());
    let refused = poll_once(&mut limiter.acquire(|| true)).await;
    assert!(matches!(refused, Some(Err(Refused::Busy { .. }))));
    assert_eq!(counts(&limiter), (1, 0, 1));
    wanted.store(false, Ordering::Relaxed);
    let mut newcomer = limiter.acquire(|| true);
    assert!(poll_once(&mut newcomer).await.is_none());
    assert_eq!(
        poll_once(&mut oldest).await.unwrap().unwrap_err(),
        Refused::Unwanted
    );
    assert_eq!(counts(&limiter), (1, 0, 1));
}

/// How many of 200 concurrent callers may wait, if a slot is held for 100 ms and a wait of 1 s is
/// allowed; and how many count as started once the next slot has taken along what it may.
async fn room(per_slot: usize) -> (usize, u64) {
    let limiter = Limiter::new(Options {
        limit: Limit::Fixed(1),
        per_slot,
        breaker: None,
        ..Options::default()
    });
    let held = permit(&limiter).await;
    held.run(SECOND, sleep(100 * MS), never_failed)
        .await
        .unwrap();
    let held = permit(&limiter).await;
    let mut others: Vec<_> = (0..200).map(|_| limiter.acquire(|| true)).collect();
    for other in &mut others {
        let _ = poll_once(other).await;
    }
    let waiting = limiter.stats().queued;
    held.take_along(per_slot - 1);
    (waiting, limiter.stats().started)
}

#[tokio::test(start_paused = true)]
async fn what_shares_a_slot_makes_room_for_more_to_wait() {
    let (alone, started) = room(1).await;
    assert_eq!(started, 2);
    assert!((1..=10).contains(&alone), "{alone}");
    let (shared, started) = room(16).await;
    assert_eq!(started, 17);
    assert!(shared >= 15 * alone, "{shared} instead of {alone}");
}

#[tokio::test(start_paused = true)]
async fn late_work_keeps_its_slot_until_it_ends() {
    let limiter = limiter(1);
    let begun = Instant::now();
    let late = permit(&limiter)
        .await
        .run(SECOND, sleep(3 * SECOND), never_failed)
        .await;
    assert!(matches!(late, Err(Late { deadline, .. }) if deadline == SECOND));
    assert_eq!(counts(&limiter), (1, 1, 0));
    assert_eq!(limiter.stats().late, 1);
    sleep(SECOND + 999 * MS).await;
    assert_eq!(counts(&limiter), (1, 1, 0));
    sleep(2 * MS).await;
    assert_eq!(counts(&limiter), (0, 0, 0));
    assert!(begun.elapsed() < 4 * SECOND);
}

/// Records when it is dropped.
struct Tells(Option<oneshot::Sender<()>>);

impl Drop for Tells {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

fn endless() -> (impl Future<Output = ()> + Send, oneshot::Receiver<()>) {
    let (sender, dropped) = oneshot::channel();
    let tells = Tells(Some(sender));
    let work = async move {
        let _tells = tells;
        pending::<()>().await;
    };
    (work, dropped)
}

#[tokio::test(start_paused = true)]
async fn late_work_is_dropped_after_the_grace() {
    let limiter = limiter(1);
    let (work, dropped) = endless();
    let begun = Instant::now();
    let late = permit(&limiter).await.run(SECOND, work, never_failed).await;
    assert!(late.is_err());
    dropped.await.unwrap();
    assert_eq!(begun.elapsed(), 6 * SECOND);
    settle().await;
    assert_eq!(counts(&limiter), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn work_whose_caller_leaves_keeps_its_slot_until_it_ends() {
    let limiter = limiter(1);
    let permit = permit(&limiter).await;
    let run = permit.run(SECOND, sleep(500 * MS), never_failed);
    assert!(timeout(100 * MS, run).await.is_err());
    assert_eq!(counts(&limiter), (1, 1, 0));
    let begun = Instant::now();
    let _next = limiter.acquire(|| true).await.unwrap();
    assert_eq!(begun.elapsed(), 400 * MS);
    assert_eq!(limiter.stats().late, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_never_polled_frees_its_slot() {
    let limiter = limiter(1);
    drop(permit(&limiter).await.run(SECOND, async {}, never_failed));
    assert_eq!(counts(&limiter), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_slot() {
    let limiter = limiter(1);
    let run = permit(&limiter).await.run(
        SECOND,
        async {
            sleep(MS).await;
            panic!("on purpose")
        },
        never_failed::<()>,
    );
    assert!(tokio::spawn(run).await.unwrap_err().is_panic());
    assert_eq!(counts(&limiter), (0, 0, 0));

    // The same holds after the caller has left.
    let late = permit(&limiter).await.run(
        SECOND,
        async {
            sleep(SECOND + 500 * MS).await;
            panic!("on purpose")
        },
        never_failed::<()>,
    );
    assert!(late.await.is_err());
    drop(permit(&limiter).await);
    assert_eq!(counts(&limiter), (0, 0, 0));
}

#[test]
fn without_a_runtime_work_is_dropped_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limiter = limiter(1);
    let (work, mut dropped) = endless();
    let mut run = Box::pin({
        let limiter = limiter.clone();
        async move {
            let permit = limiter.acquire(|| true).await.unwrap();
            permit.run(SECOND, work, never_failed).await
        }
    });
    runtime.block_on(async { assert!(poll_once(&mut run).await.is_none()) });
    assert_eq!(counts(&limiter), (1, 0, 0));
    // A panic of user code while it is dropped is not the work's.
    let unwound = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _run = run;
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    assert_eq!(counts(&limiter), (0, 0, 0));
    assert!(dropped.try_recv().is_ok());
}

/// Fails one piece of work after another, 10 ms each, until the breaker opens.
async fn fail(limiter: &Limiter) {
    for _ in 0..1_000 {
        let Ok(permit) = limiter.acquire(|| true).await else {
            return;
        };
        let work = async { sleep(10 * MS).await };
        permit.run(SECOND, work, |()| true).await.unwrap();
    }
    panic!("it never opens");
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_at_once_and_a_probe_closes_it() {
    let limiter = with_breaker(8);
    fail(&limiter).await;
    let stats = limiter.stats();
    assert_eq!((stats.breaker, stats.opened), (BreakerState::Open, 1));
    let refused = limiter.acquire(|| true).await.unwrap_err();
    let Refused::Open { retry_after, .. } = refused else {
        panic!("{refused:?}");
    };
    sleep(retry_after).await;
    assert_eq!(limiter.stats().breaker, BreakerState::HalfOpen);
    let probe = permit(&limiter).await;
    assert!(matches!(
        limiter.acquire(|| true).await,
        Err(Refused::Open { .. })
    ));
    // A probe that is not run has no effect; the next one does.
    drop(probe);
    let probe = permit(&limiter).await;
    probe.run(SECOND, ready(()), never_failed).await.unwrap();
    assert_eq!(limiter.stats().breaker, BreakerState::Closing);
    while limiter.stats().breaker == BreakerState::Closing {
        let permit = permit(&limiter).await;
        permit.run(SECOND, ready(()), never_failed).await.unwrap();
    }
    assert_eq!(limiter.stats().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_refused_when_the_breaker_opens() {
    let limiter = with_breaker(1);
    let run = permit(&limiter)
        .await
        .run(500 * MS, pending::<()>(), never_failed);
    let run = tokio::spawn(run);
    let begun = Instant::now();
    let refused = limiter.acquire(|| true).await.unwrap_err();
    assert!(matches!(refused, Refused::Open { .. }));
    assert_eq!(begun.elapsed(), 500 * MS);
    assert!(run.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_without_a_verdict_does_not_block_the_next() {
    let limiter = with_breaker(1);
    fail(&limiter).await;
    sleep(SECOND).await;
    // Its caller leaves, and it never ends: that is a failure once the grace is over.
    let probe = permit(&limiter).await;
    let run = probe.run(60 * SECOND, pending::<()>(), never_failed);
    assert!(timeout(MS, run).await.is_err());
    sleep(6 * SECOND).await;
    assert_eq!(limiter.stats().opened, 2);
    let probe = permit(&limiter).await;
    probe.run(SECOND, ready(()), never_failed).await.unwrap();
    assert_eq!(limiter.stats().breaker, BreakerState::Closed);
}

/// Threads that wait, leave, run, are late, panic or no longer want the work: no slot is lost, and
/// the limit holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_lose_no_slot() {
    const LIMIT: usize = 3;
    let limiter = Limiter::new(Options {
        limit: Limit::Fixed(LIMIT),
        max_wait: 5 * MS,
        max_queue: 16,
        grace: 2 * MS,
        breaker: None,
        ..Options::default()
    });
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|seed| {
            let (limiter, running, most) =
                (limiter.clone(), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..200 {
                    let wanted = random.u8(..8) > 0;
                    let mut acquire = limiter.acquire(move || wanted);
                    if random.u8(..6) == 0 {
                        drop(poll_once(&mut acquire).await);
                        continue;
                    }
                    let Ok(permit) = acquire.await else {
                        continue;
                    };
                    let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                    let kind = random.u8(..16);
                    let work = async move {
                        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        let _ends = Ends(running);
                        match kind {
                            0 => pending().await,
                            1 => panic!("on purpose"),
                            2 => sleep(MS).await,
                            _ => tokio::task::yield_now().await,
                        }
                    };
                    let run = tokio::spawn(permit.run(MS, work, never_failed));
                    if kind == 3 {
                        run.abort();
                    }
                    drop(run.await);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // Cancelled work ends with its grace period.
    let ended = async {
        while limiter.stats().in_use > 0 {
            sleep(MS).await;
        }
    };
    timeout(10 * SECOND, ended).await.unwrap();
    assert_eq!(counts(&limiter), (0, 0, 0));
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

struct Ends(Arc<AtomicUsize>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
