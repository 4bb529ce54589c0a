//! The path of values into a cache.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Fetched, Freshness, Group, Hint, Key, Loaded, LocalOnly, Member, Notice, Peer,
    PeerError, RemovalId, Route, Router, Sampled, Scope, Serve, async_trait,
};
use tokio::sync::watch;

/// A buffer that records when its memory is freed.
struct Told(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.1.store(true, SeqCst);
    }
}

#[tokio::test]
async fn a_value_that_is_a_part_of_a_large_buffer_does_not_keep_the_buffer() {
    let freed = Arc::new(AtomicBool::new(false));
    let buffer = Bytes::from_owner(Told(vec![7; 1 << 20], Arc::clone(&freed)));
    let handed = std::sync::Mutex::new(Some(buffer.slice(500_000..510_000)));
    drop(buffer);
    let group = Group::builder("things")
        .origin_fn(move |_: Bytes| {
            let value = handed.lock().unwrap().take();
            async { Ok::<_, std::io::Error>(value) }
        })
        .build()
        .unwrap();
    let value = group.get("k").await.unwrap();
    assert_eq!(value, vec![7; 10_000]);
    assert!(freed.load(SeqCst), "a copy of 10,000 bytes is kept");
    assert!(group.cached("k").is_some());
}

#[tokio::test]
async fn a_value_with_room_to_spare_is_cut_to_its_length() {
    let group = Group::builder("things")
        .origin_fn(|_: Bytes| async {
            let mut value = Vec::with_capacity(1 << 20);
            value.resize(10_000, 7_u8);
            Ok::<_, std::io::Error>(Some(Bytes::from(value)))
        })
        .build()
        .unwrap();
    group.get("k").await.unwrap();
    let held = group.cached("k").unwrap().value.unwrap();
    drop(group);
    let room = held.try_into_mut().unwrap().capacity();
    assert!(room < 12_000, "{room}");
}

/// Answers when it is released.
struct Slow(watch::Sender<bool>);

#[async_trait]
impl Peer for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
        Ok(Entry::value("old").into())
    }
    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }
    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

/// That peer owns every key.
struct Theirs(Arc<Slow>);

impl Router for Theirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(Arc::clone(&self.0) as Arc<dyn Peer>)
    }
    fn owner(&self, key: &[u8]) -> Member {
        LocalOnly::new("slow").owner(key)
    }
    fn members(&self) -> Vec<Member> {
        Vec::new()
    }
    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        Vec::new()
    }
    fn digest(&self) -> String {
        "theirs".into()
    }
}

#[tokio::test]
async fn a_fetch_that_lands_after_the_key_has_become_ours_leaves_the_newer_value() {
    let slow = Arc::new(Slow(watch::Sender::new(false)));
    let group = Group::builder("things")
        .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("new")) })
        .hot_copies(Sampled { one_in: 1 })
        .router(Arc::new(Theirs(Arc::clone(&slow))))
        .build()
        .unwrap();
    let fetching = tokio::spawn({
        let group = group.clone();
        async move { group.get("k").await }
    });
    while slow.0.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    group.set_router(Arc::new(LocalOnly::default()));
    assert_eq!(group.get("k").await.unwrap(), "new");
    slow.0.send_replace(true);
    assert_eq!(fetching.await.unwrap().unwrap(), "old");
    assert_eq!(group.cached("k").unwrap().value.unwrap(), "new");
}

fn echo() -> Group {
    let builder = Group::builder("things");
    let origin = builder.origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) });
    origin.build().unwrap()
}

// Sent twice concurrently, by its issuer and by another node that has learnt of it: neither call
// may answer before all values are dropped.
#[test]
fn a_removal_that_arrives_twice_at_once_is_applied_before_either_answers() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let group = echo();
    let keys: Arc<[Key]> = (0..1_000).map(|n| Key::from(format!("key-{n}"))).collect();
    for number in 1..=30 {
        runtime.block_on(async {
            for key in keys.iter() {
                group.get(key).await.unwrap();
            }
        });
        let notice = Notice {
            id: RemovalId { issuer: 9, number },
            scope: Scope::Keys(Arc::clone(&keys)),
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    group.apply(&notice);
                    let left = keys.iter().filter(|key| group.holds(key)).count();
                    assert_eq!(left, 0, "in round {number}");
                });
            }
        });
        assert!(!group.apply(&notice), "known by now");
    }
}

#[tokio::test]
async fn a_put_whose_removal_was_learnt_before_it_came_is_kept() {
    let group = echo();
    let id = RemovalId {
        issuer: 9,
        number: 1,
    };
    let scope = Scope::Keys([Key::from_static(b"k")].into());
    assert!(group.apply(&Notice { id, scope }));
    group.accept("k", &Entry::value("put"), id).unwrap();
    assert_eq!(group.get("k").await.unwrap(), "put");
    // Sent once more after a removal, it does not come back.
    let _ = group.remove("k").await;
    group.accept("k", &Entry::value("put"), id).unwrap();
    assert_eq!(group.get("k").await.unwrap(), "k");
}

#[tokio::test]
async fn a_request_that_carries_a_removal_is_answered_after_it() {
    let group = echo();
    let put = RemovalId {
        issuer: 9,
        number: 1,
    };
    group.accept("k", &Entry::value("old"), put).unwrap();
    let carried = [RemovalId {
        issuer: 9,
        number: 2,
    }];
    let request = Serve::new(b"k", gaggle_group::Hop::Forwarded).after(&carried);
    assert_eq!(
        group.serve(request).await.unwrap().answer.value.unwrap(),
        "k"
    );
}

#[tokio::test]
async fn an_endless_ttl_is_one() {
    let group = Group::builder("things")
        .origin_fn(|key: Bytes| async move {
            let forever = Hint::ttl(std::time::Duration::MAX);
            Ok::<_, std::io::Error>(Some(Loaded::value(key).with_freshness(forever)))
        })
        .build()
        .unwrap();
    group.get("k").await.unwrap();
    assert!(group.cached("k").is_some());
    assert!(!Freshness::for_ttl(std::time::Duration::MAX).is_stale());
}
