//! The parts that the database servers share: options, connections, replicas, and the load.

mod ask;
mod batch;
mod dialect;
mod failure;
mod key;
mod open;
mod options;
mod origin;
mod parts;
mod password;
pub(crate) mod place;
mod pool;
mod replicas;
mod reserved;
pub(crate) mod sql;

pub(crate) use dialect::{Dialect, Kind, Row, Session, Unusable};
pub use options::ServerOptions;
pub(crate) use origin::Remote;
