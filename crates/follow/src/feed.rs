//! Reports the changes of a source.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::Key;

/// Reports the changes of the source behind a group: from a database's replication log, from its
/// notifications, or from a watched directory.
///
/// One task drives it: the task opens it, asks repeatedly for changes, and closes it. After an
/// error or a close, the next call is `open`.
#[async_trait]
pub trait Feed: Send + 'static {
    /// Connects to the source, at the position that was confirmed last. It must be cancel-safe at
    /// every await; the caller bounds its time.
    async fn open(&mut self) -> Result<Opened, FeedError>;

    /// Waits for changes and returns those that have arrived: at most about 1,024 or 256 KiB of
    /// them at a time, so that a large transaction is read in parts while the source waits. It
    /// must be cancel-safe: dropping it at any await loses no change.
    async fn next(&mut self) -> Result<Batch, FeedError>;

    /// Every change up to that position has been applied on every node: the source need not send
    /// them again. It is called with growing positions, not for each batch.
    async fn confirm(&mut self, position: Position) -> Result<(), FeedError>;

    /// Releases the source, so that another node can follow it. It must end within a second.
    async fn close(&mut self);

    /// How many bytes of its log the source still has to keep, as far as is known.
    fn behind_bytes(&self) -> Option<u64> {
        None
    }
}

/// A place in the order of a source's changes, as its feed counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// The result of opening a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// Every change since the confirmed position will be reported.
    Complete,
    /// Changes before this moment may never be reported, for this reason: the whole group has to
    /// be removed. Each [`open`](Feed::open) has to return it again until a position has been
    /// [confirmed](Feed::confirm), since this node may have failed before it notified the others.
    Missed(String),
}

/// Changes in the order in which they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes. There are none if only the position has moved.
    pub changes: Vec<Change>,
    /// Once all changes up to here are applied, this may be confirmed. `None` in the middle of a
    /// transaction.
    pub position: Option<Position>,
    /// How old the oldest of these changes was when it arrived, by the source's own clock; `None`
    /// if the source does not report it.
    pub age: Option<Duration>,
}

/// One change of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The value of this key has changed or was deleted.
    Key(Key),
    /// The key has this new value.
    Put(Key, Bytes),
    /// Everything may have changed, as when a table is truncated.
    All,
}

/// Why a feed cannot continue. Its text is for the log of the node.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct FeedError {
    source: Box<dyn std::error::Error + Send + Sync>,
    held: bool,
}

impl FeedError {
    /// From anything that converts into a boxed error, including text.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
            held: false,
        }
    }

    /// An error for a source that another node follows at this moment. It is expected while one
    /// node takes over from another, so it is not a failure at first.
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
