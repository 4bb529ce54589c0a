//! The bodies of requests and responses, with what a connection's clocks want to know of them.

mod piece;
mod request;
mod response;

pub use request::{BodyStalled, BodyTooSlow};
pub(crate) use request::{Limits, request};
pub(crate) use response::Response;
