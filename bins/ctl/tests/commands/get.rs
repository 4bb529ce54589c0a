//! `get`: exact bytes, and answers that are not values.

use std::ffi::OsStr;

use crate::harness::{Script, command, ctl, raw, run};

#[tokio::test]
async fn get_prints_exactly_the_value() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let node = Script::default()
        .on("GET /api?key=Tom", 200, "630")
        .on("GET /api?key=bytes&group=scores", 200, every_byte.clone())
        .on("GET /api?key=empty", 200, "")
        .play()
        .await;
    let tom = ctl(&["get", "--api-addr", &node, "Tom"]).await;
    assert_eq!((tom.code, tom.text(), tom.stderr.as_str()), (0, "630", ""));
    let bytes = ctl(&["get", "--api-addr", &node, "--group", "scores", "bytes"]).await;
    assert_eq!((bytes.code, bytes.stdout), (0, every_byte));
    let empty = ctl(&["get", "--api-addr", &node, "empty"]).await;
    assert_eq!((empty.code, empty.text()), (0, ""));
}

#[tokio::test]
async fn keys_of_any_bytes_reach_the_node_as_they_are() {
    let node = Script::default()
        .on("GET /api?key=", 200, "empty")
        .on("GET /api?key=..", 200, "dots")
        .on(
            "GET /api?key=a%20b%2B%2F%3F%26%3D%25%23%27",
            200,
            "reserved",
        )
        .on("GET /api?key=%E5%BC%A0%E4%B8%89&group=a%2Fb", 200, "utf-8")
        .on("GET /api?key=%FF%00%0A", 200, "binary")
        .on("GET /api?key=-x", 200, "dash")
        .play()
        .await;
    let cases: [(&[&str], &str); 9] = [
        (&[""], "empty"),
        (&[".."], "dots"),
        (&["a b+/?&=%#'"], "reserved"),
        (&["--group", "a/b", "张三"], "utf-8"),
        (&["--key-encoding", "hex", "ff000A"], "binary"),
        (&["--key-encoding", "base64", "/wAK"], "binary"),
        (&["--key-encoding", "base64", "LXg="], "dash"),
        (&["--key-encoding", "base64", "LXg"], "dash"),
        (&["--", "-x"], "dash"),
    ];
    for (args, value) in cases {
        let got = run(command(["get", "--api-addr", &node]).args(args)).await;
        assert_eq!(
            (got.code, got.text()),
            (0, value),
            "{args:?}: {}",
            got.stderr
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let mut raw = command(["get", "--api-addr", &node]);
        let got = run(raw.arg(OsStr::from_bytes(b"\xFF\x0a"))).await;
        assert!(
            got.stderr.contains("unexpected: GET /api?key=%FF%0A"),
            "{}",
            got.stderr
        );
    }
}

#[tokio::test]
async fn metadata_of_the_answer_stays_off_stdout() {
    let headers = [
        ("cache-status", "gaggle; hit; detail=main"),
        ("x-other", "1"),
    ];
    let node = Script::default()
        .with_headers("GET /api?key=Tom", 200, &headers, "630")
        .play()
        .await;
    let verbose = ctl(&["--verbose", "get", "--api-addr", &node, "Tom"]).await;
    assert_eq!((verbose.code, verbose.text()), (0, "630"));
    assert_eq!(verbose.stderr, "Cache-Status: gaggle; hit; detail=main\n");
    let all = ctl(&["get", "--api-addr", &node, "Tom", "--headers"]).await;
    assert_eq!((all.code, all.text()), (0, "630"));
    assert!(all.stderr.starts_with("200 OK\n"), "{}", all.stderr);
    assert!(
        all.stderr.contains("\ncontent-length: 3\n"),
        "{}",
        all.stderr
    );
    assert!(all.stderr.contains("\nx-other: 1\n"), "{}", all.stderr);
}

#[tokio::test]
async fn unknown_keys_refused_requests_and_failures_have_different_exit_codes() {
    let long = "k".repeat(1024);
    let node = Script::default()
        .on("GET /api?key=Nobody", 404, "Nobody not found")
        .on(
            &format!("GET /api?key={long}"),
            404,
            format!("{long} not found"),
        )
        .on(
            "GET /api?key=Tom&group=nosuch",
            404,
            "no such group: nosuch",
        )
        .on("GET /api?key=page", 404, "<html>\nnothing here</html>")
        .on("GET /api?key=bare", 404, "")
        .on(
            "GET /api?key=two",
            400,
            "the parameter group is missing: this node has 2 groups",
        )
        .on(
            "GET /api?key=long",
            414,
            "group scores: a key of 65 bytes is over the limit of 64",
        )
        .on(
            "GET /api?key=fails",
            502,
            "group scores: the origin failed: \x1b[2Jdown",
        )
        .on(
            "GET /api?key=late",
            504,
            "group scores: no answer within 5s",
        )
        .with_headers(
            "GET /api?key=away",
            302,
            &[("location", "/api?key=Tom")],
            "",
        )
        .on("GET /api?key=Tom", 200, "630")
        .play()
        .await;
    let cases: [(&[&str], i32, &str); 10] = [
        (&["Nobody"], 1, "Nobody not found"),
        (&[&long], 1, "kkk…"),
        (&["--group", "nosuch", "Tom"], 2, "no such group: nosuch"),
        (
            &["page"],
            3,
            "answered 404 Not Found: <html>\\nnothing here</html>",
        ),
        (&["bare"], 3, "answered 404 Not Found"),
        (&["two"], 2, "this node has 2 groups"),
        (&["long"], 2, "over the limit of 64"),
        (
            &["fails"],
            3,
            "answered 502 Bad Gateway: group scores: the origin failed: \\u{1b}[2Jdown",
        ),
        (
            &["late"],
            3,
            "answered 504 Gateway Timeout: group scores: no answer within 5s",
        ),
        (&["away"], 3, "answered 302"),
    ];
    for (args, code, line) in cases {
        run(command(["get", "--api-addr", &node]).args(args))
            .await
            .assert_fails(code, &[&node, line]);
    }
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let node = Script::default()
        .on("GET /api?key=k", 200, vec![b'x'; 1025])
        .play()
        .await;
    let over = ctl(&["get", "--api-addr", &node, "--max-value", "1KiB", "k"]).await;
    over.assert_fails(3, &[&node, "over the limit of 1024 bytes"]);
    let at = ctl(&["get", "--api-addr", &node, "--max-value", "1025", "k"]).await;
    assert_eq!((at.code, at.stdout.len()), (0, 1025));
}

#[tokio::test]
async fn half_a_value_is_no_value() {
    let node = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n630", true).await;
    ctl(&["get", "--api-addr", &node, "Tom"])
        .await
        .assert_fails(3, &[&node, "the connection broke"]);
    let node = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n630", false).await;
    let get = ctl(&["get", "--timeout", "100ms", "--api-addr", &node, "Tom"]).await;
    get.assert_fails(3, &[&node, "no whole answer within 100ms"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_that_cannot_be_written_is_a_failure_unless_the_reader_has_had_enough() {
    let node = Script::default()
        .on("GET /api?key=k", 200, vec![b'x'; 1 << 20])
        .play()
        .await;
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let failed = command(["get", "--api-addr", &node, "k"])
        .stdout(full)
        .status()
        .await
        .unwrap();
    assert_eq!(failed.code(), Some(3));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let enough = command(["get", "--api-addr", &node, "k"])
        .stdout(writer)
        .status()
        .await
        .unwrap();
    assert_eq!(enough.code(), Some(0));
}
