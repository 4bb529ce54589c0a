//! A plot of the committed table, in colours for a light and a dark page.

use std::fmt::Write;

use gaggle_benches::hit_ratio::{Column, Table};

use super::pairs::HEADING;
use super::summary::{against_lru, below_optimum};

const WIDTH: f64 = 760.0;
/// Where names end and bars begin.
const LEFT: f64 = 120.0;
const RIGHT: f64 = WIDTH - 60.0;
const ROW: f64 = 24.0;
const TITLE: f64 = 34.0;
const FOOT: f64 = 30.0;

/// In points: differences beyond these are drawn at the edge.
const DIFFERENCES: [f64; 2] = [-20.0, 30.0];

const STYLE: &str = "<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.axis { font-size: 11px; fill: #59636e; }
.bar { fill: #9aa4ae; }
.pair { stroke: #6e7781; stroke-opacity: 0.55; stroke-width: 2; }
.ours.bar { fill: #1a7f64; }
.ours.pair { stroke: #1a7f64; stroke-opacity: 0.7; }
text.ours { font-weight: 600; }
.grid { stroke: #d1d9e0; }
.zero { stroke: #59636e; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .axis { fill: #9198a1; }
  .bar { fill: #656c76; }
  .pair { stroke: #9198a1; }
  .ours.bar { fill: #2ea884; }
  .ours.pair { stroke: #2ea884; }
  .grid { stroke: #3d444d; }
  .zero { stroke: #9198a1; }
}
</style>
";

/// The text is that of the committed table.
pub(crate) fn svg(text: &str) -> Result<String, String> {
    let table = Table::below(text, HEADING).ok_or("there is no table of equal sizes")?;
    let mut bars: Vec<(&str, f64)> = Column::OF_ENTRIES
        .iter()
        .filter(|&&column| column != Column::Optimum)
        .filter_map(|column| Some((column.name(), below_optimum(&table, column.name())?)))
        .collect();
    bars.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let pairs = table.rows.len();
    let second = TITLE + rows(bars.len()) + FOOT;
    let height = second + TITLE + rows(bars.len()) + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
        aria-label=\"Hit ratios of caches and policies\">\n{STYLE}"
    );
    title(
        &mut svg,
        0.0,
        &format!(
            "Points below the optimum, mean of {pairs} pairs of trace and size: less is better"
        ),
    );
    distances(&mut svg, TITLE, &bars);
    title(
        &mut svg,
        second,
        "Points above or below strict LRU, one line for each pair; those beyond are at the edge",
    );
    differences(&mut svg, second + TITLE, &bars, &table);
    svg += "</svg>\n";
    Ok(svg)
}

fn title(svg: &mut String, top: f64, text: &str) {
    put(
        svg,
        format_args!(
            "<text class=\"title\" x=\"8\" y=\"{:.1}\">{text}</text>",
            top + 20.0
        ),
    );
}

fn distances(svg: &mut String, top: f64, bars: &[(&str, f64)]) {
    let most = bars.iter().map(|&(_, points)| points).fold(1.0, f64::max);
    for (at, &(name, points)) in bars.iter().enumerate() {
        let y = top + rows(at);
        let end = across(points, [0.0, most]);
        label(svg, y, name);
        put(
            svg,
            format_args!(
                "<rect class=\"bar{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"2\"/>",
                ours(name),
                y + 4.0,
                (end - LEFT).max(0.0),
            ),
        );
        put(
            svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\">{points:.1}</text>",
                end + 6.0,
                y + 17.0
            ),
        );
    }
}

fn differences(svg: &mut String, top: f64, bars: &[(&str, f64)], table: &Table) {
    let names = bars
        .iter()
        .map(|&(name, _)| name)
        .filter(|&name| name != Column::Lru.name());
    let bottom = top + rows(bars.len() - 1);
    for step in -2_i8..=3 {
        let points = f64::from(step) * 10.0;
        let x = across(points, DIFFERENCES);
        let class = if step == 0 { "zero" } else { "grid" };
        put(
            svg,
            format_args!("<path class=\"{class}\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>"),
        );
        put(
            svg,
            format_args!(
                "<text class=\"axis\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{points:+}</text>",
                bottom + 16.0
            ),
        );
    }
    for (at, name) in names.enumerate() {
        let y = top + rows(at);
        label(svg, y, name);
        for (row, points) in against_lru(table, name) {
            let x = across(points, DIFFERENCES);
            put(
                svg,
                format_args!(
                    "<path class=\"pair{}\" d=\"M{x:.1} {:.1}v16\"><title>{row}: {points:+.1}</title></path>",
                    ours(name),
                    y + 4.0
                ),
            );
        }
    }
}

fn label(svg: &mut String, y: f64, name: &str) {
    put(
        svg,
        format_args!(
            "<text class=\"name{}\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            ours(name),
            LEFT - 8.0,
            y + 17.0
        ),
    );
}

fn ours(name: &str) -> &'static str {
    let ours = [Column::Paged, Column::GaggleLru].map(Column::name);
    if ours.contains(&name) { " ours" } else { "" }
}

/// The place of a figure between left and right.
fn across(points: f64, [least, most]: [f64; 2]) -> f64 {
    LEFT + (points.clamp(least, most) - least) / (most - least) * (RIGHT - LEFT)
}

#[expect(clippy::cast_precision_loss, reason = "there are a few rows")]
fn rows(count: usize) -> f64 {
    count as f64 * ROW
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "{line}");
}
