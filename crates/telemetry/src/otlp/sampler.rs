//! Which traces are recorded.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::propagation::FromClient;

/// Follows the parent's decision, within a process and between nodes. A trace that begins here is
/// recorded by chance, and so is one that a client's request names, unless clients are trusted.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    /// From 0 to 1.
    pub(super) ratio: f64,
    /// Whether the decision of a client counts.
    pub(super) follow_parents: bool,
}

impl Sampler {
    /// By a number of its own. A client chooses the trace's identity, and with it would choose
    /// whether a sampler records that looks at the identity.
    fn by_chance(&self) -> bool {
        fastrand::f64() < self.ratio
    }
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let sampled = match parent {
            Some(context) if context.span().span_context().is_valid() => {
                let span = context.span();
                let parent = span.span_context();
                // Spans within the process inherit the mark of their context.
                let by_client = parent.is_remote() && context.get::<FromClient>().is_some();
                if by_client && !self.follow_parents {
                    self.by_chance()
                } else {
                    parent.is_sampled()
                }
            }
            _ => self.by_chance(),
        };
        SamplingResult {
            decision: if sampled {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn parent(sampled: bool, remote: bool) -> Context {
        let flags = TraceFlags::default().with_sampled(sampled);
        let (trace, span) = (TraceId::from_bytes([1; 16]), SpanId::from_bytes([2; 8]));
        let span = SpanContext::new(trace, span, flags, remote, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    }

    fn samples(ratio: f64, follow_parents: bool, parent: Option<&Context>) -> bool {
        let sampler = Sampler {
            ratio,
            follow_parents,
        };
        let id = TraceId::from_bytes([1; 16]);
        let result = sampler.should_sample(parent, id, "get", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn between_nodes_and_within_one_the_parent_decides() {
        for (sampled, remote) in [(true, true), (true, false), (false, true), (false, false)] {
            for ratio in [0.0, 1.0] {
                let parent = parent(sampled, remote);
                assert_eq!(samples(ratio, false, Some(&parent)), sampled);
            }
        }
    }

    #[test]
    fn a_client_decides_only_where_it_is_trusted() {
        for sampled in [true, false] {
            let by_client = parent(sampled, true).with_value(FromClient);
            assert_eq!(samples(0.5, true, Some(&by_client)), sampled);
            assert!(!samples(0.0, false, Some(&by_client)));
            assert!(samples(1.0, false, Some(&by_client)));
            // What a span of this process has decided counts below it, too.
            let local = parent(sampled, false).with_value(FromClient);
            assert_eq!(samples(0.0, false, Some(&local)), sampled);
        }
    }

    #[test]
    fn a_trace_that_begins_here_is_recorded_by_chance() {
        assert!(!samples(0.0, true, None) && samples(1.0, true, None));
        let no_parent = Context::new();
        let recorded = (0..4000).filter(|_| samples(0.5, false, Some(&no_parent)));
        // Further off than one time in 10^9.
        assert!((1800..2200).contains(&recorded.count()));
    }
}
