use gaggle_benches::hit_ratio::{Column, Table, Trace, parallel, replay};

use super::arguments::Arguments;
use super::summary::{below_optimum, worst_against_lru};
use super::traces::Traces;
use super::{TABLE, summary};

pub(crate) const HEADING: &str = "## Equal sizes";

pub(crate) fn run(arguments: &Arguments, traces: &Traces) -> String {
    let columns = arguments.of(Column::OF_ENTRIES);
    let pairs = traces
        .all
        .iter()
        .flat_map(|(name, trace, entries)| entries.map(|entries| (*name, trace, entries)));
    let table = measure(&pairs.collect::<Vec<_>>(), &columns);
    let known = known(&table);
    let distances = columns.iter().map(|column| {
        let name = column.name();
        let mean = below_optimum(&known, name);
        let worst = worst_against_lru(&known, name);
        format!(
            "| {name} | {} | {} |\n",
            summary::mean(mean),
            summary::worst(worst)
        )
    });
    format!(
        "{HEADING}\n\n\
        Hits in percent of all accesses. Every entry counts as one; in `paged` values are of 100 bytes, and its capacity \
        is the least that holds that many entries.\n\n\
        {table}\n\
        | column | mean below the optimum, points | worst against strict LRU, points | where |\n\
        |--|--:|--:|--|\n{}",
        distances.collect::<String>()
    )
}

/// One row for each trace and capacity.
pub(crate) fn measure(pairs: &[(&str, &Trace, usize)], columns: &[Column]) -> Table {
    let cells: Vec<_> = pairs
        .iter()
        .flat_map(|&(_, trace, entries)| {
            columns.iter().map(move |&column| (trace, entries, column))
        })
        .collect();
    let figures = parallel(&cells, |&(trace, entries, column)| {
        replay(trace, column.of_entries(trace, entries).as_mut()).objects()
    });
    let mut table = Table::new(
        ["trace @ entries"]
            .into_iter()
            .chain(columns.iter().map(|column| column.name())),
    );
    table.rows = pairs
        .iter()
        .zip(figures.chunks(columns.len()))
        .map(|((name, _, entries), figures)| {
            (
                format!("{name} @ {entries}"),
                figures.iter().copied().map(Some).collect(),
            )
        })
        .collect();
    table
}

/// The table, with what it lacks of optimum and LRU from the committed one: both are exact.
fn known(table: &Table) -> Table {
    let mut table = table.clone();
    let committed = std::fs::read_to_string(TABLE).unwrap_or_default();
    let Some(committed) = Table::below(&committed, HEADING) else {
        return table;
    };
    for column in [Column::Optimum, Column::Lru].map(Column::name) {
        if table.headings.iter().all(|heading| heading != column) {
            table.headings.push(column.to_owned());
            for (row, figures) in &mut table.rows {
                figures.push(committed.figure(row, column));
            }
        }
    }
    table
}
