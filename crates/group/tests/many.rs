//! Many keys in one call: the promises to the caller, and the requests of a transport.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::poll;
use gaggle_group::{
    Answer, Entry, Error, Fetch, Fetched, Group, GroupBuilder, Key, Limits, Member, Notice,
    Overload, Peer, PeerError, PeerRequests, Route, Router, Source, Verdict, async_trait,
};
use gaggle_testkit::CountingOrigin;
use tokio::sync::watch;

/// A peer that answers no fetch of a batch before all of them have arrived. A key's text decides
/// the outcome.
struct Together {
    name: &'static str,
    /// What was fetched, and of which batch.
    fetched: Mutex<Vec<(Key, Option<usize>)>>,
    open: watch::Sender<bool>,
}

impl Together {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            fetched: Mutex::default(),
            open: watch::Sender::new(true),
        })
    }

    /// How many fetches each batch had, the largest first; those without one are batches of one.
    fn batches(&self) -> Vec<usize> {
        let fetched = self.fetched.lock().unwrap();
        let mut sizes = HashMap::new();
        for (at, (_, batch)) in fetched.iter().enumerate() {
            *sizes.entry(batch.ok_or(at)).or_insert(0) += 1;
        }
        let mut sizes: Vec<usize> = sizes.into_values().collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    fn keys(&self) -> Vec<Key> {
        let fetched = self.fetched.lock().unwrap();
        let mut keys: Vec<Key> = fetched.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }
}

#[async_trait]
impl Peer for Together {
    fn name(&self) -> &str {
        self.name
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let key = fetch.key.clone();
        let batch = fetch.batch.map(gaggle_group::BatchMember::batch_id);
        self.fetched.lock().unwrap().push((key, batch));
        let text = std::str::from_utf8(fetch.key).unwrap();
        if text.ends_with("gone") {
            return Err(PeerError::Unavailable {
                peer: self.name.into(),
                reason: "connection refused".into(),
            });
        }
        if let Some(member) = fetch.batch {
            member.ready();
            member.all_ready().await;
        }
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        if text.ends_with("hang") {
            std::future::pending::<()>().await;
        }
        assert!(!text.ends_with("panic"), "a bug in the transport");
        match text {
            text if text.ends_with("absent") => Ok(Entry::absent().into()),
            text if text.ends_with("fail") => Err(PeerError::Verdict {
                peer: self.name.into(),
                verdict: Verdict::OriginFailed {
                    message: "disk on fire".into(),
                },
            }),
            text => Ok(Entry::value(format!("{} has {text}", self.name)).into()),
        }
    }

    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

/// Keys that begin with `1` or `2` belong to that peer, all others to this node.
struct ByFirstByte([Arc<Together>; 2]);

impl Router for ByFirstByte {
    fn route(&self, key: &[u8]) -> Route {
        match key.first() {
            Some(b'1') => Route::Theirs(self.0[0].clone()),
            Some(b'2') => Route::Theirs(self.0[1].clone()),
            _ => Route::Mine,
        }
    }

    fn owner(&self, key: &[u8]) -> Member {
        let name: Arc<str> = match self.route(key) {
            Route::Theirs(peer) => peer.name().into(),
            Route::Mine | Route::Standby => "me".into(),
        };
        Member {
            is_self: &*name == "me",
            name,
            address: "".into(),
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        ["", "1", "2"].map(|key| self.owner(key.as_bytes())).into()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        self.0.iter().map(|peer| peer.clone() as _).collect()
    }

    fn digest(&self) -> String {
        String::new()
    }
}

struct Node {
    group: Group,
    origin: CountingOrigin,
    one: Arc<Together>,
    two: Arc<Together>,
}

fn node() -> Node {
    node_with(|builder| builder)
}

fn node_with(build: impl FnOnce(GroupBuilder) -> GroupBuilder) -> Node {
    let origin = CountingOrigin::default();
    let (one, two) = (Together::new("one"), Together::new("two"));
    let builder = Group::builder("things")
        .origin(origin.clone())
        .router(Arc::new(ByFirstByte([one.clone(), two.clone()])));
    Node {
        group: build(builder).build().unwrap(),
        origin,
        one,
        two,
    }
}

fn keys<const N: usize>(keys: [&'static str; N]) -> [Key; N] {
    keys.map(Key::from)
}

fn value(answer: &Result<Answer, Error>) -> (&[u8], Source, bool) {
    let answer = answer.as_ref().unwrap();
    (
        answer.value.as_deref().unwrap(),
        answer.source,
        answer.collapsed,
    )
}

#[tokio::test]
async fn hits_own_keys_and_those_of_others_come_in_order() {
    let node = node();
    node.group.get("mine-1").await.unwrap();
    let keys = keys(["2-a", "mine-1", "1-a", "mine-2", "1-b", "absent", "1-c"]);
    let answers = node.group.get_many(&keys).await;
    let expected: [(&[u8], Source, bool); 5] = [
        (b"two has 2-a", Source::Peer, false),
        (b"value of mine-1", Source::Main, false),
        (b"one has 1-a", Source::Peer, false),
        (b"value of mine-2", Source::Origin, false),
        (b"one has 1-b", Source::Peer, false),
    ];
    for (answer, expected) in answers.iter().zip(expected) {
        assert_eq!(value(answer), expected);
    }
    assert!(answers[5].as_ref().unwrap().value.is_none());
    assert_eq!(value(&answers[6]).0, b"one has 1-c");
    assert_eq!((node.one.batches(), node.two.batches()), (vec![3], vec![1]));
    let stats = node.group.stats();
    assert_eq!((stats.gets, stats.misses, stats.collapsed), (8, 7, 0));
    assert_eq!(
        (stats.peer.ok, stats.origin.ok, stats.loads_in_flight),
        (4, 2, 0)
    );
    assert!(node.group.get_many(&[] as &[Key]).await.is_empty());
}

#[tokio::test]
async fn a_key_that_is_named_twice_is_fetched_once() {
    let node = node();
    let keys = keys(["1-a", "mine", "1-b", "1-a", "mine", "1-a"]);
    let answers = node.group.get_many(&keys).await;
    let collapsed: Vec<bool> = answers.iter().map(|answer| value(answer).2).collect();
    assert_eq!(collapsed, [false, false, false, true, true, true]);
    assert_eq!(value(&answers[5]).0, b"one has 1-a");
    assert_eq!(node.one.keys(), ["1-a", "1-b"]);
    assert_eq!(
        (node.one.batches(), node.origin.loads_of("mine")),
        (vec![2], 1)
    );
    let stats = node.group.stats();
    assert_eq!((stats.misses, stats.collapsed, stats.peer.ok), (6, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_under_way_is_not_waited_for_in_the_batch() {
    let node = node();
    node.one.open.send_replace(false);
    let mut first = Box::pin(node.group.lookup(b"1-a"));
    assert!(poll!(&mut first).is_pending());
    let keys = keys(["1-a", "1-b", "1-c"]);
    let mut many = Box::pin(node.group.get_many(&keys));
    assert!(poll!(&mut many).is_pending());
    node.one.open.send_replace(true);
    assert_eq!(value(&first.await).0, b"one has 1-a");
    let answers = many.await;
    assert!(value(&answers[0]).2);
    assert_eq!(
        value(&answers[2]),
        (&b"one has 1-c"[..], Source::Peer, false)
    );
    assert_eq!(node.one.batches(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn each_key_fails_by_itself() {
    let limits = Limits {
        max_key: 8,
        ..Limits::default()
    };
    let node = node_with(|builder| builder.limits(limits));
    let keys = keys([
        "1-fail",
        "1-a",
        "1-absent",
        "1-gone",
        "1-too-long",
        "1-panic",
        "2-gone",
        "2-a",
    ]);
    let answers = node.group.get_many(&keys).await;
    assert!(matches!(&answers[0], Err(Error::Origin { peer: Some(peer), .. }) if &**peer == "one"));
    assert_eq!(value(&answers[1]).0, b"one has 1-a");
    assert!(answers[2].as_ref().unwrap().value.is_none());
    assert_eq!(
        value(&answers[3]),
        (&b"value of 1-gone"[..], Source::Origin, false)
    );
    assert!(matches!(
        &answers[4],
        Err(Error::KeyTooLong { len: 10, .. })
    ));
    assert!(matches!(&answers[5], Err(Error::Panicked { .. })));
    assert_eq!(value(&answers[6]).1, Source::Origin);
    assert_eq!(value(&answers[7]).0, b"two has 2-a");
    let stats = node.group.stats();
    assert_eq!(
        (stats.peer.ok, stats.peer.not_found, stats.peer.error),
        (2, 1, 4)
    );
    assert_eq!((stats.origin.ok, stats.loads_in_flight), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn those_that_are_shed_are_not_waited_for() {
    let limits = Limits {
        max_loads: 3,
        ..Limits::default()
    };
    let node = node_with(|builder| builder.limits(limits));
    let keys = keys(["1-a", "1-b", "1-c", "1-d", "1-e"]);
    let answers = node.group.get_many(&keys).await;
    assert!(answers[..3].iter().all(Result::is_ok));
    for shed in &answers[3..] {
        assert!(matches!(
            shed,
            Err(Error::Shed {
                why: Overload::Loads { limit: 3 },
                ..
            })
        ));
    }
    assert_eq!((node.one.batches(), node.group.stats().shed), (vec![3], 2));
}

#[tokio::test(start_paused = true)]
async fn a_key_at_which_a_peer_hangs_is_loaded_in_its_place_and_holds_up_no_other() {
    let node = node();
    let keys = keys(["1-hang", "1-a", "2-hang", "1-b"]);
    let began = tokio::time::Instant::now();
    let answers = node.group.get_many(&keys).await;
    assert!(began.elapsed() < Limits::default().load_timeout);
    for at in [0, 2] {
        let (_, source, _) = value(&answers[at]);
        assert_eq!(source, Source::Origin);
    }
    assert_eq!(value(&answers[1]).0, b"one has 1-a");
    assert_eq!(value(&answers[3]).0, b"one has 1-b");
}

#[tokio::test(start_paused = true)]
async fn the_fetches_of_a_caller_that_is_gone_go_on() {
    let node = node();
    let keys = keys(["1-a", "1-b", "1-a"]);
    let mut gone = Box::pin(node.group.get_many(&keys));
    assert!(poll!(&mut gone).is_pending());
    drop(gone);
    let answer = node.group.lookup(b"1-b").await.unwrap();
    assert!(answer.collapsed);
    let stats = node.group.stats();
    assert_eq!(stats.misses - stats.collapsed, stats.peer.ok, "two flights");
    assert_eq!(node.one.batches(), [2]);
}
