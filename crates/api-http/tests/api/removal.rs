//! Removals of a key, of many, and of a whole group.

use gaggle_group::{Key, Scope};
use serde_json::json;

use crate::client::base64;
use crate::cluster::{FakePeer, client, gated_peer, group, peer, until};

/// The answer if no node was missed.
const ALL: &str = r#"{"removed":["http://a:1","http://b:1","http://c:1"],"missed":[]}"#;

/// What a peer was told to remove, in order.
fn told(peer: &FakePeer) -> Vec<(String, Scope)> {
    peer.removed.lock().unwrap().clone()
}

fn keys<const N: usize>(keys: [impl AsRef<[u8]>; N]) -> (String, Scope) {
    let keys = keys.map(|key| Key::copy_from_slice(key.as_ref()));
    ("scores".to_owned(), Scope::Keys(keys.into()))
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
    assert_eq!((answer.status, answer.text()), (200, ALL));
    assert!(scores.cached(key).is_none());
    for peer in [b, c] {
        assert_eq!(told(&peer), [keys([key])]);
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
    let (b, gate) = gated_peer("http://b:1");
    let scores = group("scores", std::slice::from_ref(&b));
    scores.get("k").await.unwrap();
    let client = client([scores.clone()]);
    let request = tokio::spawn(async move { client.send("DELETE", "/v1/scores/k", "").await });
    until(|| scores.cached("k").is_none()).await;
    request.abort();
    assert!(request.await.is_err_and(|error| error.is_cancelled()));
    assert!(told(&b).is_empty());
    gate.notify_one();
    until(|| !told(&b).is_empty()).await;
    assert_eq!(told(&b), [keys([b"k"])]);
}

#[tokio::test]
async fn a_whole_group_is_removed_by_its_name_alone() {
    let (b, c) = (peer("http://b:1", true), peer("http://c:1", true));
    let scores = group("scores", &[b.clone(), c.clone()]);
    let users = group("users", std::slice::from_ref(&b));
    for group in [&scores, &users] {
        group.get("Tom").await.unwrap();
        group.get("").await.unwrap();
    }
    let client = client([scores.clone(), users.clone()]);
    let empty = client.send("DELETE", "/v1/scores/", "").await;
    assert_eq!((empty.status, empty.text()), (200, ALL));
    assert!(scores.cached("").is_none() && scores.cached("Tom").is_some());
    let answer = client.send("DELETE", "/v1/scores", "").await;
    assert_eq!((answer.status, answer.text()), (200, ALL));
    assert!(scores.cached("Tom").is_none() && users.cached("Tom").is_some());
    let whole = ("scores".to_owned(), Scope::Group);
    assert_eq!(told(&b), [keys([b""]), whole.clone()]);
    assert_eq!(told(&c), [keys([b""]), whole]);
}

#[tokio::test]
async fn many_keys_are_removed_in_one_message_to_each_node() {
    let b = peer("http://b:1", true);
    let scores = group("scores", std::slice::from_ref(&b));
    for key in ["Tom", "Jack", "Sam"] {
        scores.get(key).await.unwrap();
    }
    let client = client([scores.clone()]);
    let body = json!({"keys": ["Tom", "Jack"]});
    let answer = client.post("/v1/scores/remove", &body).await;
    let all = r#"{"removed":["http://a:1","http://b:1"],"missed":[]}"#;
    assert_eq!((answer.status, answer.text()), (200, all));
    assert!(scores.cached("Tom").is_none() && scores.cached("Jack").is_none());
    assert!(scores.cached("Sam").is_some());
    let body = json!({"keys64": [base64(b"\xFF/")]});
    let answer = client.post("/v1/scores/remove", &body).await;
    assert_eq!((answer.status, answer.text()), (200, all));
    let both: [&[u8]; 2] = [b"Tom", b"Jack"];
    assert_eq!(told(&b), [keys(both), keys([b"\xFF/"])]);
    let none = client.post("/v1/scores/remove", &json!({"keys": []})).await;
    let nobody = r#"{"removed":[],"missed":[]}"#;
    assert_eq!((none.status, none.text()), (200, nobody));
    assert_eq!(told(&b).len(), 2, "there was nothing to tell");

    let lost = group("scores", &[peer("http://c:1", false)]);
    let body = json!({"keys": ["Tom"]});
    let answer = crate::cluster::client([lost])
        .post("/v1/scores/remove", &body)
        .await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["missed"][0]["node"], "http://c:1");
}

#[tokio::test]
async fn a_list_of_keys_that_cannot_be_used_removes_nothing() {
    let scores = group("scores", &[]);
    scores.get("Tom").await.unwrap();
    let client = client([scores.clone()]);
    let long = "k".repeat(65);
    for (body, status, part) in [
        (json!({}), 400, "exactly one of the fields"),
        (json!({"keys64": ["%"]}), 400, "keys64[0] is not base64"),
        (
            json!({"keys": vec!["Tom"; 1001]}),
            400,
            "over the limit of 1000",
        ),
        (
            json!({"keys": ["Tom", long]}),
            414,
            "65 bytes is over the limit of 64",
        ),
        (
            json!({"keys": ["x".repeat(2 << 20)]}),
            413,
            "the body is over the limit",
        ),
    ] {
        let answer = client.post("/v1/scores/remove", &body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert!(scores.cached("Tom").is_some());
}

#[tokio::test]
async fn a_key_that_is_called_remove_is_a_key() {
    let b = peer("http://b:1", true);
    let scores = group("scores", std::slice::from_ref(&b));
    let client = client([scores.clone()]);
    let put = client.send("PUT", "/v1/scores/remove", "1").await;
    assert_eq!(
        (put.status, scores.get("remove").await.unwrap()),
        (200, "1".into())
    );
    let removed = client.send("DELETE", "/v1/scores/remove", "").await;
    assert_eq!(removed.status, 200);
    assert_eq!(told(&b), [keys([b"remove"]), keys([b"remove"])]);
    assert!(scores.cached("remove").is_none());
}
