//! Both routers as a client sees them, without sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admin;
mod client;
mod front_door;
mod owners;
