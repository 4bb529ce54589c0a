//! Certificates by CAs that each test makes for itself, files in a directory of its own, and
//! handshakes over a pipe in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod handshakes;
mod reload;
mod support;
