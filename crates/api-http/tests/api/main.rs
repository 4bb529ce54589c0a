//! Both routers as a client sees them, without sockets.
#![allow(clippy::unwrap_used, clippy::panic)]
// The structs of limits and policies are not exhaustive: outside of their crate there is no other
// way to fill them.
#![allow(clippy::field_reassign_with_default)]

mod admin;
mod batch;
mod client;
mod cluster;
mod console;
mod freshness;
mod front_door;
mod hostile;
mod http;
mod in_flight;
mod metadata;
mod openapi;
mod owners;
mod page;
mod put;
mod read_only;
mod reload;
mod removal;
mod sites;
mod support;
