//! The nodes that are asked before the origin after the ring has changed.

use std::time::Duration;

use gaggle_group::Router;
use gaggle_peers::{Options, Peers, Profile};

use crate::fake::{ME, SECOND, World, address_of, get, is_up, key_of, keys, name, ring_name};

const KEYS: usize = 1_000;

fn previous(peers: &Peers, key: &str) -> Option<String> {
    let previous = peers.previous_owner(key.as_bytes());
    previous.map(|previous| address_of(&*previous.peer))
}

/// Lets the time pass during which a node counts as just started.
async fn grown_up(peers: &Peers) {
    tokio::time::advance(301 * SECOND).await;
    assert!(keys(KEYS).all(|key| previous(peers, &key).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_came_with_a_leave_is_had_from_the_member_that_left() {
    let world = World::default();
    let peers = world.peers(3);
    grown_up(&peers).await;
    let owner = |key: &String| peers.owner(key.as_bytes()).address;
    let before: Vec<_> = keys(KEYS).map(|key| owner(&key)).collect();
    peers.update([name(2)]).unwrap();
    let mut moved = 0;
    for (key, before) in keys(KEYS).zip(&before) {
        let mine = *owner(&key) == *ME;
        let came = mine && **before != *ME;
        assert_eq!(previous(&peers, &key), came.then(|| name(3)), "{key}");
        moved += usize::from(came);
    }
    assert!(moved > 100, "{moved}");
    tokio::time::advance(299 * SECOND).await;
    assert!(keys(KEYS).any(|key| previous(&peers, &key).is_some()));
    tokio::time::advance(SECOND).await;
    assert!(keys(KEYS).all(|key| previous(&peers, &key).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_started_asks_those_who_kept_its_keys() {
    let world = World::default();
    let peers = world.peers(4);
    let mut asked = 0;
    for key in keys(KEYS) {
        if !peers.owner(key.as_bytes()).is_self {
            assert_eq!(previous(&peers, &key), None);
            continue;
        }
        // The ring without this node.
        let others = gaggle_peers_ring(&[2, 3, 4]);
        let kept = others.owner(key.as_bytes()).unwrap();
        assert_eq!(
            previous(&peers, &key),
            Some(format!("http://{kept}")),
            "{key}"
        );
        asked += 1;
    }
    assert!(asked > 150, "{asked}");
    grown_up(&peers).await;
}

fn gaggle_peers_ring(members: &[usize]) -> gaggle_ring::Ring {
    gaggle_ring::Ring::new(Profile::Gaggle, members.iter().map(|&n| ring_name(n))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_latest_other_owner_that_is_up_is_asked() {
    let world = World::default();
    let peers = world.peers(4);
    grown_up(&peers).await;
    // Owned by 4, then by 3, then by 2, then by this node.
    let key = keys(100_000).find(|key| {
        let owned_by = |members: &[usize]| {
            let ring = gaggle_peers_ring(members);
            ring.owner(key.as_bytes()).unwrap().to_owned()
        };
        owned_by(&[1, 2, 3, 4]) == ring_name(4)
            && owned_by(&[1, 2, 3]) == ring_name(3)
            && owned_by(&[1, 2]) == ring_name(2)
    });
    let key = key.unwrap();
    for left in [3, 2, 1] {
        assert_eq!(previous(&peers, &key), None, "it is not this node's");
        peers.update((2..=left).map(name)).unwrap();
    }
    assert_eq!(previous(&peers, &key), Some(name(2)));
    // A handle of an earlier ring is still watched.
    world.set(2, |node| node.is_dead = true);
    let two = peers.previous_owner(key.as_bytes()).unwrap().peer;
    let wanted = gaggle_group::Key::from(key.clone());
    let fetch = gaggle_group::Fetch::new("g", &wanted, 1, SECOND).kept_only();
    assert!(two.fetch(fetch).await.is_err());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!two.is_up());
    assert_eq!(previous(&peers, &key), Some(name(3)));
}

#[tokio::test(start_paused = true)]
async fn a_member_without_worth_is_left_out_and_the_next_change_asks_it_again() {
    let world = World::default();
    let peers = world.peers(3);
    grown_up(&peers).await;
    let key = key_of(&peers, 3);
    let key = std::str::from_utf8(&key).unwrap();
    let mine = async || {
        // Until this node is next for it.
        peers.update(Vec::<String>::new()).unwrap();
        peers.previous_owner(key.as_bytes())
    };
    let previous = mine().await.unwrap();
    for _ in 0..256 {
        previous.worth.report(false);
    }
    assert!(peers.previous_owner(key.as_bytes()).is_none());
    peers.update([name(2), name(3)]).unwrap();
    assert!(mine().await.unwrap().worth.is_worth_asking());
}

#[tokio::test(start_paused = true)]
async fn four_rings_are_kept() {
    let world = World::default();
    let peers = world.peers(3);
    grown_up(&peers).await;
    let key = key_of(&peers, 3);
    let key = std::str::from_utf8(&key).unwrap();
    peers.update(Vec::<String>::new()).unwrap();
    assert_eq!(previous(&peers, key), Some(name(3)));
    // Members that take other keys.
    let others = (10..200).filter(|&other| {
        let ring = gaggle_peers_ring(&[1, other]);
        ring.owner(key.as_bytes()) == Some(&*ring_name(1))
    });
    let mut kept = 0;
    for other in others.take(5) {
        peers.update([name(other)]).unwrap();
        kept += u32::from(previous(&peers, key).is_some());
    }
    // The change to a ring of one is not worth remembering: in that ring no other node keeps
    // anything.
    assert_eq!(kept, 4);
}

#[tokio::test(start_paused = true)]
async fn there_is_none_in_a_shared_ring_nor_for_a_node_that_is_no_member_nor_when_turned_off() {
    let world = World::default();
    let no_member = Options {
        member: false,
        ..Options::default()
    };
    let off = Options {
        hand_over_for: Duration::ZERO,
        ..Options::default()
    };
    for (profile, options) in [
        (Profile::GROUPCACHE, Options::default()),
        (Profile::Gaggle, no_member),
        (Profile::Gaggle, off),
    ] {
        let peers = world.peers_with(3, profile, options);
        peers.update([name(2)]).unwrap();
        assert!(keys(KEYS).all(|key| previous(&peers, &key).is_none()));
    }
}

// This is on a hot path. The benches measure its cost when nothing has changed; this test checks
// that it takes no lock.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_down_is_not_asked() {
    let world = World::default();
    let peers = world.peers(2);
    let mine = key_of(&peers, 1);
    assert!(peers.previous_owner(&mine).is_some());
    world.set(2, |node| node.is_dead = true);
    get(&peers, &key_of(&peers, 2)).await;
    while is_up(&peers, 2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(peers.previous_owner(&mine).is_none());
}
