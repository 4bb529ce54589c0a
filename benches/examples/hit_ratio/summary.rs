//! What a table comes to, column by column.

use gaggle_benches::hit_ratio::{Column, Table};

/// How far the column is below the optimum, as a mean of all rows, in points. None where a figure
/// is missing.
pub(crate) fn below_optimum(table: &Table, column: &str) -> Option<f64> {
    let distances: Option<Vec<f64>> = less(table, Column::Optimum.name(), column)
        .map(|(_, distance)| distance)
        .collect();
    let distances = distances?;
    let count = u32::try_from(distances.len())
        .ok()
        .filter(|&count| count > 0)?;
    Some(distances.iter().sum::<f64>() / f64::from(count))
}

/// The row in which the column has least in comparison with strict LRU, and the points between
/// them.
pub(crate) fn worst_against_lru<'a>(table: &'a Table, column: &'a str) -> Option<(&'a str, f64)> {
    against_lru(table, column).min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// For each row what the column has more than strict LRU, in points.
pub(crate) fn against_lru<'a>(
    table: &'a Table,
    column: &'a str,
) -> impl Iterator<Item = (&'a str, f64)> {
    less(table, column, Column::Lru.name())
        .filter_map(|(row, difference)| difference.map(|difference| (row, difference)))
}

/// One column less another one.
fn less<'a>(
    table: &'a Table,
    column: &'a str,
    other: &'a str,
) -> impl Iterator<Item = (&'a str, Option<f64>)> {
    table.rows.iter().map(move |(row, _)| {
        let figures = table.figure(row, column).zip(table.figure(row, other));
        (row.as_str(), figures.map(|(figure, other)| figure - other))
    })
}

pub(crate) fn mean(mean: Option<f64>) -> String {
    mean.map_or_else(String::new, |mean| format!("{mean:.2}"))
}

pub(crate) fn worst(worst: Option<(&str, f64)>) -> String {
    worst.map_or_else(
        || " | ".to_owned(),
        |(row, points)| format!("{points:+.2} | {row}"),
    )
}
