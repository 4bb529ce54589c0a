//! `owner` and `remove`: one node answers for the cluster.

use serde_json::json;

use crate::harness::{Script, command, ctl, refusing, run};

#[tokio::test]
async fn owner_prints_the_owner_and_asks_the_next_node_where_one_is_down() {
    let document = json!({"owner": "http://10.0.0.2:8001", "self": false});
    let node = Script::default()
        .json("GET /owner?key=a%2Fb&group=scores", 200, &document)
        .play()
        .await;
    let (_socket, refused) = refusing();
    let nodes = format!("{refused},{node}");
    let owner = ctl(&["owner", "--admin-addr", &nodes, "--group", "scores", "a/b"]).await;
    assert_eq!(
        (owner.code, owner.text()),
        (0, "http://10.0.0.2:8001\n"),
        "{}",
        owner.stderr
    );
    assert!(owner.stderr.contains(&refused), "{}", owner.stderr);
    let verbose = ctl(&[
        "owner",
        "-v",
        "--admin-addr",
        &node,
        "--group",
        "scores",
        "a/b",
    ])
    .await;
    assert_eq!(
        verbose.stderr,
        format!("gagglectl: {node}: this node does not own the key\n")
    );
    let garbage = Script::default()
        .on("GET /owner?key=Tom", 200, "{\"owner\":1}")
        .play()
        .await;
    let owner = ctl(&["owner", "--admin-addr", &garbage, "Tom"]).await;
    owner.assert_fails(3, &[&garbage, "not understood"]);
}

#[tokio::test]
async fn remove_names_the_nodes_that_removed_and_those_that_were_missed() {
    let all = json!({"removed": ["http://a:1", "http://b:1"], "missed": []});
    let some = json!({
        "removed": ["http://a:1"],
        "missed": [{"node": "http://b:1", "error": "connection\nrefused"}],
    });
    let node = Script::default()
        .json("DELETE /v1/scores/a%2F..%2Fb%FF", 200, &all)
        .json("DELETE /v1/scores/Tom", 502, &some)
        .on("DELETE /v1/scores/proxy", 502, "no upstream")
        .on("DELETE /v1/nosuch/Tom", 404, "no such group: nosuch")
        .play()
        .await;
    let remove = async |group: &str, args: &[&str]| {
        run(command(["remove", "--admin-addr", &node, "--group", group]).args(args)).await
    };
    let done = remove("scores", &["--key-encoding", "hex", "612f2e2e2f62ff"]).await;
    assert_eq!(
        (done.code, done.text()),
        (0, "removed http://a:1\nremoved http://b:1\n")
    );
    let missed = remove("scores", &["Tom"]).await;
    let lines = "removed http://a:1\nmissed  http://b:1: connection\\nrefused\n";
    assert_eq!((missed.code, missed.text()), (1, lines));
    remove("scores", &["proxy"])
        .await
        .assert_fails(3, &[&node, "answered 502 Bad Gateway: no upstream"]);
    remove("nosuch", &["Tom"])
        .await
        .assert_fails(2, &[&node, "no such group: nosuch"]);
    for dots in [".", ".."] {
        remove("scores", &[dots])
            .await
            .assert_fails(2, &["cannot be written as part of a URL's path"]);
    }
}

#[tokio::test]
async fn remove_finds_the_only_group_by_itself_and_asks_where_there_are_more() {
    let one = Script::default()
        .json("GET /status", 200, &json!({"groups": {"my scores": {}}}))
        .json(
            "DELETE /v1/my%20scores/Tom",
            200,
            &json!({"removed": ["http://a:1"], "missed": []}),
        )
        .play()
        .await;
    let removed = ctl(&["remove", "--admin-addr", &one, "Tom"]).await;
    assert_eq!(
        (removed.code, removed.text()),
        (0, "removed http://a:1\n"),
        "{}",
        removed.stderr
    );
    let two = json!({"groups": {"scores": {}, "users": {}}});
    let two = Script::default()
        .json("GET /status", 200, &two)
        .play()
        .await;
    let refused = ctl(&["remove", "--admin-addr", &two, "Tom"]).await;
    refused.assert_fails(2, &[&two, "2 groups (scores, users)", "--group"]);
}
