//! The trace that a request belongs to, as metadata (W3C Trace Context).

use gaggle_group::TraceParent;
use tonic::metadata::{MetadataMap, MetadataValue};

const TRACEPARENT: &str = "traceparent";

/// Adds the trace that a request belongs to.
pub(crate) fn put(trace: Option<TraceParent>, metadata: &mut MetadataMap) {
    // Digits and dashes are valid in any metadata.
    if let Some(Ok(trace)) = trace.map(|trace| MetadataValue::try_from(trace.to_string())) {
        metadata.insert(TRACEPARENT, trace);
    }
}

/// Reads what [`put`] has added. Malformed or repeated metadata counts as no trace, and is no
/// reason to refuse a request.
pub(crate) fn read(metadata: &MetadataMap) -> Option<TraceParent> {
    let mut values = metadata.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| TraceParent::parse(value.as_encoded_bytes()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_back_and_what_is_none_is_passed_over() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut metadata = MetadataMap::new();
        put(None, &mut metadata);
        assert!(metadata.is_empty());
        assert_eq!(read(&metadata), None);
        put(Some(text.parse().unwrap()), &mut metadata);
        assert_eq!(metadata.get(TRACEPARENT).unwrap(), text);
        assert_eq!(read(&metadata), Some(text.parse().unwrap()));
        metadata.append(TRACEPARENT, text.parse().unwrap());
        assert_eq!(read(&metadata), None, "which of them?");
        for bad in ["", "00", &"0".repeat(9_000)] {
            metadata.insert(TRACEPARENT, bad.parse().unwrap());
            assert_eq!(read(&metadata), None);
        }
    }
}
