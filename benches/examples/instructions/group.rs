//! Flights, and the read path of one node.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::task::Poll;

use bytes::Bytes;
use gaggle_benches::Workload;
use gaggle_group::Group;
use gaggle_singleflight::Flights;

const KEYS: usize = 1_000;
const VALUE: Bytes = Bytes::from_static(&[7; 100]);

/// Pending once, as what waits for a socket.
async fn waits_once() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Beside a flight: what a tokio task costs.
pub(crate) async fn task(times: u64) {
    for _ in 0..times {
        let task = tokio::spawn(ready(VALUE));
        assert!(task.await.is_ok());
    }
}

pub(crate) async fn flight(times: u64, waits: bool) {
    let flights = Flights::<Bytes, Bytes>::new();
    for _ in 0..times {
        let load = flights.join(b"key-000123".as_slice(), |_| async move {
            if waits {
                waits_once().await;
            }
            VALUE
        });
        assert!(load.await.is_ok());
    }
}

pub(crate) async fn polled(times: u64, waits: bool) {
    let flights = Flights::<Bytes, Bytes>::new();
    for _ in 0..times {
        let load = flights.join_polling(b"key-000123".as_slice(), |_| async move {
            if waits {
                waits_once().await;
            }
            VALUE
        });
        assert!(load.await.is_ok());
    }
}

/// A group that has every key of the workload in memory.
pub(crate) async fn warm() -> (Group, Workload) {
    let things = group(false);
    let load = Workload::new(KEYS);
    for (key, _) in load.entries() {
        assert!(things.get(key).await.is_ok());
    }
    (things, load)
}

fn group(waits: bool) -> Group {
    Group::builder("things")
        .capacity(8 << 20)
        .origin_fn(move |_| async move {
            if waits {
                waits_once().await;
            }
            Ok::<_, Infallible>(Some(VALUE))
        })
        .build()
        .expect("a group")
}

pub(crate) async fn cached(times: u64) {
    let (things, load) = warm().await;
    let keys = load.entries().cycle();
    for ((key, _), _) in keys.zip(0..times) {
        assert!(things.cached(key).is_some());
    }
}

pub(crate) async fn hit(times: u64) {
    let (things, load) = warm().await;
    let keys = load.entries().cycle();
    for ((key, _), _) in keys.zip(0..times) {
        assert!(things.get(key).await.is_ok());
    }
}

/// Each key is a new one.
pub(crate) async fn miss(times: u64, waits: bool) {
    let things = group(waits);
    for n in 0..times {
        assert!(things.get(n.to_be_bytes()).await.is_ok());
    }
    assert_eq!(things.stats().main.store.hits, 0, "a case of misses");
}
