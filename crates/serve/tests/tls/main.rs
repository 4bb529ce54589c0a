//! A server that speaks TLS on loopback, certificates by CAs of the tests' own, and clients that
//! behave, and that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod certificates;
mod plain;
mod serving;
#[allow(dead_code, reason = "the tests without TLS use the rest")]
#[path = "../serve/support.rs"]
mod support;
mod tls;
