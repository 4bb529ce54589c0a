//! The table for people.

use bytesize::ByteSize;

use super::{Node, totals};
use crate::output::shown;
use crate::status::Counters;
use crate::table::{align, percent};

const COLUMNS: usize = 11;

type Row = [String; COLUMNS];

const HEADINGS: [&str; COLUMNS] = [
    "GROUP",
    "NODE",
    "GETS",
    "HITS",
    "ORIGIN",
    "PEER",
    "ERRORS",
    "ENTRIES",
    "BYTES",
    "LIMIT",
    "IN FLIGHT",
];

/// How many columns, from the left, are text; the others are numbers, which align on the right.
const TEXTS: usize = 2;

/// One line for each group of each node, by group; and one with the sums where several nodes were
/// asked.
pub(super) fn render(nodes: &[Node]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for (group, total) in totals(nodes) {
        for node in nodes {
            if let Some(counters) = node.status.groups.get(group) {
                rows.push(row(group, &node.status.node, counters));
            }
        }
        if nodes.len() > 1 {
            rows.push(row(group, "total", &total));
        }
    }
    align(&rows, TEXTS)
}

fn row(group: &str, node: &str, counters: &Counters) -> Row {
    let Counters {
        gets_total,
        hits_total,
        loads_total,
        loads_in_flight,
        ..
    } = counters;
    let bytes = |bytes| ByteSize::b(bytes).display().iec().to_string();
    [
        shown(group.as_bytes()),
        shown(node.as_bytes()),
        gets_total.to_string(),
        percent(hits_total.all(), *gets_total),
        loads_total.origin.all().to_string(),
        loads_total.peer.all().to_string(),
        loads_total.errors().to_string(),
        counters.cache_entries.all().to_string(),
        bytes(counters.cache_bytes.all()),
        bytes(counters.cache_limit_bytes),
        loads_in_flight.to_string(),
    ]
}
