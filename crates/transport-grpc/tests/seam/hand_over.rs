//! Entries that are handed over, requests for memory only, and the announcement that a node
//! leaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router as Routes;
use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Freshness, Greeting, HandOver, Hello, Instance, Key, Known, LocalOnly, Member,
    Peer, PeerError, Route, Router, Verdict, Word,
};

use crate::node::{LONG, Node, echo, removal, value, verdict};

const HOUR: Duration = Duration::from_secs(3_600);

fn fresh(value: impl Into<Bytes>) -> Entry {
    Entry::value(value).with_freshness(Freshness::for_ttl(HOUR))
}

#[tokio::test]
async fn a_request_for_memory_only_loads_nothing() {
    let group = echo();
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();
    let key = Key::from("k");
    let kept = Fetch::new("g", &key, 9, LONG).kept_only();
    assert_eq!(verdict(peer.fetch(kept).await), Verdict::NotKept);
    assert_eq!(group.stats().origin.ok, 0);
    group.get("k").await.unwrap();
    assert_eq!(value(peer.fetch(kept).await), "k");
}

#[tokio::test]
async fn entries_are_handed_over_except_those_with_later_removals() {
    let group = echo();
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();
    let removed = removal(&[b"removed"]);
    group.apply(&removed);
    let large: Bytes = (0..=250u8).cycle().take(5 << 20).collect();
    let mut entries = vec![
        (Key::from("a"), fresh("1")),
        (Key::from("removed"), fresh("2")),
        (Key::from("large"), fresh(large.clone())),
    ];
    let none = Known::default();
    let hand_over = HandOver::new("g", &entries, &none);
    assert_eq!(peer.hand_over(hand_over).await.unwrap(), 2);
    assert_eq!(group.cached("a").unwrap().value.unwrap(), "1");
    assert_eq!(group.cached("large").unwrap().value.unwrap(), large);
    assert!(group.cached("removed").is_none());
    let known = Known(vec![removed.id]);
    let hand_over = HandOver::new("g", &entries, &known);
    assert_eq!(peer.hand_over(hand_over).await.unwrap(), 1);

    entries = (0..1_025)
        .map(|n| (Key::from(format!("key-{n}")), fresh("v")))
        .collect();
    let most = HandOver::new("g", &entries[1..], &none);
    assert_eq!(peer.hand_over(most).await.unwrap(), 1_024);
    let too_many = peer.hand_over(HandOver::new("g", &entries, &none)).await;
    let nobody = peer.hand_over(HandOver::new("nobody", &[], &none)).await;
    for refused in [too_many, nobody] {
        assert!(
            matches!(refused, Err(PeerError::Refused { .. })),
            "{refused:?}"
        );
    }
}

type Left = Arc<Mutex<Vec<Word>>>;

/// Records which nodes leave.
struct Noting(LocalOnly, Left);

impl Router for Noting {
    fn route(&self, key: &[u8]) -> Route {
        self.0.route(key)
    }

    fn owner(&self, key: &[u8]) -> Member {
        self.0.owner(key)
    }

    fn members(&self) -> Vec<Member> {
        self.0.members()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        self.0.peers()
    }

    fn leaves(&self, word: &Word) {
        self.1.lock().unwrap().push(word.clone());
    }

    fn hello(&self) -> Hello {
        let mut hello = self.0.hello();
        hello.cluster = "ours".into();
        hello.groups = vec!["echo".into()];
        hello.instance.id = u64::MAX;
        hello
    }

    fn digest(&self) -> String {
        self.0.digest()
    }
}

#[tokio::test]
async fn who_leaves_says_so_by_its_name() {
    let group = echo();
    let left = Left::default();
    let router = Noting(LocalOnly::new("http://self"), Arc::clone(&left));
    group.set_router(Arc::new(router));
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();
    let name = "10.0.0.9:8001";
    let soon = Some(Duration::from_millis(1_500));
    let run = Instance {
        started: 1_790_000_000_000,
        id: u64::MAX,
    };
    let words = [
        Word::new(name, soon).of(run, 1),
        Word::new(name, None).of(run, 2),
    ];
    for word in &words {
        peer.leaving(word).await.unwrap();
    }
    let long = format!("http://{}", "a".repeat(256));
    for bad in ["", "no\nname", &long] {
        let refused = peer.leaving(&Word::new(bad, soon)).await;
        assert!(
            matches!(refused, Err(PeerError::Refused { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(*left.lock().unwrap(), words);
    // Its own announcements go to its router.
    let router = group.router();
    let greeted = peer.hello(&router.hello()).await.unwrap();
    assert_eq!(greeted, Greeting::Node(router.hello()));
}

#[tokio::test]
async fn peers_that_know_no_such_thing_refuse() {
    let unknown = async || [("content-type", "application/grpc"), ("grpc-status", "12")];
    let node = Node::serve_router(Routes::new().fallback(unknown)).await;
    let peer = node.peer();
    let handed = peer
        .hand_over(HandOver::new("g", &[], &Known::default()))
        .await;
    let left = peer.leaving(&Word::new("node", None)).await;
    for refused in [handed.map(drop), left] {
        let Err(PeerError::Refused { reason, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(&*reason, "it knows no such request");
    }
}
