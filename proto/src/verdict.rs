//! Verdicts as messages: how the owner of a key came to have no value.

use std::time::Duration;

use gaggle_group::Verdict;

use crate::millis;
use crate::peer::failure::Kind;
use crate::peer::{Deadline, Failure, KeyTooLong, OriginFailed, Shed, ValueTooLarge};

/// The verdict as a message. `None` for [`Verdict::NotKept`], which is a separate answer and no
/// failure, and for a kind that this release does not know. The message of
/// [`Verdict::OriginFailed`] is written as it is, whatever its length.
pub fn put(verdict: Verdict) -> Option<Failure> {
    let kind = match verdict {
        Verdict::OriginFailed { message } => Kind::OriginFailed(OriginFailed { message }),
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

/// Reads a verdict. `None` if it is of a kind that this release does not know. The message of
/// [`Verdict::OriginFailed`] is what the peer wrote, control characters included.
pub fn read(failure: Failure) -> Option<Verdict> {
    let size = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
    Some(match failure.kind? {
        Kind::OriginFailed(OriginFailed { message }) => Verdict::OriginFailed { message },
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
            assert_eq!(put(verdict.clone()).and_then(read), Some(verdict));
        }
        assert_eq!(put(Verdict::NotKept), None);
        assert_eq!(read(Failure { kind: None }), None);
    }
}
