//! A load that its leader's waiter polls, until it becomes a task of its own.
//!
//! | the load is | and the leader polls | somebody wants it to be a task |
//! |---|---|---|
//! | [`Held`](Drive::Held) | takes it out: `Out` | takes it, spawns it, wakes the leader: `Task` |
//! | [`Out`](Drive::Out) | | `Wanted` |
//! | [`Wanted`](Drive::Wanted), and is put back | | spawned by whoever puts it back: `Task` |
//! | [`Task`](Drive::Task) | waits like the others | |
//!
//! Nothing is locked while a load is polled, dropped or spawned: what it does may come back to its flight.

use std::pin::Pin;
use std::task::Waker;

use crate::sync::Spawner;

/// A load with all that ends its flight; the types of keys and loads are erased.
pub(crate) type Load = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a flight's load is.
#[derive(Default)]
pub(crate) enum Drive {
    /// A task of its own, or over.
    #[default]
    Task,
    /// In the hands of its leader, who puts it back or ends it.
    Out,
    /// The same, and it is to be a task when it is put back.
    Wanted,
    /// Here, until its leader polls it again.
    Held(Held),
}

/// A load that waits for its leader to poll it.
pub(crate) struct Held {
    pub(crate) load: Load,
    spawner: Spawner,
    /// Wakes the leader; none before it has polled.
    pub(crate) leader: Option<Waker>,
    /// Whether the watch over loads that nobody polls has seen it since it was last polled.
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

    /// Makes it a task.
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

    /// Puts the load back; gives it to the caller, to be spawned, if it was wanted meanwhile.
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

    /// Has the load become a task: gives it to the caller, to be spawned, if it is held.
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
