//! The spans of what a get waits for. A get that hits has none.
//!
//! They begin where somebody asks, so that the span of whoever asks is their parent. Where nobody is interested in them, that
//! costs the check of a callsite that is off.

use std::num::NonZeroU64;
use std::time::Duration;

use gaggle_singleflight::{Ticket, Waiter};
use tokio::time::timeout;
use tracing::{Id, Level, Span, debug_span, span_enabled};

use super::flight::Outcome;
use super::{Group, Inner};
use crate::trace::SPAN_TARGET;
use crate::{Key, Peer, Propagation, TraceParent};

/// What a flight tells that has no span.
const NONE: u64 = u64::MAX;

/// How often, and for how long at a time, whoever joins a flight waits for it to tell its span.
const MOST_LOOKS: usize = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// Of a flight that loads from the origin.
pub(super) fn load(inner: &Inner, key: &[u8], refresh: bool) -> Span {
    debug_span!(target: SPAN_TARGET, "load", group = &*inner.name, key_len = key.len(), refresh)
}

/// Of a flight that asks the owner of a key.
pub(super) fn fetch(inner: &Inner, key: &[u8], peer: &dyn Peer, refresh: bool) -> Span {
    debug_span!(
        target: SPAN_TARGET,
        "fetch",
        group = &*inner.name,
        key_len = key.len(),
        peer = peer.name(),
        refresh,
        otel.kind = "client",
    )
}

/// Of the origin's work for so many keys.
pub(super) fn origin(inner: &Inner, keys: usize) -> Span {
    debug_span!(target: SPAN_TARGET, "origin", group = &*inner.name, keys)
}

/// Of a request of a peer.
pub(super) fn serve(inner: &Inner, key: &[u8], parent: Option<&TraceParent>) -> Span {
    let span = debug_span!(
        target: SPAN_TARGET,
        "serve",
        group = &*inner.name,
        key_len = key.len(),
        otel.kind = "server",
    );
    if let (Some(parent), Some(propagation)) = (parent, &inner.propagation)
        && !span.is_disabled()
    {
        propagation.incoming(&span, parent);
    }
    span
}

/// Has those who join a flight know its span, or that it has none.
pub(super) fn tell(span: &Span, ticket: &Ticket<Key, Outcome>) {
    ticket.set_tag(span.id().map_or(NONE, |id| id.into_u64()));
}

/// The span that a flight has told.
fn told(tag: u64) -> Option<Id> {
    NonZeroU64::new(tag)
        .filter(|tag| tag.get() != NONE)
        .map(Id::from_non_zero_u64)
}

/// Links the span of whoever waits for a flight that another has started to the span of the flight.
///
/// The flight may be about to start on another thread, and have told nothing yet: then this waits a little, or for the answer.
pub(super) async fn link(waiter: &mut Waiter<Outcome>) {
    if waiter.led() || !span_enabled!(target: SPAN_TARGET, Level::DEBUG) {
        return;
    }
    for _ in 0..MOST_LOOKS {
        // An answer is not lost: the waiter gives it again.
        if waiter.tag() != 0 || timeout(PAUSE, &mut *waiter).await.is_ok() {
            break;
        }
    }
    let Some(flight) = told(waiter.tag()) else {
        return;
    };
    let span = Span::current();
    // Another subscriber may have given the same number to the flight's. Some cannot link a span to itself.
    if span.id().is_some_and(|own| own != flight) {
        span.follows_from(flight);
    }
}

/// Links two loads that ask the origin together to each other.
pub(super) fn link_both(one: &Span, other: &Span) {
    one.follows_from(other);
    other.follows_from(one);
}

/// The span of a flight, which must be under way here.
pub(super) fn of(ticket: &Ticket<Key, Outcome>) -> Span {
    match told(ticket.tag()) {
        Some(_) => Span::current(),
        None => Span::none(),
    }
}

impl Inner {
    /// What to tell a peer of the current span.
    pub(super) fn outgoing(&self) -> Option<TraceParent> {
        let propagation = self.propagation.as_ref()?;
        let span = Span::current();
        (!span.is_disabled()).then(|| propagation.outgoing(&span))?
    }
}

impl Group {
    /// What takes traces from one process to the next, if anything does.
    pub fn propagation(&self) -> Option<&dyn Propagation> {
        self.inner.propagation.as_deref()
    }
}
