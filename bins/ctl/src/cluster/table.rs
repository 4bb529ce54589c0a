//! The table for people: a line for each node.

use std::time::Duration;

use bytesize::ByteSize;

use super::{Cluster, Node};
use crate::output::shown;
use crate::table::{align, percent};

const COLUMNS: usize = 11;

const HEADINGS: [&str; COLUMNS] = [
    "NODE", "ADDRESS", "STATE", "VERSION", "RING", "UPTIME", "RTT", "GETS", "HITS", "ENTRIES",
    "BYTES",
];

/// How many columns, from the left, are text.
const TEXTS: usize = 5;

/// How much of the ring's digest is printed: enough to distinguish two.
const DIGEST: usize = 8;

pub(super) fn render(cluster: &Cluster) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(cluster.nodes.iter().map(row));
    align(&rows, TEXTS)
}

fn row(node: &Node) -> [String; COLUMNS] {
    let mut name = shown(node.name.as_bytes());
    if node.is_self {
        name.push('*');
    }
    let address = shown(node.address.as_bytes());
    let rtt = node.rtt_seconds.map_or("-".to_owned(), millis);
    let Some(status) = &node.status else {
        let none = || "-".to_owned();
        let state = if node.reached { "unknown" } else { "DOWN" };
        return [
            name,
            address,
            state.to_owned(),
            none(),
            none(),
            none(),
            rtt,
            none(),
            none(),
            none(),
            none(),
        ];
    };
    let counters = status.counters(None);
    let digest: String = status.ring.hash.chars().take(DIGEST).collect();
    [
        name,
        address,
        state(status),
        shown(status.version.as_bytes()),
        shown(digest.as_bytes()),
        uptime(status.uptime_seconds),
        rtt,
        counters.gets.to_string(),
        percent(counters.hits, counters.gets),
        counters.entries.to_string(),
        ByteSize::b(counters.bytes).display().iec().to_string(),
    ]
}

/// The state that the node reports, and the members that it considers down.
fn state(status: &super::NodeStatus) -> String {
    let state = shown(status.state.as_bytes());
    let down: Vec<String> = Cluster::down_for(status)
        .map(|name| shown(name.as_bytes()))
        .collect();
    if down.is_empty() {
        state
    } else {
        format!("{state} (sees {} down)", down.join(", "))
    }
}

fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// In the two largest units.
fn uptime(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_secs());
    let (days, hours, minutes) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", whole % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0.4, "0s"),
            (61.0, "1m01s"),
            (3600.0, "1h00m"),
            (90_061.0, "1d01h"),
            (-1.0, "0s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(uptime(seconds), expected);
        }
    }
}
