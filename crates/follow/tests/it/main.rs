//! A cluster in memory whose nodes follow a source, under paused time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod cut_off;
mod failing;
mod following;
mod held_back;
mod logs;
mod model;
mod source;
mod values;
mod world;
