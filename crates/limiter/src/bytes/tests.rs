use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, advance, timeout};

use super::*;

const KIB: u64 = 1024;

fn budget(bytes: u64) -> ByteBudget {
    ByteBudget::new(bytes, Duration::from_secs(1))
}

fn value(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_fits_is_granted_at_once_and_returned_on_drop() {
    let budget = budget(100);
    let first = budget.reserve(60).await.unwrap();
    let second = budget.try_reserve(40).unwrap();
    assert_eq!((budget.used(), budget.limit()), (100, 100));
    assert!(budget.try_reserve(1).is_none());
    drop((first, second));
    assert_eq!(
        (budget.used(), budget.peak(), budget.refused()),
        (0, 100, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn more_than_the_whole_budget_is_refused_at_once() {
    let budget = budget(100);
    let begun = Instant::now();
    let over = budget.reserve(101).await.unwrap_err();
    assert_eq!((over.asked, over.limit), (101, 100));
    let mut reserved = budget.reserve(10).await.unwrap();
    assert_eq!(reserved.grow_to(101).await.unwrap_err().asked, 101);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(
        (reserved.bytes(), budget.used(), budget.refused()),
        (10, 10, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_max_wait_and_leaves_no_trace() {
    let budget = budget(100);
    let held = budget.reserve(100).await.unwrap();
    let begun = Instant::now();
    let over = budget.reserve(1).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(over.retry_after, Duration::from_secs(1));
    assert_eq!((budget.waiting(), budget.refused()), (0, 1));
    drop(held);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_and_none_overtakes() {
    let budget = budget(100);
    let held = budget.reserve(100).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, bytes) in [("large", 80), ("small", 10), ("middle", 30)] {
        let (budget, order) = (budget.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let reserved = budget.reserve(bytes).await.unwrap();
            order.lock().unwrap().push(name);
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(reserved);
        }));
        settle().await;
    }
    assert_eq!(budget.waiting(), 3);
    let mut held = held;
    // There would be room for the small one, but it arrived after the large one.
    held.shrink_to(70);
    settle().await;
    assert!(order.lock().unwrap().is_empty());
    assert!(budget.try_reserve(1).is_none());
    drop(held);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["large", "small", "middle"]);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_lets_later_ones_through() {
    let budget = budget(100);
    let _held = budget.reserve(50).await.unwrap();
    let blocked = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(80).await.map(|reserved| reserved.bytes()) }
    });
    settle().await;
    let behind = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(50).await.map(|reserved| reserved.bytes()) }
    });
    settle().await;
    assert_eq!(budget.waiting(), 2);
    blocked.abort();
    assert_eq!(behind.await.unwrap().unwrap(), 50);
    assert_eq!(budget.used(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_between_its_grant_and_its_poll_returns_the_bytes() {
    let budget = budget(100 * KIB);
    let held = budget.reserve(100 * KIB).await.unwrap();
    let mut waits = Box::pin(budget.reserve(60 * KIB));
    assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
    let large = value(40 * 1024);
    let mut holds = Box::pin(budget.hold(&large));
    assert!(timeout(Duration::ZERO, &mut holds).await.is_err());
    drop(held);
    assert_eq!(budget.used(), 100 * KIB);
    drop(waits);
    drop(holds);
    assert_eq!((budget.used(), budget.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn growth_goes_before_new_reservations() {
    let budget = budget(100);
    let mut growing = budget.reserve(40).await.unwrap();
    let other = budget.reserve(60).await.unwrap();
    let newcomer = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(50).await.map(drop) }
    });
    settle().await;
    let grown = tokio::spawn(async move {
        growing.grow_to(80).await.unwrap();
        growing
    });
    settle().await;
    drop(other);
    let growing = grown.await.unwrap();
    assert_eq!(
        (growing.bytes(), budget.used(), budget.waiting()),
        (80, 80, 1)
    );
    drop(growing);
    newcomer.await.unwrap().unwrap();
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_who_wait_for_each_others_bytes_do_not_block() {
    let budget = budget(100);
    let mut one = budget.reserve(50).await.unwrap();
    let mut two = budget.reserve(50).await.unwrap();
    let begun = Instant::now();
    let first = tokio::spawn(async move {
        one.grow_to(100).await.unwrap();
        one.bytes()
    });
    settle().await;
    // The first waits for these bytes, and these would wait for the first's.
    assert!(two.grow_to(100).await.is_err());
    drop(two);
    assert_eq!(first.await.unwrap(), 100);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn growth_that_fails_or_is_dropped_leaves_the_reservation_as_it_was() {
    let budget = budget(100);
    let mut growing = budget.reserve(40).await.unwrap();
    let other = budget.reserve(60).await.unwrap();
    assert!(growing.grow_to(80).await.is_err());
    assert!(
        timeout(Duration::from_millis(1), growing.grow_to(80))
            .await
            .is_err()
    );
    assert_eq!((growing.bytes(), budget.used()), (40, 100));
    drop(other);
    growing.grow_to(80).await.unwrap();
    growing.grow_to(10).await.unwrap();
    assert_eq!((growing.bytes(), budget.used()), (80, 80));
    growing.shrink_to(30);
    assert_eq!((growing.bytes(), budget.used()), (30, 30));
    drop(growing);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_buffer_counts_once_however_many_hold_it() {
    let budget = budget(64 * KIB);
    let shared = value(40 * 1024);
    let first = budget.hold(&shared).await.unwrap();
    let again = budget.try_hold(&shared.clone()).unwrap();
    assert_eq!(budget.used(), 40 * KIB);
    // Another buffer with the same content is another buffer; so is a part of the same.
    assert!(budget.try_hold(&value(40 * 1024)).is_none());
    let part = budget.hold(&shared.slice(..20 * 1024)).await.unwrap();
    assert_eq!(budget.used(), 60 * KIB);
    drop(first);
    assert_eq!(budget.used(), 60 * KIB);
    drop((again, part));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn small_values_cost_nothing() {
    let budget = budget(1);
    let small = value(ByteBudget::SMALL - 1);
    let holds: Vec<_> = (0..100).filter_map(|_| budget.try_hold(&small)).collect();
    assert_eq!((holds.len(), budget.used()), (100, 0));
    assert!(budget.hold(&value(ByteBudget::SMALL)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_one_buffer_are_served_together() {
    let budget = budget(100 * KIB);
    let held = budget.reserve(100 * KIB).await.unwrap();
    let shared = value(60 * 1024);
    let spawn_hold = |shared: Bytes| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.hold(&shared).await })
    };
    let mut waits = vec![spawn_hold(shared.clone())];
    settle().await;
    let other = spawn_hold(value(60 * 1024));
    settle().await;
    waits.extend((0..20).map(|_| spawn_hold(shared.clone())));
    settle().await;
    drop(held);
    for wait in waits {
        let _hold = wait.await.unwrap().unwrap();
    }
    // The last of them was dropped: now there is room for the other buffer.
    drop(other.await.unwrap().unwrap());
    assert_eq!((budget.used(), budget.peak()), (0, 100 * KIB));
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_the_buffer_alive() {
    let budget = budget(64 * KIB);
    let shared = value(10 * 1024);
    let hold = budget.hold(&shared).await.unwrap();
    assert!(!shared.is_unique());
    drop(hold);
    assert!(shared.is_unique());
}

#[tokio::test(start_paused = true)]
async fn a_reservation_becomes_the_hold_of_its_value() {
    let budget = budget(10 * KIB);
    let reserved = budget.reserve(10 * KIB).await.unwrap();
    let filled = value(6 * 1024);
    let hold = reserved.into_hold(&filled);
    assert_eq!(budget.used(), 6 * KIB);
    // Larger than what is reserved or left: it counts, since it exists.
    let larger = budget.try_reserve(KIB).unwrap().into_hold(&value(8 * 1024));
    assert_eq!(budget.used(), 14 * KIB);
    let small = budget.reserve(0).await.unwrap().into_hold(&value(10));
    drop((hold, larger, small));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_loaded_value_counts_before_all_who_wait_until_the_budget_is_exceeded() {
    let budget = budget(10 * KIB);
    let first = budget.hold_loaded(&value(10 * 1024)).unwrap();
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(KIB).await.map(|reserved| reserved.bytes()) }
    });
    settle().await;
    assert_eq!(budget.waiting(), 1);
    let loaded = value(8 * 1024);
    let beyond = budget.hold_loaded(&loaded).unwrap();
    assert_eq!((budget.used(), budget.waiting()), (18 * KIB, 1));
    assert!(budget.hold_loaded(&value(4 * 1024)).is_none());
    let again = budget.hold_loaded(&loaded).unwrap();
    let small = budget.hold_loaded(&value(10)).unwrap();
    assert_eq!((budget.used(), budget.refused()), (18 * KIB, 0));
    drop((first, small));
    assert_eq!(waiting.await.unwrap().unwrap(), KIB);
    drop(beyond);
    assert_eq!(budget.used(), 8 * KIB, "it is held once more");
    drop(again);
    assert_eq!(budget.used(), 0);
}

#[test]
fn loaded_values_of_many_threads_exceed_the_budget_by_one() {
    const THREADS: usize = 8;
    let budget = budget(4 * KIB);
    let together = std::sync::Barrier::new(THREADS);
    for _ in 0..200 {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let loaded = value(4 * 1024);
                    together.wait();
                    let held = budget.hold_loaded(&loaded);
                    // All hold what they got until all have asked.
                    together.wait();
                    drop(held);
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
    assert_eq!(budget.peak(), 8 * KIB);
}

#[tokio::test(start_paused = true)]
async fn an_unlimited_budget_counts_and_never_refuses() {
    let budget = ByteBudget::unlimited();
    let large = budget.reserve(u64::MAX / 2).await.unwrap();
    let more = budget.try_reserve(u64::MAX / 2).unwrap();
    assert_eq!(budget.used(), u64::MAX - 1);
    drop((large, more));
    assert_eq!((budget.used(), budget.refused()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let budget = budget(1);
    let _held = budget.reserve(1).await.unwrap();
    let mut waits: Vec<_> = (0..ledger::MOST_WAITING)
        .map(|_| Box::pin(budget.reserve(1)))
        .collect();
    for wait in &mut waits {
        std::future::poll_fn(|cx| {
            assert!(wait.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    let begun = Instant::now();
    assert!(budget.reserve(1).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(waits);
    assert_eq!((budget.waiting(), budget.used()), (0, 1));
    advance(Duration::from_secs(2)).await;
}

/// Threads that reserve, grow, hold, time out and are aborted leave nothing behind, and never
/// exceed the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_leaks_however_it_ends() {
    let budget = ByteBudget::new(64 * KIB, Duration::from_millis(2));
    let values: Vec<_> = (1..8).map(|n| value(n * 5 * 1024)).collect();
    let tasks: Vec<_> = (0..64)
        .map(|seed| {
            let (budget, values) = (budget.clone(), values.clone());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..300 {
                    match random.u8(..4) {
                        0 => {
                            if let Ok(mut reserved) = budget.reserve(random.u64(..20 * KIB)).await {
                                let grown = reserved.grow_to(random.u64(..50 * KIB)).await;
                                tokio::task::yield_now().await;
                                drop((reserved, grown));
                            }
                        }
                        1 => drop(budget.try_reserve(random.u64(..9 * KIB))),
                        2 => {
                            // Dropped at an arbitrary point.
                            let value = random.choice(&values).unwrap();
                            let mut hold = Box::pin(budget.hold(value));
                            let polled =
                                std::future::poll_fn(|cx| Poll::Ready(hold.as_mut().poll(cx)));
                            drop(polled.await);
                        }
                        _ => {
                            let hold = budget.hold(random.choice(&values).unwrap()).await;
                            tokio::task::yield_now().await;
                            drop(hold);
                        }
                    }
                    assert!(budget.used() <= budget.limit());
                }
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        if n % 8 == 0 {
            task.abort();
        }
        assert!(task.await.map_or_else(|end| end.is_cancelled(), |()| true));
    }
    assert_eq!((budget.used(), budget.waiting()), (0, 0));
    assert!(budget.peak() <= budget.limit());
}

#[tokio::test(start_paused = true)]
async fn small_requests_are_not_delayed_by_large_ones() {
    let budget = budget(8 << 20);
    // Seven eighths are for all; a request that is alone may have more.
    let most = budget.reserve(7 << 20).await.unwrap();
    let large = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(4 << 20).await }
    });
    settle().await;
    assert_eq!(budget.waiting(), 1);
    let little: Vec<_> = (0..16)
        .map(|_| budget.try_reserve(64 * KIB).unwrap())
        .collect();
    assert!(budget.try_reserve(64 * KIB).is_none(), "the budget is full");
    drop(little);
    drop(most);
    assert_eq!(large.await.unwrap().unwrap().bytes(), 4 << 20);
    assert_eq!(budget.used(), 0);
    let mut alone = budget.reserve(1 << 20).await.unwrap();
    alone.grow_to(8 << 20).await.unwrap();
}
