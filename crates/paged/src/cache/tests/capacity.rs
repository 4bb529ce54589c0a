//! A capacity that changes.

use super::*;

#[test]
fn what_was_used_survives_and_the_coldest_goes() {
    let cache = cache(4 << 20, 4);
    for n in 0..20_000 {
        cache.insert(&key(n), value(n, 100));
    }
    let used = || (0..20_000).step_by(4);
    for n in used() {
        assert!(cache.get(&key(n)).is_some());
    }
    let (bytes, evictions) = (cache.bytes(), cache.stats().evictions.total());
    assert_eq!(evictions, 0);
    cache.set_capacity(bytes / 2);
    cache.audit();
    // Some of it is for statistics.
    assert!(cache.bytes() > bytes / 2 - 48_000, "no more than must");
    for n in used() {
        // But for some of the small queue, where one use is not enough.
        assert!(n > 19_000 || cache.contains(&key(n)), "{n} was used");
    }
    let kept = |from: usize| (from..from + 4_000).filter(|n| cache.contains(&key(*n)));
    let (oldest, youngest) = (kept(0).count(), kept(16_000).count());
    assert!(oldest < 1_100 && youngest > 3_700, "{oldest}, {youngest}");

    let (len, bytes) = (cache.len(), cache.bytes());
    cache.set_capacity(4 << 20);
    assert_eq!((cache.len(), cache.bytes()), (len, bytes));
    for n in 20_000..25_000 {
        cache.insert(&key(n), value(n, 100));
    }
    assert_eq!(cache.len(), len + 5_000, "there is room again");
    cache.audit();
}

#[test]
fn a_capacity_of_zero_holds_nothing_and_comes_back() {
    let cache = cache(1 << 20, 8);
    for n in 0..500 {
        cache.insert(&key(n), value(n, 50 + n * 10));
    }
    cache.set_capacity(0);
    assert_eq!((cache.len(), cache.bytes(), cache.capacity()), (0, 0, 0));
    let refused = cache.insert(&key(1), value(1, 10));
    assert!(matches!(refused, Insertion::Refused { capacity: 0, .. }));
    cache.set_capacity(u64::MAX);
    assert_eq!(cache.capacity(), 1 << 48);
    assert_eq!(cache.insert(&key(1), value(1, 10)), Insertion::Added);
    cache.audit();
}

// An insertion that finds its value to fit, and then the capacity lowered.
#[test]
fn a_value_that_has_ceased_to_fit_is_not_spared() {
    let cache = cache(1 << 20, 1);
    cache.insert(&key(1), value(1, 100_000));
    cache.shared.budget().aim(90_000);
    while cache.shared.budget().step() {}
    assert!(cache.shared.budget().is_over());
    let (key, mut dropped) = (key(1), Dropped::default());
    let (_, tag, home) = cache.locate(&key);
    let spare = Spare::Key(tag, &key);
    cache.make_room(home, spare, cache.bytes(), Passes::default(), &mut dropped);
    dropped.finish();
    assert_eq!(cache.len(), 0);
    cache.audit();
}
