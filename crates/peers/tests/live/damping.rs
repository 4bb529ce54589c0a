//! Rings that follow a source whose lists change quickly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{Router as _, async_trait};
use gaggle_peers::{Discovery, DiscoveryError, Peers};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::fake::{SECOND, World, get, is_up, key_of, name, ring, word};

/// A list that a test changes, and that is asked for each second.
#[derive(Default)]
struct Scripted {
    members: Mutex<Option<Vec<usize>>>,
    changed: Notify,
}

impl Scripted {
    fn set(&self, members: &[usize]) {
        *self.members.lock().unwrap() = Some(members.to_vec());
        self.changed.notify_one();
    }

    fn fail(&self) {
        *self.members.lock().unwrap() = None;
        self.changed.notify_one();
    }
}

#[async_trait]
impl Discovery for Scripted {
    async fn members(&self) -> Result<Vec<gaggle_peers::Listed>, DiscoveryError> {
        let members = self.members.lock().unwrap().clone();
        let members = members.ok_or_else(|| DiscoveryError {
            what: "a test".into(),
            source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("no list")),
        })?;
        Ok(members
            .into_iter()
            .map(|number| name(number).into())
            .collect())
    }

    async fn changed(&self) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = sleep(SECOND) => {}
        }
    }
}

fn follow(world: &World, members: usize) -> (Peers, Arc<Scripted>) {
    let (peers, listed) = (world.peers(members), Arc::new(Scripted::default()));
    listed.set(&(1..=members).collect::<Vec<_>>());
    let (follower, followed) = (peers.clone(), Arc::clone(&listed));
    tokio::spawn(async move { follower.follow(&*followed).await });
    (peers, listed)
}

/// How long the ring takes to have these members, a minute at most.
async fn until_ring(peers: &Peers, members: &[usize]) -> Duration {
    let began = Instant::now();
    while ring(peers) != members {
        assert!(began.elapsed() < 60 * SECOND, "{:?}", ring(peers));
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn joins_are_fast_and_what_is_up_goes_after_the_interval() {
    let world = World::default();
    let (peers, listed) = follow(&world, 3);
    sleep(SECOND).await;
    let mut slowest = Duration::ZERO;
    for size in [4, 5] {
        let members: Vec<_> = (1..=size).collect();
        listed.set(&members);
        slowest = slowest.max(until_ring(&peers, &members).await);
    }
    listed.set(&[1, 2]);
    let gone = until_ring(&peers, &[1, 2]).await;
    println!("joined after {slowest:?}, gone after {gone:?}");
    assert!(slowest <= Duration::from_millis(20), "{slowest:?}");
    assert!(gone >= 10 * SECOND && gone < 11 * SECOND, "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_stopped_leaves_the_ring_at_once_and_when_killed_soon() {
    let world = World::default();
    let (peers, listed) = follow(&world, 4);
    sleep(SECOND).await;
    // A stopped node announces that it leaves, then stops, then is no longer listed.
    peers.leaves(&word(4, Some(20 * SECOND)));
    assert_eq!(ring(&peers), [1, 2, 3]);
    world.set(4, |node| node.is_dead = true);
    listed.set(&[1, 2, 3]);
    sleep(SECOND).await;
    assert_eq!(ring(&peers), [1, 2, 3]);
    // Killed: it is pinged because it is not listed.
    world.set(3, |node| node.is_dead = true);
    listed.set(&[1, 2]);
    let gone = until_ring(&peers, &[1, 2]).await;
    println!("killed and not listed, gone after {gone:?}");
    assert!(gone < SECOND, "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lacks_members_for_a_moment_changes_no_ring() {
    let world = World::default();
    let (peers, listed) = follow(&world, 4);
    sleep(SECOND).await;
    let before = peers.digest();
    for _ in 0..20 {
        for members in [&[1][..], &[1, 3, 4], &[2], &[], &[1, 2, 3, 4]] {
            listed.set(members);
            sleep(SECOND).await;
            assert_eq!(peers.digest(), before);
        }
        listed.fail();
        sleep(30 * SECOND).await;
        assert_eq!(peers.digest(), before);
    }
    // The last list before the source failed lacked it: that is no evidence that lists still lack
    // it.
    listed.set(&[1, 2, 3]);
    sleep(SECOND).await;
    listed.fail();
    sleep(60 * SECOND).await;
    assert_eq!(peers.digest(), before);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_and_goes_at_1_hz_changes_the_ring_once_in_an_interval() {
    let world = World::default();
    let (peers, listed) = follow(&world, 3);
    sleep(SECOND).await;
    let (mut changes, mut digest) = (0, peers.digest());
    for _ in 0..60 {
        for there in [false, true] {
            world.set(3, |node| node.is_dead = !there);
            listed.set(if there { &[1, 2, 3] } else { &[1, 2] });
            sleep(Duration::from_millis(500)).await;
            changes += u32::from(peers.digest() != digest);
            digest = peers.digest();
        }
    }
    println!("60 s at 1 Hz: {changes} changes of the ring, of 120");
    assert!(changes <= 6, "{changes}");
    let back = until_ring(&peers, &[1, 2, 3]).await;
    assert!(back <= 10 * SECOND, "{back:?}");
}

// Row 8 of the fault matrix.
#[tokio::test(start_paused = true)]
async fn a_member_that_flaps_at_1_hz_does_not_flip_routes() {
    let world = World::default();
    let peers = world.peers(3);
    let key = key_of(&peers, 3);
    let (mut flips, mut up) = (0, true);
    for _ in 0..60 {
        for dead in [true, false] {
            world.set(3, |node| node.is_dead = dead);
            for _ in 0..10 {
                get(&peers, &key).await;
                sleep(Duration::from_millis(49)).await;
                flips += u32::from(is_up(&peers, 3) != up);
                up = is_up(&peers, 3);
            }
        }
    }
    println!("60 s at 1 Hz: {flips} flips of the routes, of 120");
    assert!(flips <= 5, "{flips}");
    assert!(!up);
    let began = Instant::now();
    while !is_up(&peers, 3) {
        sleep(Duration::from_millis(100)).await;
    }
    println!("steady, it is up again after {:?}", began.elapsed());
    assert!(began.elapsed() <= 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_announces_its_restart_is_back_at_once() {
    let world = World::default();
    let (peers, listed) = follow(&world, 3);
    sleep(SECOND).await;
    world.set(3, |node| node.is_dead = true);
    listed.set(&[1, 2]);
    until_ring(&peers, &[1, 2]).await;
    world.set(3, |node| node.is_dead = false);
    listed.set(&[1, 2, 3]);
    sleep(2 * SECOND).await;
    assert_eq!(ring(&peers), [1, 2], "it went a moment ago");
    peers.leaves(&word(3, None));
    let back = until_ring(&peers, &[1, 2, 3]).await;
    assert!(back <= SECOND, "{back:?}");
}
