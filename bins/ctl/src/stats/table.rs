//! The table for people.

use bytesize::ByteSize;

use super::{Node, totals};
use crate::output::shown;
use crate::status::Counters;

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

/// One line for each group of each node, by group; and one with the sums where several nodes were asked.
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
    align(&rows)
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

/// Rounded down: 100 % is all of them. A node's counters are not of one instant, so there may be more hits than gets.
fn percent(hits: u64, gets: u64) -> String {
    let tenths = (u128::from(hits.min(gets)) * 1000).checked_div(u128::from(gets));
    tenths.map_or("-".to_owned(), |tenths| {
        format!("{}.{}%", tenths / 10, tenths % 10)
    })
}

fn align(rows: &[Row]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut table = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column > 0 {
                table.push_str("  ");
            }
            let padded = if column < TEXTS {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            };
            table.push_str(&padded);
        }
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_whole_only_when_all_gets_are_hits() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(0, 7), "0.0%");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0%");
        assert_eq!(percent(8, 7), "100.0%");
    }
}
