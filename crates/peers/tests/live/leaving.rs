//! Members that announce that they leave.

use std::time::Duration;

use gaggle_group::{Route, Router};
use gaggle_peers::{Options, Profile};

use crate::fake::{ME, SECOND, World, address_of, key_of, keys, name, ring, ring_name, word};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_owns_nothing_and_is_asked_for_what_it_has() {
    let world = World::default();
    let peers = world.peers(3);
    let key = key_of(&peers, 3);
    peers.leaves(&word(3, SOON));
    assert_eq!(ring(&peers), [1, 2]);
    let told: Vec<_> = peers
        .listeners()
        .iter()
        .map(|peer| address_of(&**peer))
        .collect();
    assert_eq!(told, [name(2), name(3)], "it is told of removals");
    // Those of its keys that this node owns now.
    let mut asked = 0;
    for key in keys(2_000).filter(|key| peers.owner(key.as_bytes()).is_self) {
        let previous = peers.previous_owner(key.as_bytes());
        asked += u32::from(previous.is_some_and(|previous| *previous.peer.name() == *ring_name(3)));
    }
    assert!(asked > 200, "{asked}");
    peers.leaves(&word(3, None));
    assert_eq!(ring(&peers), [1, 2, 3]);
    assert!(matches!(peers.route(&key), Route::Theirs(peer) if *peer.name() == *ring_name(3)));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_still_there_when_its_time_is_over_is_taken_back() {
    let world = World::default();
    let peers = world.peers(3);
    peers.leaves(&word(3, SOON));
    tokio::time::sleep(Duration::from_millis(19_900)).await;
    assert_eq!(ring(&peers), [1, 2]);
    // Its announcement is renewed.
    peers.leaves(&word(3, SOON));
    tokio::time::sleep(Duration::from_millis(19_900)).await;
    assert_eq!(ring(&peers), [1, 2]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ring(&peers), [1, 2, 3]);

    peers.leaves(&word(2, Some(Duration::MAX)));
    tokio::time::sleep(119 * SECOND).await;
    assert_eq!(ring(&peers), [1, 3]);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(ring(&peers), [1, 2, 3], "two minutes at most");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_down_and_is_up_again_is_taken_back() {
    let world = World::default();
    let peers = world.peers(3);
    peers.leaves(&word(3, Some(60 * SECOND)));
    tokio::time::sleep(3 * SECOND).await;
    world.set(3, |node| node.is_dead = true);
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(ring(&peers), [1, 2]);
    world.set(3, |node| node.is_dead = false);
    tokio::time::sleep(SECOND).await;
    assert_eq!(ring(&peers), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_list_does_not_bring_it_back_and_nobody_else_can_leave() {
    let world = World::default();
    let peers = world.peers(3);
    let before = peers.digest();
    peers.leaves(&word(9, SOON));
    peers.leaves(&word(9, None));
    peers.leaves(&word(2, None));
    assert_eq!(peers.digest(), before);
    peers.leaves(&word(3, SOON));
    assert!(!peers.update([name(2), name(3)]).unwrap());
    assert!(peers.update([name(2), name(3), name(4)]).unwrap());
    assert_eq!(ring(&peers), [1, 2, 4]);
    peers.update([name(2), name(4)]).unwrap();
    peers.leaves(&word(3, None));
    assert_eq!(ring(&peers), [1, 2, 4], "it is no longer listed");
}

#[tokio::test(start_paused = true)]
async fn a_ring_whose_members_all_leave_stays_as_it_is() {
    let world = World::default();
    let alone = world.peers(1);
    assert_eq!(alone.leave(20 * SECOND).await, 0);
    assert!(matches!(alone.route(b"k"), Route::Mine));
    let peers = world.peers(2);
    peers.leaves(&word(1, SOON));
    assert_eq!(ring(&peers), [2]);
    peers.leaves(&word(2, SOON));
    assert_eq!(ring(&peers), [2], "somebody owns the keys");
    peers.leaves(&word(1, None));
    assert_eq!(ring(&peers), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_notifies_all_and_asks_the_new_owners() {
    let world = World::default();
    let peers = world.peers(4);
    let key = key_of(&peers, 1);
    peers.followed_by(&name(9));
    world.set(3, |node| node.is_dead = true);
    let began = tokio::time::Instant::now();
    assert_eq!(peers.leave(20 * SECOND).await, 3);
    assert_eq!(began.elapsed(), Duration::from_millis(500), "one hangs");
    let told = world.told();
    assert_eq!(told.len(), 3);
    assert!(
        told.contains(&(name(9), Some(20 * SECOND))),
        "gateways, too: {told:?}"
    );
    assert_eq!(ring(&peers), [2, 3, 4]);
    assert!(matches!(peers.route(&key), Route::Theirs(_)));
    assert_eq!(peers.listeners().len(), 4);
    assert_eq!(*peers.address(), *ME);
    assert_eq!(*peers.me(), *"10.0.0.1:8001");

    peers.arrive().await;
    assert_eq!(ring(&peers), [1, 2, 3, 4]);
    assert!(world.told().contains(&(name(2), None)));
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_and_comes_back_all_the_time_is_taken_back_once_in_an_interval() {
    let world = World::default();
    let peers = world.peers(3);
    let (mut changes, mut digest) = (0, peers.digest());
    for _ in 0..60 {
        for says in [SOON, None] {
            peers.leaves(&word(3, says));
            changes += u32::from(digest != peers.digest());
            digest = peers.digest();
            tokio::time::sleep(Duration::from_millis(500)).await;
            changes += u32::from(digest != peers.digest());
            digest = peers.digest();
        }
    }
    println!("60 s at 1 Hz: {changes} changes of the ring, of 120");
    assert!(changes <= 14, "{changes}");
    tokio::time::sleep(21 * SECOND).await;
    assert_eq!(ring(&peers), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn in_a_shared_ring_nobody_leaves() {
    let world = World::default();
    let peers = world.peers_with(3, Profile::GROUPCACHE, Options::default());
    peers.leaves(&word(3, SOON));
    assert_eq!(ring(&peers), [1, 2, 3]);
    assert_eq!(peers.leave(SECOND).await, 0);
    assert_eq!(ring(&peers), [1, 2, 3]);
    assert!(world.told().is_empty());
}
