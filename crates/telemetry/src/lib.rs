//! Logging set-up, and the mapping of a group's statistics to Prometheus metrics.
//!
//! Libraries of this project write `tracing` events and count in their own structures; this crate
//! is where a program decides what becomes of both.
//!
//! ```
//! use bytes::Bytes;
//! use gaggle_group::{Group, Groups};
//! use gaggle_telemetry::{BuildInfo, LogOptions, Metrics};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = gaggle_telemetry::logging::init(&LogOptions { level: "warn".into(), ..LogOptions::default() })?;
//!
//! let scores = Group::builder("scores")
//!     .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("630")) })
//!     .build()?;
//! let build = BuildInfo { version: "0.1.0".into() };
//! let metrics = Metrics::new(Groups::new([scores.clone()])?, build).with_log(log.clone());
//! scores.get("Tom").await?;
//! assert!(metrics.encode().contains("gaggle_gets_total{group=\"scores\"} 1\n"));
//! assert!(metrics.encode().contains("gaggle_log_lines_lost_total 0\n"));
//! // Before the program ends:
//! log.flush(std::time::Duration::from_millis(250));
//! # Ok(()) }
//! ```
//!
//! # Metrics
//!
//! Names begin with `gaggle_`. No label ever holds a key. These are the metrics of groups, of
//! their ring and of the program; [`Metrics::families`] has all of a page with their help.
//!
//! | name | labels | |
//! |---|---|---|
//! | `gets_total` | `group` | gets, of callers here and of peers |
//! | `hits_total` | `group`, `cache` (`main`, `hot`, `absent`) | gets answered from memory |
//! | `source_gets_total`, `source_hits_total` | `group`, `source` (`client`, `peer`) | the same by who asked: the ratio that clients see is that of `client` |
//! | `loads_total` | `group`, `source` (`origin`, `peer`), `result` (`ok`, `not_found`, `error`) | loads that ended |
//! | `loads_collapsed_total` | `group` | gets that waited on a load which another had started |
//! | `load_seconds` | `group`, `source` | histogram of how long loads took, with exemplars |
//! | `loads_in_flight` | `group` | loads under way |
//! | `server_requests_total` | `group` | gets that came from peers |
//! | `shed_total` | `group` | gets and loads refused because too many were under way |
//! | `stale_served_total`, `stale_failed_over_total` | `group` | gets served a value past its time to live; those of them whose load had failed |
//! | `refreshes_total`, `not_modified_total` | `group` | loads in the background; loads that found the value unchanged |
//! | `cache_bytes`, `cache_entries` | `group`, `cache` | what is held |
//! | `cache_limit_bytes` | `group` | what all caches may hold together |
//! | `evictions_total` | `group`, `cache`, `reason` (`capacity`, `expired`, `collision`) | entries that left |
//! | `values_refused_total` | `group`, `cache` | values that could never fit |
//! | `origin_loads_limit`, `…_running`, `…_waiting`, `…_given_up` | `group` | who asks the origin, and who waits to |
//! | `origin_key_faults_total` | `group` | loads that the origin refused because of their key |
//! | `origin_batches_total`, `origin_batched_keys_total` | `group` | requests to the origin for several keys, and those keys |
//! | `breaker_open`, `breaker_opened_total` | `group` | whether the origin is left alone for failing, and how often that began |
//! | `taken_over_total`, `hedges_total`, `warmed_total` | `group` (and `result`) | values from previous owners; requests to a second node; keys loaded ahead |
//! | `removals_total`, `group_removals_total` | `group` | removals applied here; those of the whole group |
//! | `removals_issued_total` | `group`, `kind` (`keys`, `group`, `put`) | removals asked for here |
//! | `removals_incomplete_total`, `removal_missed_nodes_total` | `group` | removals that missed a node; the nodes missed |
//! | `removal_seconds` | `group` | histogram of how long removals took to reach every node |
//! | `unvouched_drops_total` | `group` | times that all was dropped, as removals may have been missed |
//! | `follow_…` | `group` | what follows the source: state, lag, changes, failures |
//! | `in_flight_bytes`, `…_peak_bytes`, `…_limit_bytes`, `…_refused_total` | | values that are loaded, fetched or sent |
//! | `peer_requests_total` | `peer`, `result` | requests to a peer that ended |
//! | `peer_up` | `peer` | 1 if the peer is thought to be up, otherwise 0 |
//! | `ring_members` | | members of the ring, this node included |
//! | `ring_disagreements` | | nodes that have seen another ring, profile, protocol version or other groups for longer than 5 s; `/status` says which and how |
//! | `ring_info` | `hash` | 1; two nodes with the same `hash` place every key alike |
//! | `log_lines_lost_total` | | log lines that could not be written |
//! | `log_lines_left_out_total` | | log lines left out because others of their kind were written |
//! | `build_info` | `version`, `os`, `arch` | 1 |
//!
//! [`Metrics::with_process`] adds the usual `process_…` metrics on Linux. [`Metrics::with`] adds
//! whatever else a program counts: a [`Source`] writes its [`Families`] when a page is made.
//!
//! ```
//! # use gaggle_group::Groups;
//! # use gaggle_telemetry::{BuildInfo, Families, Metrics};
//! # let groups = Groups::new([])?;
//! # let build = BuildInfo { version: "0.1.0".into() };
//! let orders = |families: &mut Families| {
//!     families.gauge("shop_orders", "Orders that wait.", ["shop"], [(["Ulm"], 3_u64)]);
//! };
//! let metrics = Metrics::new(groups, build).with_process().with(orders);
//! assert!(metrics.encode().contains("shop_orders{shop=\"Ulm\"} 3\n"));
//! # Ok::<(), gaggle_group::DuplicateGroup>(())
//! ```
//!
//! # Traces
//!
//! What a get waits for has spans, under the target [`SPAN_TARGET`](gaggle_group::SPAN_TARGET).
//! With the feature `opentelemetry`, `OpenTelemetry` has a trace go on from a client by way of the
//! node that it asks to the node that owns the key, its load and its origin. The program gives
//! `OpenTelemetry` to each group ([`propagation`](gaggle_group::GroupBuilder::propagation)). With
//! the feature `otlp`, `otlp::layer` makes a layer for its subscriber that sends spans to a
//! collector; or it adds one of the `tracing-opentelemetry` crate. There is an example in the README.
//!
//! # Trade-offs
//!
//! * The log here tells of no spans, at no level, unless its directives name their target. It can
//!   stand beside other layers ([`logging::layer`], [`logging::init_with`]), and has a filter of
//!   its own there.
//! * Nothing is counted here: a scrape reads the snapshots that groups and routers keep anyway,
//!   so metrics cost nothing between scrapes. Each sample is exact, but a scrape is not one
//!   instant.
//! * The clients' gets and hits are the totals less those of peers, so that a hit counts nothing
//!   for them. While requests of peers are under way, a page may tell a few too little; the next
//!   page makes up for it.
//! * Exemplars are in OpenMetrics only, and only those of `load_seconds`: in each bucket the newest
//!   load whose trace is sampled. A page that is made by way of
//!   [`Metrics::register`] has none. The front door's latencies have none, because hits have no
//!   trace.
//! * A peer that has left the ring leaves the metrics; when it comes back, its counters may begin
//!   at 0.
//! * Peers have no `group` label, for groups share a ring. Where routers of several groups know a
//!   peer of one name, the first group's tells of it.
//! * Log lines are written by a thread of their own, behind a queue of at most 8,192 lines and 1
//!   MiB: a standard error that blocks, or is closed, costs lines and holds up nothing. What
//!   waits in the queue is lost with a process that is killed. (`tracing-appender` has such a
//!   queue too. It bounds lines but not bytes, does not count lines that cannot be written, and
//!   holds up the exit by more than a second, with a `println!`, where nobody reads.)
//! * A failure that comes with each request is one line a second. The fields of those that are
//!   left out, such as the error's text, are not told.

pub mod logging;
mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "opentelemetry")]
mod propagation;

pub use logging::{Log, LogError, LogFormat, LogOptions};
pub use metrics::{
    BuildInfo, CONTENT_TYPE, Families, Family, Kind, Metrics, Number, PLAIN_CONTENT_TYPE, Sample,
    Source, Value,
};
#[cfg(feature = "otlp")]
pub use otlp::{Exporter, OtlpError, OtlpOptions, Traces};
#[cfg(feature = "opentelemetry")]
pub use propagation::OpenTelemetry;
