//! Members that join and leave, are slow and fail, under paused time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod damping;
mod fake;
mod hand_over;
mod leaving;
mod slow;
