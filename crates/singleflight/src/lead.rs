//! The load's end of a flight: the guard that ends it, and the ticket that asks whether it counts.

use std::fmt;

use crate::FlightError;
use crate::flight::{Flight, Lull, Outcome};
use crate::sync::Arc;
use crate::table::Table;

/// The duty to end a flight. Whoever drops it unfinished ends the flight as cancelled, so that no
/// way out leaves the slot taken or a waiter asleep.
pub(crate) struct Lead<K, V> {
    ticket: Ticket<K, V>,
    ended: bool,
}

/// A load's proof of which flight it belongs to; given to the closure of
/// [`Flights::join`](crate::Flights::join).
///
/// A ticket may be cloned and may outlive its flight; it keeps the flight's value alive as long.
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
    /// - A caller who has seen the answer and calls again starts a new load, and is never handed
    ///   the same failure twice: `free, publish, see, join` has no other order.
    /// - A caller who comes between the two steps starts a new load too. The old one has returned,
    ///   so still only one runs; what it committed to a cache is there to be found.
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
        // Last, for the key's own drop may panic.
        drop(slot);
    }

    /// Frees the slot if nobody has joined since `lull` began; false if someone has.
    pub(crate) fn abandon(&self, lull: Lull) -> bool {
        let Ticket {
            table,
            hash,
            flight,
        } = &self.ticket;
        table.abandon(*hash, flight, lull)
    }
}

impl<K, V> Drop for Lead<K, V> {
    fn drop(&mut self) {
        self.end_once(Err(FlightError::Cancelled));
    }
}

impl<K, V> Ticket<K, V> {
    /// Frees the slot if nobody waits for the load, and says whether it did: what a load may ask
    /// before it begins something costly. After that nobody can join, so whatever it returns is
    /// seen by no one; whoever calls starts a load of their own. Always false unless
    /// [`Options::count_waiters`](crate::Options::count_waiters) is on.
    #[must_use]
    pub fn give_up(&self) -> bool {
        let lull = self.flight.lull_now();
        lull.is_some_and(|lull| self.table.abandon(self.hash, &self.flight, lull))
    }

    /// Says something of the load to those who join it: a number of the caller's choice, such as the
    /// identity of a span, for [`Waiter::tag`](crate::Waiter::tag). 0, which it is at first, means
    /// nothing. Whoever joins before this call does not see it.
    pub fn set_tag(&self, tag: u64) {
        self.flight.set_tag(tag);
    }

    /// What [`set_tag`](Self::set_tag) was last called with; 0 before.
    #[must_use]
    pub fn tag(&self) -> u64 {
        self.flight.tag()
    }

    /// Runs `then` if the flight is still its key's current one: not forgotten, not abandoned, not
    /// over. No [`forget`](crate::Flights::forget) of the key happens while `then` runs. Returns
    /// what `then` returns, or `None` if it was not run.
    ///
    /// For a load that puts its value into a cache. A removal calls `forget`, then deletes from the
    /// cache. Whichever way the two meet, the removed value does not stay:
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
    /// An insert without `if_current` could come after the delete, and the removed value would
    /// live on.
    ///
    /// `then` runs under the lock of the table's shard, so it must be short and must not call the
    /// same [`Flights`](crate::Flights), which would be a deadlock. If it panics, the panic goes on into the
    /// load; the table is unharmed.
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
