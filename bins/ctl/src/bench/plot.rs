//! `--plot`: the latencies by percentile, as a picture (SVG).
//!
//! The percentiles are drawn by the number of nines, and the latencies by their logarithm: one
//! request of ten thousand has as much room as one of ten.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use hdrhistogram::Histogram;

use super::recorder::Recorder;
use crate::outcome::Failure;
use crate::output::shown;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 60.0;

/// How many points a line has for each nine.
const STEPS: u32 = 40;

/// Percentiles beyond this many nines have no room.
const MAX_NINES: u32 = 6;

/// A file that is opened before the load begins, so that an error ends the run at once.
#[derive(Debug)]
pub(super) struct PlotFile {
    file: File,
    name: String,
}

impl PlotFile {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let name = format!("--plot {}", shown(path.as_os_str().as_encoded_bytes()));
        let file = File::create(path);
        let file = file.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Ok(Self { file, name })
    }

    pub(super) fn write(mut self, title: &str, recorder: &Recorder) -> Result<(), Failure> {
        let written = self.file.write_all(picture(title, recorder).as_bytes());
        written.map_err(|error| Failure::Usage(format!("{}: {error}", self.name)))
    }
}

fn picture(title: &str, recorder: &Recorder) -> String {
    let all = &recorder.all;
    let nines = nines_of(all.len());
    let scale = Scale::of(all, nines);
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut svg, title, recorder, &scale);
    svg
}

/// Where a percentile and a latency are in the picture.
struct Scale {
    nines: u32,
    /// Powers of ten, in microseconds.
    low: f64,
    high: f64,
}

impl Scale {
    fn of(histogram: &Histogram<u64>, nines: u32) -> Self {
        let power = |micros: u64| float(micros.max(1)).log10();
        let low = power(histogram.min()).floor();
        let high = power(histogram.max()).ceil().max(low + 1.0);
        Self { nines, low, high }
    }

    /// 0 nines is the fastest request, 1 the 90th percentile, 2 the 99th.
    fn x(&self, nines: f64) -> f64 {
        LEFT + nines / f64::from(self.nines) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, micros: f64) -> f64 {
        let share = (micros.max(1.0).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

fn draw(svg: &mut impl fmt::Write, title: &str, recorder: &Recorder, scale: &Scale) -> fmt::Result {
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<title>{title}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="24" font-size="16">Latency by percentile</text>
<text x="{LEFT}" y="44" fill="#555555">{title}</text>"##,
        title = escaped(title)
    )?;
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for nines in 0..=scale.nines {
        let (x, label) = (scale.x(f64::from(nines)), percentile(nines));
        writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="#dddddd"/>
<text x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"##,
            bottom + 18.0
        )?;
    }
    let mut power = scale.low;
    while power <= scale.high {
        let micros = 10f64.powf(power);
        let (y, label) = (scale.y(micros), time(micros));
        writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="#dddddd"/>
<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
            LEFT - 8.0,
            y + 4.0
        )?;
        power += 1.0;
    }
    writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">percentile</text>"#,
        f64::midpoint(LEFT, right),
        HEIGHT - 14.0
    )?;
    curve(svg, scale, &recorder.all, "#1f5fa8", "all requests", 0)?;
    if recorder.errors() > 0 {
        curve(svg, scale, &recorder.ok, "#b3541e", "answered with 200", 1)?;
    }
    writeln!(svg, "</svg>")
}

fn curve(
    svg: &mut impl fmt::Write,
    scale: &Scale,
    histogram: &Histogram<u64>,
    colour: &str,
    name: &str,
    row: u32,
) -> fmt::Result {
    if histogram.is_empty() {
        return Ok(());
    }
    write!(
        svg,
        r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points=""#
    )?;
    for step in 0..=scale.nines * STEPS {
        let nines = f64::from(step) / f64::from(STEPS);
        let quantile = 1.0 - 10f64.powf(-nines);
        let micros = float(histogram.value_at_quantile(quantile));
        write!(svg, "{:.1},{:.1} ", scale.x(nines), scale.y(micros))?;
    }
    // Lines rise to the right, so there is room below their ends.
    let y = HEIGHT - BOTTOM - 12.0 - 18.0 * f64::from(row);
    writeln!(
        svg,
        r#""/>
<text x="{:.1}" y="{y:.1}" text-anchor="end" fill="{colour}">{name} ({})</text>"#,
        WIDTH - RIGHT - 12.0,
        histogram.len()
    )
}

/// As many nines as the number of requests allows: of 1000, the slowest is the 99.9th percentile.
fn nines_of(requests: u64) -> u32 {
    requests.max(1).ilog10().clamp(1, MAX_NINES)
}

fn percentile(nines: u32) -> String {
    match nines {
        0 => "0%".to_owned(),
        1 => "90%".to_owned(),
        2 => "99%".to_owned(),
        nines => format!("99.{}%", "9".repeat(nines as usize - 2)),
    }
}

fn time(micros: f64) -> String {
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} us"),
        micros if micros < 1e6 => format!("{:.0} ms", micros / 1e3),
        micros => format!("{:.0} s", micros / 1e6),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not exact")]
fn float(micros: u64) -> f64 {
    micros as f64
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::recorder::{End, Lost};
    use super::*;

    fn recorder(requests: u32, fails: bool) -> Recorder {
        let mut recorder = Recorder::new().unwrap();
        let due = Instant::now();
        for n in 1..=requests {
            let end = match fails && n % 2 == 0 {
                true => End::Lost(Lost::Reset),
                false => End::Ok { bytes: 1 },
            };
            recorder.record(due, due + Duration::from_micros(u64::from(n)), &end);
        }
        recorder
    }

    #[test]
    fn a_plot_has_a_line_whose_points_rise_and_stay_within() {
        let svg = picture("a <title> & more", &recorder(1000, false));
        assert!(svg.contains("a &lt;title&gt; &amp; more"));
        assert!(svg.contains(">99.9%<") && !svg.contains(">99.99%<"));
        let points = svg.split("points=\"").nth(1).unwrap();
        let points = points.split('"').next().unwrap().split_whitespace();
        let points: Vec<(f64, f64)> = points
            .map(|point| {
                let (x, y) = point.split_once(',').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        assert_eq!(points.len(), 121);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 >= b.1));
        assert!(
            points
                .iter()
                .all(|(x, y)| (LEFT..=WIDTH).contains(x) && (TOP..=HEIGHT).contains(y))
        );
        assert_eq!(svg.matches("<polyline").count(), 1);
    }

    #[test]
    fn failures_have_a_separate_line_and_no_requests_none() {
        let svg = picture("t", &recorder(10, true));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("answered with 200 (5)"));
        assert_eq!(
            picture("t", &recorder(0, false))
                .matches("<polyline")
                .count(),
            0
        );
    }
}
