//! Sources that report the new value with a change.

use std::time::Duration;

use bytes::Bytes;
use gaggle_follow::{Change, Options};
use gaggle_group::{FreshnessPolicy, Key, Limits};
use gaggle_testkit::Link;
use tokio::time::sleep;

use crate::source::eventually;
use crate::world::{SECOND, World};

fn put(key: &str, value: &str) -> Change {
    Change::Put(
        Key::copy_from_slice(key.as_bytes()),
        Bytes::copy_from_slice(value.as_bytes()),
    )
}

#[tokio::test(start_paused = true)]
async fn values_and_removals_of_a_key_are_applied_in_order() {
    for most in [1, 3, 1_024] {
        let world = World::new(3);
        world.source.state().most = most;
        world.is_followed().await;
        world.cluster.network().delay(Duration::from_millis(50), 5);
        let mut end = 0;
        for n in 0..60 {
            let gone = n % 7 == 2;
            let value = format!("{n}");
            let value = (!gone).then_some(value.as_str());
            end = world
                .source
                .write(&[("a", value), ("b", value), ("c", Some("kept"))], true);
            if n % 20 == 0 {
                sleep(Duration::from_millis(70)).await;
            }
        }
        world.is_confirmed(end, 120 * SECOND).await;
        let owner = world.cluster.owner_of("a").name.clone();
        let owner = world
            .cluster
            .nodes()
            .iter()
            .position(|node| node.name == owner)
            .unwrap();
        assert_eq!(
            world.cached(owner, "a").as_deref(),
            Some("59"),
            "batches of {most}"
        );
        for node in world.cluster.nodes() {
            for (key, value) in [("a", "59"), ("b", "59"), ("c", "kept")] {
                assert_eq!(
                    node.group.get(key).await.unwrap(),
                    value,
                    "batches of {most}"
                );
            }
        }
        let stats = world.stats(world.leader());
        assert!(stats.values_put > 0 && stats.changes == 180);
        end = world.source.write(&[("a", None)], true);
        world.is_confirmed(end, 5 * SECOND).await;
        assert_eq!(world.holds("a"), [false; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_is_served_as_long_as_one_that_is_loaded() {
    let world = World::with(1, Options::default(), |builder| {
        builder.freshness(FreshnessPolicy {
            ttl: Some(60 * SECOND),
            ..FreshnessPolicy::default()
        })
    });
    world.is_followed().await;
    let end = world.source.append(vec![put("a", "1")]);
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.cached(0, "a").as_deref(), Some("1"));
    sleep(61 * SECOND).await;
    assert_eq!(world.cached(0, "a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_kept_removes_its_key() {
    let world = World::with(3, Options::default(), |builder| {
        builder.limits(Limits {
            max_value: 10,
            ..Limits::default()
        })
    });
    world.source.write(&[("a", Some("1"))], false);
    let leader = world.is_followed().await;
    world.is_confirmed(1, 5 * SECOND).await;
    world.load("a").await;
    let end = world.source.append(vec![
        put("a", "more than ten bytes"),
        put(&"k".repeat(2_000), "1"),
    ]);
    world.is_confirmed(end, 5 * SECOND).await;
    assert_eq!(world.holds("a"), [false; 3]);
    let stats = world.stats(leader);
    assert_eq!((stats.values_put, stats.keys_removed), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_owner_cannot_be_reached_removes_its_key_and_waits_for_the_owner() {
    let world = World::new(3);
    let leader = world.is_followed().await;
    let keys = (0..100).map(|n| format!("key {n}"));
    let owner = world.others(leader)[0];
    let name = &world.cluster.nodes()[owner].name;
    let mut owned = keys.filter(|key| world.cluster.owner_of(key).name == *name);
    let key = owned.next().unwrap();
    let before = world.source.write(&[(&key, Some("1"))], true);
    world.is_confirmed(before, 5 * SECOND).await;
    world.load(&key).await;
    world.isolate(owner, Link::Lost);
    let end = world.source.write(&[(&key, Some("2"))], true);
    eventually("the others drop it", 10 * SECOND, || {
        world.holds(&key).iter().filter(|holds| **holds).count() == 1
    })
    .await;
    sleep(20 * SECOND).await;
    assert_eq!(world.source.confirmed(), before);
    for other in world.others(owner) {
        world.link(owner, other, Link::Up);
    }
    world.is_confirmed(end, 10 * SECOND).await;
    assert_eq!(world.holds(&key), [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_was_put_just_before_the_source_was_lost_is_removed_as_it_may_be_old() {
    let world = World::new(3);
    let leader = world.is_followed().await;
    let end = world.source.write(&[("a", Some("1"))], true);
    world.is_confirmed(end, 5 * SECOND).await;
    assert!(world.holds("a").contains(&true));
    world.source.kick();
    eventually("it is removed", 5 * SECOND, || {
        !world.holds("a").contains(&true)
    })
    .await;

    let end = world.source.write(&[("a", Some("2"))], true);
    world.is_confirmed(end, 5 * SECOND).await;
    sleep(6 * SECOND).await;
    world.source.kick();
    eventually("it is followed again", 5 * SECOND, || {
        world.source.holder() == Some(leader)
    })
    .await;
    sleep(3 * SECOND).await;
    assert!(
        world.holds("a").contains(&true),
        "what was put long before is not removed"
    );
}
