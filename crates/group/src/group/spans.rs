//! The spans of a get that waits. A hit has none.
//!
//! They begin in the caller's code, so that the caller's span is their parent. If they are
//! disabled, they cost the check of a disabled callsite.

use std::num::NonZeroU64;
use std::time::Duration;

use gaggle_singleflight::{Ticket, Waiter};
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Id, Level, Span, debug_span, span_enabled};

use super::flight::Outcome;
use super::{Group, Inner};
use crate::trace::SPAN_TARGET;
use crate::{
    Key, Loaded, Notice, OriginError, OriginFault, Peer, PeerError, Propagation, Scope, TraceParent,
};

/// The tag of a flight without a span.
const NONE: u64 = u64::MAX;

/// How often, and for how long each time, a joining caller waits for a flight to publish its span.
const MOST_LOOKS: usize = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// A number as attributes of OpenTelemetry have it: they are signed, and one that is not becomes a
/// text.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The span of a flight that loads from the origin.
pub(super) fn load(inner: &Inner, key: &[u8], refresh: bool) -> Span {
    debug_span!(
        target: SPAN_TARGET,
        "load",
        group = &*inner.name,
        key_len = number(key.len()),
        refresh,
    )
}

/// The span of a flight that asks the owner of a key.
pub(super) fn fetch(inner: &Inner, key: &[u8], peer: &dyn Peer, refresh: bool) -> Span {
    debug_span!(
        target: SPAN_TARGET,
        "fetch",
        group = &*inner.name,
        key_len = number(key.len()),
        peer = peer.name(),
        refresh,
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of the origin's work for this many keys.
pub(super) fn origin(inner: &Inner, keys: usize) -> Span {
    debug_span!(
        target: SPAN_TARGET,
        "origin",
        group = &*inner.name,
        keys = number(keys),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// Records a failure in the span of the origin's work, which is the current one. If several keys
/// were requested, one of their failures is recorded.
pub(super) fn origin_ended(outcome: &Result<Loaded, OriginError>) {
    let Err(failure) = outcome else { return };
    let kind = match (failure, failure.fault()) {
        (OriginError::TooLarge { .. }, _) => "too_large",
        (OriginError::OverBudget(_), _) => "over_budget",
        (_, OriginFault::Status(status)) => return failed(&status.to_string()),
        (_, OriginFault::Unreachable) => "unreachable",
        (_, OriginFault::TimedOut) => "timeout",
        (_, OriginFault::BrokeOff) => "broke_off",
        (_, OriginFault::Unusable) => "unusable",
        (_, OriginFault::Busy) => "busy",
        (_, OriginFault::Panicked) => "panicked",
        (_, OriginFault::Key) => "key",
        (_, OriginFault::Other) => "_OTHER",
    };
    failed(kind);
}

/// Records a failure in the span of a request to a peer, which is the current one.
pub(super) fn peer_failed(failure: &PeerError) {
    failed(match failure {
        PeerError::Unavailable { .. } => "unavailable",
        PeerError::Refused { .. } => "refused",
        PeerError::Verdict { .. } => "verdict",
    });
}

/// By the names of OpenTelemetry's conventions. Never the text of an error.
fn failed(kind: &str) {
    let span = Span::current();
    // If these spans are disabled, the current one belongs to other code.
    if span.metadata().is_some_and(|it| it.target() == SPAN_TARGET) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", kind);
    }
}

/// The span of a peer's request.
pub(super) fn serve(inner: &Inner, key: &[u8], parent: Option<&TraceParent>) -> Span {
    let span = debug_span!(
        target: SPAN_TARGET,
        "serve",
        group = &*inner.name,
        key_len = number(key.len()),
        otel.kind = "server",
    );
    go_on(inner, &span, parent);
    span
}

fn go_on(inner: &Inner, span: &Span, parent: Option<&TraceParent>) {
    if let (Some(parent), Some(propagation)) = (parent, &inner.propagation)
        && !span.is_disabled()
    {
        propagation.incoming(span, parent);
    }
}

/// The span of telling a peer of a removal. None if no span caused the removal, for example if the
/// source has changed: each peer's would be a trace of its own.
pub(super) fn remove(inner: &Inner, notice: &Notice, peer: &dyn Peer) -> Span {
    if Span::current().is_disabled() {
        return Span::none();
    }
    debug_span!(
        target: SPAN_TARGET,
        "remove",
        group = &*inner.name,
        keys = keys(notice),
        peer = peer.name(),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of a removal that a peer has told of, if it belongs to a trace.
pub(super) fn apply(inner: &Inner, notice: &Notice, parent: Option<&TraceParent>) -> Span {
    if parent.is_none() {
        return Span::none();
    }
    let span = debug_span!(
        target: SPAN_TARGET,
        "apply",
        group = &*inner.name,
        keys = keys(notice),
        otel.kind = "server",
    );
    go_on(inner, &span, parent);
    span
}

/// The number of keys that are removed; `None` for the whole group.
fn keys(notice: &Notice) -> Option<i64> {
    match &notice.scope {
        Scope::Keys(keys) => Some(number(keys.len())),
        Scope::Group => None,
    }
}

/// The span of giving the owner of a key a value, as [`remove`].
pub(super) fn put(inner: &Inner, key: &[u8], peer: &dyn Peer) -> Span {
    if Span::current().is_disabled() {
        return Span::none();
    }
    debug_span!(
        target: SPAN_TARGET,
        "put",
        group = &*inner.name,
        key_len = number(key.len()),
        peer = peer.name(),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of keeping a value that a peer has given, if it belongs to a trace.
pub(super) fn accept(inner: &Inner, key: &[u8], parent: Option<&TraceParent>) -> Span {
    if parent.is_none() {
        return Span::none();
    }
    let span = debug_span!(
        target: SPAN_TARGET,
        "accept",
        group = &*inner.name,
        key_len = number(key.len()),
        otel.kind = "server",
    );
    go_on(inner, &span, parent);
    span
}

/// Publishes a flight's span to the callers that join, or that it has none.
pub(super) fn tell(span: &Span, ticket: &Ticket<Key, Outcome>) {
    ticket.set_tag(span.id().map_or(NONE, |id| id.into_u64()));
}

/// The span that a flight has published.
fn told(tag: u64) -> Option<Id> {
    NonZeroU64::new(tag)
        .filter(|tag| tag.get() != NONE)
        .map(Id::from_non_zero_u64)
}

/// Links the span of a caller that waits for another caller's flight to the span of the flight.
///
/// The flight may be about to start on another thread, and have published nothing yet: this then
/// waits briefly, or for the answer.
pub(super) async fn link(waiter: &mut Waiter<Outcome>) {
    if waiter.led() || !span_enabled!(target: SPAN_TARGET, Level::DEBUG) {
        return;
    }
    for _ in 0..MOST_LOOKS {
        // An answer is not lost: the waiter returns it again.
        if waiter.tag() != 0 || timeout(PAUSE, &mut *waiter).await.is_ok() {
            break;
        }
    }
    let Some(flight) = told(waiter.tag()) else {
        return;
    };
    let span = Span::current();
    // Another subscriber may have given the same number to the flight's span. Some cannot link a
    // span to itself.
    if span.id().is_some_and(|own| own != flight) {
        span.follows_from(flight);
    }
}

/// Links two loads of one batch to each other.
pub(super) fn link_both(one: &Span, other: &Span) {
    one.follows_from(other);
    other.follows_from(one);
}

/// The span of a flight, which must be running here.
pub(super) fn of(ticket: &Ticket<Key, Outcome>) -> Span {
    match told(ticket.tag()) {
        Some(_) => Span::current(),
        None => Span::none(),
    }
}

impl Inner {
    /// The trace context of the current span, for a peer.
    pub(super) fn outgoing(&self) -> Option<TraceParent> {
        self.told_of(&Span::current())
    }

    /// The trace context of a span, for another process.
    pub(super) fn told_of(&self, span: &Span) -> Option<TraceParent> {
        let propagation = self.propagation.as_ref()?;
        (!span.is_disabled()).then(|| propagation.outgoing(span))?
    }
}

impl Group {
    /// The propagation of traces between processes, if there is one.
    pub fn propagation(&self) -> Option<&dyn Propagation> {
        self.inner.propagation.as_deref()
    }
}
