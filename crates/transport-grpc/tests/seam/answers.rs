//! A healthy peer: values, keys and verdicts arrive as they were sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Fetch, Group, GroupBuilder, Limits, Loaded, LocalOnly, Member, NoHotCopies, OriginError,
    OriginFault, Peer, PeerError, Route, Router, Verdict,
};
use tokio::sync::{Semaphore, mpsc};

use crate::node::{LONG, Node, echo, fetch, removal, value, verdict};

/// A group called `g` whose values are as many bytes as their keys say.
fn of_length() -> GroupBuilder {
    Group::builder("g").origin_fn(|key: Bytes| async move {
        let len: usize = std::str::from_utf8(&key)?.parse()?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(vec![b'v'; len]))
    })
}

#[tokio::test]
async fn values_arrive_exactly_up_to_the_limit() {
    // More than tonic's default limit.
    let max_value = 5 << 20;
    let limits = Limits {
        max_value,
        ..Limits::default()
    };
    let node = Node::serve([of_length().limits(limits).build().unwrap()]).await;
    let peer = node.peer();
    for len in [0, 1, 100, 16 << 10, (16 << 10) + 1, 1 << 20, max_value] {
        let got = value(fetch(&peer, len.to_string()).await);
        assert_eq!(got.len() as u64, len);
        assert!(got.iter().all(|b| *b == b'v'));
    }
    let over = verdict(fetch(&peer, (max_value + 1).to_string()).await);
    assert_eq!(
        over,
        Verdict::ValueTooLarge {
            len: Some(max_value + 1),
            limit: max_value
        }
    );
}

#[tokio::test]
async fn the_askers_limit_holds_too() {
    let node = Node::serve([of_length().build().unwrap()]).await;
    let peer = node.peer();
    for (len, max_value) in [(0, 0), (10, 10), (11, 10), (1 << 20, 10)] {
        let key = &Bytes::from(len.to_string());
        let got = peer.fetch(Fetch::new("g", key, max_value, LONG)).await;
        if len <= max_value {
            assert_eq!(value(got).len() as u64, len);
        } else {
            let over = Verdict::ValueTooLarge {
                len: Some(len),
                limit: max_value,
            };
            assert_eq!(verdict(got), over);
        }
    }
}

#[tokio::test]
async fn keys_are_any_bytes() {
    let node = Node::serve([echo()]).await;
    let peer = node.peer();
    let mut keys: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    keys.push((0..=u8::MAX).collect());
    keys.extend(["", "a b", "a+b", "a/../b", "//", "%2F", "ключ"].map(Into::into));
    for key in keys {
        assert_eq!(value(fetch(&peer, key.clone()).await), key, "{key:?}");
    }
}

#[tokio::test]
async fn the_time_to_live_travels() {
    let minute = Duration::from_secs(60);
    let group = Group::builder("g")
        .origin_fn(move |key: Bytes| async move {
            Ok::<_, std::io::Error>(Some(match &*key {
                b"mortal" => Loaded::with_ttl("v", minute),
                _ => Loaded::from("v"),
            }))
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();
    let ttl = async |key: &'static str| match fetch(&peer, key).await {
        Ok(entry) if entry.value.is_some() => entry.freshness.ttl,
        other => panic!("no value: {other:?}"),
    };
    // The origin's ttl, shortened at random; and then the time that is left in the cache.
    for _ in 0..2 {
        let left = ttl("mortal").await;
        assert!(
            left.is_some_and(|left| left <= minute && left > minute / 2),
            "{left:?}"
        );
    }
    assert_eq!(ttl("immortal").await, None);
}

#[tokio::test]
async fn a_missing_key_is_an_answer_and_a_missing_group_is_not() {
    let group = Group::builder("empty")
        .origin_fn(|_: Bytes| async { Ok::<Option<Bytes>, std::io::Error>(None) })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();
    let key = &Bytes::from("k");
    let ask = |group| peer.fetch(Fetch::new(group, key, 1, LONG));
    let absent = ask("empty").await.unwrap().entry;
    assert!(absent.value.is_none() && absent.freshness.is_over());

    let unknown = ask("other").await.unwrap_err();
    let removed = peer.remove("other", &removal(&[b"k"])).await.unwrap_err();
    for error in [unknown, removed] {
        assert!(matches!(error, PeerError::Refused { .. }), "{error:?}");
        assert!(
            error.to_string().ends_with("it has no such group"),
            "{error}"
        );
        assert_eq!(&**error.peer(), peer.name());
    }
}

#[tokio::test]
async fn the_owner_stands_for_its_failures() {
    let limits = Limits {
        max_key: 8,
        load_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let group = Group::builder("g")
        .limits(limits)
        .origin_fn(|key: Bytes| async move {
            match &*key {
                b"fail" => {
                    let failure = OriginError::failed("the database at 10.0.0.1 is away");
                    Err::<Option<Bytes>, _>(failure.known_as(OriginFault::Unreachable))
                }
                b"panic" => panic!("a bug"),
                _ => std::future::pending().await,
            }
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();

    let message = "cannot be connected to".to_owned();
    assert_eq!(
        verdict(fetch(&peer, "fail").await),
        Verdict::OriginFailed { message }
    );
    let Verdict::OriginFailed { message } = verdict(fetch(&peer, "panic").await) else {
        panic!("a panic is a failure of the origin")
    };
    assert_eq!(message, "the load panicked");
    let after = Duration::from_millis(500);
    assert_eq!(
        verdict(fetch(&peer, "hang").await),
        Verdict::Deadline { after }
    );
    assert_eq!(
        verdict(fetch(&peer, "too-long!").await),
        Verdict::KeyTooLong { limit: 8 }
    );
}

#[tokio::test]
async fn an_owner_with_too_much_to_do_says_so() {
    let limits = Limits {
        max_loads: 1,
        ..Limits::default()
    };
    let (entered, mut at_origin) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let group = Group::builder("g")
        .limits(limits.clone())
        .origin_fn({
            let gate = gate.clone();
            move |key: Bytes| {
                let (entered, gate) = (entered.clone(), gate.clone());
                async move {
                    entered.send(()).unwrap();
                    let _open = gate.acquire().await;
                    Ok::<_, std::io::Error>(Some(key))
                }
            }
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();

    let first = tokio::spawn({
        let peer = peer.clone();
        async move { fetch(&peer, "first").await }
    });
    at_origin.recv().await.unwrap();
    let shed = Verdict::Shed {
        limit: 1,
        retry_after: limits.retry_after,
    };
    assert_eq!(verdict(fetch(&peer, "second").await), shed);
    gate.add_permits(1);
    assert_eq!(value(first.await.unwrap()), "first");
}

#[tokio::test]
async fn a_removed_key_is_loaded_again() {
    let loads = Arc::new(AtomicUsize::new(0));
    let group = counted(&loads);
    let node = Node::serve([group]).await;
    let peer = node.peer();
    assert_eq!(value(fetch(&peer, "k").await), "1");
    assert_eq!(value(fetch(&peer, "k").await), "1");
    peer.remove("g", &removal(&[b"k"])).await.unwrap();
    peer.remove("g", &removal(&[b"never there"])).await.unwrap();
    assert_eq!(value(fetch(&peer, "k").await), "2");
}

#[tokio::test]
async fn a_sign_of_life_needs_no_group_and_other_routes_live_on() {
    let groups = gaggle_group::Groups::default();
    let router = axum::Router::new()
        .route("/other", axum::routing::get(async || "other"))
        .fallback(async || "fallback")
        .merge(gaggle_transport_grpc::router(groups, Default::default()));
    let node = Node::serve_router(router).await;
    node.peer().ping().await.unwrap();
}

/// A group whose value is the number of its load.
fn counted(loads: &Arc<AtomicUsize>) -> Group {
    let loads = Arc::clone(loads);
    Group::builder("g")
        .hot_copies(NoHotCopies)
        .origin_fn(move |_: Bytes| {
            let load = loads.fetch_add(1, SeqCst) + 1;
            async move { Ok::<_, std::io::Error>(Some(load.to_string())) }
        })
        .build()
        .unwrap()
}

/// Sends every key to one peer.
struct AlwaysTheirs(Arc<dyn Peer>);

impl Router for AlwaysTheirs {
    fn route(&self, _: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, key: &[u8]) -> Member {
        LocalOnly::new(self.0.name()).owner(key)
    }

    fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        "always theirs".into()
    }
}

#[tokio::test]
async fn nodes_that_take_each_other_for_the_owner_forward_once() {
    let loads = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [here, there] = [counted(&loads[0]), counted(&loads[1])];
    let near = Node::serve([here.clone()]).await;
    let far = Node::serve([there.clone()]).await;
    here.set_router(Arc::new(AlwaysTheirs(far.peer())));
    there.set_router(Arc::new(AlwaysTheirs(near.peer())));

    assert_eq!(here.get("k").await.unwrap(), "1");
    assert_eq!(loads[0].load(SeqCst), 0, "the first node asked the second");
    assert_eq!(
        loads[1].load(SeqCst),
        1,
        "which loaded it, and did not ask back"
    );
    assert_eq!(here.stats().server_requests, 0);
    assert_eq!(there.stats().server_requests, 1);
    assert_eq!(there.stats().peer.ok, 0);
}
