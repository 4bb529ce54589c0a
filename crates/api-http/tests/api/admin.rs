//! The admin endpoints.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gaggle_api_http::{Admin, MetricsPage, Readiness, admin};
use gaggle_group::{
    Fetch, Fetched, Group, Groups, Key, Limits, Member, Peer, PeerError, PeerRequests, Route,
    Router, async_trait,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::client::Client;

const SELF: &str = "http://a:1";

/// A peer that notes what it is told to remove, or cannot be reached.
struct FakePeer {
    name: &'static str,
    reachable: bool,
    removed: Mutex<Vec<(String, Key)>>,
    /// Where there is one, a removal waits for it.
    gate: Option<Arc<Notify>>,
}

#[async_trait]
impl Peer for FakePeer {
    fn name(&self) -> &str {
        self.name
    }

    async fn fetch(&self, _fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        panic!("no test here fetches from a peer");
    }

    async fn remove(&self, group: &str, key: &Key) -> Result<(), PeerError> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if !self.reachable {
            let reason = "connection\nrefused".into();
            return Err(PeerError::Unavailable {
                peer: self.name.into(),
                reason,
            });
        }
        self.removed
            .lock()
            .unwrap()
            .push((group.to_owned(), key.clone()));
        Ok(())
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
            is_self: true,
            up: true,
            requests: PeerRequests::default(),
        };
        let others = self.peers.iter().map(|peer| Member {
            name: peer.name.into(),
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

fn peer(name: &'static str, reachable: bool) -> Arc<FakePeer> {
    Arc::new(FakePeer {
        name,
        reachable,
        removed: Mutex::default(),
        gate: None,
    })
}

fn group(name: &str, peers: &[Arc<FakePeer>]) -> Group {
    Group::builder(name)
        .limits(Limits {
            max_key: 64,
            ..Limits::default()
        })
        .origin_fn(|key: Bytes| async move { Ok::<_, String>((key != "absent").then_some(key)) })
        .router(Arc::new(FakeRing {
            peers: peers.to_vec(),
        }))
        .build()
        .unwrap()
}

fn client_with(groups: impl IntoIterator<Item = Group>, readiness: Readiness) -> Client {
    Client(admin(Admin {
        node: SELF.to_owned(),
        version: "1.2.3".to_owned(),
        groups: Groups::new(groups).unwrap(),
        readiness,
        metrics: MetricsPage::new("text/x-metrics", || {
            "gaggle_gets_total 1\n# EOF\n".to_owned()
        }),
    }))
}

fn client(groups: impl IntoIterator<Item = Group>) -> Client {
    client_with(groups, Readiness::new())
}

#[tokio::test]
async fn readiness_flips_and_says_why_while_the_node_lives() {
    let readiness = Readiness::new();
    let client = client_with([group("scores", &[])], readiness.clone());
    let expect = async |status, line| {
        let ready = client.get("/readyz").await;
        assert_eq!((ready.status, ready.text()), (status, line));
        let live = client.get("/livez").await;
        assert_eq!((live.status, live.text()), (200, "ok"));
    };
    expect(503, "starting").await;
    readiness.set_ready(false);
    expect(503, "starting").await;
    readiness.set_ready(true);
    expect(200, "ready").await;
    readiness.set_ready(false);
    expect(503, "draining").await;
    readiness.set_ready(true);
    expect(200, "ready").await;
}

#[tokio::test]
async fn metrics_are_the_page_that_the_node_gives() {
    let answer = client([]).get("/metrics").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, "gaggle_gets_total 1\n# EOF\n")
    );
    assert_eq!(answer.header("content-type"), Some("text/x-metrics"));
}

#[tokio::test]
async fn status_tells_of_node_ring_and_groups() {
    let scores = group(
        "scores",
        &[peer("http://b:1", true), peer("http://c:1", false)],
    );
    scores.get("Tom").await.unwrap();
    scores.get("Tom").await.unwrap();
    scores.get("absent").await.unwrap_err();
    let answer = client([scores, group("users", &[])]).get("/status").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let status = answer.json();
    assert_eq!(status["node"], SELF);
    assert_eq!(status["version"], "1.2.3");
    assert_eq!(status["state"], "starting");
    let asked = json!({"ok": 3, "not_found": 2, "error": 1});
    let expected = json!({
        "members": [SELF, "http://b:1", "http://c:1"],
        "hash": "ring-1",
        "peers": [
            {"name": SELF, "up": true, "self": true, "requests": {"ok": 0, "not_found": 0, "error": 0}},
            {"name": "http://b:1", "up": true, "self": false, "requests": asked},
            {"name": "http://c:1", "up": false, "self": false, "requests": asked},
        ],
    });
    assert_eq!(status["ring"], expected);
    let scores = &status["groups"]["scores"];
    for (counter, value) in [
        ("gets_total", json!(3)),
        ("hits_total", json!({"main": 1, "hot": 0})),
        ("loads_collapsed_total", json!(0)),
        ("loads_in_flight", json!(0)),
        ("server_requests_total", json!(0)),
        ("shed_total", json!(0)),
        ("cache_entries", json!({"main": 1, "hot": 0})),
        ("cache_limit_bytes", json!(64 << 20)),
    ] {
        assert_eq!(scores[counter], value, "{counter}");
    }
    assert_eq!(
        scores["loads_total"]["origin"],
        json!({"ok": 1, "not_found": 1, "error": 0})
    );
    assert_eq!(scores["load_seconds"]["origin"]["count"], 2);
    let none = json!({"capacity": 0, "expired": 0, "collision": 0});
    assert_eq!(scores["evictions_total"]["main"], none);
    assert!(scores["cache_bytes"]["main"].as_u64().unwrap() >= 6);
    assert_eq!(status["groups"]["users"]["gets_total"], 0);
}

#[tokio::test]
async fn owner_names_the_node_that_a_key_belongs_to() {
    let scores = group("scores", &[peer("http://b:1", false)]);
    let one = client([scores.clone()]);
    for (target, body) in [
        (
            "/owner?group=scores&key=Tom",
            r#"{"owner":"http://a:1","self":true}"#,
        ),
        ("/owner?key=b+1", r#"{"owner":"http://b:1","self":false}"#),
        ("/owner?key=%62", r#"{"owner":"http://b:1","self":false}"#),
        ("/owner?key=", r#"{"owner":"http://a:1","self":true}"#),
    ] {
        let answer = one.get(target).await;
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
    }
    let two = client([scores, group("users", &[])]);
    for (target, status) in [
        ("/owner?key=Tom", 400),
        ("/owner?group=scores", 400),
        ("/owner?group=scores&key=%", 400),
        ("/owner?group=nosuch&key=Tom", 404),
        ("/owner?group=users&key=Tom", 200),
    ] {
        assert_eq!(two.get(target).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn a_removal_reaches_every_node_with_the_key_as_it_is() {
    let (b, c) = (peer("http://b:1", true), peer("http://c:1", true));
    let scores = group("scores", &[b.clone(), c.clone()]);
    let key = b"b/ \xFF+";
    scores.get(key).await.unwrap();
    let answer = client([scores.clone()])
        .send("DELETE", "/v1/scores/b/%20%FF+", "")
        .await;
    let body = r#"{"removed":["http://b:1","http://a:1","http://c:1"],"missed":[]}"#;
    assert_eq!((answer.status, answer.text()), (200, body));
    assert!(scores.cached(key).is_none());
    for peer in [b, c] {
        let told = peer.removed.lock().unwrap().clone();
        assert_eq!(told, [("scores".to_owned(), Key::from_static(key))]);
    }
}

#[tokio::test]
async fn a_removal_that_misses_a_node_is_502_and_names_it() {
    let scores = group(
        "scores",
        &[peer("http://b:1", true), peer("http://c:1", false)],
    );
    scores.get("Tom").await.unwrap();
    let answer = client([scores.clone()])
        .send("DELETE", "/v1/scores/Tom", "")
        .await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.json(),
        json!({
            "removed": ["http://a:1", "http://b:1"],
            "missed": [{"node": "http://c:1", "error": "peer http://c:1: connection\\nrefused"}],
        })
    );
    assert!(
        scores.cached(b"Tom").is_none(),
        "it is gone from the nodes that were reached"
    );
}

#[tokio::test]
async fn a_removal_goes_on_when_its_client_hangs_up() {
    let gate = Arc::new(Notify::new());
    let b = Arc::new(FakePeer {
        name: "http://b:1",
        reachable: true,
        removed: Mutex::default(),
        gate: Some(Arc::clone(&gate)),
    });
    let scores = group("scores", std::slice::from_ref(&b));
    // The owner is asked first, so this node's copy stays until the gate opens.
    scores.get("b").await.unwrap();
    let client = client([scores.clone()]);
    let request = tokio::spawn(async move { client.send("DELETE", "/v1/scores/b", "").await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    request.abort();
    assert!(request.await.is_err_and(|error| error.is_cancelled()));
    assert!(scores.cached(b"b").is_some());
    gate.notify_one();
    for _ in 0..10_000 {
        if scores.cached(b"b").is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(scores.cached(b"b").is_none());
    assert_eq!(b.removed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_an_admin_request_is_refused() {
    let client = client([group("scores", &[])]);
    let long = format!("/v1/scores/{}", "k".repeat(65));
    for (method, target, status, allow) in [
        ("POST", "/livez", 405, Some("GET, HEAD")),
        ("DELETE", "/status", 405, Some("GET, HEAD")),
        ("GET", "/v1/scores/Tom", 405, Some("DELETE")),
        ("DELETE", "/v1/scores", 404, None),
        ("DELETE", "/v1/nosuch/Tom", 404, None),
        ("DELETE", "/v1/scores/%F", 400, None),
        ("DELETE", &long, 414, None),
        ("GET", "/nosuch", 404, None),
        ("HEAD", "/livez", 200, None),
        ("HEAD", "/owner?key=Tom", 200, None),
    ] {
        let answer = client.send(method, target, "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (status, allow),
            "{method} {target}"
        );
    }
}
