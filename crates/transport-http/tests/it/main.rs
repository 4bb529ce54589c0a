//! The peer protocol over loopback: Gaggle's client and server with each other, and each with a
//! peer that sends scripted bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authorization;
mod batch_faults;
mod batch_members;
mod batch_server;
mod batch_waits;
mod batches;
mod budgets;
mod claims;
mod client_requests;
mod client_statuses;
mod clock;
mod control;
mod control_strangers;
mod fake_peer;
mod faulty_peers;
mod forwarding;
mod hand_over;
mod inspect;
mod keys;
mod member_faults;
mod rates;
mod relay;
mod removals;
mod server_answers;
mod server_failures;
mod silent_path;
mod strangers;
mod support;
mod terms;
mod values;
