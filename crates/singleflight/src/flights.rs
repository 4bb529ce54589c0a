//! The handle: joins callers to flights and spawns loads on the runtime.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::drive::{Held, Load};
use crate::flight::{Flight, Kind};
use crate::lead::Lead;
use crate::sync::{Arc, Spawner};
use crate::table::{Joined, Table};
use crate::task::Task;
#[cfg(not(gaggle_loom))]
use crate::watch::{self, Watch};
use crate::{FlightError, Ticket, Waiter};

/// How a [`Flights`] behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a load may continue after its last waiter has left. Then it is dropped, unless
    /// another caller has joined. `None`, the default, lets every load run to its end.
    ///
    /// Needs a runtime with its timer enabled: without one, a load whose waiters leave ends as
    /// [`FlightError::Panicked`]. A load is dropped at an await point; one that blocks its thread
    /// cannot be dropped.
    pub abandon_after: Option<Duration>,
    /// Whether waiters are counted, so that [`Ticket::give_up`] can detect that no caller waits.
    /// Each join and each leave of a waiter then takes a short lock of its flight. Off by default;
    /// on if `abandon_after` is set.
    pub count_waiters: bool,
    /// The number of locks that the table of keys is spread over: rounded up to a power of two, at
    /// least 1 and at most 65,536. 64 by default, which takes 4 KiB.
    pub shards: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            abandon_after: None,
            count_waiters: false,
            shards: 64,
        }
    }
}

/// At most one running load per key. A cheap clone is another handle to the same flights.
///
/// `S` hashes the keys and must fill all 64 bits, as std's does.
pub struct Flights<K, V, S = RandomState> {
    table: Arc<Table<K, V>>,
    hasher: S,
    /// Whether flights count their waiters.
    counted: bool,
    abandon_after: Option<Duration>,
}

impl<K, V> Flights<K, V> {
    /// No flights, default [`Options`].
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// No flights.
    pub fn with_options(options: Options) -> Self {
        Self::with_hasher(options, RandomState::new())
    }
}

impl<K, V, S> Flights<K, V, S> {
    /// No flights, keys hashed by `hasher`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are given away, as in with_options"
    )]
    pub fn with_hasher(options: Options, hasher: S) -> Self {
        let Options {
            abandon_after,
            count_waiters,
            shards,
        } = options;
        Self {
            table: Arc::new(Table::new(shards)),
            hasher,
            counted: count_waiters || abandon_after.is_some(),
            abandon_after,
        }
    }

    /// The number of keys with a running load. A [forgotten](Self::forget) load is not counted,
    /// even while it still runs. Takes every shard's lock in turn, so it is exact only at rest.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key has a running load.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Detaches the key's flight, if it has one, and returns whether it had. The flight's waiters
    /// still get its value; later calls of [`join`](Self::join) start a new load, which may run
    /// concurrently with the old one; the old load's [`Ticket::if_current`] runs nothing from now
    /// on.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        S: BuildHasher,
    {
        self.table.forget(self.hasher.hash_one(key), key)
    }

    /// Detaches every flight, as [`forget`](Self::forget) does for one key, and returns how many
    /// there were. Takes every shard's lock in turn, so a flight that starts during this call may
    /// or may not be detached; every flight that had started before is detached.
    pub fn forget_all(&self) -> usize {
        self.table.forget_all()
    }
}

#[cfg(not(gaggle_loom))]
impl<K, V, S> Flights<K, V, S>
where
    K: Send + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    /// Joins the key's flight, or starts one if it has none: calls `load` synchronously and runs
    /// the future it returns as a Tokio task of its own, which does not end with its caller.
    ///
    /// The key is converted to an owned one only to start a flight: `K = String` takes a `&str`,
    /// and `K = Bytes` takes a `&[u8]` (copied) or a `&Bytes` (shared). `load` is not called if a
    /// flight runs; no lock is held while it is called.
    ///
    /// The [`Waiter`] returns failures: this call does not panic and starts no second load. See
    /// [`FlightError`] for them.
    pub fn join<Q, F, Fut>(&self, key: &Q, load: F) -> Waiter<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + Hash + ToOwned + ?Sized,
        F: FnOnce(Ticket<K, V>) -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let run = |spawner: Spawner, _: &Flight<V>, load: Load| spawner.spawn(load);
        self.join_on(Spawner::current, run, false, key, load)
    }

    /// Like [`join`](Self::join), for a caller that awaits the [`Waiter`] immediately: the caller
    /// that starts the load polls it as it polls the waiter. A load that is ready at once, or that
    /// no other caller waits for, then needs no task, and no second wake-up at its end.
    ///
    /// The load still belongs to no caller. It becomes a task of its own when its leader is
    /// dropped, when another caller joins, when the key is forgotten, and when the leader does not
    /// poll it for 10 to 20 ms, which a timer watches: the runtime's timer must be enabled. The
    /// future may be polled by one task and then by another.
    ///
    /// A load that blocks its thread blocks its leader, whose own deadline has no effect
    /// meanwhile. Loads of one leader run concurrently while they wait, and one after the other
    /// while they compute.
    pub fn join_polling<Q, F, Fut>(&self, key: &Q, load: F) -> Waiter<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + Hash + ToOwned + ?Sized,
        F: FnOnce(Ticket<K, V>) -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let run = |spawner: Spawner, flight: &Flight<V>, load: Load| {
            flight.put_load(Held::new(load, spawner));
            self.watch();
        };
        self.join_on(Spawner::current, run, true, key, load)
    }

    /// Makes sure that a watch runs over the load that has just begun.
    fn watch(&self) {
        if watch::is_due(&self.table) {
            let watch = Watch::new(Arc::clone(&self.table));
            if let Some(spawner) = Spawner::current() {
                spawner.spawn(watch.run());
            }
        }
    }
}

impl<K, V, S> Flights<K, V, S>
where
    K: Send + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    /// `spawner` is called if a load starts, and there is no load without it; `run` then begins
    /// the load.
    fn join_on<Q, F, Fut, R>(
        &self,
        spawner: impl FnOnce() -> Option<R>,
        run: impl FnOnce(R, &Flight<V>, Load),
        led: bool,
        key: &Q,
        load: F,
    ) -> Waiter<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + Hash + ToOwned + ?Sized,
        F: FnOnce(Ticket<K, V>) -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let hash = self.hasher.hash_one(key);
        let counted = self.counted;
        let flight = match self.table.join(hash, key, Kind { counted, led }) {
            Joined::Running(flight) => {
                flight.hand_over();
                return Waiter::new(flight, false, false);
            }
            Joined::Started(flight) => flight,
        };
        // From here on `lead` ends the flight, whatever happens.
        let lead = Lead::new(Arc::clone(&self.table), hash, Arc::clone(&flight));
        let waiter = Waiter::new(flight, true, led);
        let Some(spawner) = spawner() else {
            lead.end(Err(FlightError::NoRuntime));
            return waiter;
        };
        let ticket = lead.ticket().clone();
        // The closure is consumed, so no state that its panic has broken is visible through it.
        let load = AssertUnwindSafe(|| Task::new(load(ticket), self.abandon_after));
        match catch_unwind(load) {
            Ok(mut load) => {
                load.as_mut().begin(lead);
                run(spawner, waiter.flight(), load);
            }
            Err(payload) => lead.end(Err(FlightError::panicked(&*payload))),
        }
        waiter
    }
}

/// For a model checker, which has no runtime: `run` gets the loads that have to become tasks.
#[cfg(gaggle_loom)]
impl<K, V, S> Flights<K, V, S>
where
    K: Send + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    /// [`join`](Self::join).
    pub fn join_modelled<Q, F, Fut>(&self, run: impl FnOnce(Load), key: &Q, load: F) -> Waiter<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + Hash + ToOwned + ?Sized,
        F: FnOnce(Ticket<K, V>) -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let run = |(), _: &Flight<V>, load: Load| run(load);
        self.join_on(|| Some(()), run, false, key, load)
    }

    /// [`join_polling`](Self::join_polling), without the watch.
    pub fn join_polling_modelled<Q, F, Fut>(&self, run: fn(Load), key: &Q, load: F) -> Waiter<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + Hash + ToOwned + ?Sized,
        F: FnOnce(Ticket<K, V>) -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let run = |(), flight: &Flight<V>, load: Load| {
            flight.put_load(Held::new(load, Spawner(run)));
        };
        self.join_on(|| Some(()), run, true, key, load)
    }

    /// A round of the watch.
    pub fn hand_over_idle(&self) -> usize {
        self.table.hand_over_idle()
    }
}

impl<K, V, S: Clone> Clone for Flights<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            hasher: self.hasher.clone(),
            counted: self.counted,
            abandon_after: self.abandon_after,
        }
    }
}

impl<K, V, S: Default> Default for Flights<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(Options::default(), S::default())
    }
}

/// Shows the number of flights, never their keys.
impl<K, V, S> fmt::Debug for Flights<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("len", &self.len())
            .field("abandon_after", &self.abandon_after)
            .finish_non_exhaustive()
    }
}
