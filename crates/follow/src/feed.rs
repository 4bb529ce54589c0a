//! What tells that a source has changed.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::Key;

/// What tells that the source behind a group has changed: a database's replication log, its
/// notifications, a directory that is watched.
///
/// One task drives it: opens it, asks for changes again and again, and closes it. After an error,
/// or once it is closed, it is opened again before anything else.
#[async_trait]
pub trait Feed: Send + 'static {
    /// Connects to the source, at the position that was confirmed last. Safe to drop at any await;
    /// the caller bounds its time.
    async fn open(&mut self) -> Result<Opened, FeedError>;

    /// Waits for changes, and brings those that have come: at most about 1,024 or 256 KiB of them
    /// at a time, so that a large transaction is taken in parts while the source waits. Safe to
    /// drop at any await, without losing a change.
    async fn next(&mut self) -> Result<Batch, FeedError>;

    /// Every change up to that position has been applied on every node: the source need not tell
    /// them again. Called with growing positions, not for each batch.
    async fn confirm(&mut self, position: Position) -> Result<(), FeedError>;

    /// Lets go of the source, so that another node can follow it. Must come to an end within a
    /// second.
    async fn close(&mut self);

    /// How many bytes of its log the source still has to keep, as far as is known.
    fn behind_bytes(&self) -> Option<u64> {
        None
    }
}

/// A place in the order of a source's changes, as its feed counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// How a feed has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// Every change since the confirmed position will be told.
    Complete,
    /// Changes before this moment may never be told, for this reason: the whole group has to be
    /// removed. To be said again by each [`open`](Feed::open) until a position has been
    /// [confirmed](Feed::confirm), as the node that was told may have told nobody else.
    Missed(String),
}

/// Changes in the order in which they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes. There may be none, where only the position has moved.
    pub changes: Vec<Change>,
    /// Once all changes up to here are applied, this may be confirmed. `None` in the middle of a
    /// transaction.
    pub position: Option<Position>,
    /// How old the oldest of these changes was when it arrived, by the source's own clock; `None`
    /// where the source does not tell.
    pub age: Option<Duration>,
}

/// One change of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// What there is of this key has changed, or is gone.
    Key(Key),
    /// The key's value is this one now.
    Put(Key, Bytes),
    /// Everything may have changed, as when a table is truncated.
    All,
}

/// Why a feed cannot go on. Its text is for the log of the node.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct FeedError {
    source: Box<dyn std::error::Error + Send + Sync>,
    held: bool,
}

impl FeedError {
    /// From anything that makes a boxed error, text included.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
            held: false,
        }
    }

    /// The same of a source that another node follows at this moment: expected while one node takes
    /// over from another, and so no failure at first.
    pub fn held_elsewhere(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
            held: true,
        }
    }

    /// Whether another node follows the source at this moment.
    #[must_use]
    pub fn is_held_elsewhere(&self) -> bool {
        self.held
    }
}
