//! Peers over TLS, on the loopback interface, with certificates by CAs that each test makes for
//! itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod refusals;
mod rotation;
mod world;
