//! Bounds on work: how much runs at the same time, which callers wait, which are refused, when
//! work is not worth starting, and how many bytes are in flight.
//!
//! A backend (a database, a service) can do a limited amount of work at the same time. Above that,
//! a program that only queues makes it worse: work waits until it is too late, is started anyway,
//! and is cancelled half done; the backend continues that work unseen, and new work is added to
//! it. A [`Limiter`] keeps goodput at the capacity under any overload, refuses the rest early, and
//! recovers by itself after the backend was slow, hung, failing or refusing. A [`ByteBudget`]
//! bounds the memory of buffers and answers for a whole process.
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
//!     // Tell the caller after which time another try makes sense.
//!     Err(Refused::Busy { retry_after, .. } | Refused::Open { retry_after, .. }) => drop(retry_after),
//!     Err(_) => {}
//! }
//! assert_eq!(limiter.stats().in_use, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! | when | then |
//! |---|---|
//! | a slot is free and no caller waits | the work starts |
//! | all slots are taken | it waits, at most `max_wait`; the oldest is started first |
//! | more wait than are started in 0.8 of `max_wait` | the new caller is refused immediately |
//! | pressure begins | waiters keep their place; new callers are refused immediately |
//! | pressure, and those waiters have been started | the newest is started first |
//! | the same, and a caller waited longer than the target | refused once another arrives |
//! | the deadline passes, or the caller is dropped | the work keeps its slot, at most `grace` |
//! | the breaker opens | all callers are refused for 500 ms, also those who already wait |
//! | that time is over | one runs as a probe; its failure doubles the time, up to 4 s |
//! | the probe succeeds | one runs at a time, and one more with each success (slow start) |
//!
//! **Pressure** begins when the oldest waiter has waited for half of `max_wait`, or the queue has
//! refused a caller, while at least as many callers arrived as were started in the last 100 ms. It
//! ends when no caller waited for 100 ms; or when fewer than 0.9 times those started arrived in
//! 100 ms while waiters from before it still wait; or, later, when in one second fewer arrived
//! than can be started, or none was refused.
//!
//! **The breaker** opens on a run of consecutive failures (as many as the limit, between 5 and 20,
//! for 200 ms) if at least half of the outcomes of 10 s are failures, or if the run has 20
//! failures and lasts for a second. It also opens when cancelled work holds all slots. Late work
//! is a failure. While the breaker closes, two failures that are half of all outcomes open it
//! again. [`BreakerOptions`] has these values.
//!
//! The target is the time in which four are started, at least 20 ms. What can be started within a
//! time is the limit, times the pieces that [share a slot](Options::per_slot), divided by the mean
//! time for which a slot is held (Little's law). Before the first work ends that rate is unknown,
//! and only [`max_queue`](Options::max_queue) bounds the queue. Rates are checked every 100 ms,
//! when a caller arrives or work ends.
//!
//! With [`Limit::Auto`] the limit follows the latency: it grows while the work takes no longer
//! than one and a half times what it takes alone, which is measured with four at a time every 30
//! s.
//!
//! # Trade-offs
//!
//! - Under pressure some callers are refused who could have been served within `max_wait`, so that
//!   the callers who are served do not all wait that long. Adaptive LIFO as published refuses the
//!   whole backlog late, once newer callers arrive; here the backlog keeps its place and new
//!   callers are refused instead, immediately. As many are served, and no refusal took 50 ms in
//!   simulated overload.
//! - The limiter does not know what the work is about. If nearly all outcomes are those of a few
//!   requests that always fail, the breaker regards that as an outage: give such failures a
//!   back-off of their own, or do not count them as failures.
//! - Cancelled work is assumed to be over after the grace period. The backend may take longer;
//!   dropped work then exceeds the limit, at most once in each grace period.
//! - After a recovery, the breaker notices with its next probe: at worst after the work's deadline
//!   and 4.8 s, if the probe before it hung.
//! - A refusal that ends a wait comes from the waiter's own timer. Each limiter has one lock for
//!   its slots, held for well under a microsecond: limits are for work that takes longer.
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
// changes), then its parts: `queue`, `breaker`, `auto`. `permit` runs the work. `bytes` is
// independent of them.
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
