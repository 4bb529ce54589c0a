//! Verdicts as messages.

use std::time::Duration;

use gaggle_group::Verdict;

use crate::escape::one_line;
use crate::headers::millis;
use crate::proto::failure::Kind;
use crate::proto::{Deadline, Failure, KeyTooLong, OriginFailed, Shed, ValueTooLarge};

/// The longest account of an origin's failure, in bytes.
const MAX_TEXT: usize = 1 << 10;

/// The verdict on the wire; `None` if it is of a kind that this version cannot tell.
pub(super) fn write(verdict: Verdict) -> Option<Failure> {
    let kind = match verdict {
        Verdict::OriginFailed { message } => Kind::OriginFailed(OriginFailed {
            message: one_line(message.as_bytes(), MAX_TEXT),
        }),
        Verdict::ValueTooLarge { len, limit } => Kind::ValueTooLarge(ValueTooLarge { len, limit }),
        Verdict::KeyTooLong { limit } => Kind::KeyTooLong(KeyTooLong {
            limit: limit as u64,
        }),
        Verdict::Deadline { after } => Kind::Deadline(Deadline {
            after_ms: millis(after),
        }),
        Verdict::Shed { limit, retry_after } => Kind::Shed(Shed {
            limit: limit as u64,
            retry_after_ms: millis(retry_after),
        }),
        _ => return None,
    };
    Some(Failure { kind: Some(kind) })
}

/// The verdict that came; `None` if it is of a kind unknown here.
pub(crate) fn read(failure: Failure) -> Option<Verdict> {
    let size = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
    Some(match failure.kind? {
        Kind::OriginFailed(OriginFailed { message }) => Verdict::OriginFailed {
            message: one_line(message.as_bytes(), MAX_TEXT),
        },
        Kind::ValueTooLarge(ValueTooLarge { len, limit }) => Verdict::ValueTooLarge { len, limit },
        Kind::KeyTooLong(KeyTooLong { limit }) => Verdict::KeyTooLong { limit: size(limit) },
        Kind::Deadline(Deadline { after_ms }) => Verdict::Deadline {
            after: Duration::from_millis(after_ms),
        },
        Kind::Shed(Shed {
            limit,
            retry_after_ms,
        }) => Verdict::Shed {
            limit: size(limit),
            retry_after: Duration::from_millis(retry_after_ms),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_reads_back_as_it_was_written() {
        for verdict in [
            Verdict::OriginFailed {
                message: "disk on fire".into(),
            },
            Verdict::ValueTooLarge {
                len: Some(9),
                limit: u64::MAX,
            },
            Verdict::ValueTooLarge {
                len: None,
                limit: 0,
            },
            Verdict::KeyTooLong { limit: 1_024 },
            Verdict::Deadline {
                after: Duration::from_millis(250),
            },
            Verdict::Shed {
                limit: 7,
                retry_after: Duration::from_millis(1_500),
            },
        ] {
            assert_eq!(read(write(verdict.clone()).unwrap()), Some(verdict));
        }
        assert_eq!(read(Failure { kind: None }), None);
    }
}
