//! Why a load got no value: the meaning of the store's errors, and the part that is reported.

use std::error::Error;
use std::io;

use gaggle_group::{OriginError, OriginFault};
#[cfg(feature = "cloud")]
use object_store::client::{HttpError, HttpErrorKind};

use crate::seen::Head;

/// A failure of a load. Its text is for the log: it names the bucket and the template, and
/// contains neither the key nor a secret, which the store's own errors may contain.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
struct Failure {
    place: String,
    reason: String,
}

/// The meaning of an error of the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There is no such object.
    Absent,
    /// The object is the one in the condition.
    NotModified,
    /// The object is not the one in the condition.
    Changed,
    Failed {
        fault: OriginFault,
        reason: String,
    },
}

/// The error of a load.
pub(crate) fn failure(place: &str, fault: OriginFault, reason: impl Into<String>) -> OriginError {
    OriginError::failed(Failure {
        place: place.to_owned(),
        reason: reason.into(),
    })
    .known_as(fault)
}

/// The codes for a missing object: those of S3 and Google Cloud Storage, and of Azure.
const NO_OBJECT: [&str; 2] = ["NoSuchKey", "BlobNotFound"];
/// The codes for a missing bucket, which is not an answer about an object.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

impl Meaning {
    /// The meaning of an error, for a request of which the client saw `head`. `signs` is whether
    /// the store may fetch credentials first.
    pub(crate) fn of(error: &object_store::Error, head: &Head, signs: bool) -> Self {
        use object_store::Error as E;

        match error {
            // The credentials were not found.
            E::NotFound { .. } if signs && !head.asked => Self::of_failure(error, head, signs),
            E::NotFound { .. } => Self::of_not_found(head),
            E::NotModified { .. } => Self::NotModified,
            E::Precondition { .. } => Self::Changed,
            error => Self::of_failure(error, head, signs),
        }
    }

    /// The meaning of a 404, or of an object that a local store does not have. Any web server
    /// answers 404: only a service's code says that the answer is about the object.
    fn of_not_found(head: &Head) -> Self {
        let reason = match head.code.as_deref() {
            // A store that sends no requests, or one whose answers are not seen here.
            _ if head.status.is_none() => return Self::Absent,
            Some(code) if NO_OBJECT.contains(&code) => return Self::Absent,
            Some(code) if NO_BUCKET.contains(&code) => "there is no such bucket".to_owned(),
            Some(code) => format!("answered 404 {code}, which is not about the object"),
            None => "answered 404 without an error code: the answer is not an object store's, and \
                     the endpoint may be wrong"
                .to_owned(),
        };
        Self::failed(OriginFault::Status(404), reason)
    }

    fn of_failure(error: &object_store::Error, head: &Head, signs: bool) -> Self {
        use object_store::Error as E;

        let before = if signs && !head.asked {
            "no credentials: "
        } else {
            ""
        };
        if let Some((fault, reason)) = of_transport(error) {
            return Self::failed(fault, format!("{before}{reason}"));
        }
        if let Some(status) = head.status.filter(|status| !(200..300).contains(status)) {
            let code = head.code.as_deref().map(|code| format!(" {code}"));
            let reason = format!("answered {status}{}", code.unwrap_or_default());
            return Self::failed(OriginFault::Status(status), reason);
        }
        if let Some(error) = cause::<io::Error>(error) {
            return match error.kind() {
                io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidFilename => Self::Absent,
                // The text has no path.
                _ => Self::failed(OriginFault::Other, error.to_string()),
            };
        }
        match error {
            E::PermissionDenied { .. } => {
                Self::failed(OriginFault::Status(403), "answered that it is forbidden")
            }
            E::Unauthenticated { .. } => Self::failed(
                OriginFault::Status(401),
                "answered that there are no valid credentials",
            ),
            E::InvalidPath { .. } => {
                Self::failed(OriginFault::Key, "the store takes no such object's name")
            }
            E::JoinError { .. } => Self::failed(OriginFault::Other, "the read was ended"),
            _ if head.status.is_some() => {
                Self::failed(OriginFault::Unusable, "the answer cannot be used")
            }
            _ if !before.is_empty() => {
                Self::failed(OriginFault::Other, "no credentials could be obtained")
            }
            _ => Self::failed(OriginFault::Other, "the store failed"),
        }
    }

    fn failed(fault: OriginFault, reason: impl Into<String>) -> Self {
        Self::Failed {
            fault,
            reason: reason.into(),
        }
    }
}

/// A failure to send a request or to read its answer. The client's errors have no URL.
#[cfg(feature = "cloud")]
fn of_transport(error: &object_store::Error) -> Option<(OriginFault, String)> {
    let error = cause::<HttpError>(error)?;
    let fault = match error.kind() {
        HttpErrorKind::Connect => OriginFault::Unreachable,
        HttpErrorKind::Timeout => OriginFault::TimedOut,
        HttpErrorKind::Request | HttpErrorKind::Interrupted => OriginFault::BrokeOff,
        HttpErrorKind::Decode => OriginFault::Unusable,
        _ => OriginFault::Other,
    };
    let mut reason = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    Some((fault, reason))
}

#[cfg(not(feature = "cloud"))]
fn of_transport(_: &object_store::Error) -> Option<(OriginFault, String)> {
    None
}

/// The first cause of a type.
fn cause<T: Error + 'static>(error: &object_store::Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use object_store::Error as E;

    use super::*;

    fn source() -> Box<dyn Error + Send + Sync> {
        "secret".into()
    }

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> E {
        E::Generic {
            store: "S3",
            source: source.into(),
        }
    }

    fn head(status: u16, code: &str) -> Head {
        Head {
            asked: true,
            status: Some(status),
            code: (!code.is_empty()).then(|| code.to_owned()),
            cache_control: None,
        }
    }

    fn not_found() -> E {
        E::NotFound {
            path: "secret".to_owned(),
            source: source(),
        }
    }

    #[test]
    fn a_404_says_that_an_object_is_absent_only_by_a_code_for_that() {
        for signs in [true, false] {
            for code in NO_OBJECT {
                let meaning = Meaning::of(&not_found(), &head(404, code), signs);
                assert_eq!(meaning, Meaning::Absent);
            }
            for (code, expected) in [
                ("NoSuchBucket", "no such bucket"),
                ("ContainerNotFound", "no such bucket"),
                ("ResourceNotFound", "answered 404 ResourceNotFound"),
                ("", "without an error code"),
            ] {
                let meaning = Meaning::of(&not_found(), &head(404, code), signs);
                let Meaning::Failed { fault, reason } = meaning else {
                    panic!("{code}: {meaning:?}");
                };
                assert_eq!(fault, OriginFault::Status(404));
                assert!(reason.contains(expected), "{reason}");
            }
        }
    }

    #[test]
    fn what_a_store_without_requests_does_not_find_is_absent() {
        let meaning = Meaning::of(&not_found(), &Head::default(), false);
        assert_eq!(meaning, Meaning::Absent);
    }

    #[test]
    fn credentials_that_are_not_found_are_no_absent_object() {
        let meaning = Meaning::of(&not_found(), &Head::default(), true);
        let expected = Meaning::failed(OriginFault::Other, "no credentials could be obtained");
        assert_eq!(meaning, expected);
    }

    #[test]
    fn a_failure_contains_neither_the_name_nor_the_stores_text() {
        let denied = E::PermissionDenied {
            path: "secret".to_owned(),
            source: source(),
        };
        let io = |kind| generic(io::Error::from(kind));
        for (error, head, fault, reason) in [
            (
                &generic(source()),
                head(503, "SlowDown"),
                OriginFault::Status(503),
                "answered 503 SlowDown",
            ),
            (
                &generic(source()),
                head(200, ""),
                OriginFault::Unusable,
                "the answer cannot be used",
            ),
            (
                &generic(source()),
                Head::default(),
                OriginFault::Other,
                "no credentials could be obtained",
            ),
            (
                &denied,
                head(403, "AccessDenied"),
                OriginFault::Status(403),
                "answered 403 AccessDenied",
            ),
            (
                &denied,
                Head::default(),
                OriginFault::Status(403),
                "answered that it is forbidden",
            ),
            (
                &io(io::ErrorKind::PermissionDenied),
                Head::default(),
                OriginFault::Other,
                "permission denied",
            ),
        ] {
            let expected = Meaning::failed(fault, reason);
            assert_eq!(Meaning::of(error, &head, true), expected);
        }
        let meaning = Meaning::of(&io(io::ErrorKind::NotADirectory), &Head::default(), false);
        assert_eq!(meaning, Meaning::Absent);
    }

    #[cfg(feature = "cloud")]
    #[test]
    fn a_broken_exchange_is_reported_by_its_kind() {
        for (kind, fault) in [
            (HttpErrorKind::Connect, OriginFault::Unreachable),
            (HttpErrorKind::Timeout, OriginFault::TimedOut),
            (HttpErrorKind::Interrupted, OriginFault::BrokeOff),
            (HttpErrorKind::Request, OriginFault::BrokeOff),
            (HttpErrorKind::Decode, OriginFault::Unusable),
            (HttpErrorKind::Unknown, OriginFault::Other),
        ] {
            let error = generic(HttpError::new(kind, io::Error::other("no route")));
            let meaning = Meaning::of(&error, &head(503, ""), true);
            assert_eq!(meaning, Meaning::failed(fault, "no route"));
            let meaning = Meaning::of(&error, &Head::default(), true);
            assert_eq!(meaning, Meaning::failed(fault, "no credentials: no route"));
        }
    }
}
