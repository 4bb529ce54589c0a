//! Propagation of a trace from one process to the next.

use std::fmt;
use std::str::FromStr;

use tracing::Span;

/// The target of all spans of the read path, for filters: `gaggle_group::trace=debug` enables
/// them, and no events. They do not contain the key, which some events at `debug` do.
///
/// | span | what it lasts for | fields |
/// |---|---|---|
/// | `get` | a get through the front door, if it misses | `group`, and those of HTTP |
/// | `write` | a put or a removal through the admin port | `group`, and those of HTTP |
/// | `serve` | a request of a peer, if it misses | `group`, `key_len` |
/// | `fetch` | a flight that asks the owner of a key | `group`, `key_len`, `peer`, `refresh`, `error.type` |
/// | `load` | a flight that loads from the origin | `group`, `key_len`, `refresh` |
/// | `origin` | the origin's work, possibly longer than the load | `group`, `keys`, `error.type` |
/// | `remove` | telling a peer of a removal, if a span caused it | `group`, `keys`, `peer`, `error.type` |
/// | `apply` | a removal that a peer has told of, with a trace | `group`, `keys` |
/// | `put` | giving the owner of a key a value, if a span caused it | `group`, `key_len`, `peer`, `error.type` |
/// | `accept` | keeping a value that a peer has given, with a trace | `group`, `key_len` |
pub const SPAN_TARGET: &str = "gaggle_group::trace";

/// Propagates traces from one process to the next. Code that knows a span's trace implements it,
/// such as gaggle-telemetry's `OpenTelemetry`.
///
/// The methods are called on the read path, for misses only: they must not block.
pub trait Propagation: Send + Sync + 'static {
    /// The trace context to send to a peer that a span is about to ask; `None` if the span has no
    /// trace.
    fn outgoing(&self, span: &Span) -> Option<TraceParent>;

    /// Makes a span, which has just begun and was not entered, part of the trace that a request
    /// belongs to.
    fn incoming(&self, span: &Span, parent: &TraceParent);

    /// Like [`incoming`](Self::incoming), for a request of an untrusted client: the sampling
    /// decision need not follow it. Default: as [`incoming`](Self::incoming).
    fn incoming_from_client(&self, span: &Span, parent: &TraceParent) {
        self.incoming(span, parent);
    }
}

/// The value of the header `traceparent` ([W3C Trace
/// Context](https://www.w3.org/TR/trace-context/)), in version 00: which trace a request belongs
/// to, and which span sent it.
///
/// ```
/// use gaggle_group::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = text.parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
/// # Ok::<(), gaggle_group::BadTraceParent>(())
/// ```
///
/// There is no `tracestate`: vendors' additions to a trace are not propagated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

/// A text is no valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no traceparent")]
pub struct BadTraceParent;

impl TraceParent {
    /// The length of its text, in bytes.
    pub const LEN: usize = 55;

    const SAMPLED: u8 = 1;
    /// The trace's identity is random in its last seven bytes.
    const RANDOM: u8 = 2;

    /// `None` if an identity is zero, which means that there is none. Only flags of version 00 are
    /// kept.
    #[must_use]
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], flags: u8) -> Option<Self> {
        let valid = trace_id != [0; 16] && parent_id != [0; 8];
        valid.then_some(Self {
            trace_id,
            parent_id,
            flags: flags & (Self::SAMPLED | Self::RANDOM),
        })
    }

    /// Parses the text of a header. Digits are lower-case, and nothing may surround them. Of a
    /// later version than 00, the part that 00 has is parsed, as the standard says. `None` for
    /// anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(Self::LEN)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = digits(parts.next()?)?;
        let trace_id = digits(parts.next()?)?;
        let parent_id = digits(parts.next()?)?;
        let [flags] = digits(parts.next()?)?;
        let known = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        known.then(|| Self::new(trace_id, parent_id, flags))?
    }

    /// The identity of the trace.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The identity of the span that sent the request.
    #[must_use]
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Bit 0: the trace is sampled; bit 1: the last seven bytes of its identity are random.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the sender may have recorded the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }
}

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes()).ok_or(BadTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, parent) = (
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.parent_id),
        );
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", self.flags)
    }
}

/// `N` bytes as `2 N` hexadecimal digits in lower case.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn it_reads_back_as_it_was_written() {
        for (flags, kept) in [(0, 0), (1, 1), (2, 2), (3, 3), (0xff, 3)] {
            let parent = TraceParent::new([0xab; 16], [1; 8], flags).unwrap();
            assert_eq!(parent.flags(), kept);
            let text = parent.to_string();
            assert_eq!(text.len(), TraceParent::LEN);
            assert_eq!(text.parse(), Ok(parent));
        }
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(parent.trace_id()[..2], [0x4b, 0xf9]);
        assert_eq!(parent.parent_id()[6..], [0x02, 0xb7]);
    }

    #[test]
    fn of_a_later_version_the_known_part_is_read() {
        let later = GOOD.replacen("00", "cc", 1);
        let expected = GOOD.parse::<TraceParent>();
        for text in [
            later.clone(),
            format!("{later}-"),
            format!("{later}-what the future brings"),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert!(format!("{later}.x").parse::<TraceParent>().is_err());
    }

    #[test]
    fn anything_else_is_none() {
        let zeros = |n: usize| "0".repeat(n);
        for bad in [
            String::new(),
            "00".into(),
            GOOD[..54].into(),
            format!("{GOOD}-00"),
            format!("{GOOD} "),
            format!(" {GOOD}"),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0g", 1),
            GOOD.replace('-', "_"),
            GOOD.replace("4b", "--"),
            GOOD.replace("4b", "+b"),
            format!("00-{}-00f067aa0ba902b7-01", zeros(32)),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", zeros(16)),
            // Each part a byte too long or too short, and the whole of the right length.
            "00-4bf92f3577b34da6a3ce929d0e0e473600-f067aa0ba902b7-01".into(),
            "é".repeat(28),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(BadTraceParent), "{bad:?}");
        }
        assert_eq!(TraceParent::new([0; 16], [1; 8], 1), None);
        assert_eq!(TraceParent::new([1; 16], [0; 8], 1), None);
    }
}
