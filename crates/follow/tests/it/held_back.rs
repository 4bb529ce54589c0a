//! A position is not confirmed while a node may lack a removal that no other node would send it.

use std::time::Duration;

use gaggle_testkit::Link;
use tokio::time::sleep;

use crate::source::eventually;
use crate::world::{SECOND, World};

#[tokio::test(start_paused = true)]
async fn a_node_that_was_missed_holds_back_the_confirmation_until_it_is_in_contact() {
    for link in [Link::Refused, Link::Lost, Link::Stuck] {
        let world = World::new(3);
        world.source.write(&[("a", Some("1"))], false);
        let leader = world.is_followed().await;
        world.is_confirmed(1, 5 * SECOND).await;
        world.load("a").await;
        let other = world.others(leader)[0];
        // The third node knows the removal, but may die as well.
        world.isolate(other, link);
        let end = world.source.write(&[("a", Some("2"))], false);
        sleep(30 * SECOND).await;
        assert_eq!(world.source.confirmed(), 1, "{link:?}");
        assert_eq!(world.holds("a").iter().filter(|holds| **holds).count(), 1);
        let lag = world.stats(leader).lag.unwrap();
        assert!(lag > 29 * SECOND && lag <= 30 * SECOND, "{lag:?}");

        let later = world
            .source
            .write(&[("b", Some("1")), ("c", Some("1"))], false);
        eventually("it goes on meanwhile", 3 * SECOND, || {
            world.stats(leader).keys_removed == 4
        })
        .await;
        assert_eq!(world.source.confirmed(), 1);

        for to in world.others(other) {
            world.link(other, to, Link::Up);
        }
        // Contact alone is not enough: it has to have asked.
        sleep(SECOND).await;
        assert_eq!(world.source.confirmed(), 1);
        world.is_confirmed(end, 5 * SECOND).await;
        world.is_confirmed(later, 5 * SECOND).await;
        assert_eq!(world.holds("a"), [false; 3]);
        assert_eq!(world.stats(leader).lag, Some(Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_breaks_off_again_does_not_count() {
    let world = World::new(3);
    let leader = world.is_followed().await;
    let other = world.others(leader)[0];
    world.isolate(other, Link::Refused);
    let end = world.source.write(&[("a", Some("1"))], false);
    for _ in 0..20 {
        sleep(3 * SECOND).await;
        for to in world.others(other) {
            world.link(other, to, Link::Up);
        }
        sleep(Duration::from_millis(500)).await;
        world.isolate(other, Link::Refused);
        assert_eq!(world.source.confirmed(), 0);
    }
    for to in world.others(other) {
        world.link(other, to, Link::Up);
    }
    world.is_confirmed(end, 5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_nobody_is_waited_for() {
    let world = World::new(3);
    let leader = world.is_followed().await;
    let other = world.others(leader)[0];
    world.isolate(other, Link::Refused);
    let first = world.source.write(&[("a", Some("1"))], false);
    sleep(60 * SECOND).await;
    let second = world.source.write(&[("b", Some("1"))], false);
    sleep(539 * SECOND).await;
    assert_eq!(world.source.confirmed(), 0);
    world.is_confirmed(first, 10 * SECOND).await;
    assert_eq!(world.source.confirmed(), first);
    sleep(50 * SECOND).await;
    assert_eq!(
        world.source.confirmed(),
        first,
        "each for its own ten minutes"
    );
    world.is_confirmed(second, 15 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_no_longer_there_is_not_waited_for() {
    let world = World::new(3);
    let leader = world.is_followed().await;
    let other = world.others(leader)[0];
    world.isolate(other, Link::Refused);
    let end = world.source.write(&[("a", Some("1"))], false);
    sleep(5 * SECOND).await;
    assert_eq!(world.source.confirmed(), 0);
    let names = world
        .others(other)
        .into_iter()
        .map(|node| world.cluster.nodes()[node].name.clone());
    let names: Vec<_> = names.collect();
    for node in world.others(other) {
        world.cluster.nodes()[node]
            .peers
            .update(names.clone())
            .unwrap();
    }
    // As long as it may still hold copies it gets removals, like a node that follows.
    world.is_confirmed(end, 100 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_missed_the_removal_of_the_group_is_waited_for_too() {
    let world = World::new(3);
    world.source.write(&[("a", Some("1"))], false);
    let leader = world.is_followed().await;
    world.is_confirmed(1, 5 * SECOND).await;
    world.load("a").await;
    let other = world.others(leader)[0];
    world.isolate(other, Link::Refused);
    world.source.state().missed = Some("the slot is gone".into());
    world.source.state().holder = None;
    world.source.touch();
    eventually("the group is removed", 5 * SECOND, || {
        world.stats(leader).group_removals == 1
    })
    .await;
    let before = world.source.confirmed();
    let end = world.source.write(&[("b", Some("1"))], false);
    sleep(20 * SECOND).await;
    assert_eq!(world.source.confirmed(), before);
    for to in world.others(other) {
        world.link(other, to, Link::Up);
    }
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.holds("a"), [false; 3]);
}
