//! Loads that ask the origin in one batch.
//!
//! Each load of an origin which takes several keys per request enters a list, and waits for a slot
//! like any other. The one that gets a slot takes along others from the list: those that arrived
//! with it, such as those of one `get_many` or one batch of a peer, and those that wait for a
//! slot. A load that arrives alone while there are free slots asks immediately, alone.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use gaggle_limiter::{ByteBudget, Permit, Refused};
use gaggle_singleflight::{FlightError, Ticket};
use tokio::sync::oneshot::{self, error::RecvError};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::flight::{LoadTimer, Outcome};
use super::{Inner, spans};
use crate::{
    BatchMember, Key, Limits, Load, Loaded, Metadata, OriginError, OriginFault, TraceParent,
};

/// The loads that wait to ask the origin, oldest first. At most the number of running loads.
#[derive(Default)]
pub(super) struct Gathering {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    waiting: VecDeque<Waiting>,
    next: u64,
}

/// A load that waits.
struct Waiting {
    id: u64,
    wish: Wish,
    /// Whether it waits for a slot of its own.
    queued: bool,
    /// Notified when another load has asked for it.
    told: oneshot::Sender<Told>,
}

/// One key of a request to the origin.
pub(super) struct Wish {
    pub(super) key: Key,
    /// The metadata of a value that is still in memory.
    pub(super) stale: Option<Metadata>,
    pub(super) ticket: Ticket<Key, Outcome>,
    /// In the background: it has no waiters from the start.
    pub(super) refresh: bool,
    /// The load's span, which has to be linked to that of a load which asks for this one as well.
    pub(super) span: Span,
}

impl Wish {
    /// Whether any caller still waits for it. After `false` no caller can join.
    fn is_wanted(&self) -> bool {
        self.refresh || !self.ticket.give_up()
    }

    /// The same check as a closure.
    fn wanted(&self) -> impl Fn() -> bool + Send + use<> {
        let (ticket, refresh) = (self.ticket.clone(), self.refresh);
        move || refresh || !ticket.give_up()
    }

    fn load<'a>(
        &'a self,
        bounds: Bounds,
        budget: &'a ByteBudget,
        trace: Option<TraceParent>,
    ) -> Load<'a> {
        let load = Load::new(&self.key, bounds.max_value).within(budget);
        let mut load = load.traced(trace).due_in(bounds.load_timeout);
        load.stale = self.stale.as_ref();
        load
    }
}

/// The limits that a load gets.
#[derive(Clone, Copy)]
struct Bounds {
    max_value: u64,
    load_timeout: Duration,
}

impl Bounds {
    fn of(limits: &Limits) -> Self {
        Self {
            max_value: limits.max_value,
            load_timeout: limits.load_timeout,
        }
    }
}

/// The origin's answer to a load, or why there is none.
pub(super) struct Asked<'a> {
    /// Has run since the request began.
    pub(super) timer: LoadTimer<'a>,
    pub(super) outcome: Result<Result<Loaded, OriginError>, Unanswered>,
}

/// Why the origin returned nothing, not even a failure.
#[derive(Clone)]
pub(super) enum Unanswered {
    /// The load timed out.
    Late,
    /// The load that asked for this one as well panicked.
    Panicked(FlightError),
}

/// The message to a load that another has taken along.
enum Told {
    Unwanted,
    Asked {
        since: Instant,
        outcome: Result<Result<Loaded, OriginError>, Unanswered>,
    },
}

/// A place in the list, which is given up when this is dropped.
struct Place<'a> {
    gathering: &'a Gathering,
    id: u64,
}

impl Gathering {
    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing panics in the middle of a change.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, wish: Wish) -> (Place<'_>, oneshot::Receiver<Told>) {
        let (told, answer) = oneshot::channel();
        let mut list = self.list();
        let id = list.next;
        list.next += 1;
        list.waiting.push_back(Waiting {
            id,
            wish,
            queued: false,
            told,
        });
        drop(list);
        (
            Place {
                gathering: self,
                id,
            },
            answer,
        )
    }
}

impl Place<'_> {
    /// Records that it waits for a slot of its own from now on, unless another has taken it along.
    fn queue(&self) {
        let mut list = self.gathering.list();
        if let Ok(at) = list.waiting.binary_search_by_key(&self.id, |one| one.id)
            && let Some(own) = list.waiting.get_mut(at)
        {
            own.queued = true;
        }
    }

    /// Takes the load itself out of the list, unless another has taken it along.
    fn take(&self) -> Option<Waiting> {
        let mut list = self.gathering.list();
        // The ids are ascending.
        let at = list.waiting.binary_search_by_key(&self.id, |one| one.id);
        at.ok().and_then(|at| list.waiting.remove(at))
    }

    /// Takes itself out, and up to `most` others.
    fn take_with(&self, most: usize) -> Option<(Waiting, Vec<Waiting>)> {
        let mut list = self.gathering.list();
        let at = list.waiting.binary_search_by_key(&self.id, |one| one.id);
        let own = at.ok().and_then(|at| list.waiting.remove(at))?;
        let most = most.min(list.waiting.len());
        let others = list.waiting.drain(..most).collect();
        Some((own, others))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Outside of the lock: it may be the last holder of a key.
        drop(self.take());
    }
}

impl Inner {
    /// Asks the origin for one key by itself, as soon as a slot is free.
    pub(super) async fn ask_alone(&self, wish: Wish) -> Result<Asked<'_>, Refused> {
        let permit = self.origin_limiter.acquire(wish.wanted()).await?;
        let mut timer = LoadTimer::start(&self.counters.origin);
        let settings = self.settings();
        let limits = &settings.limits;
        let span = spans::origin(self, 1);
        let trace = self.told_of(&span);
        timer.traced(trace);
        let work = {
            // It may outlive this flight: the origin is at work on it, whether or not any caller
            // waits.
            let (origin, budget) = (Arc::clone(&self.origin), self.in_flight.clone());
            let bounds = Bounds::of(limits);
            async move {
                let outcome = origin.load(wish.load(bounds, &budget, trace)).await;
                spans::origin_ended(&outcome);
                outcome
            }
        };
        let work = work.instrument(span);
        let asked = permit.run(limits.load_timeout, work, counts_against_the_origin);
        let outcome = asked.await.map_err(|_| Unanswered::Late);
        Ok(Asked { timer, outcome })
    }

    /// Asks the origin for a key, by itself or in a batch, as soon as a slot is free.
    pub(super) async fn ask_together(
        &self,
        wish: Wish,
        member: Option<BatchMember>,
        most: usize,
    ) -> Result<Asked<'_>, Refused> {
        let wanted = wish.wanted();
        let (place, mut told) = self.gathering.enter(wish);
        if let Some(member) = member {
            member.ready();
            let all_ready = pin!(member.all_ready());
            if let Either::Left((told, _)) = select(&mut told, all_ready).await {
                return self.told(told);
            }
        }
        // The message is polled first: most loads that arrive together need no slot of their own.
        place.queue();
        let slot = self.origin_limiter.acquire(wanted);
        match select(&mut told, slot).await {
            Either::Left((told, _)) => self.told(told),
            Either::Right((Ok(permit), _)) => match place.take_with(most - 1) {
                Some((own, others)) => Ok(self.ask_for_all(permit, own, others).await),
                None => {
                    // Another has taken it along at this moment.
                    drop(permit);
                    self.told(told.await)
                }
            },
            Either::Right((Err(refused), _)) => match place.take() {
                Some(_) => Err(refused),
                None => self.told(told.await),
            },
        }
    }

    /// Asks for one key and those that are taken along. Sends each of the others its result.
    async fn ask_for_all(&self, permit: Permit, own: Waiting, others: Vec<Waiting>) -> Asked<'_> {
        let since = Instant::now();
        let mut timer = LoadTimer::since(&self.counters.origin, since);
        let mut own = own.wish;
        // The work, which may outlive the load, must not keep it open.
        let span = std::mem::replace(&mut own.span, Span::none());
        let mut wishes = vec![own];
        let mut listeners = Vec::with_capacity(others.len());
        let mut queued = 0;
        for Waiting {
            mut wish,
            told,
            queued: waited,
            ..
        } in others
        {
            if wish.is_wanted() {
                queued += usize::from(waited);
                spans::link_both(&span, &std::mem::replace(&mut wish.span, Span::none()));
                wishes.push(wish);
                listeners.push(told);
            } else {
                tell(told, Told::Unwanted);
            }
        }
        if wishes.len() > 1 {
            let count = wishes.len() as u64;
            self.counters.origin_batches.fetch_add(1, Relaxed);
            self.counters.origin_batched.fetch_add(count, Relaxed);
        }
        let origin_span = spans::origin(self, wishes.len());
        let trace = self.told_of(&origin_span);
        timer.traced(trace);
        permit.take_along(queued);
        let settings = self.settings();
        let limits = &settings.limits;
        let work = {
            let (origin, budget) = (Arc::clone(&self.origin), self.in_flight.clone());
            let bounds = Bounds::of(limits);
            async move {
                let loads = wishes.iter().map(|wish| wish.load(bounds, &budget, trace));
                let loads: Vec<_> = loads.collect();
                let outcomes = match loads.as_slice() {
                    [load] => vec![origin.load(*load).await],
                    loads => one_each(origin.load_many(loads).await, loads.len()),
                };
                outcomes.iter().for_each(spans::origin_ended);
                outcomes
            }
        };
        let work = work.instrument(origin_span);
        // An origin that returns some of them works.
        let failed = |outcomes: &Vec<Result<Loaded, OriginError>>| {
            outcomes.iter().any(counts_against_the_origin) && outcomes.iter().all(Result::is_err)
        };
        let run = AssertUnwindSafe(permit.run(limits.load_timeout, work, failed));
        let unanswered = match run.catch_unwind().await {
            Ok(Ok(outcomes)) => {
                let mut outcomes = outcomes.into_iter();
                let own = outcomes.next().unwrap_or_else(|| Err(miscounted()));
                for (told, outcome) in listeners.into_iter().zip(outcomes) {
                    let outcome = Ok(outcome);
                    tell(told, Told::Asked { since, outcome });
                }
                let outcome = Ok(own);
                return Asked { timer, outcome };
            }
            Ok(Err(_)) => Unanswered::Late,
            Err(panic) => Unanswered::Panicked(FlightError::panicked(&*panic)),
        };
        for told in listeners {
            let outcome = Err(unanswered.clone());
            tell(told, Told::Asked { since, outcome });
        }
        let outcome = Err(unanswered);
        Asked { timer, outcome }
    }

    fn told(&self, told: Result<Told, RecvError>) -> Result<Asked<'_>, Refused> {
        match told {
            Ok(Told::Asked { since, outcome }) => {
                let mut timer = LoadTimer::since(&self.counters.origin, since);
                // Its own trace, and not that of the load which has asked for it.
                timer.traced(self.outgoing());
                Ok(Asked { timer, outcome })
            }
            // No message: the load that took it along was dropped, for example because the runtime
            // shuts down.
            Ok(Told::Unwanted) | Err(_) => Err(Refused::Unwanted),
        }
    }
}

fn tell(listener: oneshot::Sender<Told>, told: Told) {
    // A load that no longer listens was dropped, and does not need it.
    let _ = listener.send(told);
}

/// Whether the breaker counts it. A key that the origin does not accept says nothing about the
/// origin: a client that requests such keys must not block others from it.
fn counts_against_the_origin(outcome: &Result<Loaded, OriginError>) -> bool {
    let failure = outcome.as_ref().err();
    failure.is_some_and(|failure| {
        matches!(failure, OriginError::Failed(_)) && failure.fault() != OriginFault::Key
    })
}

/// One outcome for each load, whatever the origin returned.
fn one_each(
    outcomes: Vec<Result<Loaded, OriginError>>,
    count: usize,
) -> Vec<Result<Loaded, OriginError>> {
    if outcomes.len() == count {
        return outcomes;
    }
    // The outcomes cannot be assigned.
    (0..count).map(|_| Err(miscounted())).collect()
}

fn miscounted() -> OriginError {
    OriginError::failed("it brought another number of outcomes than it was asked for")
}
