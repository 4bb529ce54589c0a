//! A node that loses all other nodes leaves the source to them for a moment.

use gaggle_group::FollowState;
use gaggle_testkit::Link;
use tokio::time::sleep;

use crate::source::eventually;
use crate::world::{SECOND, World};

#[tokio::test(start_paused = true)]
async fn on_the_other_side_of_a_partition_another_node_follows() {
    let world = World::new(3);
    world.source.write(&[("a", Some("1"))], false);
    let leader = world.is_followed().await;
    world.is_confirmed(1, 5 * SECOND).await;
    world.load("a").await;
    // Its peers have been seen up.
    sleep(3 * SECOND).await;
    world.isolate(leader, Link::Lost);
    let other = || world.source.holder().is_some_and(|holder| holder != leader);
    eventually("another one follows", 10 * SECOND, other).await;
    let follows = world.source.holder().unwrap();

    // It keeps the source, though the node that is cut off would lead by its own view.
    let end = world.source.write(&[("a", Some("2"))], false);
    sleep(30 * SECOND).await;
    assert_eq!(world.source.holder(), Some(follows));
    let held: Vec<_> = world.holds("a");
    for node in world.others(leader) {
        assert!(!held[node], "those on this side have been told");
    }
    assert_eq!(
        world.source.confirmed(),
        1,
        "the node that is cut off has not"
    );
    assert!(matches!(
        world.stats(leader).state,
        FollowState::Connecting | FollowState::Failing
    ));

    for node in world.others(leader) {
        world.link(leader, node, Link::Up);
    }
    eventually("the first one follows again", 60 * SECOND, || {
        world.source.holder() == Some(leader)
    })
    .await;
    world.is_confirmed(end, 20 * SECOND).await;
    assert_eq!(world.holds("a"), [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn the_last_node_goes_on_by_itself() {
    let mut world = World::new(3);
    let leader = world.is_followed().await;
    sleep(3 * SECOND).await;
    for node in world.others(leader) {
        world.kill(node);
    }
    eventually("it lets go", 10 * SECOND, || {
        world.source.holder().is_none()
    })
    .await;
    sleep(4 * SECOND).await;
    assert_eq!(world.source.holder(), None);
    eventually("it goes on", 10 * SECOND, || {
        world.source.holder() == Some(leader)
    })
    .await;
    // Once is enough.
    let opened = world.source.state().opened;
    sleep(120 * SECOND).await;
    assert_eq!(world.source.state().opened, opened);
}
