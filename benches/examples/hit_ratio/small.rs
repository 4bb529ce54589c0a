use gaggle_benches::hit_ratio::Column;

use super::arguments::Arguments;
use super::pairs::measure;
use super::summary::{self, worst_against_lru};
use super::traces::Traces;

const ENTRIES: [usize; 4] = [100, 200, 300, 500];

pub(crate) fn run(arguments: &Arguments, traces: &Traces) -> String {
    let mut columns = arguments.of(Column::OF_ENTRIES);
    columns.retain(|&column| column != Column::Optimum && column != Column::Lru);
    columns.insert(0, Column::Lru);
    let pairs = traces
        .all
        .iter()
        .flat_map(|(name, trace, _)| ENTRIES.map(|entries| (*name, trace, entries)));
    let table = measure(&pairs.collect::<Vec<_>>(), &columns);
    let worst = columns.iter().skip(1).map(|column| {
        let worst = worst_against_lru(&table, column.name());
        format!("| {} | {} |\n", column.name(), summary::worst(worst))
    });
    format!(
        "## Small caches\n\n\
        Hits in percent of all accesses, at equal sizes.\n\n\
        {table}\n\
        | column | worst against strict LRU, points | where |\n\
        |--|--:|--|\n{}",
        worst.collect::<String>()
    )
}
