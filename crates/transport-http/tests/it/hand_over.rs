//! Entries that are handed over, requests for memory only, and the announcement that a node
//! leaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Fetched, Freshness, Greeting, HandOver, Hello, Instance, Key, Known, LocalOnly,
    Member, Peer, PeerError, Route, Router, Verdict, Word,
};
use gaggle_transport_http::ServerOptions;

use crate::batches::{batching, one_at_once, together};
use crate::fake_peer::{FakePeer, Then};
use crate::support::{LONG, echo, found, peer, removal, scores, serve};

const HOUR: Duration = Duration::from_secs(3_600);

fn verdict(answer: Result<Fetched, PeerError>) -> Verdict {
    match answer {
        Err(PeerError::Verdict { verdict, .. }) => verdict,
        other => panic!("{other:?}"),
    }
}

fn fresh(value: impl Into<Bytes>) -> Entry {
    Entry::value(value).with_freshness(Freshness::for_ttl(HOUR))
}

#[tokio::test]
async fn a_request_for_memory_only_loads_nothing() {
    let group = scores();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    let tom = Key::from("Tom");
    let kept = Fetch::new("scores", &tom, 9, LONG).kept_only();
    assert_eq!(verdict(peer.fetch(kept).await), Verdict::NotKept);
    assert_eq!(group.stats().origin.ok, 0);
    let loaded = peer.fetch(Fetch::new("scores", &tom, 9, LONG)).await;
    assert_eq!(loaded.unwrap().entry, found("630"));
    assert_eq!(peer.fetch(kept).await.unwrap().entry, found("630"));
}

#[tokio::test]
async fn the_same_holds_in_a_batch() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = batching(server, one_at_once()).await;
    group.get("b").await.unwrap();
    let keys = ["a", "b", "c"].map(Key::from);
    let fetch = |key| Fetch::new("echo", key, 9, LONG).kept_only();
    // The first goes alone, and the others wait for it.
    let (a, b, c) = tokio::join!(
        peer.fetch(fetch(&keys[0])),
        peer.fetch(fetch(&keys[1])),
        peer.fetch(fetch(&keys[2])),
    );
    assert_eq!(verdict(a), Verdict::NotKept);
    assert_eq!(b.unwrap().entry, found("b"));
    assert_eq!(verdict(c), Verdict::NotKept);
    assert_eq!(group.stats().origin.ok, 1);
    for answer in together(&peer, &[("echo", b"a"), ("echo", b"c")]).await {
        answer.unwrap();
    }
}

#[tokio::test]
async fn entries_are_handed_over_except_those_with_later_removals() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    let removed = removal(&[b"removed"]);
    group.apply(&removed);
    let large: Bytes = (0..=250u8).cycle().take(3 << 20).collect();
    let mut entries = vec![
        (Key::from("a"), fresh("1")),
        (Key::from("removed"), fresh("2")),
        (Key::from("large"), fresh(large.clone())),
        (Key::from("empty"), fresh("")),
    ];
    let none = Known::default();
    let hand_over = HandOver::new("echo", &entries, &none);
    assert_eq!(peer.hand_over(hand_over).await.unwrap(), 3);
    assert_eq!(group.cached("a").unwrap().value.unwrap(), "1");
    assert_eq!(group.cached("large").unwrap().value.unwrap(), large);
    assert_eq!(group.cached("empty").unwrap().value.unwrap(), "");
    assert!(group.cached("removed").is_none());
    let ttl = group.cached("a").unwrap().freshness.ttl.unwrap();
    assert!(ttl <= HOUR && ttl > HOUR / 2, "{ttl:?}");

    // From a sender that knows the removal, the entry is newer than the removal.
    let known = Known(vec![removed.id]);
    let hand_over = HandOver::new("echo", &entries, &known);
    assert_eq!(peer.hand_over(hand_over).await.unwrap(), 1);
    assert_eq!(group.cached("removed").unwrap().value.unwrap(), "2");

    // The largest number of entries in one message, and one more.
    entries = (0..1_024)
        .map(|n| (Key::from(format!("key-{n}")), fresh("v")))
        .collect();
    let hand_over = HandOver::new("echo", &entries, &none);
    assert_eq!(peer.hand_over(hand_over).await.unwrap(), 1_024);
    entries.push((Key::from("more"), fresh("v")));
    let most = vec![
        (Key::from("x"), fresh(vec![0; 1_100_000])),
        (Key::from("y"), fresh(vec![0; 1_100_000])),
        (Key::from("z"), fresh(vec![0; 1_100_000])),
    ];
    for too_many in [entries, most] {
        let failure = peer
            .hand_over(HandOver::new("echo", &too_many, &none))
            .await;
        assert!(
            matches!(failure, Err(PeerError::Refused { .. })),
            "{failure:?}"
        );
    }
    let nobody = peer.hand_over(HandOver::new("nobody", &[], &none)).await;
    assert!(
        matches!(nobody, Err(PeerError::Refused { .. })),
        "{nobody:?}"
    );
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
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
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
    // golang/groupcache, and an older Gaggle.
    let go = "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\nbad request\n";
    let older =
        "HTTP/1.1 400 Bad Request\r\ngaggle-control: 1\r\ncontent-length: 12\r\n\r\nbad request\n";
    for answer in [go, older] {
        let fake = FakePeer::new([(answer, Then::Keep); 2]).await;
        let peer = peer(fake.address);
        let known = Known::default();
        let handed = peer.hand_over(HandOver::new("g", &[], &known)).await;
        let left = peer.leaving(&Word::new("node", None)).await;
        for refused in [handed.map(drop), left] {
            assert!(
                matches!(refused, Err(PeerError::Refused { .. })),
                "{refused:?}"
            );
        }
    }
}
