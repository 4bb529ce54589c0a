//! The families as prometheus-client takes them, for a registry of the program's own.

use std::fmt;

use gaggle_group::HISTOGRAM_BOUNDS;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::families::{Families, Family, Kind, Number, Sample, Source, Value};

/// What a registry collects from.
pub(super) struct Collected(pub(super) Vec<Box<dyn Source>>);

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::default();
        for source in &self.0 {
            source.collect(&mut families);
        }
        all(&families.into_vec(), encoder)
    }
}

fn all(families: &[Family], mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    families
        .iter()
        .try_for_each(|family| one(family, &mut encoder))
}

/// prometheus-client adds the suffixes: `_total` to a counter's name, `_info` to an info's,
/// `_bucket`, `_sum` and `_count` to a histogram's.
fn one(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    };
    let mut encoder = encoder.encode_descriptor(&family.name, &family.help, None, kind)?;
    for sample in &family.samples {
        let labels = labels(family, sample);
        if family.kind == Kind::Info {
            encoder.encode_info(&labels)?;
        } else if labels.is_empty() {
            // `name 1` rather than `name{} 1`.
            value(family.kind, sample, &mut encoder)?;
        } else {
            value(family.kind, sample, &mut encoder.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn labels<'a>(family: &Family, sample: &'a Sample) -> Vec<(&'static str, &'a str)> {
    let values = sample.labels.iter().map(String::as_str);
    family.labels.iter().copied().zip(values).collect()
}

fn value(kind: Kind, sample: &Sample, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match (&sample.value, kind) {
        (Value::Histogram(histogram), _) => {
            let bounds = HISTOGRAM_BOUNDS.into_iter().chain([f64::INFINITY]);
            // The encoder adds them up, as the format wants them cumulative.
            let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets).collect();
            encoder.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
        }
        (Value::Number(Number::Whole(n)), Kind::Counter) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(n, None)
        }
        (Value::Number(Number::Real(n)), Kind::Counter) => {
            encoder.encode_counter::<NoLabelSet, _, f64>(n, None)
        }
        (Value::Number(Number::Whole(n)), _) => encoder.encode_gauge(n),
        (Value::Number(Number::Real(n)), _) => encoder.encode_gauge(n),
    }
}
