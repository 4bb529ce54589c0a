//! `put`: one node gives the value to the key's owner.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Run, Script, command, ctl, refusing, run};

/// Runs a command with these bytes on its standard input.
async fn fed(args: &[&str], input: &[u8]) -> Run {
    let mut command = command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_value_comes_from_the_line_a_file_or_standard_input() {
    let all = json!({"removed": ["http://a:1", "http://b:1"], "missed": []});
    let node = Script::default()
        .json("PUT /v1/scores/a%2Fb 631", 200, &all)
        .json("PUT /v1/scores/empty", 200, &all)
        .json("PUT /v1/scores/dash -1", 200, &all)
        .json("PUT /v1/scores/Tom [max-age=90] line\nline\n", 200, &all)
        .play()
        .await;
    let put = ["put", "--admin-addr", &node, "--group", "scores"];
    let with = |args: &[&'static str]| [&put[..], args].concat();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("put-{}", std::process::id()));
    std::fs::write(&file, "line\nline\n").unwrap();
    let mut from_file = command(with(&["Tom", "--max-age", "1m 30s", "--file"]));
    let from_file = run(from_file.arg(&file)).await;
    std::fs::remove_file(&file).unwrap();
    for done in [
        from_file,
        ctl(&with(&["a/b", "631"])).await,
        ctl(&with(&["empty", ""])).await,
        ctl(&with(&["--", "dash", "-1"])).await,
        fed(&with(&["a/b", "-"]), b"631").await,
        fed(&with(&["--max-age=90s", "Tom", "-"]), b"line\nline\n").await,
    ] {
        let lines = "reached http://a:1\nreached http://b:1\n";
        assert_eq!((done.code, done.text()), (0, lines), "{}", done.stderr);
    }
}

#[tokio::test]
async fn put_finds_the_only_group_and_a_node_that_answers() {
    let some = json!({
        "removed": ["http://a:1"],
        "missed": [{"node": "http://b:1", "error": "refused"}],
    });
    let node = Script::default()
        .json("GET /status", 200, &json!({"groups": {"scores": {}}}))
        .json("PUT /v1/scores/Tom 631", 502, &some)
        .play()
        .await;
    let (_socket, refused) = refusing();
    let nodes = format!("{refused},{node}");
    let put = ctl(&["put", "--admin-addr", &nodes, "Tom", "631"]).await;
    let lines = "reached http://a:1\nmissed  http://b:1: refused\n";
    assert_eq!((put.code, put.text()), (1, lines));
    assert!(put.stderr.contains(&refused), "{}", put.stderr);
}

#[tokio::test]
async fn refusals_and_failures_have_different_exit_codes() {
    let node = Script::default()
        .on(
            "PUT /v1/scores/large 631",
            413,
            "a value of 3 bytes is over the limit of 2",
        )
        .on(
            "PUT /v1/scores/long 631",
            414,
            "a key of 4 bytes is over the limit of 3",
        )
        .on(
            "PUT /v1/scores/lost 631",
            502,
            "group scores: peer http://b:1: refused",
        )
        .play()
        .await;
    let cases: [(&[&str], i32, &str); 9] = [
        (&["large", "631"], 2, "3 bytes is over the limit of 2"),
        (&["long", "631"], 2, "4 bytes is over the limit of 3"),
        (
            &["lost", "631"],
            3,
            "answered 502 Bad Gateway: group scores",
        ),
        (
            &["..", "631"],
            2,
            "cannot be written as part of a URL's path",
        ),
        (&["Tom", "--file", "/no/such/file"], 2, "/no/such/file: "),
        (&["Tom"], 2, "--file"),
        (&["Tom", "631", "--file", "f"], 2, "cannot be used with"),
        (&["Tom", "631", "--max-age", "1500ms"], 2, "whole seconds"),
        (&["Tom", "631", "--max-age", "0s"], 2, "more than 0"),
    ];
    let put = ["put", "--admin-addr", &node, "--group", "scores"];
    for (args, code, part) in cases {
        let failed = run(command(put).args(args)).await;
        assert_eq!((failed.code, failed.text()), (code, ""), "{args:?}");
        assert!(failed.stderr.contains(part), "{args:?}: {}", failed.stderr);
    }
    let args = [&put[..], &["--max-value", "2B", "Tom", "-"]].concat();
    let over = fed(&args, b"631").await;
    over.assert_fails(
        2,
        &["standard input: the value is over the limit of 2 bytes"],
    );
}
