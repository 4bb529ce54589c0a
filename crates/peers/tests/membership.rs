//! How a ring of peers follows its list of members.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use gaggle_group::{Peer, Route, Router, async_trait};
use gaggle_peers::{
    Discovery, DiscoveryError, Listed, Options, Peers, PeersError, Profile, StaticList,
};
use gaggle_testkit::Network;
use tokio::sync::Notify;

const ME: &str = "http://10.0.0.1:8001";

fn peers(profile: Profile) -> (Peers, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let (count, network) = (Arc::clone(&made), Network::default());
    let connect = move |_: &str, name: &str| {
        if !name.starts_with("http://") {
            return Err("no base URL".into());
        }
        count.fetch_add(1, SeqCst);
        Ok(Arc::new(network.peer(ME, name)) as Arc<dyn Peer>)
    };
    (
        Peers::new(ME, profile, Options::default(), connect).unwrap(),
        made,
    )
}

fn names(peers: &Peers) -> Vec<String> {
    peers
        .members()
        .iter()
        .map(|member| member.address.to_string())
        .collect()
}

#[tokio::test]
async fn this_node_is_in_the_ring_listed_or_not() {
    let (alone, _) = peers(Profile::Gaggle);
    assert_eq!(names(&alone), [ME]);
    assert!(matches!(alone.route(b"Tom"), Route::Mine));

    let (listed, _) = peers(Profile::Gaggle);
    let (unlisted, _) = peers(Profile::Gaggle);
    listed.update([ME, "http://10.0.0.2:8001"]).unwrap();
    unlisted.update(["http://10.0.0.2:8001"]).unwrap();
    assert_eq!(names(&listed), names(&unlisted));
    assert_eq!(listed.digest(), unlisted.digest());
    assert_eq!(listed.peers().len(), 1, "and is no peer of itself");
}

#[tokio::test]
async fn an_update_keeps_the_handles_of_those_who_stay() {
    let (peers, made) = peers(Profile::Gaggle);
    assert!(
        peers
            .update(["http://10.0.0.2:8001", "http://10.0.0.3:8001"])
            .unwrap()
    );
    assert_eq!(made.load(SeqCst), 2);
    let before = peers.peers();
    assert!(
        !peers
            .update(["http://10.0.0.3:8001", "http://10.0.0.2:8001"])
            .unwrap(),
        "no news"
    );
    assert!(
        peers
            .update(["http://10.0.0.3:8001", "http://10.0.0.4:8001"])
            .unwrap()
    );
    assert_eq!(made.load(SeqCst), 3, "only the new one was connected");
    let stays = |list: &[Arc<dyn Peer>]| {
        list.iter()
            .find(|peer| peer.name() == "10.0.0.3:8001")
            .cloned()
            .unwrap()
    };
    assert!(Arc::ptr_eq(&stays(&before), &stays(&peers.peers())));
}

#[tokio::test]
async fn a_list_that_cannot_be_a_ring_changes_nothing() {
    let (peers, _) = peers(Profile::Gaggle);
    peers.update(["http://10.0.0.2:8001"]).unwrap();
    let before = names(&peers);
    let twice = peers
        .update(["http://10.0.0.3:8001", "http://10.0.0.3:8001"])
        .unwrap_err();
    assert!(matches!(&twice, PeersError::Ring(_)), "{twice}");
    assert!(
        twice.to_string().contains("http://10.0.0.3:8001"),
        "{twice}"
    );
    let bad = peers
        .update(["http://10.0.0.3:8001", "10.0.0.4"])
        .unwrap_err();
    assert_eq!(bad.to_string(), "peer \"10.0.0.4\": no base URL");
    assert_eq!(names(&peers), before);
}

#[tokio::test]
async fn both_profiles_route_as_their_ring_places() {
    for profile in [Profile::Gaggle, "groupcache".parse().unwrap()] {
        let (peers, _) = peers(profile);
        peers
            .update(["http://10.0.0.2:8001", "http://10.0.0.3:8001"])
            .unwrap();
        let mut mine = 0;
        for i in 0..300 {
            let key = format!("key-{i}");
            let owner = peers.owner(key.as_bytes());
            match peers.route(key.as_bytes()) {
                Route::Mine => mine += usize::from(owner.is_self),
                Route::Theirs(peer) => assert_eq!(*peer.name(), *owner.name),
                Route::Standby => panic!("nobody is down"),
            }
        }
        assert!((30..200).contains(&mine), "{mine} of 300");
    }
}

/// A list that a test changes.
#[derive(Default)]
struct Scripted {
    answer: Mutex<Option<Vec<Listed>>>,
    changed: Notify,
    asked: Notify,
}

impl Scripted {
    fn set(&self, list: Option<&[&str]>) {
        *self.answer.lock().unwrap() =
            list.map(|list| list.iter().map(|address| Listed::from(*address)).collect());
        self.changed.notify_one();
    }
}

#[async_trait]
impl Discovery for Scripted {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        let answer = self.answer.lock().unwrap().clone();
        self.asked.notify_one();
        answer.ok_or_else(|| DiscoveryError {
            what: "scripted".into(),
            source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(
                "no answer",
            )),
        })
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[tokio::test]
async fn a_source_is_followed_and_its_failures_keep_the_last_list() {
    let (peers, _) = peers(Profile::Gaggle);
    let source = Arc::new(Scripted::default());
    source.set(Some(&["http://10.0.0.2:8001", "http://10.0.0.2:8001"]));
    let (follower, followed) = (peers.clone(), Arc::clone(&source));
    let task = tokio::spawn(async move { follower.follow(&*followed).await });

    let settle = async |size: usize| {
        while peers.members().len() != size {
            tokio::task::yield_now().await;
        }
    };
    settle(2).await;
    source.set(Some(&["http://10.0.0.2:8001", "http://10.0.0.3:8001"]));
    settle(3).await;

    source.asked.notified().await;
    source.set(None);
    source.asked.notified().await;
    source.set(Some(&["not a URL"]));
    source.asked.notified().await;
    assert_eq!(
        peers.members().len(),
        3,
        "neither a failure nor nonsense changes the ring"
    );

    source.set(Some(&[]));
    settle(1).await;
    peers.refresh();
    source.asked.notified().await;
    task.abort();
}

#[tokio::test]
async fn a_static_list_is_what_it_was_given() {
    let list = StaticList(vec!["http://10.0.0.2:8001".into()]);
    assert_eq!(
        list.members().await.unwrap(),
        [Listed::new("http://10.0.0.2:8001")]
    );
    assert!(!list.grows());
}

#[tokio::test]
async fn a_node_that_is_no_member_owns_nothing() {
    let network = Network::default();
    let connect = move |_: &str, name: &str| Ok(Arc::new(network.peer(ME, name)) as Arc<dyn Peer>);
    let options = Options {
        member: false,
        ..Options::default()
    };
    let gateway = Peers::new(ME, Profile::Gaggle, options, connect).unwrap();
    assert!(gateway.members().is_empty());
    assert!(
        matches!(gateway.route(b"Tom"), Route::Standby),
        "nobody else is there"
    );

    gateway
        .update(["http://10.0.0.2:8001", ME, "http://10.0.0.3:8001"])
        .unwrap();
    assert_eq!(
        names(&gateway),
        ["http://10.0.0.2:8001", "http://10.0.0.3:8001"]
    );
    let (member, _) = peers(Profile::Gaggle);
    member
        .update(["http://10.0.0.2:8001", "http://10.0.0.3:8001"])
        .unwrap();
    for i in 0..100 {
        let key = format!("key-{i}");
        let owner = gateway.owner(key.as_bytes());
        assert!(!owner.is_self);
        assert!(
            matches!(gateway.route(key.as_bytes()), Route::Theirs(peer) if *peer.name() == *owner.name)
        );
    }
    gateway.update(Vec::<String>::new()).unwrap();
    assert!(matches!(gateway.route(b"Tom"), Route::Standby));
}
