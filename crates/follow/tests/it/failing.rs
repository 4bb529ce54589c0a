//! Feeds that fail, panic and hang.

use gaggle_group::FollowState;
use tokio::time::{Instant, sleep};

use crate::source::{Trouble, eventually};
use crate::world::{SECOND, World};

#[tokio::test(start_paused = true)]
async fn a_feed_that_cannot_be_opened_is_tried_until_it_can() {
    for trouble in [Trouble::OpenFails, Trouble::OpenPanics, Trouble::OpenHangs] {
        let world = World::new(3);
        let leader = world.leader();
        world.source.set(trouble, true);
        sleep(25 * SECOND).await;
        let stats = world.stats(leader);
        assert_eq!(
            (stats.state, stats.lag),
            (FollowState::Failing, None),
            "{trouble:?}"
        );
        assert!(
            stats.failures >= 2 && stats.failures < 20,
            "{trouble:?}: {}",
            stats.failures
        );
        assert_eq!(world.source.state().opened, 0);
        let end = world.source.write(&[("a", None)], false);
        world.source.set(trouble, false);
        world.is_confirmed(end, 20 * SECOND).await;
        assert_eq!(
            world.stats(leader).state,
            FollowState::Following,
            "{trouble:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_breaks_is_opened_again_and_nothing_is_lost() {
    for trouble in [
        Trouble::NextFails,
        Trouble::NextPanics,
        Trouble::ConfirmFails,
        Trouble::ConfirmHangs,
    ] {
        let world = World::new(3);
        world.source.write(&[("a", Some("1"))], false);
        let leader = world.is_followed().await;
        world.is_confirmed(1, 5 * SECOND).await;
        world.load("a").await;
        world.source.set(trouble, true);
        let end = world.source.write(&[("a", Some("2"))], false);
        let failed = || world.stats(leader).failures >= 3;
        eventually("it fails again and again", 60 * SECOND, failed).await;
        assert_eq!(world.source.confirmed(), 1);
        world.source.set(trouble, false);
        world.is_confirmed(end, 20 * SECOND).await;
        assert_eq!(world.holds("a"), [false; 3], "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_does_not_close_is_left_behind() {
    for trouble in [Trouble::CloseHangs, Trouble::ClosePanics] {
        let world = World::new(3);
        let leader = world.is_followed().await;
        world.source.set(trouble, true);
        world.source.kick();
        eventually("it is noticed", 3 * SECOND, || {
            world.stats(leader).failures == 1
        })
        .await;
        let end = world.source.write(&[("a", None)], false);
        world.is_confirmed(end, 10 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_failures_grow() {
    let world = World::new(1);
    world.source.set(Trouble::OpenFails, true);
    sleep(SECOND).await;
    let first = world.stats(0).failures;
    assert!((4..=6).contains(&first), "{first} in the first second");
    sleep(300 * SECOND).await;
    let later = world.stats(0).failures - first;
    assert!((60..=125).contains(&later), "{later} in five minutes");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_another_node_holds_is_no_failure_at_first() {
    let world = World::new(3);
    let leader = world.leader();
    world.source.state().holder = Some((u64::MAX, 9));
    sleep(9 * SECOND).await;
    let stats = world.stats(leader);
    assert_eq!((stats.state, stats.failures), (FollowState::Connecting, 0));
    sleep(4 * SECOND).await;
    let stats = world.stats(leader);
    assert_eq!((stats.state, stats.failures), (FollowState::Failing, 0));
    world.source.kick();
    let began = Instant::now();
    world.is_followed().await;
    assert!(
        began.elapsed() < 2 * SECOND,
        "it is tried often, as it may be free at any time"
    );
}
