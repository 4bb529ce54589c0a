//! The manifests for Kubernetes, component by component. A test of `gaggle-discovery-dns` compares
//! the settings that the base repeats.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{deploy, node, printed};

pub(crate) const COMPONENTS: [&str; 4] = ["database", "monitoring", "snapshots", "tls"];

/// Every document of a file.
fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(deploy(&format!("kubernetes/{path}"))).unwrap();
    let documents: Result<Vec<Value>, _> = serde_saphyr::from_multiple(&text);
    documents.unwrap_or_else(|failure| panic!("{path}: {failure}"))
}

fn document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

/// The values of a list's elements at this pointer.
fn each<'v>(value: &'v Value, list: &str, pointer: &str) -> Vec<&'v str> {
    let list = at(value, list).as_array().unwrap();
    list.iter()
        .map(|element| at(element, pointer).as_str().unwrap())
        .collect()
}

#[test]
fn every_file_is_listed_and_can_be_read() {
    for component in COMPONENTS {
        let kustomization = document(&format!("{component}/kustomization.yaml"));
        assert_eq!(kustomization["kind"], "Component", "{component}");
        let text = kustomization.to_string();
        for entry in std::fs::read_dir(deploy(&format!("kubernetes/{component}"))).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".yaml") {
                assert!(!documents(&format!("{component}/{name}")).is_empty());
            }
            assert!(
                name == "kustomization.yaml" || text.contains(&format!("\"{name}\"")),
                "{component}/{name} is not used"
            );
        }
    }
}

#[test]
fn the_node_accepts_the_configurations() {
    let set = document("statefulset.yaml");
    let container = at(&set, "/spec/template/spec/containers/0");
    let variables: BTreeMap<&str, String> = at(container, "/env")
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| {
            let value = match variable.pointer("/valueFrom/fieldRef/fieldPath") {
                None => at(variable, "/value").as_str().unwrap(),
                Some(path) if path == "status.podIP" => "10.1.2.3",
                Some(_) => "gaggle-0",
            };
            let value = value.replace("$(POD_IP)", "10.1.2.3");
            (at(variable, "/name").as_str().unwrap(), value)
        })
        .collect();
    let environment: Vec<(&str, &str)> = variables
        .iter()
        .filter(|(name, _)| name.starts_with("GAGGLE_"))
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(environment.len(), 2);
    for file in ["gaggle.toml", "database/gaggle.toml"] {
        let config = deploy(&format!("kubernetes/{file}"));
        let args = ["check", "--offline", "--config", config.to_str().unwrap()];
        let printed = printed(&node(&args, &environment));
        for line in [
            "name = \"gaggle-0\"",
            "advertise = \"http://10.1.2.3:8001\"",
        ] {
            assert!(printed.contains(line), "{file}: no {line} in\n{printed}");
        }
    }
    // With TLS by variables, as the component adds them.
    let added: Vec<(String, String)> = document("tls/statefulset.yaml")
        .as_array()
        .unwrap()
        .iter()
        .filter(|patch| patch["path"].as_str().unwrap().ends_with("/env/-"))
        .map(|patch| {
            let text = |pointer| at(patch, pointer).as_str().unwrap().to_owned();
            (text("/value/name"), text("/value/value"))
        })
        .collect();
    let mut environment = vec![
        ("GAGGLE_NODE__NAME", "gaggle-0"),
        ("GAGGLE_ADVERTISE", "https://10.1.2.3:8001"),
    ];
    let added = added.iter().filter(|(name, _)| name.starts_with("GAGGLE_"));
    environment.extend(added.map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(environment.len(), 7);
    let config = deploy("kubernetes/gaggle.toml");
    let args = ["check", "--offline", "--config", config.to_str().unwrap()];
    let printed = printed(&node(&args, &environment));
    assert!(
        printed.contains("peer-name = \"gaggle-peers\""),
        "{printed}"
    );
}

#[test]
fn both_configurations_differ_by_the_origin_alone() {
    let read = |file: &str| -> toml::Table {
        let text = std::fs::read_to_string(deploy(&format!("kubernetes/{file}"))).unwrap();
        text.parse().unwrap()
    };
    let (base, database) = (read("gaggle.toml"), read("database/gaggle.toml"));
    for table in ["node", "cluster", "security"] {
        assert_eq!(base[table], database[table], "{table}");
    }
    let patch = document("database/statefulset.yaml");
    let mount = at(&patch, "/spec/template/spec/containers/0/volumeMounts/0");
    let file = database["groups"]["scores"]["origin"]["url-file"].as_str();
    let folder = at(mount, "/mountPath").as_str().unwrap();
    assert_eq!(file, Some(format!("{folder}/url").as_str()));
    let volume = at(&patch, "/spec/template/spec/volumes/0");
    assert_eq!(at(mount, "/name"), at(volume, "/name"));
    assert_eq!(at(volume, "/secret/secretName"), "gaggle-database");
}

#[test]
fn prometheus_finds_the_admin_port_and_knows_the_job_by_its_name() {
    let (service, monitor) = (
        document("monitoring/service.yaml"),
        document("monitoring/servicemonitor.yaml"),
    );
    let labels = at(&service, "/metadata/labels");
    let selector = at(&monitor, "/spec/selector/matchLabels")
        .as_object()
        .unwrap();
    for (label, value) in selector {
        assert_eq!(labels.get(label), Some(value), "{label}");
    }
    // It must not select the other Services: each pod would be scraped twice.
    for other in ["service.yaml", "service-headless.yaml"] {
        let other = document(other);
        let labels = at(&other, "/metadata/labels");
        assert!(
            selector
                .iter()
                .any(|(label, value)| labels.get(label) != Some(value))
        );
    }
    let endpoint = at(&monitor, "/spec/endpoints/0");
    let port = at(&service, "/spec/ports/0");
    assert_eq!(at(endpoint, "/port"), at(port, "/name"));
    assert_eq!(at(endpoint, "/path"), "/metrics");
    let set = document("statefulset.yaml");
    let ports = each(&set, "/spec/template/spec/containers/0/ports", "/name");
    assert!(ports.contains(&at(port, "/targetPort").as_str().unwrap()));
    assert_eq!(at(port, "/port"), 9990);
    let set_labels = at(&set, "/spec/template/metadata/labels");
    assert_eq!(at(&service, "/spec/selector"), set_labels);
    // The rules ask for this job.
    let job = at(&monitor, "/spec/jobLabel").as_str().unwrap();
    assert_eq!(labels.get(job).unwrap(), "gaggle");
}

/// `GAGGLE_WRITE=1` writes the manifest where it differs.
#[test]
fn the_alert_rules_are_those_of_prometheus() {
    let rules = std::fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    let groups = rules.find("\ngroups:").expect("groups") + 1;
    let mut expected = "\
# The rules of deploy/prometheus/alerts.yml as an object for the Prometheus operator. Do not edit: a test compares both, and
# GAGGLE_WRITE=1 cargo test -p gaggle-node --test deploy writes this file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gaggle
  labels:
    app.kubernetes.io/name: gaggle-node
spec:
"
    .to_owned();
    for line in rules[groups..].lines() {
        if !line.is_empty() {
            expected.push_str("  ");
            expected.push_str(line);
        }
        expected.push('\n');
    }
    let path = deploy("kubernetes/monitoring/rules.yaml");
    if std::env::var_os("GAGGLE_WRITE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "rules.yaml is not that of alerts.yml: run with GAGGLE_WRITE=1"
    );
    let rule = document("monitoring/rules.yaml");
    let alerts: Value = serde_saphyr::from_str(&rules).unwrap();
    assert_eq!(at(&rule, "/spec/groups"), at(&alerts, "/groups"));
}
