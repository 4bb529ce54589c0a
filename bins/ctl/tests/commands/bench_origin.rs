//! `bench --serve-origin`: values for the nodes, each checked when it comes back.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::bench_node::BenchNode;
use crate::harness::{command, ctl, refusing};

/// Runs the bench with an origin and tells the node where it is.
async fn bench(node: &BenchNode, args: &[&str]) -> (i32, Value) {
    let mut command = command(["bench", "--json", "--serve-origin", "127.0.0.1:0"]);
    command
        .args(["--api-addr", &node.addr, "--warmup", "0s"])
        .args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).await.unwrap();
    let origin = line
        .strip_prefix("gagglectl: values at http://")
        .and_then(|rest| rest.strip_suffix("/{key}\n"))
        .unwrap_or_else(|| panic!("{line}"));
    node.set_origin(origin);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
    let output = child.wait_with_output().await.unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), report)
}

#[tokio::test]
async fn values_come_from_the_bench_and_are_verified() {
    let node = BenchNode::with_origin().await;
    let args = [
        "--requests",
        "200",
        "--keys",
        "20",
        "--value-size",
        "1001B",
        "--verify",
    ];
    let (code, report) = bench(&node, &args).await;
    assert_eq!((code, &report["ok"]), (0, &json!(200)), "{report}");
    assert_eq!(report["body_bytes"], 200 * 1001);
    let loads = node.loads().await;
    assert_eq!(
        report["origin"],
        json!({"loads": loads, "value_size": 1001, "verified": true})
    );
}

#[tokio::test]
async fn a_value_with_one_byte_changed_is_an_error_only_where_values_are_verified() {
    let args = ["--requests", "200", "--keys", "4", "--value-size", "256KiB"];
    let node = BenchNode::with_origin().await;
    node.damage("key-3");
    let (code, report) = bench(&node, &args).await;
    assert_eq!((code, &report["errors"]), (0, &json!(0)));

    let node = BenchNode::with_origin().await;
    node.damage("key-3");
    let (code, report) = bench(&node, &[&args[..], &["--verify"]].concat()).await;
    let wrong = node
        .targets()
        .iter()
        .filter(|target| target.ends_with("key-3"))
        .count();
    assert!(wrong > 0);
    assert_eq!(code, 1);
    assert_eq!(report["errors_by_kind"]["wrong"], wrong);
    assert_eq!(report["ok"], 200 - wrong);
}

#[tokio::test]
async fn an_origin_whose_port_is_taken_ends_the_bench() {
    let (_socket, taken) = refusing();
    let bench = ctl(&["bench", "--serve-origin", &taken]).await;
    bench.assert_fails(2, &[&format!("--serve-origin {taken}: ")]);
}
