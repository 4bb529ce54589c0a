//! The metrics page of a running node, and the rules in deploy/prometheus, as Prometheus' own tool
//! reads them.
//!
//! Ignored by default, because they need `promtool`, which is in Debian's package `prometheus`:
//!
//! ```text
//! cargo test -p gaggle-node --test promtool -- --ignored
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "helpers of tests are tests"
)]

/// The parts of the end-to-end tests; these tests do not use all of them.
#[path = "../e2e"]
#[allow(dead_code, unused_imports)]
mod e2e {
    pub(crate) mod support;
}
use e2e::support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Client, Cluster, Origin, Setup};

/// Runs `promtool`, fails if it reports an error, and returns its output.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[tokio::test]
#[ignore = "needs promtool: deploy/prometheus/install"]
async fn the_page_of_a_node_is_one_that_promtool_finds_no_fault_with() {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(2, &Setup::of(&origin).group("ttl = \"1h\"")).await;
    let (client, node) = (Client::new(), &cluster.nodes[0]);
    for n in 0..20 {
        let key = format!("key-{}", n % 10);
        assert_eq!(client.key(node, key.as_bytes()).await.status, 200);
    }
    client.get(node.api, "/nowhere").await;

    // This client sends no `Accept`.
    let open = client.get(node.admin, "/metrics").await;
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text().ends_with("# EOF\n"));

    let ask = |accept: &'static str| {
        let asked = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = asked.get(format!("http://{}/metrics", node.admin));
        let asked = asked.header("accept", accept).send();
        async move {
            let answer = asked.await.unwrap();
            let kind = answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned();
            (kind, answer.text().await.unwrap())
        }
    };
    // What Prometheus itself sends.
    let (kind, _) = ask(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    )
    .await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let (kind, plain) = ask("text/plain").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");

    for sample in [
        "gaggle_source_gets_total{group=\"scores\",source=\"client\"} 20\n",
        "gaggle_source_hits_total{group=\"scores\",source=\"client\"} ",
        "gaggle_http_requests_total{port=\"api\",route=\"value\",status=\"200\"} 20\n",
        "gaggle_http_requests_total{port=\"api\",route=\"other\",status=\"404\"} 1\n",
        "gaggle_connections{port=\"admin\"} ",
        "gaggle_ready 1\n",
        "process_resident_memory_bytes ",
    ] {
        assert!(plain.contains(sample), "{sample} in {plain}");
    }
    // It would report each name and type that breaks a convention.
    let said = promtool(&["check", "metrics"], &plain);
    assert_eq!(said, "");
    // And does so.
    let broken = "# HELP latency_milliseconds_total Slow.\n# TYPE latency_milliseconds_total gauge\nlatency_milliseconds_total 1\n";
    let refused = std::panic::catch_unwind(|| promtool(&["check", "metrics"], broken));
    assert!(refused.is_err());
}

#[test]
#[ignore = "needs promtool: deploy/prometheus/install"]
fn the_rules_are_valid_and_their_tests_hold() {
    let said = promtool(&["check", "rules", "alerts.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let said = promtool(&["test", "rules", "alerts.test.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
}
