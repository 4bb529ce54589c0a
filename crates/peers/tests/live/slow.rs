//! Peers that are slow, or answer pings and fail.

use std::time::Duration;

use gaggle_group::{Fetch, Key, Route, Router};
use gaggle_peers::{Options, Peers, Profile};
use tokio::time::{Instant, sleep};

use crate::fake::{SECOND, World, get, is_up, key_of, name, ring_name};

const MILLI: Duration = Duration::from_millis(1);

/// Gets a key of each member except this node, that many times.
async fn gets(peers: &Peers, members: usize, times: usize) {
    let keys: Vec<Key> = (2..=members).map(|member| key_of(peers, member)).collect();
    for _ in 0..times {
        for key in &keys {
            get(peers, key).await;
        }
    }
}

fn hedge_after(peers: &Peers) -> Option<Duration> {
    peers.peers()[0].hedge_after()
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_measured_by_the_fastest_peer() {
    let world = World::default();
    let peers = world.peers(4);
    gets(&peers, 4, 40).await;
    assert_eq!(hedge_after(&peers), None, "too few answers");
    gets(&peers, 4, 20).await;
    assert_eq!(hedge_after(&peers), Some(150 * MILLI));

    // One slow peer does not change when hedges are sent; an origin that is slow for all does.
    world.set(2, |node| node.takes = 100 * MILLI);
    gets(&peers, 4, 400).await;
    assert_eq!(hedge_after(&peers), Some(150 * MILLI));
    for member in 2..=4 {
        world.set(member, |node| node.takes = 100 * MILLI);
    }
    gets(&peers, 4, 400).await;
    let after = hedge_after(&peers).unwrap();
    println!("the origin takes 100 ms: a hedge after {after:?}");
    assert!(after >= 200 * MILLI && after <= 260 * MILLI, "{after:?}");
    for member in 2..=4 {
        world.set(member, |node| node.takes = 900 * MILLI);
    }
    gets(&peers, 4, 400).await;
    assert_eq!(hedge_after(&peers), None, "all are slow");
}

#[tokio::test(start_paused = true)]
async fn a_lone_peer_is_measured_by_what_it_took_for_long() {
    let world = World::default();
    let peers = world.peers(2);
    gets(&peers, 2, 10_000).await;
    assert_eq!(hedge_after(&peers), Some(150 * MILLI));
    world.set(2, |node| node.takes = 500 * MILLI);
    gets(&peers, 2, 200).await;
    assert_eq!(hedge_after(&peers), Some(150 * MILLI));
    assert!(is_up(&peers, 2), "nothing to compare it with");
}

#[tokio::test(start_paused = true)]
async fn hedges_are_a_fifth_of_the_other_requests_at_most() {
    let world = World::default();
    let peers = world.peers(3);
    let key = key_of(&peers, 2);
    let Route::Theirs(peer) = peers.route(&key) else {
        panic!("another member owns it");
    };
    assert!(!peer.may_hedge(), "nothing is saved yet");
    gets(&peers, 3, 400).await;
    assert!(!peer.may_hedge(), "it is quick");
    // Slower than the others, and not so slow that it is left out.
    world.set(2, |node| node.takes = 190 * MILLI);
    for _ in 0..200 {
        get(&peers, &key).await;
        while peer.may_hedge() {}
    }
    let (mut gets, mut hedges) = (0, 0);
    for _ in 0..1_000 {
        get(&peers, &key).await;
        gets += 1;
        if peer.may_hedge() {
            // Its cost if it goes to a peer that is as slow.
            get(&peers, &key).await;
            hedges += 1;
        }
    }
    println!("{hedges} hedges of {gets} gets");
    assert!(hedges * 5 <= gets && hedges * 6 >= gets, "{hedges}");
    for _ in 0..1_000 {
        get(&peers, &key).await;
    }
    let saved = (0..100).filter(|_| peer.may_hedge()).count();
    assert_eq!(saved, 10);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_to_a_live_member_after_the_one_that_is_asked() {
    let world = World::default();
    let peers = world.peers(4);
    let mut mine = 0;
    for owner in 2..=4 {
        let key = key_of(&peers, owner);
        match peers.stand_in(&key) {
            Route::Theirs(peer) => assert_ne!(*peer.name(), *ring_name(owner)),
            Route::Standby => mine += 1,
            Route::Mine => panic!("another member owns it"),
        }
    }
    println!("this node stands in for {mine} of 3 keys");
    // The owner is down: the first member after it is asked, and hedged with the second.
    let key = key_of(&peers, 2);
    world.set(2, |node| node.is_dead = true);
    get(&peers, &key).await;
    sleep(10 * MILLI).await;
    let first = match peers.route(&key) {
        Route::Theirs(peer) => Some(peer.name().to_owned()),
        Route::Standby => None,
        Route::Mine => panic!("another member owns it"),
    };
    if let Route::Theirs(second) = peers.stand_in(&key) {
        assert_ne!(Some(second.name()), first.as_deref());
        assert_ne!(second.name(), ring_name(2));
    } else {
        assert!(first.is_some(), "never this node for itself");
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_no_hedges_in_a_shared_ring() {
    let world = World::default();
    let peers = world.peers_with(3, Profile::GROUPCACHE, Options::default());
    gets(&peers, 3, 400).await;
    assert_eq!(hedge_after(&peers), None);
    assert!(!peers.peers()[0].may_hedge());
    assert!(matches!(peers.stand_in(b"k"), Route::Standby));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_and_fails_is_left_out_and_tried_by_one() {
    let world = World::default();
    let peers = world.peers(3);
    let key = key_of(&peers, 3);
    world.set(3, |node| node.breaks = true);
    let mut spans = Vec::new();
    gets(&peers, 3, 4).await;
    assert!(is_up(&peers, 3));
    let began = Instant::now();
    get(&peers, &key).await;
    for trial in 0..8 {
        assert!(!is_up(&peers, 3));
        let asked = world.asked(3);
        // Many concurrent gets: none is sent to it until its time is over, and then one.
        while world.asked(3) == asked {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..5 {
                let (peers, key) = (peers.clone(), key.clone());
                all.spawn(async move { get(&peers, &key).await });
            }
            all.join_all().await;
            sleep(10 * MILLI).await;
        }
        assert_eq!(world.asked(3), asked + 1, "trial {trial}");
        spans.push(began.elapsed().as_secs());
    }
    println!("tried after {spans:?} s");
    // 1, 2, 4, 8, 16, 30, 30 and 30 s after each other.
    let expected = [1, 3, 7, 15, 31, 61, 91, 121];
    let late = spans
        .iter()
        .zip(expected)
        .all(|(span, at)| *span >= at && *span <= at + 1);
    assert!(late, "{spans:?}");

    world.set(3, |node| node.breaks = false);
    sleep(31 * SECOND).await;
    assert_eq!(get(&peers, &key).await, Some(name(3)));
    assert!(is_up(&peers, 3));
}

#[tokio::test(start_paused = true)]
async fn time_outs_are_failures_and_verdicts_are_none() {
    let world = World::default();
    let peers = world.peers(4);
    world.set(2, |node| node.takes = 60 * SECOND);
    world.set(3, |node| node.fails = true);
    gets(&peers, 4, 4).await;
    assert!(is_up(&peers, 2));
    gets(&peers, 4, 1).await;
    assert!(!is_up(&peers, 2), "five hung until their deadline");
    gets(&peers, 4, 50).await;
    assert!(is_up(&peers, 3), "its origin fails");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_slower_by_far_is_left_out_until_it_is_not() {
    // A member that has run for a long time, and a new one whose pings are slow as well.
    for (age, ping_takes) in [(31 * SECOND, MILLI), (Duration::ZERO, 250 * MILLI)] {
        let world = World::default();
        let peers = world.peers(4);
        sleep(age).await;
        gets(&peers, 4, 30).await;
        let before = world.asked(2);
        world.set(2, |node| {
            node.takes = 500 * MILLI;
            node.ping_takes = ping_takes;
        });
        let began = Instant::now();
        while is_up(&peers, 2) {
            gets(&peers, 4, 1).await;
            assert!(began.elapsed() < 60 * SECOND);
        }
        let slow = world.asked(2) - before;
        println!(
            "slower by 500 ms: left out after {slow} answers, that is {:?}",
            began.elapsed()
        );
        assert!((20..=40).contains(&slow), "{slow}");
        assert!(is_up(&peers, 3) && is_up(&peers, 4));
        world.set(2, |node| {
            node.takes = MILLI;
            node.ping_takes = MILLI;
        });
        let (key, began) = (key_of(&peers, 2), Instant::now());
        while !is_up(&peers, 2) {
            get(&peers, &key).await;
            sleep(10 * MILLI).await;
        }
        assert!(began.elapsed() < 5 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_memory_is_no_slow_peer_and_nor_is_a_slow_origin() {
    let world = World::default();
    let peers = world.peers(4);
    // One has just started, and loads all that it is asked for.
    world.set(2, |node| node.takes = 300 * MILLI);
    gets(&peers, 4, 60).await;
    assert!(is_up(&peers, 2));
    for member in 2..=4 {
        world.set(member, |node| node.takes = 900 * MILLI);
    }
    gets(&peers, 4, 400).await;
    assert!((2..=4).all(|member| is_up(&peers, member)));
}

#[tokio::test(start_paused = true)]
async fn what_all_have_in_common_leaves_half_of_them_in() {
    for (members, left_out) in [(2, 1), (3, 1), (4, 1), (5, 2), (9, 4)] {
        let world = World::default();
        let peers = world.peers(members);
        for member in 2..=members {
            world.set(member, |node| node.breaks = true);
        }
        gets(&peers, members, 20).await;
        let out = (2..=members).filter(|member| !is_up(&peers, *member));
        assert_eq!(out.count(), left_out, "of {} others", members - 1);
    }
    // Those that do not answer pings do not count.
    let world = World::default();
    let peers = world.peers(5);
    for member in 2..=3 {
        world.set(member, |node| node.is_dead = true);
    }
    gets(&peers, 5, 20).await;
    assert!(!is_up(&peers, 2) && !is_up(&peers, 3));
    world.set(4, |node| node.breaks = true);
    gets(&peers, 5, 20).await;
    assert!(!is_up(&peers, 4) && is_up(&peers, 5));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_dead_is_asked_as_soon_as_it_is_up() {
    let world = World::default();
    let peers = world.peers(3);
    let key = key_of(&peers, 3);
    world.set(3, |node| node.is_dead = true);
    for _ in 0..20 {
        get(&peers, &key).await;
    }
    assert!(!is_up(&peers, 3));
    world.set(3, |node| node.is_dead = false);
    sleep(510 * MILLI).await;
    assert!(
        is_up(&peers, 3),
        "it is not left out for what it failed when it died"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_for_what_is_kept_are_neither_counted_nor_timed() {
    let world = World::default();
    let peers = world.peers(3);
    let peer = peers.peers().remove(0);
    let key = Key::from_static(b"k");
    for _ in 0..100 {
        let fetch = Fetch::new("g", &key, 1, SECOND).kept_only();
        peer.fetch(fetch).await.unwrap();
    }
    assert!(!peer.may_hedge());
    assert_eq!(peer.hedge_after(), None);
    assert!(
        peers
            .members()
            .iter()
            .all(|member| member.requests.not_found == 0)
    );
}
