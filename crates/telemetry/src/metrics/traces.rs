//! What a scrape reads of exported traces.

use super::families::{Families, Source};
use crate::Traces;

impl Source for Traces {
    fn collect(&self, families: &mut Families) {
        families.counter(
            "gaggle_trace_spans_exported",
            "Spans that the collector has taken.",
            [],
            [([], self.exported())],
        );
        families.counter(
            "gaggle_trace_spans_dropped",
            "Spans that the collector has not got, by reason.",
            ["reason"],
            [
                (["queue_full"], self.dropped()),
                (["not_taken"], self.failed()),
            ],
        );
    }
}
