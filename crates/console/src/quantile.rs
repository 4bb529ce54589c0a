//! Percentiles of a histogram's counts.

use gaggle_group::{HISTOGRAM_BOUNDS, Histogram};

/// The value, in seconds, that a share of the observations does not exceed; `None` where there is
/// none. It is estimated linearly within its bucket. Above the last bound, it is that bound.
#[must_use]
pub fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    of_buckets(&histogram.buckets, share)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 do not matter here"
)]
pub(crate) fn of_buckets(buckets: &[u64; HISTOGRAM_BOUNDS.len() + 1], share: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = share.clamp(0.0, 1.0) * all as f64;
    let (mut below, mut from) = (0.0, 0.0);
    for (count, to) in buckets.iter().zip(HISTOGRAM_BOUNDS) {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(from + (to - from) * ((wanted - below) / count));
        }
        below += count;
        from = to;
    }
    Some(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(usize, u64)], share: f64) -> Option<f64> {
        let mut histogram = Histogram::default();
        for (bucket, count) in counts {
            histogram.buckets[*bucket] = *count;
        }
        quantile(&histogram, share)
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_the_true_value() {
        assert_eq!(of(&[], 0.5), None);
        // Between 0.5 and 1 ms.
        assert_eq!(of(&[(3, 10)], 0.5), Some(0.000_75));
        assert_eq!(of(&[(3, 10)], 1.0), Some(0.001));
        assert_eq!(of(&[(3, 10)], 0.0), Some(0.000_5));
        // 90 fast ones and 10 of up to a second.
        assert_eq!(of(&[(0, 90), (12, 10)], 0.9), Some(0.000_1));
        assert_eq!(of(&[(0, 90), (12, 10)], 0.95), Some(0.75));
        assert_eq!(of(&[(14, 1)], 0.5), Some(5.0));
    }
}
