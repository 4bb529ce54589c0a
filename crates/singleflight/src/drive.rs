//! A load that its leader's waiter polls, until it becomes a task of its own.
//!
//! | the load is | and the leader polls | the load has to become a task |
//! |---|---|---|
//! | [`Held`](Drive::Held) | takes it out: `Out` | taken, spawned, the leader woken: `Task` |
//! | [`Out`](Drive::Out) | | `Wanted` |
//! | [`Wanted`](Drive::Wanted), and is put back | | spawned when it is put back: `Task` |
//! | [`Task`](Drive::Task) | waits like the others | |
//!
//! No lock is held while a load is polled, dropped or spawned: its code may call back into its
//! flight.

use std::pin::Pin;
use std::task::Waker;

use crate::sync::Spawner;

/// A load, with the code that ends its flight; the types of keys and loads are erased.
pub(crate) type Load = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a flight's load is.
#[derive(Default)]
pub(crate) enum Drive {
    /// Runs as a task of its own, or has ended.
    #[default]
    Task,
    /// Held by its leader, who puts it back or ends it.
    Out,
    /// Like [`Out`](Self::Out), but it becomes a task when it is put back.
    Wanted,
    /// Stored here until its leader polls it again.
    Held(Held),
}

/// A load that waits for its leader to poll it.
pub(crate) struct Held {
    pub(crate) load: Load,
    spawner: Spawner,
    /// Wakes the leader; none before it has polled.
    pub(crate) leader: Option<Waker>,
    /// Whether the watch over unpolled loads has seen it since it was last polled.
    pub(crate) seen: bool,
}

impl Held {
    pub(crate) fn new(load: Load, spawner: Spawner) -> Self {
        Self {
            load,
            spawner,
            leader: None,
            seen: false,
        }
    }

    /// Spawns it as a task.
    pub(crate) fn spawn(self) {
        self.spawner.spawn(self.load);
    }
}

impl Drive {
    /// Takes the load to poll it, if it is held.
    pub(crate) fn take(&mut self) -> Option<Held> {
        match self {
            Self::Held(_) => self.replace_held(Self::Out),
            _ => None,
        }
    }

    /// Puts the load back. Returns it, for the caller to spawn, if a task was requested meanwhile.
    pub(crate) fn put(&mut self, held: Held) -> Option<Held> {
        match self {
            Self::Out => {
                *self = Self::Held(held);
                None
            }
            _ => {
                *self = Self::Task;
                Some(held)
            }
        }
    }

    /// Requests a task for the load. Returns the load, for the caller to spawn, if it is held.
    pub(crate) fn want(&mut self) -> Option<Held> {
        match self {
            Self::Held(_) => self.replace_held(Self::Task),
            Self::Out => {
                *self = Self::Wanted;
                None
            }
            Self::Task | Self::Wanted => None,
        }
    }

    fn replace_held(&mut self, by: Self) -> Option<Held> {
        match std::mem::replace(self, by) {
            Self::Held(held) => Some(held),
            _ => None,
        }
    }
}
