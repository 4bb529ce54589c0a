//! Entries that are served or kept when they are stale, and notes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Of values for a page, and for a block of their own.
const LENS: [usize; 2] = [100, 5_000];

fn timed(capacity: u64) -> (Clock, PagedCache) {
    let clock = Clock::manual();
    let cache = PagedCache::new(Options {
        clock: clock.clone(),
        ..options(capacity, 1)
    });
    (clock, cache)
}

fn life(ttl: u32, serve_stale: u32, keep_stale: u32) -> Life {
    Life {
        ttl: Some(ttl * SECOND),
        serve_stale: serve_stale * SECOND,
        keep_stale: keep_stale * SECOND,
        refresh_ahead: Duration::ZERO,
    }
}

fn note(n: usize) -> Vec<u8> {
    format!("note {n}").into_bytes()
}

/// So that pages are closed too.
fn fill(cache: &PagedCache) {
    for n in 1_000..1_200 {
        cache.insert(&key(n), value(n, 100));
    }
}

#[test]
fn an_entry_is_fresh_then_served_then_kept_then_gone() {
    for (len, closed) in [(100, false), (100, true), (5_000, true)] {
        let (clock, cache) = timed(1 << 20);
        let all = Life {
            refresh_ahead: 3 * SECOND,
            ..life(10, 4, 7)
        };
        cache.insert_entry(&key(0), value(0, len), &all, b"seven");
        if closed {
            fill(&cache);
        }
        let before = cache.stats();
        let at = |seconds: u64| {
            clock.advance(Duration::from_secs(seconds) - clock.now());
            cache.hold_any(&key(0))
        };
        let held = |ttl: u32, serve_stale: u32, keep_stale: u32, due| Held {
            value: value(0, len),
            note: Bytes::from_static(b"seven"),
            life: Life {
                refresh_ahead: 3 * SECOND,
                ..life(ttl, serve_stale, keep_stale)
            },
            due,
        };
        for (seconds, expected) in [
            (0, held(10, 4, 7, false)),
            (6, held(4, 4, 7, false)),
            (7, held(3, 4, 7, true)),
            (9, held(1, 4, 7, true)),
            (10, held(0, 4, 7, false)),
            (13, held(0, 1, 4, false)),
        ] {
            assert_eq!(at(seconds).as_ref(), Some(&expected), "at {seconds}");
            assert_eq!(cache.hold(&key(0)).as_ref(), Some(&expected));
            assert_eq!(cache.get(&key(0)), Some(value(0, len)));
            assert_eq!(cache.get_with(&key(0), <[u8]>::len), Some(len));
            let hit = Some(Hit {
                value: value(0, len),
                ttl: expected.life.ttl,
            });
            assert_eq!(
                (cache.get_entry(&key(0)), cache.peek(&key(0))),
                (hit.clone(), hit)
            );
            assert!(cache.contains(&key(0)));
        }
        assert_eq!(cache.stats().hits, before.hits + 6 * 4);
        assert_eq!(cache.stats().misses, before.misses);

        for (seconds, left) in [(14, 3), (16, 1)] {
            assert_eq!(at(seconds), Some(held(0, 0, left, false)));
            assert_eq!((cache.hold(&key(0)), cache.get(&key(0))), (None, None));
            assert_eq!(cache.get_entry(&key(0)), None);
            assert!(cache.peek(&key(0)).is_none() && !cache.contains(&key(0)));
        }
        assert_eq!(cache.stats().misses, before.misses + 2 * 3);
        assert_eq!(cache.stats().evictions.total(), 0);

        let len = cache.len();
        assert_eq!(
            (at(17), cache.len()),
            (None, len),
            "gone, and nobody has come upon it"
        );
        assert_eq!((cache.hold(&key(0)), cache.len()), (None, len - 1));
        assert_eq!(cache.stats().evictions.expired, 1);
        cache.audit();
    }
}

#[test]
fn the_longer_of_the_two_windows_counts() {
    for len in LENS {
        let (clock, cache) = timed(1 << 20);
        cache.insert_entry(&key(0), value(0, len), &life(1, 5, 2), &[]);
        // Stale as it comes.
        cache.insert_entry(&key(1), value(1, len), &life(0, 0, 2), &[]);
        cache.insert_entry(&key(2), value(2, len), &life(0, 2, 0), &[]);
        assert_eq!(
            (cache.get(&key(1)), cache.get(&key(2))),
            (None, Some(value(2, len)))
        );
        let kept = cache.hold_any(&key(1)).unwrap();
        assert_eq!((kept.life, kept.due), (life(0, 0, 2), false));
        clock.advance(2 * SECOND);
        assert_eq!((cache.get(&key(1)), cache.get(&key(2))), (None, None));
        assert_eq!(cache.len(), 1);
        clock.advance(4 * SECOND - Duration::from_nanos(1));
        let served = cache.hold(&key(0)).unwrap();
        assert_eq!(served.life.serve_stale, Duration::from_nanos(1));
        assert_eq!(served.life.keep_stale, Duration::ZERO);
        clock.advance(Duration::from_nanos(1));
        assert_eq!((cache.hold(&key(0)), cache.len()), (None, 0));
        cache.audit();
    }
}

#[test]
fn what_is_removed_while_only_kept_is_a_removal_without_a_value() {
    for len in LENS {
        let (clock, cache) = timed(1 << 20);
        for n in 0..3 {
            cache.insert_entry(&key(n), value(n, len), &life(1, 2, 4), &note(n));
        }
        clock.advance(2 * SECOND);
        assert_eq!(cache.remove(&key(0)), Some(value(0, len)), "served");
        clock.advance(SECOND);
        assert_eq!(cache.remove(&key(1)), None, "kept");
        clock.advance(2 * SECOND);
        assert_eq!(cache.remove(&key(2)), None, "gone");
        assert_eq!(
            (cache.stats().removals, cache.stats().evictions.expired),
            (2, 1)
        );
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        cache.audit();
    }
}

#[test]
fn without_an_end_the_windows_mean_nothing_and_a_note_stays() {
    for len in LENS {
        let (clock, cache) = timed(1 << 20);
        let endless = Life {
            ttl: None,
            refresh_ahead: SECOND,
            ..life(0, 1, 2)
        };
        cache.insert_entry(&key(0), value(0, len), &endless, b"seven");
        cache.insert_entry(&key(1), value(1, len), &endless, &[]);
        clock.advance(Duration::MAX);
        for (n, note) in [(0, &b"seven"[..]), (1, &[])] {
            let held = cache.hold(&key(n)).unwrap();
            assert_eq!((held.life, held.due), (Life::default(), false));
            assert_eq!((held.value, &held.note[..]), (value(n, len), note));
        }
        cache.audit();
    }
}

#[test]
fn entries_without_extras_take_what_they_took() {
    let filled = |life: &Life, note: &[u8], len| {
        let (_, cache) = timed(16 << 20);
        for n in 0..1_000 {
            cache.insert_entry(&key(n), value(n, len), life, note);
        }
        cache.audit();
        cache.bytes()
    };
    let ttl = life(1, 0, 0);
    // A head, a deadline and a key of nine bytes in multiples of four.
    let each = |record: usize| {
        let terms = |deadline| Terms {
            deadline,
            extras: &[],
        };
        let clock = Clock::manual();
        let deadline = Deadline::after(Some(SECOND), &clock);
        [
            Record::len(&vec![0; record], terms(Deadline::NEVER)),
            Record::len(&vec![0; record], terms(deadline)),
        ]
    };
    assert_eq!((each(9), each(0)), ([20, 28], [8, 16]));
    for len in LENS {
        let [plain, timed, noted] = [
            filled(&Life::default(), &[], len),
            filled(&ttl, &[], len),
            filled(&life(1, 1, 1), &[7; 100], len),
        ];
        assert!(plain <= timed && timed <= plain + 1_000 * 16);
        // 14 bytes and the note, and what lengths are rounded by.
        assert!(
            (110_000..160_000).contains(&(noted - timed)),
            "{noted} {timed}"
        );
    }
}

#[test]
fn an_empty_note_shares_nothing_and_another_one_its_page() {
    let cache = cache(1 << 20, 1);
    for n in 0..200 {
        cache.insert_entry(&key(n), value(n, 100), &Life::default(), &note(n));
        cache.insert(&key(n + 200), value(n, 100));
    }
    let (a, b) = (cache.hold(&key(0)).unwrap(), cache.hold(&key(0)).unwrap());
    assert_eq!(
        (&a.note[..], a.note.as_ptr()),
        (&note(0)[..], b.note.as_ptr())
    );
    assert!(cache.hold(&key(200)).unwrap().note.is_empty());

    // A note that a caller holds is not overwritten.
    drop((a.value, b));
    cache.insert_entry(&key(0), value(1, 100), &Life::default(), b"note 1");
    assert_eq!(a.note, note(0));
    let held = cache.hold(&key(0)).unwrap();
    assert_eq!(
        (held.value, &held.note[..]),
        (value(1, 100), &b"note 1"[..])
    );
    cache.audit();
}

#[test]
fn only_what_has_the_same_shape_is_written_over_and_all_of_it() {
    let (clock, cache) = timed(1 << 20);
    let shapes = [
        (Life::default(), &b""[..]),
        (life(5, 0, 0), b""),
        (life(5, 1, 2), b""),
        (life(6, 3, 4), b""),
        (life(6, 3, 4), b"one"),
        (life(0, 1, 0), b"two"),
        (Life::default(), b"two"),
        (Life::default(), b"three"),
    ];
    for closed in [false, true] {
        for (from, (before, before_note)) in shapes.iter().enumerate() {
            for (to, (after, after_note)) in shapes.iter().enumerate() {
                cache.clear();
                cache.insert(&key(9), value(9, 100));
                cache.insert_entry(&key(0), value(from, 100), before, before_note);
                cache.insert(&key(8), value(8, 100));
                if closed {
                    fill(&cache);
                }
                clock.advance(SECOND / 2);
                let insertion = cache.insert_entry(&key(0), value(to + 9, 100), after, after_note);
                assert_eq!(insertion, Insertion::Overwrote);
                let held = cache.hold(&key(0)).unwrap();
                assert_eq!((held.life, &held.note[..]), (*after, *after_note));
                assert_eq!(held.value, value(to + 9, 100));
                for n in [8, 9] {
                    assert_eq!(cache.get(&key(n)), Some(value(n, 100)), "a neighbour");
                }
                cache.audit();
            }
        }
    }
    // In place: no holes appear.
    cache.clear();
    for round in 0..2_000 {
        cache.insert_entry(&key(0), value(round, 100), &life(9, 1, 1), &[7; 50]);
    }
    assert!(cache.bytes() < 10_000, "{}", cache.bytes());
    cache.audit();
}

#[test]
fn notes_and_lives_survive_evictions_and_sweeps() {
    let (clock, cache) = timed(256 << 10);
    let of = |n: usize| match n % 3 {
        0 => life(1_000, 10, 20),
        1 => Life::default(),
        _ => Life {
            refresh_ahead: SECOND,
            ..life(2_000, 0, 5)
        },
    };
    let len = |n: usize| {
        if n.is_multiple_of(40) {
            3_000
        } else {
            60 + n % 50
        }
    };
    let kept = 0..50;
    for n in 0..20_000 {
        cache.insert_entry(&key(n), value(n, len(n)), &of(n), &note(n));
        if n % 3 == 0 {
            // A hole.
            cache.remove(&key(n.saturating_sub(50).max(50)));
        }
        if n % 50 == 0 {
            for n in kept.clone() {
                cache.get(&key(n));
            }
        }
    }
    assert!(cache.stats().evictions.capacity > 1_000);
    clock.advance(5 * SECOND);
    for n in kept {
        let held = cache.hold(&key(n)).unwrap();
        let stored = of(n);
        let left = Life {
            ttl: stored.ttl.map(|ttl| ttl - 5 * SECOND),
            ..stored
        };
        assert_eq!(
            (held.value, &held.note[..]),
            (value(n, len(n)), &note(n)[..])
        );
        assert_eq!(held.life, left);
    }
    cache.audit();
}

#[test]
fn a_life_of_nothing_is_not_stored() {
    for len in LENS {
        let (_, cache) = timed(64 << 10);
        cache.insert(&key(0), value(0, len));
        cache.insert(&key(1), value(1, len));
        let nothing = Life {
            refresh_ahead: SECOND,
            ..life(0, 0, 0)
        };
        // Whatever its weight.
        for len in [len, 1 << 20] {
            let insertion = cache.insert_entry(&key(0), value(0, len), &nothing, b"note");
            assert_eq!(insertion, Insertion::Expired);
            assert!(!insertion.is_stored());
        }
        let insertion = cache.insert_with_ttl(&key(2), value(2, len), Some(Duration::ZERO));
        assert_eq!(insertion, Insertion::Expired);
        assert_eq!(
            (cache.hold_any(&key(0)), cache.hold_any(&key(2))),
            (None, None)
        );
        assert_eq!(cache.len(), 1);
        let stats = cache.stats();
        assert_eq!(
            (stats.insertions, stats.removals, stats.refusals),
            (2, 1, 0)
        );
        assert_eq!(stats.evictions.total(), 0);
        cache.audit();
    }
}

#[test]
fn a_note_has_a_longest_length() {
    for len in LENS {
        let cache = cache(1 << 20, 1);
        let longest = vec![7; PagedCache::MAX_NOTE];
        cache.insert_entry(&key(0), value(0, len), &Life::default(), &longest);
        assert_eq!(cache.hold(&key(0)).unwrap().note, longest);
        assert!(cache.bytes() >= (longest.len() + len) as u64);
        cache.audit();
        for long in [PagedCache::MAX_NOTE + 1, 70_000] {
            let insertion =
                cache.insert_entry(&key(0), value(0, len), &Life::default(), &vec![7; long]);
            assert!(matches!(insertion, Insertion::Refused { weight, .. } if weight > long as u64));
            assert!(!cache.contains(&key(0)));
        }
        assert_eq!(cache.stats().refusals, 2);
        cache.audit();
    }
}

#[test]
fn stale_and_gone_entries_have_no_second_chance() {
    for len in LENS {
        let (clock, cache) = timed(4 << 20);
        // In turn: gone, stale, fresh; all of them used.
        let of = |n| [life(1, 1, 1), life(1, 9, 0), life(9, 0, 0)][n % 3];
        for n in 0..300 {
            cache.insert_entry(&key(n), value(n, len), &of(n), &note(n));
            cache.get(&key(n));
            cache.get(&key(n));
        }
        fill(&cache);
        clock.advance(2 * SECOND);
        let is_there = |n: &usize| cache.hold_any(&key(*n)).is_some();
        while cache.stats().evictions.expired < 100 || (1..300).step_by(3).any(|n| is_there(&n)) {
            assert!(cache.evict() > 0);
            for n in (2..300).step_by(3) {
                // They stay used.
                assert_eq!(cache.get(&key(n)), Some(value(n, len)));
            }
        }
        let evictions = cache.stats().evictions;
        assert_eq!(evictions.expired, 100);
        // And of the younger ones those that were never used.
        assert!((100..=300).contains(&evictions.capacity), "{evictions:?}");
        cache.audit();
    }
}

#[test]
fn an_entry_that_is_stale_as_it_comes_is_spared_like_any_other() {
    for len in LENS {
        let (_, cache) = timed(32 << 10);
        for n in 0..500 {
            let insertion = cache.insert_entry(&key(n), value(n, len), &life(0, 1, 0), b"note");
            assert!(insertion.is_stored());
            assert_eq!(cache.get(&key(n)), Some(value(n, len)));
        }
        cache.audit();
    }
}

#[test]
fn a_sweep_drops_what_is_gone() {
    let (clock, cache) = timed(4 << 20);
    for n in 0..1_000 {
        let life = [life(1, 0, 0), life(1, 0, 9), Life::default()][n % 3];
        cache.insert_entry(&key(n), value(n, 100), &life, &[]);
    }
    clock.advance(SECOND);
    // Two thirds of each page are evicted; half of the rest is gone.
    for n in 0..1_000 {
        if n / 3 % 3 != 0 {
            cache.remove(&key(n));
        }
    }
    cache.audit();
    let expired = cache.stats().evictions.expired;
    // Those that `remove` found, and those of swept pages.
    let removed = (0..1_000).filter(|n| n / 3 % 3 != 0 && n % 3 == 0).count() as u64;
    assert!(
        expired > removed + 80,
        "{expired}, {removed} of them removed"
    );
    for n in (0..1_000).filter(|n| n / 3 % 3 == 0) {
        assert_eq!(cache.hold_any(&key(n)).is_some(), n % 3 != 0, "{n}");
    }
}

#[test]
fn colliding_keys_keep_their_notes() {
    let cache = PagedCache::with_hasher(options(1 << 20, 1), Colliding);
    for n in 0..60 {
        let len = if n % 7 == 0 { 2_000 } else { n };
        cache.insert_entry(&key(n), value(n, len), &life(1, 1, 1), &note(n));
    }
    for n in 0..60 {
        assert_eq!(cache.hold(&key(n)).unwrap().note, note(n));
    }
    cache.audit();
}
