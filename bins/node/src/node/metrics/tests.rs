//! The rules, the dashboard, the runbooks and the reference name only metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaggle_api_resp::RespServer;
use gaggle_group::{FollowStats, Group};
use gaggle_telemetry::{Family, LogOptions, OtlpOptions, logging, otlp};
use tracing_subscriber::Registry;

use super::super::resp;
use super::*;

/// The metrics of a node that has everything on.
async fn everything() -> Metrics {
    let scores = Group::builder("scores")
        .origin_fn(|key: gaggle_group::Key| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    scores.set_follow_stats(FollowStats::default);
    let (_, log) = logging::queued(&LogOptions::default(), std::io::sink()).unwrap();
    let discovery = DiscoveryStats::default();
    let groups = Groups::new([scores]).unwrap();
    let resp = RespServer::bind("127.0.0.1:0", gaggle_api_resp::Options::default());
    let resp = resp.await.unwrap().groups(&groups).unwrap().monitor();
    Parts {
        version: "1.2.3",
        groups,
        log,
        ports: Ports(["api", "peer", "admin"].map(|port| (port, Counts::default()))),
        readiness: Readiness::new(),
        requests: RequestStats::new(),
        discovery: Discovered(Some(Box::new(move || discovery))),
        transport: None,
        traces: Some(traces()),
    }
    .metrics()
    .with(resp::Counted(resp))
}

/// The metrics of an exporter that sends nothing, as nothing is traced.
fn traces() -> Traces {
    let options = OtlpOptions {
        endpoint: "http://127.0.0.1:4318".into(),
        ..OtlpOptions::default()
    };
    let (_, exporter) = otlp::layer::<Registry>(&options).unwrap();
    exporter.traces()
}

async fn names() -> BTreeSet<String> {
    let families = everything().await.families();
    families.iter().flat_map(Family::sample_names).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()))
}

/// The words of a text that can be the names of metrics.
fn words(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split(|c| !is_part(c))
        .map(|word| {
            word.split("::")
                .next()
                .unwrap_or(word)
                .trim_end_matches(':')
        })
        .collect()
}

/// The metrics that a text names, by their prefixes.
fn named(text: &str) -> BTreeSet<&str> {
    let mut words = words(text);
    words.retain(|word| {
        let ours = ["gaggle_", "process_", "go_"];
        ours.iter().any(|prefix| word.starts_with(prefix))
    });
    words
}

fn unknown<'a>(text: &'a str, known: &BTreeSet<String>) -> Vec<&'a str> {
    let named = named(text).into_iter();
    named.filter(|name| !known.contains(*name)).collect()
}

#[tokio::test]
async fn rules_dashboard_and_runbooks_name_metrics_that_exist() {
    let known = names().await;
    for (path, at_least) in [
        ("deploy/prometheus/alerts.yml", 20),
        ("deploy/prometheus/alerts.test.yml", 20),
        ("deploy/grafana/gaggle.json", 50),
        ("docs/src/runbooks.md", 8),
        ("docs/src/observe.md", 8),
    ] {
        let text = file(path);
        assert!(named(&text).len() >= at_least, "{path}");
        // In prose a family may be named without its suffix.
        let families = everything().await.families();
        let mut known = known.clone();
        if path.ends_with(".md") {
            known.extend(families.into_iter().map(|family| family.name));
            known.extend(crates());
        }
        assert_eq!(unknown(&text, &known), [""; 0], "{path}");
    }
    assert_eq!(
        unknown("rate(gaggle_no_such[5m])", &known),
        ["gaggle_no_such"]
    );
}

/// The names of crates, as in the targets of log lines.
fn crates() -> Vec<String> {
    let names = std::fs::read_dir(root().join("crates")).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| format!("gaggle_{}", name.replace('-', "_")))
        .collect()
}

/// The labels that a query sets beside a metric, such as in `gaggle_gets_total{group="a"}`.
fn selectors(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for name in named(text) {
        let mut rest = text;
        while let Some(at) = rest.find(name) {
            rest = &rest[at + name.len()..];
            if let Some((labels, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            {
                let labels = labels.split(',').filter_map(|label| {
                    let end = label.find(['=', '!', '~'])?;
                    Some(label[..end].trim())
                });
                found.push((name, labels.collect()));
            }
        }
    }
    found
}

#[tokio::test]
async fn queries_name_labels_that_exist() {
    let mut labels = BTreeMap::new();
    for family in everything().await.families() {
        for name in family.sample_names() {
            labels.insert(name, family.labels.clone());
        }
    }
    // Those that Prometheus adds.
    let added = ["job", "instance", "le"];
    let mut checked = 0;
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/gaggle.json"] {
        let text = file(path).replace("\\\"", "\"");
        for (name, selected) in selectors(&text) {
            for label in selected {
                let known = labels[name].contains(&label) || added.contains(&label);
                assert!(known, "{path}: {name} has no label {label}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[tokio::test]
async fn recorded_names_are_those_that_queries_use() {
    let rules = file("deploy/prometheus/alerts.yml");
    let recorded: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .collect();
    assert!(recorded.len() >= 5, "{recorded:?}");
    for path in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/grafana/gaggle.json",
    ] {
        let text = file(path);
        for word in words(&text)
            .iter()
            .filter(|word| word.starts_with("gaggle:"))
        {
            assert!(recorded.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn each_alert_has_its_paragraph_and_its_two_tests() {
    let rules = file("deploy/prometheus/alerts.yml");
    let tests = file("deploy/prometheus/alerts.test.yml");
    let runbooks = file("docs/src/runbooks.md");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 20, "{alerts:?}");
    let paragraphs: Vec<&str> = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(
        paragraphs, alerts,
        "one section for each alert, in their order"
    );
    for (alert, section) in alerts.iter().zip(runbooks.split("\n## ").skip(1)) {
        let anchor = format!("docs/src/runbooks.md#{}\"", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{anchor}");
        for part in ["**Meaning.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "{alert}: {part}");
        }
        for how in ["fires", "stays quiet"] {
            let test = format!("- name: {alert} {how}\n");
            assert!(tests.contains(&test), "{test}");
        }
    }
}

const REFERENCE: &str = "docs/src/reference/metrics.md";

const INTRODUCTION: &str = "\
# Metrics

Every metric of `GET /metrics` on the admin port. This page is generated from the code; a test fails if it is out of date.

The page is OpenMetrics 1.0 text. A request that accepts `text/plain` and not `application/openmetrics-text` is answered in
the older text format. Metrics that begin with `process_` are those of the process, and exist on Linux only. A family without
samples, such as those of a follower where nothing is followed, has only its help and its type. No label ever holds a key.

A histogram has samples with the suffixes `_bucket`, `_sum` and `_count`.

";

#[tokio::test]
async fn the_reference_is_up_to_date() {
    let mut families = everything().await.families();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for family in families {
        let suffix = match family.kind.suffixes() {
            [suffix] => *suffix,
            _ => "",
        };
        let labels = family.labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        page.push_str(&format!(
            "| `{}{suffix}` | {} | {labels} | {} |\n",
            family.name,
            family.kind.as_str(),
            family.help,
        ));
    }
    if std::env::var_os("GAGGLE_WRITE").is_some() {
        std::fs::write(root().join(REFERENCE), &page).unwrap();
    }
    assert_eq!(
        file(REFERENCE),
        page,
        "run the test with GAGGLE_WRITE=1 to write {REFERENCE}"
    );
}

#[tokio::test]
async fn a_node_reports_its_ports_its_discovery_and_its_front_door() {
    let metrics = everything().await;
    let metrics = metrics.with(Discovered(Some(Box::new(|| {
        let mut stats = DiscoveryStats::default();
        stats.nodes = 3;
        stats.age = Some(Duration::from_millis(1_500));
        stats
    }))));
    let page = metrics.encode_plain();
    for line in [
        "gaggle_ready 0\n",
        "gaggle_connections{port=\"admin\"} 0\n",
        "gaggle_connections_cut_total{port=\"api\",reason=\"head\"} 0\n",
        "gaggle_discovery_age_seconds 1.5\n",
        "gaggle_http_request_seconds_count{route=\"value\"} 0\n",
        "gaggle_peer_batches_total 0\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
}
