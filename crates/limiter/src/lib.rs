//! Bounds on work: how much runs at once, who waits, who is refused, when it is not worth
//! starting, and how many bytes are in flight.
//!
//! What is worked on (a database, a service) bears so much at once. Above that, a program that
//! only queues does worse than it could: work waits until it is too late, is started all the same,
//! and is given up half done; what is worked on goes on with it unseen, and everything new comes
//! on top. A [`Limiter`] keeps goodput at the capacity under any overload, tells the others soon,
//! and finds back by itself after what is worked on was slow, hung, failing or refusing. A
//! [`ByteBudget`] bounds the memory of buffers and answers for a whole process.
//!
//! ```
//! use std::time::Duration;
//! use gaggle_limiter::{Limit, Limiter, Options, Refused};
//!
//! async fn ask_the_database() -> Result<u32, &'static str> {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     Ok(630)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = Limiter::new(Options {
//!     name: "database".into(),
//!     limit: Limit::Fixed(8),
//!     ..Options::default()
//! });
//!
//! match limiter.acquire(|| true).await {
//!     Ok(permit) => {
//!         // An output that is an error counts against the database.
//!         let score = permit.run(Duration::from_secs(5), ask_the_database(), Result::is_err).await?;
//!         assert_eq!(score, Ok(630));
//!     }
//!     // To be told to whoever asked, with the time after which another try makes sense.
//!     Err(Refused::Busy { retry_after, .. } | Refused::Open { retry_after, .. }) => drop(retry_after),
//!     Err(_) => {}
//! }
//! assert_eq!(limiter.stats().in_use, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Which rule holds when
//!
//! | when | then |
//! |---|---|
//! | a slot is free and nobody waits | the work starts |
//! | all slots are taken | it waits, at most `max_wait`; the oldest is started first |
//! | more wait than are started in 0.8 of `max_wait` | the newcomer is refused at once |
//! | pressure begins | who waits keeps their place; newcomers are refused at once |
//! | pressure, and the former are through | the newest is started first |
//! | the same, and somebody waited longer than the target | refused once another comes |
//! | the deadline passes, or the caller leaves | the work keeps its slot, at most `grace` |
//! | the breaker opens | all are refused at once, also those who wait, for 500 ms |
//! | that time is over | one runs as a probe; its failure doubles the time, up to 4 s |
//! | the probe succeeds | one runs at a time, and one more with each success (slow start) |
//!
//! **Pressure** begins when the oldest has waited for half of `max_wait`, or the queue has
//! refused, while as many came as were started in the last 100 ms. It ends when nobody waited for
//! 100 ms; or fewer than 0.9 of those started came in 100 ms while those from before it still
//! wait; or, later, when in one second fewer came than can be started, or nobody was refused.
//!
//! **The breaker** opens on a row of failures (the limit in number, between 5 and 20, for 200 ms)
//! if at least half of the outcomes of 10 s are failures, or if the row is of 20 and lasts for a
//! second; and when work that was given up holds all slots. Late work is a failure. While it
//! closes, two failures that are half of all outcomes open it again. [`BreakerOptions`] has these.
//!
//! The target is the time in which four are started, at least 20 ms; what can be started within a
//! time is the limit, times the pieces that [share a slot](Options::per_slot), by the mean time for
//! which a slot is held (Little's law). Before the first work ends nothing is known of that, and only [`max_queue`](Options::max_queue) bounds the
//! queue. Rates are looked at every 100 ms, when somebody comes or work ends.
//!
//! With [`Limit::Auto`] the limit follows the latency: it grows while the work takes no longer
//! than one and a half times what it takes alone, which is measured with four at once every 30 s.
//!
//! # Trade-offs
//!
//! - Pressure refuses some who could have been served within `max_wait`, so that those who are
//!   served do not all wait that long. Adaptive LIFO as published refuses the whole backlog late,
//!   once newer ones come; here it keeps its place and newcomers are refused in its stead, at
//!   once. As many are served, and no refusal took 50 ms in simulated overload.
//! - The limiter knows nothing of what the work is about. Where nearly all outcomes are those of a
//!   few things that always fail, the breaker takes that for an outage: give such failures a
//!   back-off of their own, or do not call them failures.
//! - Work that was given up is believed to be over after the grace. What is worked on may be
//!   slower than that; the limit is then exceeded by what was dropped, at most once in each grace.
//! - After a cure, the breaker finds out with its next probe: after a work's deadline and 4.8 s at
//!   worst, where the probe before it hung.
//! - Refusals that a wait ends come from the waiter's own timer. A slot is given under one lock
//!   for a limiter, held for well under a microsecond: limits are for work that takes longer.
//!
//! # Sources
//!
//! Ben Maurer, "Fail at Scale", ACM Queue 13(8), 2015 (adaptive LIFO, CoDel for requests).
//! Kathleen Nichols and Van Jacobson, "Controlling Queue Delay", and RFC 8289. Michael Nygard,
//! "Release It!" (circuit breaker). Nathan Bronson et al., "Metastable Failures in Distributed
//! Systems", HotOS 2021. Netflix, `concurrency-limits` (gradient), and Envoy's adaptive
//! concurrency filter (measuring without load). John Little, "A Proof for the Queuing Formula L =
//! λW", 1961.

// Read `limiter` and `acquire` (who calls what, and outside of which lock), `state` (what an event
// changes), then its parts: `queue`, `breaker`, `auto`. `permit` runs the work. `bytes` is by
// itself.
mod acquire;
mod auto;
mod breaker;
mod bytes;
mod error;
mod limiter;
mod options;
mod permit;
mod queue;
mod state;
mod stats;
mod waiter;

pub use crate::acquire::{Acquire, Wanted};
pub use crate::breaker::BreakerState;
pub use crate::bytes::{ByteBudget, Hold, OverBudget, Reservation};
pub use crate::error::{Late, Refused};
pub use crate::limiter::Limiter;
pub use crate::options::{BreakerOptions, Limit, Options};
pub use crate::permit::Permit;
pub use crate::stats::Stats;
