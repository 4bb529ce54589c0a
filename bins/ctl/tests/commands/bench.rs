//! `bench`: how many requests reach which node, and how it reports their results.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::bench_node::BenchNode;
use crate::harness::{Run, command, ctl, raw, refusing, run};

/// Without a warm-up, as JSON.
async fn bench(nodes: &str, args: &[&str]) -> Run {
    let mut command = command(["bench", "--json", "--warmup", "0s", "--api-addr", nodes]);
    run(command.args(args)).await
}

fn count(report: &Value, field: &str) -> u64 {
    report[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {report}"))
}

#[tokio::test]
async fn a_closed_loop_sends_each_node_its_share_of_exactly_the_requests() {
    let (a, b) = (BenchNode::play().await, BenchNode::play().await);
    let nodes = format!("{},{}", a.addr, b.addr);
    let args = ["--requests", "200", "--connections", "7", "--keys", "5"];
    let bench = bench(
        &nodes,
        &[&args[..], &["--key-prefix", "k/", "--group", "g&h"]].concat(),
    )
    .await;
    assert_eq!((bench.code, bench.stderr.as_str()), (0, ""));
    assert_eq!((a.requests(), b.requests()), (100, 100));
    for target in a.targets().iter().chain(&b.targets()) {
        let number = target
            .strip_prefix("/api?key=k%2F")
            .and_then(|rest| rest.strip_suffix("&group=g%26h"))
            .unwrap_or_else(|| panic!("{target}"));
        assert!(number.parse::<u32>().unwrap() < 5, "{target}");
    }

    let report = bench.json();
    assert_eq!(report["mode"], "closed");
    assert_eq!(report["rate"], Value::Null);
    assert_eq!(report["connections"], 7);
    assert_eq!(report["nodes"], json!([a.addr, b.addr]));
    assert_eq!(
        report["keys"],
        json!({"count": 5, "prefix": "k/", "zipf": null, "seed": 1})
    );
    assert_eq!(
        (count(&report, "requests"), count(&report, "ok")),
        (200, 200)
    );
    assert_eq!(count(&report, "errors"), 0);
    assert_eq!(report["errors_by_status"], json!({}));
    assert_eq!(
        count(&report, "body_bytes"),
        200 * 5,
        "each body is `value`"
    );
    for latencies in ["latency_us", "latency_ok_us"] {
        let at = |name: &str| count(&report[latencies], name);
        assert!(at("p50") <= at("p90") && at("p90") <= at("p99"), "{report}");
        assert!(at("p99") <= at("p99.9") && at("p99.9") <= at("max"));
    }
    assert!(report["requests_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&report["cluster"], &report["origin"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn an_open_loop_sends_rate_times_duration_however_many_callers_there_are() {
    for (callers, threads) in [("1", "1"), ("32", "2")] {
        let node = BenchNode::play().await;
        let args = ["--rate", "500", "--duration", "100ms", "--timeout", "1h"];
        let callers = [
            "--connections",
            callers,
            "--threads",
            threads,
            "--zipf",
            "0.99",
        ];
        let bench = bench(&node.addr, &[args, callers].concat()).await;
        let report = bench.json();
        assert_eq!(bench.code, 0, "{}", bench.stderr);
        assert_eq!(
            (&report["mode"], &report["rate"]),
            (&json!("open"), &json!(500))
        );
        assert_eq!((count(&report, "ok"), node.requests()), (50, 50));
    }
}

#[tokio::test]
async fn statuses_other_than_200_are_errors_by_status() {
    let node = BenchNode::play().await;
    node.answer("/api?key=key-0", 503);
    node.answer("/api?key=key-1", 404);
    let args = ["--requests", "300", "--connections", "4", "--keys", "3"];
    let bench = bench(&node.addr, &args).await;
    assert_eq!((bench.code, bench.stderr.as_str()), (1, ""));
    let targets = node.targets();
    let asked = |key: &str| {
        targets
            .iter()
            .filter(|target| target.ends_with(key))
            .count()
    };
    let report = bench.json();
    assert_eq!(
        report["errors_by_status"],
        json!({"404": asked("key-1"), "503": asked("key-0")})
    );
    assert_eq!(report["ok"], asked("key-2"));
    assert_eq!(report["errors"], 300 - asked("key-2"));
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{report}");
    for (key, status) in [("key-0", 503), ("key-1", 404)] {
        let failure =
            json!({"count": asked(key), "kind": "status", "status": status, "reason": "value"});
        assert!(failures.contains(&failure), "{report}");
    }

    let lines = ctl(&[
        "bench",
        "--api-addr",
        &node.addr,
        "--warmup",
        "0s",
        "--keys",
        "1",
        "--requests",
        "10",
    ])
    .await;
    assert_eq!(lines.code, 1);
    assert!(
        lines
            .text()
            .contains("errors    10: 10 status 503\n          10 status 503: value\n"),
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn requests_that_are_not_answered_time_out_and_those_behind_them_are_never_sent() {
    let silent = raw(b"", false).await;
    let args = ["--requests", "8", "--timeout", "100ms", "--connections"];
    let closed = bench(&silent, &[&args[..], &["4"]].concat()).await;
    assert_eq!(closed.code, 1, "{}", closed.stderr);
    let report = closed.json();
    assert_eq!(report["errors_by_kind"]["timeout"], 8, "{report}");
    assert_eq!(report["failures"][0]["reason"], "no answer in time");
    assert_eq!(report["latency_ok_us"], Value::Null);

    // The only caller waits for the first answer: the last are due long before it gives up twice.
    let open = bench(&silent, &[&args[..], &["1", "--rate", "1000"]].concat()).await;
    let report = open.json();
    let kind = |kind| count(&report["errors_by_kind"], kind);
    assert!(kind("late") >= 1, "{report}");
    assert_eq!(kind("timeout") + kind("late"), 8, "{report}");
    assert_eq!((open.code, count(&report, "requests")), (1, 8));
}

#[tokio::test]
async fn a_node_that_closes_each_connection_is_connected_to_again() {
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nvalue";
    let node = raw(answer, true).await;
    let bench = bench(&node, &["--requests", "6", "--connections", "2"]).await;
    assert_eq!((bench.code, &bench.json()["ok"]), (0, &json!(6)));
}

#[tokio::test]
async fn answers_that_break_off_are_errors_and_a_refused_connection_ends_the_bench() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nvalue";
    let node = raw(half, true).await;
    let bench_half = bench(&node, &["--requests", "6", "--connections", "2"]).await;
    let report = bench_half.json();
    assert_eq!((bench_half.code, count(&report, "ok")), (1, 0));
    assert_eq!(report["errors_by_kind"]["broken"], 6);
    assert_eq!(
        report["failures"],
        json!([{"count": 6, "kind": "broken", "status": null, "reason": "the body is too short"}])
    );
    for (answer, reason) in [
        (
            &b"HTTP/1.1 200 OK\r\ncontent-le"[..],
            "connection closed before the answer",
        ),
        (b"", "connection closed before the answer"),
        (b"SSH-2.0-server\r\n\r\n", "the answer is no HTTP"),
    ] {
        let node = raw(answer, true).await;
        let report = bench(&node, &["--requests", "2", "--connections", "1"])
            .await
            .json();
        assert_eq!(report["failures"][0]["reason"], reason, "{report}");
    }

    let (_socket, refused) = refusing();
    let bench = bench(&refused, &["--requests", "6"]).await;
    bench.assert_fails(3, &[&format!("{refused}: cannot be reached: ")]);
}

#[tokio::test]
async fn the_hit_ratio_is_of_what_was_measured_and_not_of_the_warm_up() {
    let node = BenchNode::play().await;
    let args = [
        "--api-addr",
        &node.addr,
        "--admin-addr",
        &node.addr,
        "--json",
    ];
    let load = ["--warmup", "20ms", "--rate", "1000", "--requests", "100"];
    let bench = run(command(["bench"]).args(args).args(load)).await;
    assert_eq!((bench.code, bench.stderr.as_str()), (0, ""));
    // The node reports a hit for three of every four requests.
    assert_eq!(node.requests(), 120, "with the warm-up");
    let cluster = &bench.json()["cluster"];
    assert_eq!((count(cluster, "gets"), count(cluster, "hits")), (100, 75));
    assert_eq!(cluster["hit_ratio"], 0.75);
    assert_eq!(count(cluster, "origin_loads"), 25);
    assert_eq!(cluster["missed"], json!([]));

    let group = run(command(["bench"])
        .args(args)
        .args(load)
        .args(["--group", "other"]))
    .await;
    group.assert_fails(2, &["no such group: other"]);
}

#[tokio::test]
async fn a_node_that_goes_away_is_reported_in_the_systems_own_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    // It accepts the first connection of the bench, and then ends.
    tokio::spawn(async move { listener.accept().await.map(drop) });
    let bench = bench(&addr, &["--requests", "5", "--connections", "1"]).await;
    let report = bench.json();
    let kind = |kind| count(&report["errors_by_kind"], kind);
    // If the first request arrived before the end, it is reset.
    assert!(kind("connect") >= 4, "{report}");
    assert_eq!(kind("connect") + kind("broken"), 5);
    let failure = json!({"count": kind("connect"), "kind": "connect", "status": null,
        "reason": "connection refused"});
    assert_eq!(report["failures"][0], failure);
}

#[tokio::test]
async fn a_bench_writes_a_log_of_histograms_and_a_plot() {
    let node = BenchNode::play().await;
    let dir = tempfile::tempdir().unwrap();
    let (log, plot) = (dir.path().join("run.hlog"), dir.path().join("run.svg"));
    let files = [
        "--hdr",
        log.to_str().unwrap(),
        "--plot",
        plot.to_str().unwrap(),
    ];
    let load = ["--requests", "50", "--warmup", "20ms", "--connections", "2"];
    let mut command = command(["bench", "--json", "--api-addr", &node.addr]);
    let bench = run(command.args(load).args(files)).await;
    assert_eq!((bench.code, bench.stderr.as_str()), (0, ""));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n"),
        "{log}"
    );
    let intervals = log.lines().filter(|line| !line.starts_with('#'));
    // Start, length and maximum, and the compressed histogram.
    for interval in intervals {
        let fields: Vec<&str> = interval.split(',').collect();
        assert_eq!(fields.len(), 4, "{interval}");
        assert!(fields[3].starts_with("HISTFAAA"), "{interval}");
    }
    let plot = std::fs::read_to_string(&plot).unwrap();
    assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"));
    assert!(
        plot.contains("closed loop, 2 callers: 50 requests in "),
        "{plot}"
    );

    for flag in ["--hdr", "--plot"] {
        let nowhere = ["bench", "--api-addr", &node.addr, flag, "/nowhere/at/all"];
        let asked = node.requests();
        let bench = ctl(&nowhere).await;
        bench.assert_fails(2, &[&format!("{flag} /nowhere/at/all: ")]);
        assert_eq!(node.requests(), asked, "{flag} fails before the load");
    }
}

/// A disk that is full from the start. It can be opened.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_cannot_be_written_does_not_cost_the_report() {
    let node = BenchNode::play().await;
    for flags in [&["--hdr"][..], &["--plot"], &["--hdr", "--plot"]] {
        let files = flags.iter().flat_map(|flag| [*flag, "/dev/full"]);
        let args: Vec<&str> = ["--requests", "20"].into_iter().chain(files).collect();
        let bench = bench(&node.addr, &args).await;
        assert_eq!((bench.code, &bench.json()["ok"]), (2, &json!(20)));
        let lines: Vec<&str> = bench.stderr.lines().collect();
        assert_eq!(lines.len(), flags.len(), "{lines:?}");
        for (line, flag) in lines.iter().zip(flags) {
            let begins = format!("gagglectl: {flag} /dev/full: ");
            assert!(line.starts_with(&begins), "{line}");
        }
    }
}

#[tokio::test]
async fn a_bench_line_that_cannot_be_used_exits_with_2() {
    let lines: [&[&str]; 11] = [
        &["--rate", "0"],
        &["--connections", "0"],
        &["--threads", "0"],
        &["--keys", "0"],
        &["--zipf", "-1"],
        &["--zipf", "NaN"],
        &["--duration", "0s"],
        &["--duration", "1s", "--requests", "5"],
        &["--verify"],
        &["--value-size", "100B"],
        &["--serve-origin", "127.0.0.1:0", "--value-size", "65MiB"],
    ];
    for args in lines {
        let bench = run(command(["bench"]).args(args)).await;
        assert_eq!(
            (bench.code, bench.text()),
            (2, ""),
            "{args:?}: {}",
            bench.stderr
        );
    }
}
