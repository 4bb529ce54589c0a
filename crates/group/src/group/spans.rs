//! The spans of what a get waits for. A get that hits has none.
//!
//! They begin where somebody asks, so that the span of whoever asks is their parent. Where nobody is interested in them, that
//! costs the check of a callsite that is off.

use std::num::NonZeroU64;

use gaggle_singleflight::{Ticket, Waiter};
use tracing::{Id, Span, debug_span};

use super::flight::Outcome;
use super::{Group, Inner};
use crate::trace::SPAN_TARGET;
use crate::{Key, Peer, Propagation, TraceParent};

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

/// Has those who join a flight know its span.
pub(super) fn tell(span: &Span, ticket: &Ticket<Key, Outcome>) {
    if let Some(id) = span.id() {
        ticket.set_tag(id.into_u64());
    }
}

/// Links the span of whoever waits for a flight that another has started to the span of the flight.
pub(super) fn link(waiter: &Waiter<Outcome>) {
    if waiter.led() {
        return;
    }
    let Some(flight) = NonZeroU64::new(waiter.tag()) else {
        return;
    };
    let (span, flight) = (Span::current(), Id::from_non_zero_u64(flight));
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
    if ticket.tag() == 0 {
        Span::none()
    } else {
        Span::current()
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
