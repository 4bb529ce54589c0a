//! Code that is not the cache's: what a value's buffer does as it is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::*;

/// A buffer that calls something as it goes.
struct Owner<F: FnMut()>(F, usize);

impl<F: FnMut()> AsRef<[u8]> for Owner<F> {
    fn as_ref(&self) -> &[u8] {
        &[7; 5_000][..self.1]
    }
}

impl<F: FnMut()> Drop for Owner<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn owned(len: usize, on_drop: impl FnMut() + Send + Sync + 'static) -> Bytes {
    Bytes::from_owner(Owner(on_drop, len))
}

#[test]
fn a_buffer_may_use_the_cache_as_it_is_dropped() {
    let clock = Clock::manual();
    let cache = Arc::new(PagedCache::new(Options {
        clock: clock.clone(),
        ..options(20 << 10, 1)
    }));
    let value = |len| {
        let cache: Weak<PagedCache> = Arc::downgrade(&cache);
        // Would deadlock under the lock.
        owned(len, move || {
            if let Some(cache) = cache.upgrade() {
                cache.insert(b"last words", Bytes::from_static(b"gone"));
            }
        })
    };
    for n in 0..20 {
        cache.insert(&key(n), value(100));
        cache.insert(&key(n), value(2_000));
    }
    cache.insert_with_ttl(&key(1), value(2_000), Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get(&key(1)), None);
    cache.remove(&key(19));
    cache.insert(&key(2), value(2_000));
    cache.insert(&key(2), value(5_000));
    cache.evict();
    cache.clear();
    assert!(cache.len() <= 1);
    cache.audit();
}

#[test]
fn a_panic_as_buffers_are_dropped_leaves_the_cache_in_order() {
    let cache = cache(20 << 10, 2);
    let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    for n in 0..5 {
        let touchy = owned(2_000, || {
            assert!(std::thread::panicking(), "dropped");
        });
        cache.insert(&key(n), touchy);
    }
    assert_eq!(cache.len(), 5);
    // Several go, and one panic comes out.
    assert!(panics(&mut || {
        cache.insert(&key(9), Bytes::from(vec![1; 12 << 10]));
    }));
    assert!(cache.contains(&key(9)));
    cache.audit();

    assert!(panics(&mut || cache
        .get_with(&key(9), |_| panic!("reader"))
        .unwrap_or(())));
    assert!(cache.contains(&key(9)));
    // Copied, and dropped by the insertion itself.
    assert!(panics(&mut || {
        cache.insert(&key(1), owned(40, || panic!("small")));
    }));
    assert!(cache.contains(&key(1)));
    cache.audit();

    assert!(panics(&mut || cache.clear()), "some of the first were left");
    assert!(cache.is_empty());
    cache.audit();
}
