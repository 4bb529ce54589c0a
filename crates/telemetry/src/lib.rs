//! Logging set-up, and the mapping of a group's statistics to Prometheus metrics.
//!
//! Libraries of this project write `tracing` events and count in their own structures; this crate is where a program
//! decides what becomes of both.
//!
//! ```
//! use bytes::Bytes;
//! use gaggle_group::{Group, Groups};
//! use gaggle_telemetry::{BuildInfo, LogOptions, Metrics};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! gaggle_telemetry::logging::init(&LogOptions { level: "warn".into(), ..LogOptions::default() })?;
//!
//! let scores = Group::builder("scores")
//!     .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("630")) })
//!     .build()?;
//! let metrics = Metrics::new(Groups::new([scores.clone()])?, BuildInfo { version: "0.1.0".into() });
//! scores.get("Tom").await?;
//! assert!(metrics.encode().contains("gaggle_gets_total{group=\"scores\"} 1\n"));
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
//! | `ring_info` | `hash` | 1; two nodes with the same `hash` place every key alike |
//! | `build_info` | `version` | 1 |
//!
//! # Trade-offs
//!
//! * Nothing is counted here: a scrape reads the snapshots that groups and routers keep anyway, so metrics cost nothing
//!   between scrapes. Each sample is exact, but a scrape is not one instant.
//! * The text is OpenMetrics 1.0 ([`CONTENT_TYPE`]), which Prometheus has read since version 2.5; the older
//!   `text/plain; version=0.0.4` is not offered.
//! * A peer that has left the ring leaves the metrics; when it comes back, its counters may begin at 0.
//! * Peers have no `group` label, for groups share a ring. Where routers of several groups know a peer of one name, the
//!   first group's tells of it.
//! * Log lines are written by the thread that logs, without a queue: none is lost and none can pile up, but a standard
//!   error that blocks would block the node.

pub mod logging;
mod metrics;

pub use logging::{LogError, LogFormat, LogOptions};
pub use metrics::{BuildInfo, CONTENT_TYPE, Metrics};
