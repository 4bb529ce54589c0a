//! One node follows, and another takes over.

use std::time::Duration;

use gaggle_follow::{Change, Options};
use gaggle_group::{FollowState, Key};
use tokio::time::{Instant, sleep};

use crate::source::{Trouble, eventually};
use crate::world::{SECOND, World};

#[tokio::test(start_paused = true)]
async fn one_node_follows_for_all_and_confirms_what_every_node_has_dropped() {
    let world = World::new(3);
    world
        .source
        .write(&[("a", Some("1")), ("b", Some("1"))], false);
    let leader = world.is_followed().await;
    assert_eq!(leader, world.leader());
    world.is_confirmed(2, 5 * SECOND).await;

    world.load("a").await;
    world.load("b").await;
    let end = world.source.write(&[("a", Some("2"))], false);
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.holds("a"), [false; 3]);
    assert_eq!(world.holds("b"), [true; 3], "nothing else is removed");
    assert_eq!(world.group(0).get("a").await.unwrap(), "2");

    for other in world.others(leader) {
        let stats = world.stats(other);
        assert_eq!((stats.state, stats.lag), (FollowState::Standby, None));
        assert_eq!(stats.changes, 0);
    }
    let stats = world.stats(leader);
    assert_eq!(
        (stats.state, stats.lag),
        (FollowState::Following, Some(Duration::ZERO))
    );
    assert_eq!(
        (stats.changes, stats.keys_removed, stats.failures),
        (3, 3, 0)
    );
    eventually("what is behind is told", SECOND, || {
        world.stats(leader).behind_bytes == Some(0)
    })
    .await;
    assert_eq!(world.source.state().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn another_node_takes_over_and_applies_again_what_was_not_confirmed() {
    let mut world = World::new(3);
    world.source.write(&[("a", Some("1"))], false);
    let leader = world.is_followed().await;
    world.is_confirmed(1, 5 * SECOND).await;
    world.load("a").await;

    // The removal reaches no other node: it is lost with the node that has read the change.
    world.isolate(leader, gaggle_testkit::Link::Refused);
    world.source.write(&[("a", Some("2"))], false);
    eventually("the leader has read it", SECOND, || {
        !world.holds("a")[leader]
    })
    .await;
    assert_eq!(world.source.confirmed(), 1);
    world.kill(leader);
    let others = world.others(leader);
    assert!(others.iter().all(|other| world.holds("a")[*other]));

    world.is_confirmed(2, 700 * SECOND).await;
    assert!(world.source.holder().is_some_and(|holder| holder != leader));
    assert!(others.iter().all(|other| !world.holds("a")[*other]));

    world.restart(leader);
    for other in others {
        world.link(leader, other, gaggle_testkit::Link::Up);
    }
    let back = || world.source.holder() == Some(leader);
    eventually("the first one follows again", 60 * SECOND, back).await;
}

#[tokio::test(start_paused = true)]
async fn changes_missed_by_the_feed_remove_the_group_on_every_node() {
    let world = World::new(3);
    world
        .source
        .write(&[("a", Some("1")), ("b", Some("1"))], false);
    let leader = world.is_followed().await;
    world.is_confirmed(2, 5 * SECOND).await;
    world.load("a").await;
    world.load("b").await;

    world.source.state().missed = Some("the slot is gone".into());
    world.source.kick();
    eventually("all is removed", 5 * SECOND, || {
        !world.holds("a").contains(&true) && !world.holds("b").contains(&true)
    })
    .await;
    let stats = world.stats(leader);
    assert_eq!((stats.group_removals, stats.failures), (1, 1));
    world.load("a").await;
    let end = world.source.write(&[("a", None)], false);
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.holds("a"), [false; 3], "it goes on");

    world.load("b").await;
    let end = world.source.append(vec![Change::All]);
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.holds("b"), [false; 3]);
    assert_eq!(world.stats(leader).group_removals, 2);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_any_size_is_taken_in_parts() {
    let rows = std::env::var("GAGGLE_ROWS").map_or(200_000, |rows| rows.parse().unwrap());
    let world = World::new(2);
    let leader = world.is_followed().await;
    world.cluster.network().delay(Duration::from_millis(40), 7);
    let began = Instant::now();
    let keys = (0..rows).map(|row| Change::Key(Key::from(format!("{row:07}"))));
    let end = world.source.append(keys.collect());
    let mut most = 0;
    while world.source.confirmed() < end {
        assert_eq!(
            world.source.confirmed(),
            0,
            "in the middle of a transaction"
        );
        let handed_out = world.source.state().handed_out;
        let removed = usize::try_from(world.stats(leader).keys_removed).unwrap();
        most = most.max(handed_out - removed);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.stats(leader).keys_removed, rows);
    println!("{most} keys under way at most, {:?}", began.elapsed());
    assert!(
        most > 1_024,
        "several batches are under way at once: {most}"
    );
    assert!(most <= 10_000, "{most} keys in memory");
}

#[tokio::test(start_paused = true)]
async fn stopping_confirms_and_frees_the_source() {
    let mut world = World::new(3);
    let leader = world.is_followed().await;
    world.source.write(&[("a", Some("1"))], false);
    let began = Instant::now();
    let running = world.followers[leader].take().unwrap();
    running.follower.stop().await;
    assert!(began.elapsed() <= 2 * SECOND);
    assert_eq!(world.source.holder(), None);
    assert_eq!(world.stats(leader).state, FollowState::Standby);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_frees_the_source() {
    let mut world = World::new(3);
    let leader = world.is_followed().await;
    drop(world.followers[leader].take());
    eventually("it is free", 3 * SECOND, || world.source.holder().is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_whatever_hangs() {
    for trouble in [
        Trouble::OpenHangs,
        Trouble::CloseHangs,
        Trouble::ConfirmHangs,
    ] {
        let mut world = World::new(3);
        let leader = world.leader();
        world.source.set(trouble, true);
        if trouble != Trouble::OpenHangs {
            world.is_followed().await;
        }
        world.source.write(&[("a", Some("1"))], false);
        sleep(SECOND).await;
        let began = Instant::now();
        world.followers[leader]
            .take()
            .unwrap()
            .follower
            .stop()
            .await;
        assert!(
            began.elapsed() <= Duration::from_millis(2_500),
            "{trouble:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_it_stops_is_confirmed() {
    let mut world = World::new(3);
    let leader = world.is_followed().await;
    world.cluster.network().delay(Duration::from_millis(100), 3);
    let end = world.source.write(&[("a", Some("1"))], false);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.source.confirmed(), 0);
    world.followers[leader]
        .take()
        .unwrap()
        .follower
        .stop()
        .await;
    assert_eq!(world.source.confirmed(), end);
}

#[tokio::test(start_paused = true)]
async fn where_each_node_has_its_own_source_every_node_follows() {
    let options = Options {
        everywhere: true,
        ..Options::default()
    };
    let cluster = gaggle_testkit::Cluster::new(3);
    let sources: Vec<_> = (0..3).map(|_| crate::source::Source::default()).collect();
    let nodes = cluster.nodes().iter().zip(&sources).enumerate();
    let followers = nodes.map(|(at, (node, source))| {
        gaggle_follow::Follower::start(
            node.group.clone(),
            crate::source::SourceFeed::new(source, at),
            options.clone(),
        )
    });
    let _followers: Vec<_> = followers.collect();
    eventually("all follow", SECOND, || {
        sources.iter().all(|source| source.holder().is_some())
    })
    .await;
    for (at, source) in sources.iter().enumerate() {
        let key = format!("key {at}");
        for node in cluster.nodes() {
            node.group.get(&key).await.unwrap();
        }
        let end = source.write(&[(&key, None)], false);
        eventually("it is confirmed", SECOND, || source.confirmed() == end).await;
        assert!(cluster.nodes().iter().all(|node| !node.group.holds(&key)));
    }
}
