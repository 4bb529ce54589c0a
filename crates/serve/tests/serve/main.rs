//! A server on loopback and clients that behave, and that do not.
//!
//! The sockets are real. In tests that involve clocks, time is paused: when no task can run, it
//! advances to the next timer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod counts;
mod floods;
mod host;
mod room;
mod serving;
mod shutdown;
mod slow;
mod support;
