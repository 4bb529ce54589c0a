//! `remove`: one node makes all nodes remove the keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Script, command, ctl, refusing, run};

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
        remove(dots, &["Tom"])
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

/// A list of keys, as it is sent.
fn list(keys: &[impl AsRef<[u8]>]) -> String {
    let keys64: Vec<_> = keys.iter().map(|key| STANDARD.encode(key)).collect();
    json!({ "keys64": keys64 }).to_string()
}

#[tokio::test]
async fn many_keys_are_one_request_and_so_is_a_key_without_a_path() {
    let all = json!({"removed": ["http://a:1"], "missed": []});
    let many = list(&[&b"Tom"[..], b"..", b"\xFF"]);
    let dots = list(&[".."]);
    let node = Script::default()
        .json(&format!("POST /v1/my%20scores/remove {many}"), 200, &all)
        .json(&format!("POST /v1/my%20scores/remove {dots}"), 200, &all)
        .json("GET /status", 200, &json!({"groups": {"my scores": {}}}))
        .play()
        .await;
    let (_socket, refused) = refusing();
    let nodes = format!("{refused},{node}");
    let args = ["remove", "--admin-addr", &nodes, "--key-encoding", "hex"];
    for keys in [&["546f6d", "2e2e", "ff"][..], &["2e2e"]] {
        let done = run(command(args).args(keys)).await;
        let line = "removed http://a:1\n";
        assert_eq!((done.code, done.text()), (0, line), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        assert!(done.stderr.contains(&refused), "{}", done.stderr);
    }
    let bad = run(command(args).args(["ff", "f"])).await;
    bad.assert_fails(2, &["the key is not hexadecimal"]);
}

#[tokio::test]
async fn more_keys_than_a_list_takes_are_several_and_a_node_missed_once_was_missed() {
    let keys: Vec<String> = (0..2001).map(|n| format!("key-{n}")).collect();
    let answer = |removed: &[&str], missed: &[(&str, &str)]| {
        let missed: Vec<_> = missed
            .iter()
            .map(|(node, error)| json!({"node": node, "error": error}))
            .collect();
        json!({"removed": removed, "missed": missed})
    };
    let (a, b, c) = ("http://a:1", "http://b:1", "http://c:1");
    let lists = keys.chunks(1000).map(list).collect::<Vec<_>>();
    let request = |n: usize| format!("POST /v1/scores/remove {}", lists[n]);
    let node = Script::default()
        .json(&request(0), 200, &answer(&[a, b, c], &[]))
        .json(&request(1), 502, &answer(&[a, c], &[(b, "refused")]))
        .json(
            "DELETE /v1/scores/key-2000",
            502,
            &answer(&[a, c], &[(b, "late")]),
        )
        .play()
        .await;
    let args = ["remove", "--admin-addr", &node, "--group", "scores"];
    let done = run(command(args).args(&keys)).await;
    let lines = "removed http://a:1\nremoved http://c:1\nmissed  http://b:1: refused\n";
    assert_eq!((done.code, done.text()), (1, lines), "{}", done.stderr);
    let refused = Script::default()
        .json(&request(0), 200, &answer(&[a], &[]))
        .on(&request(1), 414, "a key of 2000 bytes is over the limit")
        .play()
        .await;
    let args = ["remove", "--admin-addr", &refused, "--group", "scores"];
    let failed = run(command(args).args(&keys)).await;
    failed.assert_fails(2, &[&refused, "over the limit"]);
}

#[tokio::test]
async fn a_whole_group_is_removed_only_by_its_own_flag() {
    let all = json!({"removed": ["http://a:1"], "missed": []});
    let node = Script::default()
        .json("DELETE /v1/scores", 200, &all)
        .json("GET /status", 200, &json!({"groups": {"scores": {}}}))
        .play()
        .await;
    for group in [&["--group", "scores"][..], &[]] {
        let mut whole = command(["remove", "--admin-addr", &node, "--all"]);
        let done = run(whole.args(group)).await;
        let line = "removed http://a:1\n";
        assert_eq!((done.code, done.text()), (0, line), "{}", done.stderr);
    }
    for args in [&["--all", "Tom"][..], &[]] {
        let refused = run(command(["remove", "--admin-addr", &node]).args(args)).await;
        assert_eq!((refused.code, refused.text()), (2, ""), "{args:?}");
    }
}
