//! A server on loopback and clients that behave, and that do not.
//!
//! The sockets are real and time is paused where a test has to do with clocks: it goes on when
//! nobody has anything to do, to the moment for which somebody waits.
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
