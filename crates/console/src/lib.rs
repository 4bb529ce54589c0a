//! The recent past of a node, for its operator: the statistics of its groups over the last hour,
//! and what happened lately.
//!
//! A [`Console`] samples the statistics of the groups that a node serves. Its [history](Console::history)
//! has one point for each ten seconds of the last hour; its [events](Console::events) are the
//! differences between samples that it takes once a second: members that joined, left, went down
//! and came back, another ring, breakers that opened and closed, removals of whole groups, another
//! configuration. It knows no HTTP: the program that serves an admin port shows what it keeps.
//!
//! ```
//! use bytes::Bytes;
//! use gaggle_console::Console;
//! use gaggle_group::{Group, Groups};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Group::builder("scores")
//!     .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
//!     .build()?;
//! let console = Console::new(Groups::new([scores])?);
//! // It samples for as long as this runs.
//! let sampling = tokio::spawn({
//!     let console = console.clone();
//!     async move { console.run().await }
//! });
//! let history = console.history(None);
//! assert_eq!(history.total["client_gets"].len(), history.points);
//! # sampling.abort();
//! # Ok(()) }
//! ```
//!
//! # Memory
//!
//! A point is 4 bytes, so the twelve series of a group take 17,280 bytes, and as much for all groups
//! together. At most 64 groups have series of their own (1.1 MB in all); the others count in the
//! sums. At most 200 events are kept, each of at most 300 characters and two names.
//!
//! # Trade-offs
//!
//! * What happens and is over between two samples leaves no event, unless a counter shows it: a
//!   breaker that opened, and removals of a whole group.
//! * Percentiles are estimated within the buckets of a histogram: an estimate lies in the same
//!   bucket as the true value, and for what is above the last bound it is that bound.
//! * All is lost when the process ends. The metrics cover longer spans.

mod console;
mod events;
mod history;
mod quantile;

pub use console::Console;
pub use events::{Event, EventKind};
pub use history::{History, MOST_GROUPS, POINTS, Series};
pub use quantile::quantile;
