//! Families of samples, each with its name, its type, its labels and its help.

use gaggle_group::{Exemplar, Histogram};

/// Something that has counts. It keeps them itself, and writes what they are now whenever a page
/// is made. It must answer at once. A closure `Fn(&mut Families)` is one.
pub trait Source: Send + Sync + 'static {
    /// Writes all its families. Those without a sample are written, too: they tell that the name
    /// exists.
    fn collect(&self, families: &mut Families);
}

impl<F: Fn(&mut Families) + Send + Sync + 'static> Source for F {
    fn collect(&self, families: &mut Families) {
        self(families);
    }
}

/// The families of a page, in the order in which they were first written. A family that is written
/// twice, by two sources for example, stands there once with the samples of both.
#[derive(Debug, Default)]
pub struct Families {
    all: Vec<Family>,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name without the suffixes that its samples have: see [`Kind`].
    pub name: String,
    /// What it tells, in a sentence.
    pub help: String,
    /// What its samples are.
    pub kind: Kind,
    /// The names of the labels.
    pub labels: Vec<&'static str>,
    /// The samples that there are now.
    pub samples: Vec<Sample>,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows. Its sample has the suffix `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Of durations in seconds. Its samples have the suffixes `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its labels tell something. Its sample has the suffix `_info`.
    Info,
}

/// One sample, or one histogram.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The values of the labels, in the order of their names.
    pub labels: Vec<String>,
    /// What was measured.
    pub value: Value,
    /// Of a histogram: examples with their traces, at most one for each bucket.
    pub exemplars: Vec<Exemplar>,
}

/// What a [`Sample`] has measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a counter, a gauge or an info.
    Number(Number),
    /// Of a histogram.
    Histogram(Histogram),
}

/// The value of a counter or a gauge.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// A whole number.
    Whole(u64),
    /// Any other, such as a number of seconds.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Kind {
    /// The type's name, as the text formats have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What the names of the samples end with.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total"],
            Self::Gauge => &[""],
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Info => &["_info"],
        }
    }
}

impl Family {
    /// The names of its samples, as queries have them.
    pub fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        let suffixes = self.kind.suffixes().iter();
        suffixes.map(|suffix| format!("{}{suffix}", self.name))
    }
}

impl Families {
    /// A family of counters. `name` is without `_total`.
    pub fn counter<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], impl Into<Number>)>,
    ) {
        self.numbers(name, help, Kind::Counter, labels, samples);
    }

    /// A family of gauges.
    pub fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], impl Into<Number>)>,
    ) {
        self.numbers(name, help, Kind::Gauge, labels, samples);
    }

    /// A family of histograms of durations.
    pub fn histogram<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], Histogram)>,
    ) {
        let samples = samples
            .into_iter()
            .map(|(labels, value)| (labels, value, Vec::new()));
        self.histogram_with_exemplars(name, help, labels, samples);
    }

    /// The same with exemplars. They are in OpenMetrics only: the older text format has none.
    pub fn histogram_with_exemplars<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], Histogram, Vec<Exemplar>)>,
    ) {
        let samples = samples
            .into_iter()
            .map(|(labels, value, exemplars)| (labels, Value::Histogram(value), exemplars));
        self.write(name, help, Kind::Histogram, labels, samples);
    }

    /// One sample of value 1 for each set of texts, which are the labels' values. `name` is
    /// without `_info`.
    pub fn info<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        texts: impl IntoIterator<Item = [&'a str; N]>,
    ) {
        let samples = texts.into_iter().map(|texts| (texts, 1_u64));
        self.numbers(name, help, Kind::Info, labels, samples);
    }

    pub(super) fn into_vec(self) -> Vec<Family> {
        self.all
    }

    fn numbers<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        labels: [&'static str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], impl Into<Number>)>,
    ) {
        let samples = samples
            .into_iter()
            .map(|(labels, value)| (labels, Value::Number(value.into()), Vec::new()));
        self.write(name, help, kind, labels, samples);
    }

    fn write<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        labels: [&'static str; N],
        samples: impl Iterator<Item = ([&'a str; N], Value, Vec<Exemplar>)>,
    ) {
        let samples = samples.map(|(labels, value, exemplars)| Sample {
            labels: labels.map(str::to_owned).to_vec(),
            value,
            exemplars,
        });
        let known = self.all.iter_mut().find(|family| family.name == name);
        match known {
            Some(family) if family.kind == kind && family.labels == labels => {
                family.samples.extend(samples);
            }
            // Two sources do not agree what the name means. A page with both would be refused as a
            // whole.
            Some(_) => {
                tracing::warn!(
                    name,
                    "two kinds of metrics have one name; the second is left out"
                );
            }
            None => self.all.push(Family {
                name: name.to_owned(),
                help: help.to_owned(),
                kind,
                labels: labels.to_vec(),
                samples: samples.collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_of_two_sources_stands_there_once() {
        let mut families = Families::default();
        families.gauge("open", "Open.", ["port"], [(["api"], 1_u64)]);
        families.gauge("open", "Open.", ["port"], [(["peer"], 2_u64)]);
        families.counter("open", "Opened.", ["port"], [(["peer"], 7_u64)]);
        let all = families.into_vec();
        assert_eq!(all.len(), 1);
        let ports: Vec<_> = all[0]
            .samples
            .iter()
            .map(|s| s.labels[0].as_str())
            .collect();
        assert_eq!(ports, ["api", "peer"]);
    }
}
