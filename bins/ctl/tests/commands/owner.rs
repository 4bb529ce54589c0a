//! `owner`: one node answers for the cluster.

use serde_json::json;

use crate::harness::{Script, ctl, refusing};

#[tokio::test]
async fn owner_prints_the_owner_and_asks_the_next_node_if_one_is_down() {
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
