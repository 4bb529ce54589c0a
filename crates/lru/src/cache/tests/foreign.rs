//! User code: it may panic, and may call the cache.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;

/// A value that panics if it is set to.
struct Touchy {
    clone: bool,
    drop: Arc<AtomicBool>,
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        assert!(!self.clone, "clone");
        Self {
            clone: false,
            drop: Arc::default(),
        }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if self.drop.load(Ordering::Relaxed) && !std::thread::panicking() {
            panic!("drop");
        }
    }
}

#[test]
fn foreign_panics_leave_the_cache_in_order() {
    let armed = Arc::new(AtomicBool::new(false));
    let touchy = |clone| Touchy {
        clone,
        drop: Arc::clone(&armed),
    };
    let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    let room = 10 * (Cache::<u64, Touchy>::ENTRY_OVERHEAD + 10);
    let cache: Cache<u64, Touchy> = Cache::new(
        Options {
            capacity: room,
            shards: Some(2),
            ..Options::default()
        },
        |key, _| {
            assert_ne!(*key, 666, "weigh");
            if *key == 1000 {
                10 * 10 + 9 * Cache::<u64, Touchy>::ENTRY_OVERHEAD
            } else {
                10
            }
        },
    );
    for i in 0..10 {
        cache.insert(i, touchy(true));
    }
    assert!(panics(&mut || drop(cache.get(&1))), "clone, under the lock");
    assert!(panics(&mut || cache
        .get_with(&2, |_| panic!("reader"))
        .unwrap_or(())));
    assert!(
        panics(&mut || _ = cache.insert(666, touchy(false))),
        "weigh"
    );
    cache.audit();
    assert_eq!(cache.len(), 10);

    // Ten victims, each of which panics as it is dropped: all are evicted, and one panic
    // propagates.
    armed.store(true, Ordering::Relaxed);
    let large = Touchy {
        clone: false,
        drop: Arc::default(),
    };
    let mut large = Some(large);
    assert!(panics(&mut || {
        large.take().map(|large| cache.insert(1000, large));
    }));
    assert_eq!(cache.len(), 1);
    cache.audit();
    assert!(cache.get(&1000).is_some());

    cache.insert(1, touchy(false));
    assert!(panics(&mut || cache.clear()));
    assert!(cache.is_empty());
    cache.audit();
    armed.store(false, Ordering::Relaxed);
}

#[test]
fn a_value_may_use_the_cache_as_it_is_dropped() {
    struct Calls(std::sync::Weak<Cache<u64, Arc<Calls>>>);
    impl Drop for Calls {
        fn drop(&mut self) {
            // Would deadlock under the lock.
            if let Some(cache) = self.0.upgrade() {
                cache.contains(&0);
            }
        }
    }
    let clock = Clock::manual();
    let capacity = 2 * Cache::<u64, Arc<Calls>>::ENTRY_OVERHEAD;
    let options = Options {
        capacity,
        shards: Some(1),
        clock: clock.clone(),
    };
    let cache = Arc::new(Cache::new(options, |_, _| 0));
    let value = || Arc::new(Calls(Arc::downgrade(&cache)));
    for i in 0..3 {
        cache.insert(i, value());
    }
    cache.insert_with_ttl(2, value(), Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    assert!(cache.get(&2).is_none());
    cache.remove(&1);
    cache.insert(1, value());
    cache.clear();
    assert!(cache.is_empty());
}

/// A key that lowers its cache's capacity as it is compared, which is after a value was found to
/// fit.
#[derive(Clone)]
struct Lowering(Option<Arc<std::sync::OnceLock<Cache<Lowering, u64>>>>);

impl PartialEq for Lowering {
    fn eq(&self, other: &Self) -> bool {
        let cache = self.0.as_ref().or(other.0.as_ref());
        if let Some(cache) = cache.and_then(|cache| cache.get()) {
            // It needs no eviction yet, so it waits for no lock.
            cache.set_capacity(2 * Cache::<Lowering, u64>::ENTRY_OVERHEAD);
        }
        true
    }
}

impl Eq for Lowering {}

impl Hash for Lowering {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(7);
    }
}

#[test]
fn a_value_that_has_ceased_to_fit_goes_itself() {
    let cell = Arc::new(std::sync::OnceLock::new());
    let unit = Cache::<Lowering, u64>::ENTRY_OVERHEAD;
    let options = Options {
        capacity: 8 * unit,
        shards: Some(1),
        ..Options::default()
    };
    let cache = cell.get_or_init(|| Cache::new(options, |_, payload: &u64| *payload));
    cache.insert(Lowering(None), 0);
    let key = Lowering(Some(Arc::clone(&cell)));
    cache.insert(key, 6 * unit);
    assert_eq!((cache.capacity(), cache.len()), (2 * unit, 0));
    cache.audit();
}
