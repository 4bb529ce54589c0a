use std::sync::Arc;

use super::*;

const NOW: Duration = Duration::from_secs(1);

fn keys(names: &[&'static str]) -> Scope {
    Scope::Keys(
        names
            .iter()
            .map(|name| Key::from_static(name.as_bytes()))
            .collect(),
    )
}

fn notice(issuer: u64, number: u64, scope: Scope) -> Notice {
    Notice {
        id: RemovalId { issuer, number },
        scope,
    }
}

fn issue(log: &mut Log, scope: Scope, now: Duration) -> Notice {
    let notice = Notice {
        id: log.issue(),
        scope,
    };
    assert_eq!(log.note(&notice, now), Noted::Apply);
    log.applied(&notice);
    notice
}

/// Sends all that one node reports to the other; returns whether it missed something unlisted.
fn catch_up(to: &mut Log, from: &Log) -> bool {
    let mut gap = false;
    loop {
        let news = from.news(&to.known());
        for notice in &news.notices {
            to.note(notice, NOW);
            to.applied(notice);
        }
        for upto in &news.unlisted {
            gap |= to.misses(*upto);
            to.skip(*upto, NOW);
        }
        if !news.more {
            return gap;
        }
    }
}

#[test]
fn a_removal_is_news_once_and_fences_its_keys() {
    let mut log = Log::new(1);
    assert!(log.fences(b"a", NOW).ids.is_empty());
    let first = notice(7, 1, keys(&["a", "b"]));
    assert_eq!(log.note(&first, NOW), Noted::Apply);
    assert_eq!(log.note(&first, NOW), Noted::Apply, "not to its end yet");
    log.applied(&first);
    assert_eq!(log.note(&first, NOW), Noted::Known);
    assert_eq!(log.note(&notice(7, 2, Scope::Group), NOW), Noted::Apply);
    assert_eq!(log.fences(b"a", NOW).ids.len(), 2);
    assert_eq!(log.fences(b"c", NOW).ids.len(), 1, "the group's");
}

#[test]
fn whoever_missed_one_learns_it_from_anyone() {
    let (mut a, mut b, mut c) = (Log::new(1), Log::new(2), Log::new(3));
    let told = issue(&mut a, keys(&["k"]), NOW);
    b.note(&told, NOW);
    // The issuer has left; c never had contact with it.
    assert!(!catch_up(&mut c, &b));
    assert_eq!(c.fences(b"k", NOW).ids, [told.id]);
    assert!(b.news(&c.known()).notices.is_empty(), "and is told once");
}

#[test]
fn one_that_came_late_fills_its_place() {
    let (mut a, mut b) = (Log::new(1), Log::new(2));
    let first = issue(&mut a, keys(&["k"]), NOW);
    let second = issue(&mut a, keys(&["l"]), NOW);
    assert_eq!(b.note(&second, NOW), Noted::Apply);
    assert_eq!(a.news(&b.known()).notices, [first, second]);
    assert!(!catch_up(&mut b, &a));
    assert_eq!(b.known(), a.known());
}

#[test]
fn what_is_no_longer_listed_is_a_gap_for_those_who_did_not_know_it() {
    let (mut a, mut knowing, mut behind) = (Log::new(1), Log::new(2), Log::new(3));
    let first = issue(&mut a, keys(&["j"]), NOW);
    for log in [&mut knowing, &mut behind] {
        log.note(&first, NOW);
    }
    let old = issue(&mut a, keys(&["k"]), NOW);
    knowing.note(&old, NOW);
    let later = NOW + KEPT_FOR + Duration::from_secs(1);
    issue(&mut a, keys(&["l"]), later);
    assert!(a.fences(b"k", NOW).ids.is_empty(), "its time is over");
    assert!(!catch_up(&mut knowing, &a));
    assert!(catch_up(&mut behind, &a));
    assert!(!catch_up(&mut behind, &a), "once");
    assert_eq!(behind.known(), a.known());
}

#[test]
fn numbers_of_removals_and_their_bytes_are_bounded() {
    let mut log = Log::new(1);
    for _ in 0..MAX_NOTICES + 10 {
        issue(&mut log, keys(&["k"]), NOW);
    }
    assert_eq!(log.order.len(), MAX_NOTICES);
    let carried = log.fences(b"k", NOW);
    assert_eq!((carried.ids.len(), carried.incomplete), (MAX_CARRIED, true));
    assert!(!log.fences(b"k", NOW + SETTLED_AFTER).incomplete);
    assert_eq!(log.fences[&b"k"[..]].len(), MAX_FENCES);
    let huge: Arc<[Key]> = (0..40).map(|_| Key::from(vec![7; 1 << 20])).collect();
    issue(&mut log, Scope::Keys(huge), NOW);
    assert!(log.bytes <= MAX_BYTES, "{}", log.bytes);
    let mut other = Log::new(2);
    for n in 0..2 * MAX_NOTICES {
        other.fence(
            &Key::from(n.to_string()),
            RemovalId {
                issuer: 9,
                number: 1,
            },
            NOW,
        );
    }
    assert!(other.order.len() <= MAX_NOTICES && other.fences.len() <= MAX_NOTICES);
}

#[test]
fn one_that_came_with_a_fetch_is_still_told_in_full() {
    let (mut a, mut b) = (Log::new(1), Log::new(2));
    let all = issue(&mut a, keys(&["k", "l"]), NOW);
    let key = Key::from_static(b"k");
    assert_eq!(b.fence(&key, all.id, NOW), Noted::Apply);
    assert_eq!(
        b.fence(&key, all.id, NOW),
        Noted::Apply,
        "not to its end yet"
    );
    b.fence_applied(&key, all.id);
    assert_eq!(b.fence(&key, all.id, NOW), Noted::Known);
    assert!(b.fences(b"l", NOW).ids.is_empty());
    assert!(!catch_up(&mut b, &a));
    assert_eq!(b.fences(b"l", NOW).ids, [all.id]);
    assert_eq!(a.fence(&key, all.id, NOW), Noted::Known, "in full");
}

#[test]
fn all_that_come_with_a_fetch_are_news_once() {
    let (mut asker, mut owner) = (Log::new(1), Log::new(2));
    for _ in 0..2 * MAX_CARRIED {
        issue(&mut asker, keys(&["k"]), NOW);
        issue(&mut asker, Scope::Group, NOW);
    }
    let key = Key::from_static(b"k");
    let carried = asker.fences(&key, NOW).ids;
    assert_eq!(carried.len(), MAX_CARRIED);
    for id in &carried {
        assert_eq!(owner.fence(&key, *id, NOW), Noted::Apply);
        owner.fence_applied(&key, *id);
    }
    for id in &carried {
        assert_eq!(owner.fence(&key, *id, NOW), Noted::Known);
    }
}

#[test]
fn a_number_that_nobody_has_is_asked_for_a_while_and_drops_nothing() {
    let (mut a, mut b) = (Log::new(1), Log::new(2));
    // The first removal of an issuer that has died was sent to no node.
    for number in 2..=2_000 {
        let notice = notice(9, number, keys(&["k"]));
        for log in [&mut a, &mut b] {
            log.note(&notice, NOW);
            log.applied(&notice);
        }
    }
    assert!(a.news(&b.known()).more, "asked for again");
    let later = NOW + GAP_KEPT_FOR + Duration::from_secs(1);
    a.prune(later);
    b.prune(later);
    assert_eq!(
        a.known().0,
        [RemovalId {
            issuer: 9,
            number: 2_000
        }]
    );
    assert!(!catch_up(&mut a, &b));
}

#[test]
fn identities_are_bounded_and_forgetting_them_drops_nothing() {
    let (mut a, mut b) = (Log::new(1), Log::new(2));
    for issuer in 10..10 + 2 * MAX_ISSUERS as u64 {
        a.skip(
            RemovalId {
                issuer,
                number: u64::MAX,
            },
            NOW,
        );
    }
    assert!(a.issuers.len() <= MAX_ISSUERS);
    for _ in 0..3 {
        assert!(!catch_up(&mut b, &a) && !catch_up(&mut a, &b));
    }
    a.prune(NOW + 3 * KEPT_FOR);
    assert!(a.issuers.is_empty());
}

#[test]
fn a_put_is_taken_once_and_not_after_a_later_removal() {
    let mut log = Log::new(1);
    let key = Key::from_static(b"k");
    let put = issue(&mut log, keys(&["k"]), NOW);
    assert!(log.take_put(&key, put.id) && !log.take_put(&key, put.id));
    let late = issue(&mut log, keys(&["k"]), NOW);
    issue(&mut log, keys(&["k"]), NOW);
    assert!(!log.take_put(&key, late.id));
    let late = issue(&mut log, keys(&["k"]), NOW);
    issue(&mut log, Scope::Group, NOW);
    assert!(!log.take_put(&key, late.id));
}

#[test]
fn news_come_in_parts() {
    let (mut a, mut b) = (Log::new(1), Log::new(2));
    for _ in 0..3 * NEWS_NOTICES {
        issue(&mut a, keys(&["k"]), NOW);
    }
    assert!(a.news(&b.known()).more);
    assert!(!catch_up(&mut b, &a));
    assert_eq!(b.known(), a.known());
}

#[test]
fn a_gap_that_has_closed_does_not_shorten_the_next_one() {
    let (mut issuer, mut log) = (Log::new(9), Log::new(1));
    let all: Vec<Notice> = (0..4)
        .map(|_| issue(&mut issuer, keys(&["k"]), NOW))
        .collect();
    log.note(&all[1], NOW);
    // Closed by other code, without a removal being learnt.
    log.skip(all[0].id, NOW);
    let later = NOW + GAP_KEPT_FOR + Duration::from_secs(1);
    log.note(&all[3], later);
    log.prune(later);
    assert_eq!(
        issuer.news(&log.known()).notices[0],
        all[2],
        "still asked for"
    );
}
