//! The items that the model checker has to see: locks, shared pointers, atomics and the clock.
//! They are from std and Tokio, or from loom under `--cfg gaggle_loom` (a name of its own: `--cfg
//! loom` would also apply to Tokio and disable its runtime).

#[cfg(gaggle_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(not(gaggle_loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool};

#[cfg(not(gaggle_loom))]
pub(crate) use tokio::time::{Sleep, sleep};

#[cfg(gaggle_loom)]
pub(crate) type Sleep = std::future::Ready<()>;

/// A model has no clock: every grace period is over when it is checked, which is the worst case.
#[cfg(gaggle_loom)]
pub(crate) fn sleep(_: std::time::Duration) -> Sleep {
    std::future::ready(())
}

/// Spawns loads as tasks.
#[cfg(not(gaggle_loom))]
pub(crate) struct Spawner(tokio::runtime::Handle);

#[cfg(not(gaggle_loom))]
impl Spawner {
    /// That of the current runtime; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        tokio::runtime::Handle::try_current().ok().map(Self)
    }

    /// Detached: a flight is ended by its own load, never through the handle.
    pub(crate) fn spawn(self, load: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(load));
    }
}

/// A model has no runtime: its author provides the function that runs a task.
#[cfg(gaggle_loom)]
pub(crate) struct Spawner(pub(crate) fn(crate::drive::Load));

#[cfg(gaggle_loom)]
impl Spawner {
    pub(crate) fn spawn(self, load: crate::drive::Load) {
        (self.0)(load);
    }
}

/// Locks, poisoned or not. User code (`Eq`, `ToOwned`, the closure of `if_current`) may panic
/// under a lock, but never halfway through a change of the guarded state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
