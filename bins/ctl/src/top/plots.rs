//! The plots of one node's history.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};

use super::history::{Numbers, Series};
use super::model::Model;

/// One plot: up to two lines over the same axes.
struct Plot<'a> {
    title: &'static str,
    unit: Unit,
    lines: Vec<Curve<'a>>,
    /// The top of the scale, where it is known.
    top: Option<f64>,
}

struct Curve<'a> {
    name: &'static str,
    numbers: &'a Numbers,
    factor: f64,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Percent,
    PerSecond,
    Millis,
}

/// Lines differ by their markers, so that they can be told apart without colours.
const LOOKS: [(Marker, Color); 2] = [(Marker::Braille, Color::Cyan), (Marker::Dot, Color::Yellow)];

/// Four plots: two beside each other, in two rows.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let series = model
        .history
        .as_ref()
        .and_then(|history| history.of(model.group.as_deref()));
    let Some((series, history)) = series.zip(model.history.as_ref()) else {
        let text = "no history of this node yet";
        frame.render_widget(
            Paragraph::new(text).block(Block::new().borders(Borders::TOP)),
            area,
        );
        return;
    };
    let hits = series.hit_percent();
    let [top, bottom] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
    let [a, b] = Layout::horizontal([Constraint::Fill(1); 2])
        .spacing(1)
        .areas(top);
    let [c, d] = Layout::horizontal([Constraint::Fill(1); 2])
        .spacing(1)
        .areas(bottom);
    for (plot, area) in plots(series, &hits).into_iter().zip([a, b, c, d]) {
        one(frame, model, &plot, history.interval_seconds, area);
    }
}

fn plots<'a>(series: &'a Series, hits: &'a Numbers) -> [Plot<'a>; 4] {
    let curve = |name, numbers, factor| Curve {
        name,
        numbers,
        factor,
    };
    [
        Plot {
            title: "hits",
            unit: Unit::Percent,
            lines: vec![curve("of clients' gets", hits, 1.0)],
            top: Some(100.0),
        },
        Plot {
            title: "gets/s",
            unit: Unit::PerSecond,
            lines: vec![
                curve("clients", &series.client_gets, 1.0),
                curve("peers", &series.peer_gets, 1.0),
            ],
            top: None,
        },
        Plot {
            title: "loads/s",
            unit: Unit::PerSecond,
            lines: vec![
                curve("origin", &series.origin_loads, 1.0),
                curve("errors", &series.origin_errors, 1.0),
            ],
            top: None,
        },
        Plot {
            title: "load ms",
            unit: Unit::Millis,
            lines: vec![
                curve("p50", &series.load_p50, 1e3),
                curve("p99", &series.load_p99, 1e3),
            ],
            top: None,
        },
    ]
}

fn one(frame: &mut Frame<'_>, model: &Model, plot: &Plot<'_>, interval: f64, area: Rect) {
    let span = model.span();
    let count = count(span, interval);
    let points: Vec<Vec<(f64, f64)>> = (plot.lines.iter())
        .map(|line| line.numbers.points(interval, count, line.factor))
        .collect();
    let most = points.iter().flatten().map(|(_, y)| *y).fold(0.0, f64::max);
    let top = plot.top.unwrap_or_else(|| round_up(most));
    let datasets = points.iter().zip(LOOKS).map(|(points, (marker, colour))| {
        Dataset::default()
            .marker(marker)
            .graph_type(GraphType::Line)
            .style(coloured(model, colour))
            .data(points)
    });
    let label = |value| Span::raw(short(value));
    let chart = Chart::new(datasets.collect())
        .block(Block::new().borders(Borders::TOP).title(title(model, plot)))
        .legend_position(None)
        .x_axis(Axis::default().bounds([-span, 0.0]))
        .y_axis(
            Axis::default()
                .bounds([0.0, top])
                .labels([label(0.0), label(top)]),
        );
    frame.render_widget(chart, area);
}

/// The plot's title, and the newest number of each line.
fn title<'a>(model: &Model, plot: &Plot<'_>) -> Line<'a> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(plot.title, bold)];
    for (line, (marker, colour)) in plot.lines.iter().zip(LOOKS) {
        let value = line.numbers.last().map(|value| value * line.factor);
        let value = value.map_or("-".to_owned(), |value| plot.unit.written(value));
        let sign = if matches!(marker, Marker::Dot) {
            '•'
        } else {
            '⠒'
        };
        spans.push(Span::styled(
            format!("  {sign} {} {value}", line.name),
            coloured(model, colour),
        ));
    }
    spans.push(Span::raw(" "));
    Line::from(spans)
}

pub(super) fn coloured(model: &Model, colour: Color) -> Style {
    if model.has_colours {
        Style::new().fg(colour)
    } else {
        Style::new()
    }
}

impl Unit {
    fn written(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{value:.1}%"),
            Self::PerSecond | Self::Millis => short(value),
        }
    }
}

/// Three digits, and their unit prefix.
pub(super) fn short(value: f64) -> String {
    let digits = |value: f64, unit: &str| match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}{unit}"),
        value if value >= 10.0 => format!("{value:.1}{unit}"),
        value => format!("{value:.2}{unit}"),
    };
    match value {
        value if value >= 1e9 => digits(value / 1e9, "G"),
        value if value >= 1e6 => digits(value / 1e6, "M"),
        value if value >= 1e3 => digits(value / 1e3, "k"),
        value => digits(value, ""),
    }
}

/// The next of 1, 2 and 5 times a power of ten: a scale that seldom changes.
fn round_up(most: f64) -> f64 {
    if !most.is_finite() || most <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= most).unwrap_or(most)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and the number is bounded where it is used"
)]
fn count(span: f64, interval: f64) -> usize {
    (span / interval.max(0.1)).ceil() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.50"),
            (7.25, "7.25"),
            (12.34, "12.3"),
            (999.0, "999"),
            (1500.0, "1.50k"),
            (25e6, "25M"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (most, expected) in [
            (0.0, 1.0),
            (3.0, 5.0),
            (5.0, 5.0),
            (70.0, 100.0),
            (130.0, 200.0),
        ] {
            assert!((round_up(most) - expected).abs() < 1e-9, "{most}");
        }
        assert!((round_up(f64::NAN) - 1.0).abs() < 1e-9);
    }
}
