//! Freshness, metadata, removals, values to keep and missed removals, between two nodes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Field, Freshness, FreshnessPolicy, Group, Hint, Key, Known, Limits, Loaded,
    LocalOnly, Member, Metadata, Notice, Peer, PeerError, Put, RemovalId, Route, Router, Scope,
    Verdict,
};
use gaggle_transport_grpc::GrpcPeer;

use crate::node::{LONG, Node, echo, fetch, new_id, removal, value};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn freshness_absence_and_metadata_travel() {
    let metadata = || {
        Metadata::default()
            .with(Field::ETag, "\"1\"")
            .with_age(Duration::from_secs(7))
    };
    let policy = FreshnessPolicy {
        ttl_jitter: 0.0,
        ..FreshnessPolicy::default()
    };
    let group = Group::builder("g")
        .freshness(policy)
        .origin_fn(move |key: Bytes| async move {
            let hint = Hint::ttl(HOUR)
                .stale_while_revalidate(2 * HOUR)
                .stale_if_error(3 * HOUR);
            Ok::<_, std::io::Error>(Some(match &key[..] {
                b"full" => Loaded::value("v")
                    .with_freshness(hint)
                    .with_metadata(metadata()),
                _ => Loaded::absent().with_freshness(Hint::ttl(HOUR)),
            }))
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();
    let is_about_an_hour = |ttl: Option<Duration>| ttl.unwrap() <= HOUR && ttl.unwrap() > HOUR / 2;
    // Loaded, and then from memory.
    for _ in 0..2 {
        let full = fetch(&peer, "full").await.unwrap();
        assert!(is_about_an_hour(full.freshness.ttl));
        assert_eq!(full.freshness.revalidate_window(), 2 * HOUR);
        assert_eq!(full.freshness.error_window(), 3 * HOUR);
        assert_eq!(full.metadata.as_bytes(), metadata().as_bytes());
        assert!(full.metadata.age().unwrap() >= Duration::from_secs(7));
        let gone = fetch(&peer, "gone").await.unwrap();
        assert_eq!(gone.value, None);
        assert!(is_about_an_hour(gone.freshness.ttl));
    }
}

/// A group whose value is the number of its load.
fn counted() -> Group {
    let loads = AtomicUsize::new(0);
    Group::builder("g")
        .origin_fn(move |_: Bytes| {
            let load = loads.fetch_add(1, SeqCst) + 1;
            async move { Ok::<_, std::io::Error>(Some(load.to_string())) }
        })
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_get_tells_of_removals() {
    let node = Node::serve([counted()]).await;
    let peer = node.peer();
    let after = async |removals: &[RemovalId]| {
        let key = Key::from("k");
        value(
            peer.fetch(Fetch::new("g", &key, 99, LONG).after(removals))
                .await,
        )
    };
    let ids: Vec<_> = (0..4).map(|_| new_id()).collect();
    assert_eq!(after(&[]).await, "1");
    assert_eq!(after(&ids).await, "2");
    assert_eq!(after(&ids).await, "2", "known");
}

#[tokio::test]
async fn keys_and_groups_are_removed_once_by_their_names() {
    let group = counted();
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();
    for key in ["a", "b", "c", "d"] {
        group.get(key).await.unwrap();
    }
    let (one, two) = (removal(&[b"d"]), removal(&[b"a", b"b"]));
    for _ in 0..2 {
        peer.remove("g", &one).await.unwrap();
        peer.remove("g", &two).await.unwrap();
    }
    assert_eq!(group.stats().removals, 2);
    let cached = |key: &str| group.cached(key).is_some();
    assert!(cached("c") && !cached("a") && !cached("b") && !cached("d"));
    peer.remove("g", &removal(&[])).await.unwrap();
    assert!(cached("c"));
    let large = vec![b'k'; 60_000];
    let keys: Vec<&[u8]> = std::iter::repeat_n(&large[..], 40).collect();
    peer.remove("g", &removal(&keys)).await.unwrap();
    assert!(!cached("c"), "too large to be told key by key");

    group.get("c").await.unwrap();
    let all = Notice {
        id: new_id(),
        scope: Scope::Group,
    };
    peer.remove("g", &all).await.unwrap();
    assert!(!cached("c"));
}

async fn put(
    peer: &GrpcPeer,
    key: &str,
    entry: &Entry,
    removal: RemovalId,
) -> Result<(), PeerError> {
    peer.put(Put::new("g", &Key::from(key.to_owned()), entry, removal))
        .await
}

#[tokio::test]
async fn a_value_is_kept_as_it_was_given() {
    let group = echo();
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();
    let metadata = Metadata::default().with(Field::ETag, "\"1\"");
    let freshness = Freshness::for_ttl(HOUR).stale_if_error(2 * HOUR);
    for len in [0, 1, (16 << 10) + 1, 5 << 20] {
        let entry = Entry::value(vec![b'v'; len])
            .with_freshness(freshness)
            .with_metadata(metadata.clone());
        put(&peer, "k", &entry, new_id()).await.unwrap();
        let kept = group.cached("k").expect("kept");
        assert_eq!(kept.value, entry.value);
        assert_eq!(kept.metadata, metadata);
        assert_eq!(kept.freshness.error_window(), 2 * HOUR);
        let ttl = kept.freshness.ttl.unwrap();
        assert!(ttl <= HOUR && ttl > HOUR / 2, "{ttl:?}");
    }
    let gone = Entry::absent().with_freshness(freshness);
    let id = new_id();
    put(&peer, "k", &gone, id).await.unwrap();
    assert_eq!(group.cached("k").unwrap().value, None);
    put(&peer, "k", &Entry::value("later"), id).await.unwrap();
    assert_eq!(group.cached("k").unwrap().value, None, "known");
}

#[tokio::test]
async fn a_value_that_the_group_would_not_keep_is_told_with_a_verdict() {
    let limits = Limits {
        max_value: 10,
        max_key: 3,
        ..Limits::default()
    };
    let group = Group::builder("g")
        .limits(limits)
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();
    let verdict =
        async |key: &str, len: usize| match put(&peer, key, &Entry::value(vec![0; len]), new_id())
            .await
        {
            Err(PeerError::Verdict { verdict, .. }) => verdict,
            other => panic!("{other:?}"),
        };
    let too_large = Verdict::ValueTooLarge {
        len: Some(11),
        limit: 10,
    };
    assert_eq!(verdict("k", 11).await, too_large);
    assert_eq!(verdict("long", 1).await, Verdict::KeyTooLong { limit: 3 });
}

/// Records which nodes follow.
struct Followed(LocalOnly, Arc<Mutex<Vec<String>>>);

impl Router for Followed {
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

    fn followed_by(&self, name: &str) {
        self.1.lock().unwrap().push(name.to_owned());
    }

    fn digest(&self) -> String {
        self.0.digest()
    }
}

#[tokio::test]
async fn news_are_told_to_those_who_ask_and_their_names_are_noted() {
    let group = echo();
    let followers = Arc::new(Mutex::new(Vec::new()));
    let router = Followed(LocalOnly::new("http://self"), Arc::clone(&followers));
    group.set_router(Arc::new(router));
    let node = Node::serve([group.clone()]).await;
    let peer = node.peer();

    let me = "http://10.0.0.9:8001";
    let nothing = peer.news("g", &Known::default(), me).await.unwrap();
    assert_eq!(nothing, Some(Default::default()));
    let mut notices = [&[&b"a"[..], b""][..], &[b"\xff\0"], &[]].map(removal);
    notices[2].scope = Scope::Group;
    for notice in &notices {
        assert!(group.apply(notice));
    }
    let known = Known(vec![notices[1].id]);
    let news = peer.news("g", &known, me).await.unwrap().unwrap();
    // Of the issuers the one with the lowest identity comes first.
    assert_eq!(news.notices, [notices[0].clone(), notices[2].clone()]);
    assert!(news.unlisted.is_empty() && !news.more);

    // A text that is not a node's name is ignored, and the question is answered.
    let long = format!("http://{}", "a".repeat(256));
    for name in ["", "node", "ftp://node", "http://node/path", &long] {
        let news = peer.news("g", &known, name).await.unwrap().unwrap();
        assert_eq!(news.notices.len(), 2);
    }
    assert_eq!(*followers.lock().unwrap(), [me, me]);

    let failure = peer.news("nobody", &known, me).await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_huge_removal_is_told_later_as_one_of_the_group() {
    let group = echo();
    let node = Node::serve([group.clone()]).await;
    let large = vec![b'k'; 60_000];
    let keys: Vec<&[u8]> = std::iter::repeat_n(&large[..], 80).collect();
    let huge = removal(&keys);
    group.apply(&huge);
    let known = Known::default();
    let news = node.peer().news("g", &known, "").await.unwrap().unwrap();
    assert_eq!(
        (news.notices[0].id, &news.notices[0].scope),
        (huge.id, &Scope::Group)
    );
}
