//! What the tests of the admin endpoints share: a node's groups, its ring and the other nodes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gaggle_api_http::{Admin, MetricsPage, NoReload, Readiness, Reload, admin};
use gaggle_console::Console;
use gaggle_group::{
    Entry, Fetch, Fetched, Group, Groups, Key, Known, Limits, Member, News, Notice, Peer,
    PeerError, PeerRequests, Put, Route, Router, Scope, async_trait,
};
use tokio::sync::Notify;

use crate::client::Client;

pub(crate) const SELF: &str = "http://a:1";

/// A peer that records removals and values to keep, or cannot be reached.
pub(crate) struct FakePeer {
    name: &'static str,
    reachable: bool,
    pub(crate) removed: Mutex<Vec<(String, Scope)>>,
    pub(crate) kept: Mutex<Vec<(Key, Entry)>>,
    /// If there is a gate, each message waits for it.
    gate: Option<Arc<Notify>>,
}

impl FakePeer {
    async fn told(&self) -> Result<(), PeerError> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self.reachable {
            return Ok(());
        }
        Err(PeerError::Unavailable {
            peer: self.name.into(),
            reason: "connection\nrefused".into(),
        })
    }
}

#[async_trait]
impl Peer for FakePeer {
    fn name(&self) -> &str {
        self.name
    }

    async fn fetch(&self, _fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        panic!("no test here fetches from a peer");
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        self.told().await?;
        let mut removed = self.removed.lock().unwrap();
        removed.push((group.to_owned(), notice.scope.clone()));
        Ok(())
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        self.told().await?;
        let mut kept = self.kept.lock().unwrap();
        kept.push((put.key.clone(), put.entry.clone()));
        Ok(())
    }

    async fn news(&self, _: &str, _: &Known, _: &str) -> Result<Option<News>, PeerError> {
        Ok(self.reachable.then(News::default))
    }

    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

/// Keys that begin with `b` belong to the peer `http://b:1`, all others to this node.
struct FakeRing {
    peers: Vec<Arc<FakePeer>>,
}

impl Router for FakeRing {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Mine
    }

    fn owner(&self, key: &[u8]) -> Member {
        self.members()
            .swap_remove(usize::from(key.starts_with(b"b")))
    }

    fn members(&self) -> Vec<Member> {
        let me = Member {
            name: SELF.into(),
            address: SELF.into(),
            is_self: true,
            up: true,
            requests: PeerRequests::default(),
        };
        let others = self.peers.iter().map(|peer| Member {
            name: peer.name.into(),
            address: peer.name.into(),
            is_self: false,
            up: peer.reachable,
            requests: PeerRequests {
                ok: 3,
                not_found: 2,
                error: 1,
            },
        });
        [me].into_iter().chain(others).collect()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        self.peers
            .iter()
            .map(|peer| Arc::clone(peer) as Arc<dyn Peer>)
            .collect()
    }

    fn digest(&self) -> String {
        "ring-1".to_owned()
    }
}

pub(crate) fn peer(name: &'static str, reachable: bool) -> Arc<FakePeer> {
    Arc::new(FakePeer {
        name,
        reachable,
        removed: Mutex::default(),
        kept: Mutex::default(),
        gate: None,
    })
}

/// A peer that can be reached once the gate opens, and the gate.
pub(crate) fn gated_peer(name: &'static str) -> (Arc<FakePeer>, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let peer = FakePeer {
        name,
        reachable: true,
        removed: Mutex::default(),
        kept: Mutex::default(),
        gate: Some(Arc::clone(&gate)),
    };
    (Arc::new(peer), gate)
}

pub(crate) fn group(name: &str, peers: &[Arc<FakePeer>]) -> Group {
    let mut limits = Limits::default();
    limits.max_key = 64;
    limits.max_value = 100;
    Group::builder(name)
        .limits(limits)
        .origin_fn(|key: Bytes| async move { Ok::<_, String>((key != "absent").then_some(key)) })
        .router(Arc::new(FakeRing {
            peers: peers.to_vec(),
        }))
        .build()
        .unwrap()
}

pub(crate) fn client_with(groups: impl IntoIterator<Item = Group>, readiness: Readiness) -> Client {
    reloading(groups, readiness, Arc::new(NoReload))
}

/// The same, with the reloader of `POST /reload`.
pub(crate) fn reloading(
    groups: impl IntoIterator<Item = Group>,
    readiness: Readiness,
    reload: Arc<dyn Reload>,
) -> Client {
    let groups = Groups::new(groups).unwrap();
    Client(admin(Admin {
        version: "1.2.3".to_owned(),
        console: Console::new(groups.clone()),
        origins: [("scores".to_owned(), "sqlite".to_owned())].into(),
        groups,
        readiness,
        metrics: MetricsPage::new("text/x-metrics", || {
            "gaggle_gets_total 1\n# EOF\n".to_owned()
        })
        .or_plain("text/plain; version=0.0.4", || {
            "gaggle_gets_total 1\n".to_owned()
        }),
        hosts: vec!["admin.example.com".to_owned()],
        reload,
    }))
}

pub(crate) fn client(groups: impl IntoIterator<Item = Group>) -> Client {
    client_with(groups, Readiness::new())
}

/// Lets other tasks run until `ready`.
pub(crate) async fn until(ready: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it did not come to pass");
}
