//! One running load per key, safe against panics and against callers that are dropped.
//!
//! A hundred thousand callers may miss the same key at the same time; the database should be asked
//! once. [`Flights::join`] starts a load if the key has none and otherwise joins the running one
//! (a *flight*, after groupcache's `singleflight`). It differs from that model in three ways:
//!
//! - **A load belongs to no caller.** It runs as a Tokio task of its own, or [becomes
//!   one](Flights::join_polling) as soon as that makes a difference. The caller that started it
//!   may time out or be dropped like any other; the rest still get the value, from one load.
//! - **Every way to end frees the slot**: value, panic, cancellation, shutdown of the runtime. A
//!   panic reaches every waiter immediately as [`FlightError::Panicked`], and the next call starts
//!   a new load.
//! - **A removal can win against a load.** [`Flights::forget`] and [`Ticket::if_current`] together
//!   keep a value that was removed during its load from coming back.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use gaggle_singleflight::{Flights, Waiter};
//!
//! #[derive(Clone)]
//! struct Scores {
//!     cache: Arc<Mutex<HashMap<String, u32>>>,
//!     flights: Flights<String, u32>,
//! }
//!
//! impl Scores {
//!     /// To be called after a miss.
//!     fn load(&self, name: &str) -> Waiter<u32> {
//!         self.flights.join(name, |ticket| {
//!             let (cache, name) = (self.cache.clone(), name.to_owned());
//!             async move {
//!                 // Look again: a flight may have landed between the miss and the join.
//!                 if let Some(score) = cache.lock().unwrap().get(&name) {
//!                     return *score;
//!                 }
//!                 let score = ask_the_database(&name).await;
//!                 ticket.if_current(|| cache.lock().unwrap().insert(name, score));
//!                 score
//!             }
//!         })
//!     }
//!
//!     fn remove(&self, name: &str) {
//!         self.flights.forget(name);
//!         self.cache.lock().unwrap().remove(name);
//!     }
//! }
//!
//! async fn ask_the_database(name: &str) -> u32 {
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//!     if name == "Tom" { 630 } else { 0 }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Scores { cache: Arc::default(), flights: Flights::new() };
//! let (first, second) = (scores.load("Tom"), scores.load("Tom"));
//! assert!(first.led() && !second.led());
//!
//! // Each caller chooses how long it waits.
//! drop(first);
//! let score = tokio::time::timeout(Duration::from_secs(5), second).await??;
//! assert_eq!(score, 630);
//! assert!(scores.flights.is_empty());
//!
//! scores.remove("Tom");
//! assert!(scores.load("Tom").led());
//! # Ok(())
//! # }
//! ```
//!
//! # Order of events
//!
//! A load that fills a cache does so before it returns. Then the slot is freed, then the waiters
//! get the value. A caller that finds the slot free after a load therefore finds the cache filled
//! as well:
//!
//! | caller | load |
//! |---|---|
//! | misses the cache | |
//! | | inserts, returns; the slot is freed |
//! | joins: leads a new flight | |
//! | its load looks into the cache again: found | |
//!
//! Without that second lookup, the last line would be a second request to the database. The load
//! has to make that lookup, since only the load runs alone. The slot is free before any waiter
//! gets the outcome, so a caller that retries after a failure never gets the same failure from the
//! same flight.
//!
//! # Who polls a load
//!
//! With [`Flights::join`] a task polls the load, from the start. With [`Flights::join_polling`]
//! the caller that starts the load polls it, until one of these events; then the load becomes a
//! task, and that caller waits like the others:
//!
//! | what happens | why the load is not left to that caller |
//! |---|---|
//! | the caller drops its waiter | no other waiter would poll it |
//! | another caller joins | that one must not wait for a caller that may be busy with other work |
//! | the key is forgotten | the watch below would not find the load |
//! | the caller does not poll it for 10 to 20 ms | the load would hold its resources that long |
//!
//! A task detects the last case: it looks through the table every 10 ms for as long as there are
//! such loads.
//!
//! # Trade-offs
//!
//! - A load that hangs holds its slot forever: put a deadline into the load.
//! - `join` spawns a task for each load, and `join_polling` for those that need one. A load that
//!   computes, or blocks its thread, takes the time of whatever polls it: with `join_polling` that
//!   is its caller, whose own deadline cannot end that.
//! - Values are cloned, once for each waiter: wrap large ones in an `Arc`, or use `Bytes`.
//! - Nothing limits how many loads run or how many callers wait. Loads differ in cost, so that
//!   limit belongs to the load (a semaphore) or to its caller.
//! - With [`Options::abandon_after`], an abandoned load is dropped after its slot is freed: a new
//!   load can start while the old one is being dropped. After [`Flights::forget`], two loads run
//!   concurrently, which is its purpose.
//! - The table keeps the memory of its busiest moment: some 60 bytes and a key's size for each key
//!   that was in flight then.
//! - A value whose `Drop` panics does so in its last holder, which may be a waiter. The slot is
//!   free by then.

// Read `flights`, then `table` (which flight has the key's slot), `flight` and `waiter` (who
// waits, who wakes), `lead` and `task` (what ends it), `drive` and `watch` (who polls it).
mod drive;
mod error;
mod flight;
mod flights;
mod lead;
mod sync;
mod table;
mod task;
mod waiter;
mod wakers;
#[cfg(not(gaggle_loom))]
mod watch;

pub use error::FlightError;
pub use flights::{Flights, Options};
pub use lead::Ticket;
pub use waiter::Waiter;
