//! Traces of OpenTelemetry, from one node to the next.

use gaggle_group::{Propagation, TraceParent};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::{Span, debug};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Has the traces of OpenTelemetry go on from the node that asks to the node that answers, where
/// the program's subscriber has a `tracing_opentelemetry` layer. Spans without such a layer have
/// no trace, and nothing is sent.
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use gaggle_group::Group;
/// use gaggle_telemetry::OpenTelemetry;
///
/// let scores = Group::builder("scores")
///     .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some("630")) })
///     .propagation(Arc::new(OpenTelemetry))
///     .build()?;
/// # Ok::<(), gaggle_group::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTelemetry;

/// Marks the context of a trace that a client has named, for samplers: a client is not believed
/// in all that a node is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromClient;

impl Propagation for OpenTelemetry {
    fn outgoing(&self, span: &Span) -> Option<TraceParent> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context();
        TraceParent::new(
            span.trace_id().to_bytes(),
            span.span_id().to_bytes(),
            span.trace_flags().to_u8(),
        )
    }

    fn incoming(&self, span: &Span, parent: &TraceParent) {
        go_on(span, remote(parent));
    }

    fn incoming_from_client(&self, span: &Span, parent: &TraceParent) {
        go_on(span, remote(parent).with_value(FromClient));
    }
}

fn remote(parent: &TraceParent) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_bytes(parent.trace_id()),
        SpanId::from_bytes(parent.parent_id()),
        TraceFlags::new(parent.flags()),
        true,
        TraceState::NONE,
    ))
}

fn go_on(span: &Span, context: Context) {
    if let Err(error) = span.set_parent(context) {
        // Such as where a filter of the layer leaves the span out.
        debug!(%error, "a trace does not go on here");
    }
}
