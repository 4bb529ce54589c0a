//! A connection to PostgreSQL: address, TLS, authentication, and messages.

mod connection;
mod login;
mod message;
mod target;
mod tls;

pub(crate) use connection::{Connection, Row};
pub(crate) use message::Message;
pub(crate) use target::Target;
