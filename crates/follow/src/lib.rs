//! Removes cached values as their source changes.

mod apply;
mod complaints;
mod contact;
mod feed;
mod follower;
mod isolation;
mod ledger;
mod options;
mod plan;
mod puts;
mod session;
mod source;
mod stats;
mod turn;

pub use feed::{Batch, Change, Feed, FeedError, Opened, Position};
pub use follower::Follower;
pub use options::Options;
