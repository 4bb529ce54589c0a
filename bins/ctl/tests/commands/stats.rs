//! `stats`: the table, the document and the sums.

use serde_json::{Value, json};

use crate::harness::{Script, ctl, refusing};

fn counters(gets: u64, hits: u64) -> Value {
    json!({
        "gets_total": gets,
        "hits_total": {"main": hits - hits.min(1), "hot": 1, "absent": hits.min(1)},
        "loads_total": {
            "origin": {"ok": 5, "not_found": 2, "error": 1},
            "peer": {"ok": 4, "not_found": 0, "error": 3},
        },
        "loads_in_flight": 2,
        "cache_bytes": {"main": 1536, "hot": 512},
        "cache_entries": {"main": 10, "hot": 3},
        "cache_limit_bytes": 67_108_864,
        "a_counter_of_a_later_release": [],
    })
}

fn status(node: &str, groups: &Value) -> Value {
    json!({"node": node, "version": "0.1.0", "ring": {"members": [node], "hash": "1f"}, "groups": groups})
}

#[tokio::test]
async fn stats_are_a_table_by_group_and_node_with_the_sums() {
    let a = status(
        "http://a:1",
        &json!({"scores": counters(100, 49), "users": counters(0, 0)}),
    );
    let b = status("http://b:1", &json!({"scores": counters(300, 250)}));
    let a = Script::default().json("GET /status", 200, &a).play().await;
    let b = Script::default().json("GET /status", 200, &b).play().await;
    let nodes = format!("{a},{b},{a}");
    let stats = ctl(&["stats", "--admin-addr", &nodes]).await;
    let expected = "\
GROUP   NODE        GETS   HITS  ORIGIN  PEER  ERRORS  ENTRIES    BYTES      LIMIT  IN FLIGHT
scores  http://a:1   100  50.0%       8     7       4       13  2.0 KiB   64.0 MiB          2
scores  http://b:1   300  83.6%       8     7       4       13  2.0 KiB   64.0 MiB          2
scores  total        400  75.2%      16    14       8       26  4.0 KiB  128.0 MiB          4
users   http://a:1     0      -       8     7       4       13  2.0 KiB   64.0 MiB          2
users   total          0      -       8     7       4       13  2.0 KiB   64.0 MiB          2
";
    assert_eq!(
        (stats.code, stats.text(), stats.stderr.as_str()),
        (0, expected, "")
    );
    let one = ctl(&["stats", "--admin-addr", &b]).await;
    assert_eq!(
        (one.code, one.text().lines().count()),
        (0, 2),
        "one node needs no sums"
    );
}

#[tokio::test]
async fn stats_of_a_part_of_the_cluster_say_which_part_is_missing() {
    let document = status("http://a:1", &json!({"scores": counters(100, 49)}));
    let node = Script::default()
        .json("GET /status", 200, &document)
        .play()
        .await;
    let (_socket, refused) = refusing();
    let nodes = format!("{refused},{node}");
    let table = ctl(&["stats", "--admin-addr", &nodes]).await;
    assert_eq!((table.code, table.text().lines().count()), (1, 2));
    assert!(table.stderr.contains(&refused), "{}", table.stderr);
    let json = ctl(&["stats", "--json", "--admin-addr", &nodes]).await;
    assert_eq!(json.code, 1);
    let report = json.json();
    assert_eq!(
        report["nodes"],
        json!([{"addr": node, "status": document}]),
        "all that the node said"
    );
    assert_eq!(report["missed"][0]["addr"], refused.as_str());
    assert_eq!(
        report["totals"]["scores"]["hits_total"],
        json!({"main": 48, "hot": 1, "absent": 1})
    );
}

#[tokio::test]
async fn a_status_without_its_counters_is_not_taken_for_zeros() {
    let document = status("http://a:1", &json!({"scores": {"gets_total": 1}}));
    let node = Script::default()
        .json("GET /status", 200, &document)
        .play()
        .await;
    ctl(&["stats", "--admin-addr", &node])
        .await
        .assert_fails(3, &[&node, "missing field"]);
}

#[tokio::test]
async fn stats_of_one_group_are_of_that_group_alone() {
    let groups = json!({"scores": counters(100, 49), "users": counters(7, 0)});
    let document = status("http://a:1", &groups);
    let node = Script::default()
        .json("GET /status", 200, &document)
        .play()
        .await;
    let args = ["stats", "--admin-addr", &node, "--group"];
    let table = ctl(&[&args[..], &["users"]].concat()).await;
    assert_eq!((table.code, table.text().lines().count()), (0, 2));
    let lines: Vec<&str> = table.text().lines().collect();
    assert!(
        lines[1].starts_with("users  http://a:1     7"),
        "{}",
        lines[1]
    );
    let json = ctl(&[&args[..], &["users", "--json"]].concat())
        .await
        .json();
    assert_eq!(
        json["nodes"][0]["status"]["groups"],
        json!({"users": counters(7, 0)})
    );
    assert_eq!(json["nodes"][0]["status"]["version"], "0.1.0");
    let totals = json["totals"].as_object().unwrap();
    assert_eq!(totals.keys().collect::<Vec<_>>(), ["users"]);
    let unknown = ctl(&[&args[..], &["nobody"]].concat()).await;
    unknown.assert_fails(2, &["no such group: nobody"]);
}
