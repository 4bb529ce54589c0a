//! Following by logical replication.

mod batch;
mod changes;
mod feed;
mod prepare;
mod progress;
mod running;
mod slot;
mod standing;
mod stream;
mod tables;
mod text;
mod visible;

pub use feed::ReplicationFeed;
