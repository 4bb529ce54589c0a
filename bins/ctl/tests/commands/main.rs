//! The real binary against nodes that answer by a script. The tests compare requests, output and
//! exit codes exactly.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;

use crate::harness::{Script, command, ctl, raw, refusing, run};

mod access;
mod bench;
mod bench_node;
mod bench_origin;
mod cluster;
mod generate;
mod get;
mod harness;
mod owner;
mod put;
mod remove;
mod stats;

#[tokio::test]
async fn a_node_that_does_not_answer_is_named_and_the_key_is_not() {
    let (_socket, refused) = refusing();
    let key = "secret-key";
    let get = ctl(&["get", "--api-addr", &refused, key]).await;
    get.assert_fails(3, &[&format!("{refused}: cannot be reached: ")]);
    assert!(!get.stderr.contains(key));
    for subcommand in ["owner", "remove"] {
        let args = [
            subcommand,
            "--admin-addr",
            &refused,
            "--group",
            "scores",
            key,
        ];
        let run = ctl(&args).await;
        run.assert_fails(3, &[&format!("{refused}: cannot be reached: ")]);
        assert!(!run.stderr.contains(key));
    }
    let stats = ctl(&["stats", "--admin-addr", &refused]).await;
    stats.assert_fails(3, &[&format!("{refused}: cannot be reached: ")]);

    let silent = raw(b"", false).await;
    let get = ctl(&["get", "--timeout", "100ms", "--api-addr", &silent, key]).await;
    get.assert_fails(3, &[&format!("{silent}: no whole answer within 100ms")]);
    assert!(!get.stderr.contains(key));
}

#[tokio::test]
async fn addresses_come_from_the_environment_unless_given() {
    let node = Script::default()
        .on("GET /api?key=Tom", 200, "630")
        .json(
            "GET /owner?key=Tom",
            200,
            &json!({"owner": "http://a:1", "self": true}),
        )
        .play()
        .await;
    let (_socket, refused) = refusing();
    let get = run(command(["get", "Tom"]).env("GAGGLECTL_API_ADDR", &node)).await;
    assert_eq!((get.code, get.text()), (0, "630"));
    let mut over = command(["get", "--api-addr", &node, "Tom"]);
    assert_eq!(run(over.env("GAGGLECTL_API_ADDR", &refused)).await.code, 0);
    // A node's own variables may be set in the same environment and say where it listens. This
    // program ignores them.
    let mut beside = command(["get", "--api-addr", &node, "Tom"]);
    assert_eq!(run(beside.env("GAGGLE_API_ADDR", "x")).await.code, 0);
    // A node may listen on all addresses.
    let any = node.replace("127.0.0.1", "0.0.0.0");
    let owner = run(command(["owner", "Tom"]).env("GAGGLECTL_ADMIN_ADDR", &any)).await;
    assert_eq!(
        (owner.code, owner.text()),
        (0, "http://a:1\n"),
        "{}",
        owner.stderr
    );
}

#[tokio::test]
async fn an_unusable_command_line_exits_with_2() {
    let lines: [&[&str]; 12] = [
        &[],
        &["get"],
        &["fetch", "Tom"],
        &["get", "--api-addr", "ftp://127.0.0.1:9999", "Tom"],
        &["get", "--api-addr", "https://127.0.0.1", "Tom"],
        &["get", "--cert", "a.pem", "Tom"],
        &["get", "--key", "a.pem", "Tom"],
        &["get", "--key-encoding", "hex", "abc"],
        &["get", "--timeout", "0s", "Tom"],
        &["get", "--max-value", "64MiBs", "Tom"],
        &["owner", "--admin-addr", "127.0.0.1", "Tom"],
        &["stats", "--admin-addr", "127.0.0.1:9990,"],
    ];
    for args in lines {
        let run = ctl(args).await;
        assert_eq!((run.code, run.text()), (2, ""), "{args:?}: {}", run.stderr);
    }
    let help = ctl(&["--help"]).await;
    assert_eq!(help.code, 0);
    assert!(
        help.text().contains("Exit codes: 0 done"),
        "{}",
        help.text()
    );
}
