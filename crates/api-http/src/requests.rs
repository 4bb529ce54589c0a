//! How many requests the front door has answered, how, and how fast.

use std::array;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use axum::http::StatusCode;
use gaggle_group::{HISTOGRAM_BOUNDS, Histogram};

use crate::keys::split_once;

/// What a request asks the front door for, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `/api`: one value, as the ancestors serve it.
    Api,
    /// `/v1/{group}/{key}`: one value.
    Value,
    /// `/v1/{group}`: several values.
    Batch,
    /// `/openapi.json`: the description of the front door.
    Openapi,
    /// Any other path.
    Other,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Api,
        Self::Value,
        Self::Batch,
        Self::Openapi,
        Self::Other,
    ];

    /// The route in one word, as a metric's label has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Value => "value",
            Self::Batch => "batch",
            Self::Openapi => "openapi",
            Self::Other => "other",
        }
    }

    /// The route of a raw path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/api" => Self::Api,
            "/openapi.json" => Self::Openapi,
            _ => match path.strip_prefix("/v1/") {
                Some(rest) if split_once(rest, b'/').is_some() => Self::Value,
                Some(_) => Self::Batch,
                None => Self::Other,
            },
        }
    }
}

/// The statuses that the front door gives, in ascending order, and the last one for what is none of
/// them: a fault of the node.
pub(crate) const STATUSES: [u16; 19] = [
    200, 204, 206, 304, 400, 403, 404, 405, 406, 408, 412, 413, 414, 416, 431, 502, 503, 504, 500,
];
/// One bucket for each bound, and one for what is above.
const BUCKETS: usize = HISTOGRAM_BOUNDS.len() + 1;
/// The upper bounds of the buckets in nanoseconds: a comparison of integers for each.
const BOUNDS: [u64; BUCKETS - 1] = bounds();
/// The most parts that the counters have.
const MAX_STRIPES: usize = 16;

/// Counts requests: a handle, of which all clones count together. Give one to
/// [`FrontOptions::requests`](crate::FrontOptions) and keep another to read.
///
/// A request costs two reads of the clock and two relaxed additions, in a part of the counters
/// that few other threads write.
#[derive(Debug, Clone)]
pub struct RequestStats {
    stripes: Arc<[Stripe]>,
}

/// A snapshot of [`RequestStats`]. Each counter is exact; the set is not one instant's.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// One for each of [`Route::ALL`], in that order.
    pub routes: Vec<RouteCounts>,
}

/// What was asked for by one route.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RouteCounts {
    /// The route.
    pub route: Route,
    /// How many requests were answered with each status, those without any left out; in ascending
    /// order.
    pub statuses: Vec<(u16, u64)>,
    /// How long it took until the head of the answer was ready, in seconds. What comes after that,
    /// as the rows of a batch and the writing of a value, is not in it.
    pub seconds: Histogram,
}

/// A part of the counters, in cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe([RouteCells; Route::ALL.len()]);

/// Requests by status and by time: one addition counts both.
#[derive(Debug)]
struct RouteCells {
    counts: [[AtomicU64; BUCKETS]; STATUSES.len()],
    sum_nanos: AtomicU64,
}

impl Default for RequestStats {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for RequestStats {
    /// Whether both count together.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stripes, &other.stripes)
    }
}

impl Eq for RequestStats {}

impl RequestStats {
    /// Counters that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let stripes = threads.next_power_of_two().min(MAX_STRIPES);
        Self {
            stripes: (0..stripes).map(|_| Stripe::new()).collect(),
        }
    }

    /// Counts a request whose answer was ready after so long.
    pub(crate) fn count(&self, route: Route, status: StatusCode, took: Duration) {
        // The number of parts is a power of two.
        let stripe = &self.stripes[stripe() & (self.stripes.len() - 1)];
        let cells = &stripe.0[route as usize];
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // From the lowest bound on, as a hit is within the first.
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound);
        let bucket = bucket.unwrap_or(BOUNDS.len());
        cells.counts[row_of(status)][bucket].fetch_add(1, Relaxed);
        cells.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// The counters as they are now.
    #[must_use]
    pub fn snapshot(&self) -> RequestCounts {
        RequestCounts {
            routes: Route::ALL.map(|route| self.of(route)).into(),
        }
    }

    fn of(&self, route: Route) -> RouteCounts {
        let mut statuses = [0; STATUSES.len()];
        let mut seconds = Histogram::default();
        let mut nanos = 0;
        for stripe in &*self.stripes {
            let cells = &stripe.0[route as usize];
            for (row, counted) in cells.counts.iter().zip(&mut statuses) {
                for (cell, bucket) in row.iter().zip(&mut seconds.buckets) {
                    let count = cell.load(Relaxed);
                    *counted += count;
                    *bucket += count;
                }
            }
            nanos += cells.sum_nanos.load(Relaxed);
        }
        seconds.sum = Duration::from_nanos(nanos).as_secs_f64();
        let statuses = STATUSES.into_iter().zip(statuses);
        let mut statuses: Vec<_> = statuses.filter(|(_, count)| *count > 0).collect();
        statuses.sort_unstable();
        RouteCounts {
            route,
            statuses,
            seconds,
        }
    }
}

impl Stripe {
    fn new() -> Self {
        Self(array::from_fn(|_| RouteCells {
            counts: array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0))),
            sum_nanos: AtomicU64::new(0),
        }))
    }
}

/// The row of a status.
fn row_of(status: StatusCode) -> usize {
    let last = STATUSES.len() - 1;
    let row = STATUSES[..last]
        .iter()
        .position(|it| *it == status.as_u16());
    row.unwrap_or(last)
}

/// A number of the thread, the same for as long as it runs.
fn stripe() -> usize {
    thread_local! {
        static STRIPE: usize = {
            let hasher = BuildHasherDefault::<DefaultHasher>::default();
            let hash = hasher.hash_one(thread::current().id());
            // Only a few bits are needed.
            usize::try_from(hash & 0xFFFF).unwrap_or_default()
        };
    }
    // While the thread ends there is none.
    STRIPE.try_with(|stripe| *stripe).unwrap_or_default()
}

const fn bounds() -> [u64; BUCKETS - 1] {
    let mut bounds = [0; BUCKETS - 1];
    let mut n = 0;
    while n < bounds.len() {
        // Half a nanosecond makes up for what the multiplication loses.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounds are some seconds at most"
        )]
        let nanos = (HISTOGRAM_BOUNDS[n] * 1e9 + 0.5) as u64;
        bounds[n] = nanos;
        n += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_route_status_and_time() {
        let stats = RequestStats::new();
        let also = stats.clone();
        let ms = Duration::from_millis;
        stats.count(Route::Value, StatusCode::OK, ms(1));
        also.count(Route::Value, StatusCode::OK, Duration::from_micros(1_001));
        also.count(Route::Value, StatusCode::NOT_FOUND, ms(60_000));
        also.count(Route::Other, StatusCode::IM_A_TEAPOT, ms(0));
        assert_eq!((stats == also, stats == RequestStats::new()), (true, false));

        let counts = stats.snapshot();
        assert_eq!(counts, also.snapshot());
        let names: Vec<_> = counts.routes.iter().map(|of| of.route).collect();
        assert_eq!(names, Route::ALL);
        let value = &counts.routes[1];
        assert_eq!(value.statuses, [(200, 2), (404, 1)]);
        assert_eq!(value.seconds.buckets[3], 1, "1 ms is within its bound");
        assert_eq!(
            (value.seconds.buckets[4], value.seconds.buckets[14]),
            (1, 1)
        );
        assert!((value.seconds.sum - 60.002_001).abs() < 1e-9);
        let other = &counts.routes[4];
        assert_eq!(other.statuses, [(500, 1)], "an unforeseen status");
        assert_eq!((other.seconds.buckets[0], other.seconds.count()), (1, 1));
        assert_eq!(counts.routes[0].statuses, []);
    }

    #[test]
    fn threads_count_together() {
        let stats = RequestStats::new();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        stats.count(Route::Api, StatusCode::OK, Duration::ZERO);
                    }
                });
            }
        });
        assert_eq!(stats.snapshot().routes[0].statuses, [(200, 4_000)]);
    }

    #[test]
    fn bounds_are_those_of_all_histograms() {
        assert_eq!(BOUNDS[..3], [100_000, 250_000, 500_000]);
        assert_eq!(BOUNDS[13], 5_000_000_000);
    }

    #[test]
    fn routes_are_told_by_the_path() {
        for (path, route) in [
            ("/api", Route::Api),
            ("/api/", Route::Other),
            ("/openapi.json", Route::Openapi),
            ("/v1/g", Route::Batch),
            ("/v1/", Route::Batch),
            ("/v1/g/", Route::Value),
            ("/v1//k", Route::Value),
            ("/v1/g/a/b", Route::Value),
            ("/v1", Route::Other),
            ("/", Route::Other),
            ("*", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
