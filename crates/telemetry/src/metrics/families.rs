//! Families of samples, each with its help and its type.

use std::fmt;

use gaggle_group::{HISTOGRAM_BOUNDS, Histogram};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Label names and values.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes families. prometheus-client adds the suffixes: `_total` to a counter's name, `_info` to an info's, `_bucket`,
/// `_sum` and `_count` to a histogram's.
pub(super) struct Families<'a> {
    pub(super) encoder: DescriptorEncoder<'a>,
}

impl Families<'_> {
    pub(super) fn counter<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                // `name 1` rather than `name{} 1`.
                family.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    pub(super) fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A gauge of durations.
    pub(super) fn seconds<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// One sample of value 1 for each text, which is its label's value.
    pub(super) fn info<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Info)?;
        for text in texts {
            family.encode_info(&[(label, text)])?;
        }
        Ok(())
    }

    pub(super) fn histogram<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, &'a Histogram)>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in samples {
            let bounds = HISTOGRAM_BOUNDS.into_iter().chain([f64::INFINITY]);
            // The encoder adds them up, as the format wants them cumulative.
            let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets).collect();
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)?;
        }
        Ok(())
    }
}
