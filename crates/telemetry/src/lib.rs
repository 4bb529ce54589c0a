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
//! Every name begins with `gaggle_`. No label ever holds a key.
//!
//! | name | labels | |
//! |---|---|---|
//! | `gets_total` | `group` | gets, from callers here and from peers |
//! | `hits_total` | `group`, `cache` (`main`, `hot`) | gets answered from memory |
//! | `loads_total` | `group`, `source` (`origin`, `peer`), `result` (`ok`, `not_found`, `error`) | loads that ended |
//! | `loads_collapsed_total` | `group` | gets that waited on a load which another had started |
//! | `load_seconds` | `group`, `source` | histogram of how long loads took |
//! | `loads_in_flight` | `group` | loads under way |
//! | `server_requests_total` | `group` | gets that came from peers |
//! | `shed_total` | `group` | gets refused because too many loads were under way |
//! | `cache_bytes`, `cache_entries` | `group`, `cache` | what is held |
//! | `cache_limit_bytes` | `group` | what both caches may hold together |
//! | `evictions_total` | `group`, `cache`, `reason` (`capacity`, `expired`, `collision`) | entries that left |
//! | `values_refused_total` | `group`, `cache` | values that could never fit |
//! | `stale_served_total` | `group` | always 0 in this version, which serves no stale values |
//! | `peer_requests_total` | `peer`, `result` | requests to a peer that ended |
//! | `peer_up` | `peer` | 1 if the peer is thought to be up, else 0 |
//! | `ring_members` | | members of the ring, this node included |
//! | `ring_disagreements` | | nodes that have seen another ring, profile, protocol version or other groups for longer than 5 s; `/status` says which and how |
//! | `ring_info` | `hash` | 1; two nodes with the same `hash` place every key alike |
//! | `log_lines_lost_total` | | log lines that could not be written |
//! | `log_lines_left_out_total` | | log lines left out because others of their kind were written |
//! | `build_info` | `version` | 1 |
//!
//! # Traces
//!
//! What a get waits for has spans, under the target [`SPAN_TARGET`](gaggle_group::SPAN_TARGET). With the feature
//! `opentelemetry`, `OpenTelemetry` has a trace go on from a client by way of the node that it asks to the node that owns the
//! key, its load and its origin. The program sends spans where it wants to: it adds a layer of the `tracing-opentelemetry`
//! crate to its subscriber, and gives `OpenTelemetry` to each group ([`propagation`](gaggle_group::GroupBuilder::propagation)).
//! There is an example in the README.
//!
//! # Trade-offs
//!
//! * The log here tells of no spans, at no level, unless its directives name their target. It is a subscriber of its own: a
//!   program that exports traces puts one together of `tracing-subscriber`'s layers.
//! * Nothing is counted here: a scrape reads the snapshots that groups and routers keep anyway,
//!   so metrics cost nothing between scrapes. Each sample is exact, but a scrape is not one
//!   instant.
//! * The text is OpenMetrics 1.0 ([`CONTENT_TYPE`]), which Prometheus has read since version 2.5;
//!   the older `text/plain; version=0.0.4` is not offered.
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
#[cfg(feature = "opentelemetry")]
mod propagation;

pub use logging::{Log, LogError, LogFormat, LogOptions};
pub use metrics::{BuildInfo, CONTENT_TYPE, Metrics};
#[cfg(feature = "opentelemetry")]
pub use propagation::OpenTelemetry;
