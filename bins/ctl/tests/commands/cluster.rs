//! `cluster`: every node, found from one.

use serde_json::{Value, json};

use crate::harness::{Script, ctl, refusing};

fn node(name: &str, is_self: bool, hash: &str, members: &Value) -> Value {
    let counters = |gets: u64, hits: u64| {
        json!({"gets": gets, "hits": hits, "client_gets": gets, "client_hits": hits,
            "bytes": 1024, "limit_bytes": 67_108_864, "entries": 5, "loads_in_flight": 0})
    };
    json!({"name": name, "address": format!("http://{name}:8001"), "self": is_self,
        "reached": true, "error": null, "rtt_seconds": if is_self { Value::Null } else { json!(0.0015) },
        "status": {"version": "0.1.0", "state": "serving", "generation": 1,
            "uptime_seconds": 3725.0, "admin": null, "ring": {"hash": hash, "members": members},
            "groups": {"scores": counters(100, 75), "users": counters(100, 50)},
            "a_field_of_a_later_release": {}}})
}

fn down(name: &str) -> Value {
    json!({"name": name, "address": format!("http://{name}:8001"), "self": false, "reached": false,
        "error": "connection refused", "rtt_seconds": null, "status": null})
}

async fn play(nodes: &Value) -> String {
    let document = json!({"node": "gaggle-0", "nodes": nodes});
    let script = Script::default().json("GET /cluster", 200, &document);
    script.play().await
}

fn members(is_up: bool) -> Value {
    json!([{"name": "gaggle-0", "up": true}, {"name": "gaggle-1", "up": is_up}])
}

#[tokio::test]
async fn one_node_reports_all() {
    let ring = "0123456789abcdef";
    let nodes = json!([
        node("gaggle-0", true, ring, &members(true)),
        node("gaggle-1", false, ring, &members(true)),
    ]);
    let addr = play(&nodes).await;
    let (_socket, refused) = refusing();
    let all = format!("{refused},{addr}");
    let cluster = ctl(&["cluster", "--admin-addr", &all]).await;
    let expected = "\
NODE       ADDRESS               STATE    VERSION  RING      UPTIME     RTT  GETS   HITS  ENTRIES    BYTES
gaggle-0*  http://gaggle-0:8001  serving  0.1.0    01234567   1h02m       -   200  62.5%       10  2.0 KiB
gaggle-1   http://gaggle-1:8001  serving  0.1.0    01234567   1h02m  1.5 ms   200  62.5%       10  2.0 KiB
";
    assert_eq!((cluster.code, cluster.text()), (0, expected));
    assert!(cluster.stderr.contains(&refused), "{}", cluster.stderr);
    let json = ctl(&["cluster", "--json", "--admin-addr", &addr]).await;
    assert_eq!(json.code, 0);
    assert_eq!(json.json(), json!({"node": "gaggle-0", "nodes": nodes}));
}

#[tokio::test]
async fn a_node_that_is_down_and_rings_that_differ_are_reported() {
    let nodes = json!([
        node("gaggle-0", true, "aaaaaaaaaaaa", &members(false)),
        down("gaggle-1"),
    ]);
    let addr = play(&nodes).await;
    let cluster = ctl(&["cluster", "--admin-addr", &addr]).await;
    assert_eq!(cluster.code, 1);
    let text = cluster.text();
    assert!(text.contains("serving (sees gaggle-1 down)"), "{text}");
    assert!(text.contains("http://gaggle-1:8001  DOWN"), "{text}");
    assert_eq!(
        cluster.stderr,
        "gagglectl: gaggle-1 (http://gaggle-1:8001) did not answer gaggle-0: connection refused\n"
    );

    let nodes = json!([
        node("gaggle-0", true, "aaaaaaaaaaaa", &members(true)),
        node("gaggle-1", false, "bbbbbbbbbbbb", &members(true)),
    ]);
    let addr = play(&nodes).await;
    let cluster = ctl(&["cluster", "--json", "--admin-addr", &addr]).await;
    assert_eq!(cluster.code, 1);
    assert!(
        cluster.stderr.contains("the same ring"),
        "{}",
        cluster.stderr
    );
}

#[tokio::test]
async fn a_node_of_an_earlier_release_is_distinguished_from_one_that_fails() {
    let status = json!({"node": "http://a:1", "version": "0.0.9", "groups": {}});
    let node = Script::default()
        .on("GET /cluster", 404, "no such path")
        .json("GET /status", 200, &status)
        .play()
        .await;
    for command in [&["cluster"][..], &["cluster", "--json"]] {
        let run = ctl(&[command, &["--admin-addr", &node]].concat()).await;
        run.assert_fails(
            3,
            &[&format!(
                "{node}: this node has no /cluster: its release 0.0.9 is too old"
            )],
        );
    }
    let failing = Script::default()
        .on("GET /cluster", 500, "broken")
        .play()
        .await;
    let run = ctl(&["cluster", "--admin-addr", &failing]).await;
    run.assert_fails(3, &["answered 500 Internal Server Error: broken"]);
    let garbled = Script::default().on("GET /cluster", 200, "{}").play().await;
    let run = ctl(&["cluster", "--admin-addr", &garbled]).await;
    run.assert_fails(3, &["the answer is not understood"]);
}

#[tokio::test]
async fn top_needs_a_terminal_and_says_what_to_use_without_one() {
    let addr = play(&json!([])).await;
    let top = ctl(&["top", "--admin-addr", &addr]).await;
    top.assert_fails(2, &["a terminal", "gagglectl cluster --json"]);
    for every in ["100ms", "2m", "0s"] {
        let top = ctl(&["top", "--every", every, "--admin-addr", &addr]).await;
        assert_eq!(top.code, 2, "{every}: {}", top.stderr);
    }
}
