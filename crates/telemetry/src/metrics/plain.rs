//! The older text format, for scrapers and tools that do not read OpenMetrics:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write as _;

use gaggle_group::{HISTOGRAM_BOUNDS, Histogram};

use super::families::{Family, Kind, Number, Sample, Value};

/// All families, each with its help and its type.
pub(super) fn page(families: &[Family]) -> String {
    let mut page = String::new();
    for family in families {
        // Unlike in OpenMetrics, the suffix is part of a counter's name; an info is a gauge.
        let (name, kind) = match family.kind {
            Kind::Counter => (format!("{}_total", family.name), "counter"),
            Kind::Gauge => (family.name.clone(), "gauge"),
            Kind::Histogram => (family.name.clone(), "histogram"),
            Kind::Info => (format!("{}_info", family.name), "gauge"),
        };
        let help = escaped(&family.help, false);
        line(&mut page, format_args!("# HELP {name} {help}"));
        line(&mut page, format_args!("# TYPE {name} {kind}"));
        for sample in &family.samples {
            match &sample.value {
                Value::Number(number) => {
                    let labels = labels(family, sample, None);
                    match number {
                        Number::Whole(n) => line(&mut page, format_args!("{name}{labels} {n}")),
                        Number::Real(n) => line(&mut page, format_args!("{name}{labels} {n}")),
                    }
                }
                Value::Histogram(histogram) => {
                    of_histogram(&mut page, family, sample, histogram);
                }
            }
        }
    }
    page
}

fn of_histogram(page: &mut String, family: &Family, sample: &Sample, histogram: &Histogram) {
    let name = &family.name;
    let mut so_far = 0;
    let bounds = HISTOGRAM_BOUNDS.iter().map(f64::to_string);
    let bounds = bounds.chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(histogram.buckets) {
        so_far += count;
        let labels = labels(family, sample, Some(&bound));
        line(page, format_args!("{name}_bucket{labels} {so_far}"));
    }
    let labels = labels(family, sample, None);
    line(page, format_args!("{name}_sum{labels} {}", histogram.sum));
    line(page, format_args!("{name}_count{labels} {so_far}"));
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = page.write_fmt(text);
    page.push('\n');
}

fn labels(family: &Family, sample: &Sample, bound: Option<&str>) -> String {
    let own = family.labels.iter().copied().zip(&sample.labels);
    let all = own
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
        .chain(bound.map(|bound| format!("le=\"{bound}\"")));
    let all: Vec<String> = all.collect();
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
    use super::super::families::Families;
    use super::*;

    #[test]
    fn names_labels_and_buckets_are_those_of_the_older_format() {
        let mut families = Families::default();
        families.counter("gets", "Gets.", ["group"], [(["a \"b\\"], 3_u64)]);
        families.gauge("age_seconds", "An\nage.", [], [([], 1.5)]);
        families.info("build", "What.", ["version"], [["1"]]);
        let mut took = Histogram::default();
        took.buckets[0] = 2;
        took.buckets[14] = 1;
        took.sum = 7.25;
        families.histogram("took_seconds", "How long.", [], [([], took)]);
        let page = page(&families.into_vec());
        let expected = "\
            # HELP gets_total Gets.\n\
            # TYPE gets_total counter\n\
            gets_total{group=\"a \\\"b\\\\\"} 3\n\
            # HELP age_seconds An\\nage.\n\
            # TYPE age_seconds gauge\n\
            age_seconds 1.5\n\
            # HELP build_info What.\n\
            # TYPE build_info gauge\n\
            build_info{version=\"1\"} 1\n\
            # HELP took_seconds How long.\n\
            # TYPE took_seconds histogram\n\
            took_seconds_bucket{le=\"0.0001\"} 2\n";
        assert!(page.starts_with(expected), "{page}");
        let end = "\
            took_seconds_bucket{le=\"5\"} 2\n\
            took_seconds_bucket{le=\"+Inf\"} 3\n\
            took_seconds_sum 7.25\n\
            took_seconds_count 3\n";
        assert!(page.ends_with(end), "{page}");
    }
}
