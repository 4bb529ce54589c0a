//! The unit for systemd.

use std::collections::BTreeMap;

use crate::{deploy, node, printed};

/// The settings of a unit's section, with all values of those that are repeated.
fn section(name: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(deploy("systemd/gaggle-node.service")).unwrap();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(heading) = line.strip_prefix('[') {
            current = heading.strip_suffix(']').unwrap();
        } else if let Some((setting, value)) = line.split_once('=')
            && current == name
        {
            let values = settings.entry(setting.to_owned()).or_default();
            values.push(value.to_owned());
        }
    }
    settings
}

/// In seconds.
fn seconds(settings: &BTreeMap<String, Vec<String>>, name: &str) -> u64 {
    let digits = settings[name][0].strip_suffix('s').unwrap();
    digits.parse().unwrap()
}

/// A configuration with a snapshot where the unit has a place for it, as `check` prints it.
fn check(environment: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("gaggle.toml");
    let text = "[groups.scores]\nsnapshot = \"/var/lib/gaggle/scores.keys\"\n\
                [groups.scores.origin]\nkind = \"files\"\nroot = \"/srv/scores\"\n";
    std::fs::write(&config, text).unwrap();
    let args = ["check", "--offline", "--config", config.to_str().unwrap()];
    printed(&node(&args, environment))
}

#[test]
fn the_unit_gives_the_node_time_to_drain_and_a_place_for_snapshots() {
    let service = section("Service");
    // The node's default.
    let defaults = check(&[]);
    let drain = "drain-timeout = \"10s\"";
    assert!(defaults.lines().any(|line| line == drain), "{defaults}");
    assert!(seconds(&service, "TimeoutStopSec") > 10);
    assert!(seconds(&service, "TimeoutStartSec") > 10, "cluster.settle");
    // /var/lib/gaggle, which no other user can read: keys may be confidential.
    assert_eq!(service["StateDirectory"], ["gaggle"]);
    assert_eq!(service["StateDirectoryMode"], ["0700"]);
    assert_eq!(service["ProtectSystem"], ["strict"]);
}

#[test]
fn the_unit_starts_the_node_as_its_command_line_takes_it() {
    let service = section("Service");
    let start: Vec<&str> = service["ExecStart"][0].split_whitespace().collect();
    assert_eq!(start[0], "/usr/local/bin/gaggle-node");
    assert_eq!(start[1..], ["serve", "--config", "/etc/gaggle/gaggle.toml"]);
    // The variables of the unit, with %d as systemd replaces it.
    let environment: Vec<(String, String)> = service["Environment"]
        .iter()
        .map(|assignment| {
            let (name, value) = assignment.split_once('=').unwrap();
            let value = value.replace("%d", "/run/credentials/gaggle-node.service");
            (name.to_owned(), value)
        })
        .collect();
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let printed = check(&environment);
    assert!(printed.contains("token-file = \"/run/credentials/gaggle-node.service/token\""));
    assert!(printed.contains("snapshot = \"/var/lib/gaggle/scores.keys\""));
}
