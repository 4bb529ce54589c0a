//! The shipped Dockerfile and the shipped docker-compose.yml, as they are, on a real Docker
//! engine: what the image holds, how a cluster starts, scales and stops, and what its clients see
//! of the faults that only a network of containers has.
//!
//! Those that need an engine do not run by default. `just containers` runs them one after another:
//! they share the engine, the name of the image and port 9999. `deploy/images/stand-ins` makes
//! base images that cannot be pulled. It needs root, as do the faults (`nsenter`, `iptables`).
//! Figures are printed. The tests assert counts, and the ten seconds in which a cluster follows a
//! change.
//!
//! `GAGGLE_IMAGE_BUILT=1` uses the existing image `gaggle-node`, for work on the tests themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod shipped;

mod engine;

mod stack;

mod node;

mod load;

mod image;

mod quick_start;
mod removal;

mod settings;

mod scaling;

mod faults;

use std::time::{Duration, Instant};

/// How long a step without an assertion may take, such as the start of a container.
const PATIENCE: Duration = Duration::from_secs(120);

/// In this time the ring follows the cluster, and a healed network is used again.
const FOLLOWS: Duration = Duration::from_secs(10);

/// Asks repeatedly until the answer is yes. Returns how long that took.
async fn until(what: &str, within: Duration, mut asked: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let waited = tokio::time::timeout(within, async {
        loop {
            tick.tick().await;
            if asked().await {
                return;
            }
        }
    });
    assert!(waited.await.is_ok(), "not within {within:?}: {what}");
    begun.elapsed()
}
