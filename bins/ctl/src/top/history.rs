//! The document of `GET /history`: the last hour of one node, a number for each ten seconds.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The most numbers of a series that are kept, whatever a node sends.
const MAX_POINTS: usize = 360;

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct History {
    pub(super) interval_seconds: f64,
    /// Of the whole node.
    series: Series,
    groups: BTreeMap<String, Series>,
}

/// Numbers by interval, the oldest first; `None` before the node started.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Series {
    pub(super) client_gets: Numbers,
    pub(super) client_hits: Numbers,
    pub(super) peer_gets: Numbers,
    pub(super) origin_loads: Numbers,
    pub(super) origin_errors: Numbers,
    pub(super) peer_loads: Numbers,
    pub(super) load_p50: Numbers,
    pub(super) load_p99: Numbers,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Numbers(Vec<Option<f64>>);

impl History {
    /// The series of a group, or of the whole node.
    pub(super) fn of(&self, group: Option<&str>) -> Option<&Series> {
        match group {
            Some(group) => self.groups.get(group),
            None => Some(&self.series),
        }
    }
}

impl Series {
    /// The share of the clients' gets that were hits, in percent; `None` where there were none.
    pub(super) fn hit_percent(&self) -> Numbers {
        let Self {
            client_gets,
            client_hits,
            ..
        } = self;
        let percent = |(gets, hits): (&Option<f64>, &Option<f64>)| match (gets, hits) {
            (Some(gets), Some(hits)) if *gets > 0.0 => Some((hits / gets * 100.0).min(100.0)),
            _ => None,
        };
        Numbers(
            client_gets
                .0
                .iter()
                .zip(&client_hits.0)
                .map(percent)
                .collect(),
        )
    }
}

impl Numbers {
    /// The last ones, as points to plot: `x` is the time before now in seconds, below zero.
    pub(super) fn points(&self, interval: f64, count: usize, factor: f64) -> Vec<(f64, f64)> {
        let count = count.min(MAX_POINTS).min(self.0.len());
        let last = &self.0[self.0.len() - count..];
        let mut points = Vec::with_capacity(count);
        let mut before = -interval * to_float(count);
        for number in last {
            before += interval;
            if let Some(number) = number
                && number.is_finite()
            {
                points.push((before, number * factor));
            }
        }
        points
    }

    /// The newest.
    pub(super) fn last(&self) -> Option<f64> {
        self.0.last().copied().flatten()
    }
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds at most")]
fn to_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_the_last_ones_and_end_now() {
        let numbers = Numbers(vec![Some(9.0), None, Some(1.0), Some(f64::NAN), Some(2.0)]);
        assert_eq!(
            numbers.points(10.0, 4, 1000.0),
            [(-20.0, 1000.0), (0.0, 2000.0)]
        );
        assert_eq!(numbers.points(10.0, 99, 1.0)[0], (-40.0, 9.0));
        assert_eq!(Numbers::default().points(10.0, 4, 1.0), []);
        assert_eq!(numbers.last(), Some(2.0));
    }

    #[test]
    fn a_hit_ratio_is_of_the_gets_of_its_interval() {
        let series = Series {
            client_gets: Numbers(vec![None, Some(0.0), Some(8.0), Some(4.0)]),
            client_hits: Numbers(vec![None, Some(0.0), Some(6.0), Some(5.0)]),
            ..Series::default()
        };
        let expected = Numbers(vec![None, None, Some(75.0), Some(100.0)]);
        assert_eq!(series.hit_percent(), expected);
    }
}
