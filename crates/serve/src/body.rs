//! The bodies of requests and responses, which report to their connection's clocks.

mod piece;
mod request;
mod response;

pub use request::{BodyStalled, BodyTooSlow};
pub(crate) use request::{Limits, request};
pub(crate) use response::Response;
