//! A failure with the owner's verdict, as a message.

use gaggle_group::{Error, Verdict};
use gaggle_proto::verdict;
use tonic::Status;

use crate::wire::Failure;

/// The owner's error on the wire, except "not found", which is not a failure.
///
/// # Errors
///
/// The status of an error without a verdict: the asker may get the value elsewhere.
pub(crate) fn of(error: &Error) -> Result<Failure, Status> {
    let verdict = match error {
        // Its runtime is shutting down: this node will not answer, but another can.
        Error::Cancelled { .. } => return Err(Status::unavailable(error.public().to_string())),
        // Another node's verdict is not this node's.
        Error::Owner { .. } => None,
        _ => Verdict::of(error),
    };
    let failure = verdict.and_then(verdict::put);
    failure.ok_or_else(|| Status::internal(error.public().to_string()))
}

/// The verdict on the wire.
///
/// # Errors
///
/// The status for a verdict that has no form there.
pub(crate) fn failure(verdict: Verdict) -> Result<Failure, Status> {
    verdict::put(verdict).ok_or_else(|| Status::internal("a failure that cannot be told"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use gaggle_group::{OriginError, OriginFault, Overload, PeerError};
    use gaggle_proto::verdict::read;

    use super::*;

    fn across(error: &Error) -> Option<Verdict> {
        read(of(error).unwrap())
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
    fn some_failures_are_nothing_to_stand_for() {
        let status = of(&Error::Cancelled { group: "g".into() }).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        let owner = Error::Owner {
            group: "g".into(),
            source: PeerError::Unavailable {
                peer: "http://peer".into(),
                reason: "gone".into(),
            },
        };
        assert_eq!(of(&owner).unwrap_err().code(), tonic::Code::Internal);
    }
}
