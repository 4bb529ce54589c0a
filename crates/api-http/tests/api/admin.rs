//! The admin endpoints that report on the node.

use std::time::Duration;

use gaggle_api_http::Readiness;
use gaggle_group::{FollowState, FollowStats};
use serde_json::json;

use crate::cluster::{SELF, client, client_with, group, peer, until};

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
async fn metrics_are_the_older_page_for_those_who_accept_only_that() {
    let openmetrics = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
    for (accept, kind) in [
        ("*/*", "text/x-metrics"),
        (openmetrics, "text/x-metrics"),
        ("application/json", "text/x-metrics"),
        ("text/plain", "text/plain; version=0.0.4"),
        (
            "Text/Plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain; version=0.0.4",
        ),
    ] {
        let answer = client([]).get_with("/metrics", &[("accept", accept)]).await;
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        assert_eq!(answer.text().ends_with("# EOF\n"), kind == "text/x-metrics");
        assert_eq!(answer.header("vary"), Some("accept"));
    }
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
            {"name": SELF, "address": SELF, "up": true, "self": true, "requests": {"ok": 0, "not_found": 0, "error": 0}},
            {"name": "http://b:1", "address": "http://b:1", "up": true, "self": false, "requests": asked},
            {"name": "http://c:1", "address": "http://c:1", "up": false, "self": false, "requests": asked},
        ],
        "disagreements": [],
    });
    assert_eq!(status["ring"], expected);
    let scores = &status["groups"]["scores"];
    for (counter, value) in [
        ("gets_total", json!(3)),
        ("hits_total", json!({"main": 1, "hot": 0, "absent": 0})),
        ("loads_collapsed_total", json!(0)),
        ("loads_in_flight", json!(0)),
        ("server_requests_total", json!(0)),
        ("shed_total", json!(0)),
        ("cache_entries", json!({"main": 1, "hot": 0, "absent": 0})),
        ("cache_limit_bytes", json!(64 << 20)),
        ("stale_revalidating", json!(0)),
        ("stale_failed_over", json!(0)),
        ("refreshes", json!(0)),
        ("not_modified", json!(0)),
        ("removals", json!(0)),
        ("taken_over", json!(0)),
        ("hedges", json!(0)),
        ("unvouched_drops", json!(0)),
        (
            "warmed_total",
            json!({"loaded": 0, "absent": 0, "failed": 0, "skipped": 0}),
        ),
        ("origin_batches", json!(0)),
        ("origin_batched", json!(0)),
        ("follow", json!(null)),
        ("contacts", json!([])),
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
async fn status_tells_what_follows_the_source() {
    let scores = group("scores", &[]);
    scores.set_follow_stats(|| {
        let mut stats = FollowStats::default();
        stats.state = FollowState::Failing;
        stats.lag = Some(Duration::from_millis(250));
        stats.failures = 3;
        stats
    });
    let status = client([scores]).get("/status").await.json();
    let expected = json!({
        "state": "failing", "lag_seconds": 0.25, "behind_bytes": null, "changes": 0,
        "keys_removed": 0, "values_put": 0, "group_removals": 0, "failures": 3,
    });
    assert_eq!(status["groups"]["scores"]["follow"], expected);
}

#[tokio::test(start_paused = true)]
async fn status_tells_when_each_other_node_was_last_heard() {
    let scores = group(
        "scores",
        &[peer("http://b:1", true), peer("http://c:1", false)],
    );
    let following = tokio::spawn({
        let scores = scores.clone();
        async move { scores.follow().await }
    });
    until(|| {
        scores
            .contacts()
            .iter()
            .any(|contact| contact.heard.is_some())
    })
    .await;
    following.abort();
    let status = client([scores]).get("/status").await.json();
    let expected = json!([
        {"node": "http://b:1", "heard_seconds": 0.0},
        {"node": "http://c:1", "heard_seconds": null},
    ]);
    assert_eq!(status["groups"]["scores"]["contacts"], expected);
}

#[tokio::test]
async fn owner_names_the_node_that_a_key_belongs_to() {
    let scores = group("scores", &[peer("http://b:1", false)]);
    let one = client([scores.clone()]);
    for (target, body) in [
        (
            "/owner?group=scores&key=Tom",
            r#"{"owner":"http://a:1","name":"http://a:1","self":true}"#,
        ),
        (
            "/owner?key=b+1",
            r#"{"owner":"http://b:1","name":"http://b:1","self":false}"#,
        ),
        (
            "/owner?key=%62",
            r#"{"owner":"http://b:1","name":"http://b:1","self":false}"#,
        ),
        (
            "/owner?key=",
            r#"{"owner":"http://a:1","name":"http://a:1","self":true}"#,
        ),
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
async fn what_is_not_an_admin_request_is_refused() {
    let client = client([group("scores", &[])]);
    let long = format!("/v1/scores/{}", "k".repeat(65));
    for (method, target, status, allow) in [
        ("POST", "/livez", 405, Some("GET, HEAD")),
        ("DELETE", "/status", 405, Some("GET, HEAD")),
        ("GET", "/v1/scores/Tom", 405, Some("DELETE, PUT")),
        ("POST", "/v1/scores/Tom", 405, Some("DELETE, PUT")),
        ("GET", "/v1/scores/remove", 405, Some("DELETE, POST, PUT")),
        ("GET", "/v1/scores", 405, Some("DELETE")),
        ("PUT", "/v1/scores", 405, Some("DELETE")),
        ("DELETE", "/v1/nosuch/Tom", 404, None),
        ("DELETE", "/v1/nosuch", 404, None),
        ("PUT", "/v1/nosuch/Tom", 404, None),
        ("POST", "/v1/nosuch/remove", 404, None),
        ("PUT", "/v1/scores/%F", 400, None),
        ("PUT", &long, 414, None),
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
