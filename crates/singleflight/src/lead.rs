//! The load's end of a flight: the guard that ends it, and the ticket that checks whether it is
//! current.

use std::fmt;

use crate::FlightError;
use crate::flight::{Flight, Idle, Outcome};
use crate::sync::Arc;
use crate::table::Table;

/// The duty to end a flight. Dropped before that, it ends the flight as cancelled, so that no way
/// to end leaves the slot taken or a waiter asleep.
pub(crate) struct Lead<K, V> {
    ticket: Ticket<K, V>,
    ended: bool,
}

/// Identifies the flight that a load belongs to; given to the closure of
/// [`Flights::join`](crate::Flights::join).
///
/// A ticket may be cloned and may outlive its flight; it keeps the flight's value alive that long.
pub struct Ticket<K, V> {
    table: Arc<Table<K, V>>,
    hash: u64,
    flight: Arc<Flight<V>>,
}

impl<K, V> Lead<K, V> {
    pub(crate) fn new(table: Arc<Table<K, V>>, hash: u64, flight: Arc<Flight<V>>) -> Self {
        Self {
            ticket: Ticket {
                table,
                hash,
                flight,
            },
            ended: false,
        }
    }

    pub(crate) fn ticket(&self) -> &Ticket<K, V> {
        &self.ticket
    }

    pub(crate) fn flight(&self) -> &Arc<Flight<V>> {
        &self.ticket.flight
    }

    /// Ends the flight. First the slot is freed, then the waiters get their answer:
    ///
    /// - A caller that has seen the answer and calls again starts a new load, and never gets the
    ///   same failure twice: `free, publish, see, join` has no other order.
    /// - A caller that arrives between the two steps starts a new load too. The old one has
    ///   returned, so still only one runs, and finds in the cache what the old one has stored.
    pub(crate) fn end(mut self, outcome: Outcome<V>) {
        self.end_once(outcome);
    }

    fn end_once(&mut self, outcome: Outcome<V>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let Ticket {
            table,
            hash,
            flight,
        } = &self.ticket;
        let slot = table.release(*hash, flight);
        flight.publish(outcome);
        // This comes last because the key's own drop may panic.
        drop(slot);
    }

    /// Frees the slot if no caller has joined since `idle` began; false if one has.
    pub(crate) fn abandon(&self, idle: Idle) -> bool {
        let Ticket {
            table,
            hash,
            flight,
        } = &self.ticket;
        table.abandon(*hash, flight, idle)
    }
}

impl<K, V> Drop for Lead<K, V> {
    fn drop(&mut self) {
        self.end_once(Err(FlightError::Cancelled));
    }
}

impl<K, V> Ticket<K, V> {
    /// Frees the slot if no caller waits for the load, and returns whether it did: a load may call
    /// this before it begins something expensive. After that no caller can join, so the value that
    /// the load returns is discarded; a new caller starts a load of its own. Always false unless
    /// [`Options::count_waiters`](crate::Options::count_waiters) is on.
    #[must_use]
    pub fn give_up(&self) -> bool {
        let idle = self.flight.idle_now();
        idle.is_some_and(|idle| self.table.abandon(self.hash, &self.flight, idle))
    }

    /// Publishes a tag to the callers that join the load: a number of your choice, such as the
    /// identity of a span, for [`Waiter::tag`](crate::Waiter::tag). 0, the initial value, means
    /// none. A caller that joins before this call might not see it.
    pub fn set_tag(&self, tag: u64) {
        self.flight.set_tag(tag);
    }

    /// The last value of [`set_tag`](Self::set_tag); 0 before.
    #[must_use]
    pub fn tag(&self) -> u64 {
        self.flight.tag()
    }

    /// Runs `then` if the flight is still its key's current one: not forgotten, not abandoned, not
    /// ended. No [`forget`](crate::Flights::forget) of the key happens while `then` runs. Returns
    /// what `then` returns, or `None` if it was not run.
    ///
    /// This is for a load that puts its value into a cache. A removal calls `forget`, then deletes
    /// from the cache. The removed value does not stay in either order of events:
    ///
    /// | load | removal | cache |
    /// |---|---|---|
    /// | `if_current`: insert | | old value |
    /// | | `forget`, delete | empty |
    ///
    /// | load | removal | cache |
    /// |---|---|---|
    /// | | `forget` | empty |
    /// | `if_current`: `None`, no insert | | empty |
    /// | | delete | empty |
    ///
    /// An insert without `if_current` could happen after the delete, and the removed value would
    /// stay.
    ///
    /// `then` runs under the lock of the table's shard, so it must be short and must not call the
    /// same [`Flights`](crate::Flights), which would be a deadlock. If it panics, the panic
    /// propagates into the load; the table is unharmed.
    pub fn if_current<R>(&self, then: impl FnOnce() -> R) -> Option<R> {
        self.table.if_current(self.hash, &self.flight, then)
    }
}

impl<K, V> Clone for Ticket<K, V> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            hash: self.hash,
            flight: Arc::clone(&self.flight),
        }
    }
}

impl<K, V> fmt::Debug for Ticket<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(gaggle_loom)))]
mod tests {
    use crate::Flights;

    #[tokio::test]
    async fn those_who_join_a_load_see_its_tag() {
        let flights: Flights<String, u64> = Flights::new();
        let first = flights.join("Tom", |ticket| {
            ticket.set_tag(7);
            async move { ticket.tag() }
        });
        let second = flights.join("Tom", |_| async { 0 });
        let other = flights.join("Kesa", |ticket| async move { ticket.tag() });
        assert_eq!([first.tag(), second.tag(), other.tag()], [7, 7, 0]);
        assert_eq!((second.await.unwrap(), other.await.unwrap()), (7, 0));
    }
}
