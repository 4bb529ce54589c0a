//! A page in OpenMetrics, read as a strict scraper reads it.

use std::collections::{BTreeMap, BTreeSet};

/// A page, parsed: the values of the samples by name and labels, the exemplars by the same, and the
/// type of each family.
pub(crate) struct Page {
    pub(crate) samples: BTreeMap<String, f64>,
    pub(crate) exemplars: BTreeMap<String, Sampled>,
    pub(crate) types: BTreeMap<String, String>,
}

/// An exemplar, parsed.
pub(crate) struct Sampled {
    pub(crate) trace: String,
    pub(crate) seconds: f64,
    /// In seconds since 1970.
    pub(crate) at: f64,
}

impl Sampled {
    /// Parses what follows the value of a bucket, and fails unless it is as OpenMetrics has it.
    fn parse(text: &str) -> Self {
        let (labels, rest) = text.strip_prefix('{').unwrap().split_once("} ").unwrap();
        // Of names and values together.
        assert!(labels.chars().count() <= 128, "{text}");
        let trace = labels.strip_prefix("trace_id=\"").unwrap();
        let trace = trace.strip_suffix('"').unwrap();
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(trace.len() == 32 && trace.chars().all(is_hex), "{text}");
        let (seconds, at) = rest.split_once(' ').unwrap();
        assert!(
            at.split_once('.')
                .is_some_and(|(_, millis)| millis.len() == 3)
        );
        Self {
            trace: trace.to_owned(),
            seconds: seconds.parse().unwrap(),
            at: at.parse().unwrap(),
        }
    }
}

impl Page {
    /// Parses the text, and fails on whatever a strict scraper would not take.
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self {
            samples: BTreeMap::new(),
            exemplars: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let mut helped = BTreeSet::new();
        let mut family = String::new();
        let Some(body) = text.strip_suffix("# EOF\n") else {
            panic!("no EOF: {text}")
        };
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(!words.is_empty(), "{line}");
                assert!(helped.insert(name.to_owned()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "no HELP before {line}");
                family = name.to_owned();
                assert!(
                    page.types.insert(family.clone(), kind.to_owned()).is_none(),
                    "{line}"
                );
            } else {
                page.sample(line, &family);
            }
        }
        page.check_histograms();
        page
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (line, exemplar) = match line.split_once(" # ") {
            Some((line, exemplar)) => (line, Some(Sampled::parse(exemplar))),
            None => (line, None),
        };
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{line}"
        );
        let suffix = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line} in {family}"));
        let allowed: &[&str] = match self.types[family].as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{line}");
            assert!(!value.trim_end_matches('"').contains('"'), "{line}");
        }
        assert!(
            self.samples.insert(series.to_owned(), value).is_none(),
            "twice: {line}"
        );
        if let Some(exemplar) = exemplar {
            assert_eq!(suffix, "_bucket", "{line}");
            assert!(value > 0.0, "an exemplar of nothing: {line}");
            self.exemplars.insert(series.to_owned(), exemplar);
        }
    }

    /// Buckets rise with their bounds, and the one of +Inf is the count.
    fn check_histograms(&self) {
        let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (series, value) in &self.samples {
            let Some((name, labels)) = series.split_once("_bucket{le=\"") else {
                continue;
            };
            let (bound, rest) = labels.split_once("\",").unwrap();
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse().unwrap()
            };
            buckets
                .entry(format!("{name}_count{{{rest}"))
                .or_default()
                .push((bound, *value));
        }
        assert!(!buckets.is_empty());
        for (series, exemplar) in &self.exemplars {
            let (_, labels) = series.split_once("{le=\"").unwrap();
            let bound = labels.split_once('"').unwrap().0;
            let bound = bound
                .strip_prefix('+')
                .map_or_else(|| bound.parse(), |_| Ok(f64::INFINITY));
            assert!(exemplar.seconds <= bound.unwrap(), "{series}");
        }
        for (count, mut buckets) in buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{count}: {buckets:?}"
            );
            assert_eq!(
                buckets.last().unwrap(),
                &(f64::INFINITY, self.samples[&count]),
                "{count}"
            );
        }
    }

    pub(crate) fn get(&self, series: &str) -> f64 {
        *self
            .samples
            .get(series)
            .unwrap_or_else(|| panic!("{series} is not in {:?}", self.samples))
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.samples
            .keys()
            .map(|series| series.split('{').next().unwrap())
            .collect()
    }
}
