//! Following by logical replication.

mod batch;
mod changes;
mod feed;
mod prepare;
mod progress;
mod slot;
mod stream;
mod tables;
mod visible;

pub use feed::ReplicationFeed;
