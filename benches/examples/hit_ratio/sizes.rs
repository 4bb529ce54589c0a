use gaggle_benches::hit_ratio::{Column, Table, Tally, Trace, parallel, replay};

use super::arguments::Arguments;
use super::traces::Traces;

const TRACES: [&str; 2] = ["twitter_cluster52_1m", "cloudphysics_sample"];
/// Of the footprint, in percent.
const SHARES: [u64; 3] = [1, 5, 20];

pub(crate) fn run(arguments: &Arguments, traces: &Traces) -> String {
    let columns = arguments.of(Column::OF_BYTES);
    let cases: Vec<(&str, &Trace, u64)> = TRACES
        .iter()
        .filter_map(|name| Some((*name, traces.named(name)?)))
        .flat_map(|(name, trace)| SHARES.map(|share| (name, trace, share)))
        .collect();
    let cells: Vec<_> = cases
        .iter()
        .flat_map(|&(_, trace, share)| columns.iter().map(move |&column| (trace, share, column)))
        .collect();
    let tallies = parallel(&cells, |&(trace, share, column)| {
        let capacity = trace.footprint() * share / 100;
        replay(trace, column.of_bytes(trace, capacity).as_mut())
    });
    let mut table = Table::new(
        ["trace @ share"]
            .into_iter()
            .chain(columns.iter().map(|column| column.name())),
    );
    for ((name, _, share), tallies) in cases.iter().zip(tallies.chunks(columns.len())) {
        let figures = |of: fn(&Tally) -> f64| tallies.iter().map(|tally| Some(of(tally))).collect();
        table.rows.push((
            format!("{name} @ {share} %, objects"),
            figures(Tally::objects),
        ));
        table
            .rows
            .push((format!("{name} @ {share} %, bytes"), figures(Tally::bytes)));
    }
    format!(
        "## True sizes\n\n\
        Hits in percent of all accesses (objects) and of the bytes asked for (bytes). The capacity is a share of the bytes \
        of all different keys' values. The others weigh values alone; `paged` has keys of 8 bytes and pays for them, and for \
        all its bookkeeping, out of that capacity. `paged-payload` is `paged` with the capacity with which it holds as many \
        bytes of values as the others may.\n\n\
        {table}"
    )
}
