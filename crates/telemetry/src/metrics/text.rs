//! The text formats of a page: [OpenMetrics
//! 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/), and the [older
//! one](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format) for
//! scrapers and tools that do not read OpenMetrics.
//!
//! prometheus-client writes OpenMetrics, too, but has no way to make an exemplar of a load that was
//! counted elsewhere.

use std::fmt::{self, Display, Write as _};
use std::time::UNIX_EPOCH;

use gaggle_group::{Exemplar, HISTOGRAM_BOUNDS, Histogram};

use super::families::{Family, Kind, Number, Sample, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Open,
    Plain,
}

/// All families, each with its help and its type.
pub(super) fn page(families: &[Family], format: Format) -> String {
    let mut page = String::new();
    for family in families {
        let name = &family.name;
        let sample_name = match family.kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Info => format!("{name}_info"),
            Kind::Gauge | Kind::Histogram => name.clone(),
        };
        // In the older format the suffix is part of a family's name, and an info is a gauge.
        let (name, kind) = match (format, family.kind) {
            (Format::Open, kind) => (name, kind.as_str()),
            (Format::Plain, Kind::Info) => (&sample_name, Kind::Gauge.as_str()),
            (Format::Plain, kind) => (&sample_name, kind.as_str()),
        };
        let help = escaped(&family.help, format == Format::Open);
        line(&mut page, format_args!("# HELP {name} {help}"));
        line(&mut page, format_args!("# TYPE {name} {kind}"));
        for sample in &family.samples {
            match &sample.value {
                Value::Number(number) => {
                    let labels = labels(family, sample, None);
                    let number = Written(*number, format);
                    line(&mut page, format_args!("{sample_name}{labels} {number}"));
                }
                Value::Histogram(histogram) => {
                    of_histogram(&mut page, family, sample, histogram, format);
                }
            }
        }
    }
    if format == Format::Open {
        line(&mut page, format_args!("# EOF"));
    }
    page
}

fn of_histogram(
    page: &mut String,
    family: &Family,
    sample: &Sample,
    histogram: &Histogram,
    format: Format,
) {
    let name = &family.name;
    let exemplar_of = |bucket| {
        let mut exemplars = sample.exemplars.iter();
        exemplars
            .find(|exemplar| Histogram::bucket_of(exemplar.seconds) == bucket)
            .filter(|_| format == Format::Open)
    };
    let mut so_far = 0;
    let bounds = HISTOGRAM_BOUNDS.into_iter().chain([f64::INFINITY]);
    for (bucket, (bound, count)) in bounds.zip(histogram.buckets).enumerate() {
        so_far += count;
        let bound = Written(Number::Real(bound), format).to_string();
        let labels = labels(family, sample, Some(&bound));
        let exemplar = Told(exemplar_of(bucket));
        line(
            page,
            format_args!("{name}_bucket{labels} {so_far}{exemplar}"),
        );
    }
    let labels = labels(family, sample, None);
    let sum = Written(Number::Real(histogram.sum), format);
    line(page, format_args!("{name}_sum{labels} {sum}"));
    line(page, format_args!("{name}_count{labels} {so_far}"));
}

/// A number as a format has it.
struct Written(Number, Format);

impl Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(Number::Whole(n), _) => write!(f, "{n}"),
            Self(Number::Real(n), _) if n.is_infinite() => {
                f.write_str(if n > 0.0 { "+Inf" } else { "-Inf" })
            }
            // OpenMetrics has whole bounds as `1.0`.
            Self(Number::Real(n), Format::Open) => write!(f, "{n:?}"),
            Self(Number::Real(n), Format::Plain) => write!(f, "{n}"),
        }
    }
}

/// What follows the count of a bucket that has an exemplar.
struct Told<'a>(Option<&'a Exemplar>);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(exemplar) = self.0 else {
            return Ok(());
        };
        let trace = u128::from_be_bytes(exemplar.trace_id);
        write!(f, " # {{trace_id=\"{trace:032x}\"}} {:?}", exemplar.seconds)?;
        // Without a time, if the clock is before 1970.
        let Ok(at) = exemplar.at.duration_since(UNIX_EPOCH) else {
            return Ok(());
        };
        write!(f, " {}.{:03}", at.as_secs(), at.subsec_millis())
    }
}

fn line(page: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = page.write_fmt(text);
    page.push('\n');
}

fn labels(family: &Family, sample: &Sample, bound: Option<&str>) -> String {
    let own = family.labels.iter().copied().zip(&sample.labels);
    let own = own.map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)));
    let bound = bound.map(|bound| format!("le=\"{bound}\""));
    let all: Vec<String> = bound.into_iter().chain(own).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", all.join(","))
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', r"\\").replace('\n', r"\n");
    if quotes {
        text.replace('"', "\\\"")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::super::encode::Collected;
    use super::super::families::Families;
    use super::*;

    /// Two of the first bucket, and one that is above all bounds.
    fn took() -> Histogram {
        let mut took = Histogram::default();
        took.buckets[0] = 2;
        took.buckets[14] = 1;
        took.sum = 7.25;
        took
    }

    fn fill(families: &mut Families) {
        families.counter("gets", "Gets.", ["group"], [(["a \"b\\\n"], 3_u64)]);
        families.gauge("age_seconds", "Its age.", [], [([], 1.5)]);
        families.gauge("whole_seconds", "Whole.", [], [([], 2.0)]);
        families.info("build", "What.", ["version"], [["1"]]);
        families.histogram("took_seconds", "How long.", [], [([], took())]);
        families.histogram("kept_seconds", "How long.", ["group"], [(["a"], took())]);
    }

    fn families() -> Vec<Family> {
        let mut families = Families::default();
        fill(&mut families);
        families.into_vec()
    }

    #[test]
    fn names_labels_and_buckets_are_those_of_the_older_format() {
        let page = page(&families(), Format::Plain);
        let expected = "\
            # HELP gets_total Gets.\n\
            # TYPE gets_total counter\n\
            gets_total{group=\"a \\\"b\\\\\\n\"} 3\n\
            # HELP age_seconds Its age.\n\
            # TYPE age_seconds gauge\n\
            age_seconds 1.5\n\
            # HELP whole_seconds Whole.\n\
            # TYPE whole_seconds gauge\n\
            whole_seconds 2\n\
            # HELP build_info What.\n\
            # TYPE build_info gauge\n\
            build_info{version=\"1\"} 1\n\
            # HELP took_seconds How long.\n\
            # TYPE took_seconds histogram\n\
            took_seconds_bucket{le=\"0.0001\"} 2\n";
        assert!(page.starts_with(expected), "{page}");
        let end = "\
            kept_seconds_bucket{le=\"5\",group=\"a\"} 2\n\
            kept_seconds_bucket{le=\"+Inf\",group=\"a\"} 3\n\
            kept_seconds_sum{group=\"a\"} 7.25\n\
            kept_seconds_count{group=\"a\"} 3\n";
        assert!(page.ends_with(end), "{page}");
    }

    /// The lines in an order of their own: the order within a histogram is not prescribed.
    fn sorted(page: &str) -> Vec<&str> {
        let mut lines: Vec<_> = page.lines().collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn openmetrics_has_the_lines_that_prometheus_client_writes() {
        let open = page(&families(), Format::Open);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(vec![Box::new(fill)])));
        let mut theirs = String::new();
        text::encode(&mut theirs, &registry).unwrap();
        assert_eq!(sorted(&open), sorted(&theirs));
        assert!(open.ends_with("\n# EOF\n"));
    }

    #[test]
    fn what_an_odd_text_or_number_is_escaped_to() {
        let mut families = Families::default();
        let numbers = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-9];
        let numbers = ["a", "b", "c", "d"].into_iter().zip(numbers);
        let numbers = numbers.map(|(label, number)| ([label], number));
        families.gauge("odd", "A \"b\"\n\\c.", ["which"], numbers);
        let families = families.into_vec();
        let values = |page: &str| -> Vec<String> {
            let samples = page.lines().filter(|line| !line.starts_with('#'));
            let values = samples.map(|line| line.rsplit(' ').next().unwrap().to_owned());
            values.collect()
        };
        let open = page(&families, Format::Open);
        assert_eq!(values(&open), ["+Inf", "-Inf", "NaN", "1e-9"]);
        assert!(
            open.starts_with("# HELP odd A \\\"b\\\"\\n\\\\c.\n"),
            "{open}"
        );
        let plain = page(&families, Format::Plain);
        assert_eq!(values(&plain), ["+Inf", "-Inf", "NaN", "0.000000001"]);
        assert!(
            plain.starts_with("# HELP odd A \"b\"\\n\\\\c.\n"),
            "{plain}"
        );
    }

    #[test]
    fn an_exemplar_stands_behind_its_bucket_and_only_in_openmetrics() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let mut families = Families::default();
        let exemplars = vec![
            Exemplar::new([0xab; 16], 0.000_1, at(1_700_000_000_123)),
            Exemplar::new([1; 16], 9.0, UNIX_EPOCH - Duration::from_secs(1)),
        ];
        let samples = [(["a"], took(), exemplars)];
        families.histogram_with_exemplars("took_seconds", "How long.", ["group"], samples);
        let families = families.into_vec();
        let open = page(&families, Format::Open);
        let expected = format!(
            "le=\"0.0001\",group=\"a\"}} 2 # {{trace_id=\"{}\"}} 0.0001 1700000000.123\n",
            "ab".repeat(16)
        );
        assert!(open.contains(&expected), "{open}");
        let before = format!(
            "le=\"+Inf\",group=\"a\"}} 3 # {{trace_id=\"{}\"}} 9.0\n",
            "01".repeat(16)
        );
        assert!(open.contains(&before), "{open}");
        assert_eq!(open.matches(" # {").count(), 2);
        assert!(!page(&families, Format::Plain).contains(" # {"));
    }
}
