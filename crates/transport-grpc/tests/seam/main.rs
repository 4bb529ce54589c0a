//! The seam from both sides, over real connections on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod authorization;
mod budgets;
mod faults;
mod hand_over;
mod inspect;
mod node;
mod older;
mod rates;
mod removals;
mod silent;
mod strangers;
mod traces;
