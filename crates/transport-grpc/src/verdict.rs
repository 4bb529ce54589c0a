//! A failure that the owner stands for, from its group to the wire and from the wire to the asker.

use std::time::Duration;

use gaggle_group::{Error, OriginFault, Verdict};
use tonic::Status;

use crate::wire::{
    Deadline, Failure, KeyTooLong, OriginFailed, Shed, ValueTooLarge, account, failure::Kind,
};

/// What the owner's error is on the wire, apart from "not found", which is no failure.
///
/// # Errors
///
/// The status of an error that the owner does not stand for: the asker may find the value elsewhere.
pub(crate) fn to_wire(error: &Error) -> Result<Failure, Status> {
    let kind = match error {
        Error::Origin { source, .. } => origin_failed(source.fault().to_string()),
        Error::Panicked { .. } => origin_failed(OriginFault::Panicked.to_string()),
        Error::ValueTooLarge { len, limit, .. } => value_too_large(*len, *limit),
        Error::KeyTooLong { limit, .. } => Kind::KeyTooLong(KeyTooLong {
            limit: *limit as u64,
        }),
        Error::Deadline { after, .. } => Kind::Deadline(Deadline {
            after_ms: millis(*after),
        }),
        Error::Shed {
            why, retry_after, ..
        } => shed(why.loads(), *retry_after),
        // Its runtime shuts down: it will not answer this, but another can.
        Error::Cancelled { .. } => return Err(Status::unavailable(error.public().to_string())),
        _ => return Err(Status::internal(error.public().to_string())),
    };
    Ok(Failure { kind: Some(kind) })
}

/// A value that is over the limit.
pub(crate) fn value_too_large(len: Option<u64>, limit: u64) -> Kind {
    Kind::ValueTooLarge(ValueTooLarge { len, limit })
}

/// There is no room.
pub(crate) fn shed(limit: usize, retry_after: Duration) -> Kind {
    Kind::Shed(Shed {
        limit: limit as u64,
        retry_after_ms: millis(retry_after),
    })
}

fn origin_failed(message: String) -> Kind {
    Kind::OriginFailed(OriginFailed {
        message: account(message),
    })
}

/// The owner's verdict; `None` if it is of a kind that this release does not know.
pub(crate) fn from_wire(failure: Failure) -> Option<Verdict> {
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

/// Whole milliseconds, rounded down: a time to live never grows on its way.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gaggle_group::{OriginError, Overload};

    use super::*;

    fn across(error: &Error) -> Option<Verdict> {
        from_wire(to_wire(error).unwrap())
    }

    #[test]
    fn every_verdict_survives_the_wire() {
        let group: Arc<str> = "g".into();
        let second = Duration::from_secs(1);
        let source = OriginError::failed("down at http://db/").known_as(OriginFault::TimedOut);
        assert_eq!(
            across(&Error::Origin {
                group: group.clone(),
                peer: None,
                source
            }),
            Some(Verdict::OriginFailed {
                message: "timed out".into()
            })
        );
        assert_eq!(
            across(&Error::Panicked {
                group: group.clone(),
                message: "oops".into()
            }),
            Some(Verdict::OriginFailed {
                message: "the load panicked".into()
            })
        );
        for len in [None, Some(11)] {
            assert_eq!(
                across(&Error::ValueTooLarge {
                    group: group.clone(),
                    len,
                    limit: 10
                }),
                Some(Verdict::ValueTooLarge { len, limit: 10 })
            );
        }
        assert_eq!(
            across(&Error::KeyTooLong {
                group: group.clone(),
                len: 9,
                limit: 8
            }),
            Some(Verdict::KeyTooLong { limit: 8 })
        );
        assert_eq!(
            across(&Error::Deadline {
                group: group.clone(),
                after: second
            }),
            Some(Verdict::Deadline { after: second })
        );
        assert_eq!(
            across(&Error::Shed {
                group,
                why: Overload::Loads { limit: 3 },
                retry_after: second
            }),
            Some(Verdict::Shed {
                limit: 3,
                retry_after: second
            })
        );
    }

    #[test]
    fn a_load_that_was_cancelled_is_nothing_to_stand_for() {
        let status = to_wire(&Error::Cancelled { group: "g".into() }).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert_eq!(from_wire(Failure { kind: None }), None);
    }
}
