//! Gaggle's additions to groupcache's protocol, as headers that others ignore.

use std::time::Duration;

use gaggle_group::{RemovalId, TraceParent, Verdict};
use gaggle_proto::millis;
use gaggle_proto::notices::MAX_CARRIED;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Request: a node has forwarded this, and it must not be forwarded again.
pub(crate) const FORWARDED: HeaderName = HeaderName::from_static("gaggle-forwarded");
/// Request: how long the asker waits for the answer.
pub(crate) const DEADLINE_MS: HeaderName = HeaderName::from_static("gaggle-deadline-ms");
/// Request: the longest value that the asker takes, in bytes.
pub(crate) const MAX_VALUE: HeaderName = HeaderName::from_static("gaggle-max-value");
/// Request: the key, if the path cannot carry it.
pub(crate) const KEY: HeaderName = HeaderName::from_static("gaggle-key");
/// Request: the body is a batch. Answer to a marked request: this node takes batches.
pub(crate) const BATCH: HeaderName = HeaderName::from_static("gaggle-batch");
/// Request: the body is a control request. Answer: this node has read it as one.
pub(crate) const CONTROL: HeaderName = HeaderName::from_static("gaggle-control");
/// Request: the cluster that it is meant for.
pub(crate) const CLUSTER: HeaderName = HeaderName::from_static("gaggle-cluster");
/// Request: answer from memory only.
pub(crate) const KEPT: HeaderName = HeaderName::from_static("gaggle-kept");
/// Request: removals of the key that the asker knows.
pub(crate) const REMOVALS: HeaderName = HeaderName::from_static("gaggle-removals");
/// Request: the trace that it belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// DELETE: the removal's name.
pub(crate) const REMOVAL: HeaderName = HeaderName::from_static("gaggle-removal");
/// Answer to DELETE: the copies have been dropped.
pub(crate) const REMOVED: HeaderName = HeaderName::from_static("gaggle-removed");
/// Answer: the result of a load that returned no value.
const VERDICT: HeaderName = HeaderName::from_static("gaggle-verdict");
/// Answer: the limit that the verdict is about.
const LIMIT: HeaderName = HeaderName::from_static("gaggle-limit");
/// Answer: the length that is over it.
const LEN: HeaderName = HeaderName::from_static("gaggle-len");
/// Answer: how long the node waited, or how long the asker should wait.
const AFTER_MS: HeaderName = HeaderName::from_static("gaggle-after-ms");

pub(crate) const ONE: HeaderValue = HeaderValue::from_static("1");

/// A header that must be a number is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} holds no number")]
pub(crate) struct BadNumber(pub(crate) HeaderName);

/// A header's number; `None` without that header.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, BadNumber> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let digits = value
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(BadNumber(name.clone())),
    }
}

pub(crate) fn duration(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<Duration>, BadNumber> {
    Ok(number(headers, name)?.map(Duration::from_millis))
}

/// A header that must name removals does not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} names no removal")]
pub(crate) struct BadRemoval(pub(crate) HeaderName);

/// The removals that a get carries, up to the number that is read.
pub(crate) fn removals(headers: &HeaderMap) -> Result<Vec<RemovalId>, BadRemoval> {
    let Some(value) = headers.get(REMOVALS) else {
        return Ok(Vec::new());
    };
    let bad = || BadRemoval(REMOVALS);
    let names = value.to_str().map_err(|_| bad())?.split(' ');
    let names = names.filter(|name| !name.is_empty()).take(MAX_CARRIED);
    names.map(|name| name.parse().map_err(|_| bad())).collect()
}

/// Adds the removals that a get carries.
pub(crate) fn put_removals(removals: &[RemovalId], headers: &mut HeaderMap) {
    if removals.is_empty() {
        return;
    }
    let names = removals.iter().take(MAX_CARRIED).map(RemovalId::to_string);
    let names = names.collect::<Vec<_>>().join(" ");
    // Digits and spaces are valid in any header.
    if let Ok(names) = HeaderValue::try_from(names) {
        headers.insert(REMOVALS, names);
    }
}

/// The trace that a request belongs to. A malformed or repeated header counts as no trace, and is
/// no reason to refuse a request.
pub(crate) fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| TraceParent::parse(value.as_bytes()))?
}

/// Adds the trace that a request belongs to.
pub(crate) fn put_trace(trace: Option<TraceParent>, headers: &mut HeaderMap) {
    // Digits and dashes are valid in any header.
    if let Some(Ok(trace)) = trace.map(|trace| HeaderValue::try_from(trace.to_string())) {
        headers.insert(TRACEPARENT, trace);
    }
}

/// The name of a DELETE's removal.
pub(crate) fn removal(headers: &HeaderMap) -> Result<Option<RemovalId>, BadRemoval> {
    let Some(value) = headers.get(REMOVAL) else {
        return Ok(None);
    };
    let name = value.to_str().ok().and_then(|name| name.parse().ok());
    name.map(Some).ok_or(BadRemoval(REMOVAL))
}

/// Why the owner of a key has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reported {
    NotFound,
    Failed(Verdict),
}

/// A verdict in another form than [`Reported::write`] writes it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadVerdict {
    #[error("its verdict is unknown here")]
    Unknown,
    #[error("its verdict lacks the header {0}")]
    Lacks(HeaderName),
    #[error(transparent)]
    Number(#[from] BadNumber),
}

impl Reported {
    /// Adds the headers of the verdict. An origin's message travels as the body.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let name = match self {
            Self::NotFound => "not-found",
            Self::Failed(Verdict::OriginFailed { .. }) => "origin-failed",
            Self::Failed(Verdict::ValueTooLarge { len, limit }) => {
                if let Some(len) = len {
                    headers.insert(LEN, (*len).into());
                }
                headers.insert(LIMIT, (*limit).into());
                "value-too-large"
            }
            Self::Failed(Verdict::KeyTooLong { limit }) => {
                headers.insert(LIMIT, (*limit).into());
                "key-too-long"
            }
            Self::Failed(Verdict::Deadline { after }) => {
                headers.insert(AFTER_MS, millis(*after).into());
                "deadline"
            }
            Self::Failed(Verdict::Shed { limit, retry_after }) => {
                headers.insert(LIMIT, (*limit).into());
                headers.insert(AFTER_MS, millis(*retry_after).into());
                let started = u64::from(retry_after.subsec_nanos() > 0);
                headers.insert(
                    RETRY_AFTER,
                    retry_after.as_secs().saturating_add(started).into(),
                );
                "shed"
            }
            Self::Failed(Verdict::NotKept) => "not-kept",
            // This version cannot express this kind of verdict: the asker sees a status and no
            // verdict.
            Self::Failed(_) => return,
        };
        headers.insert(VERDICT, HeaderValue::from_static(name));
    }

    /// Reads the headers of an answer; `None` if they have no verdict. `message` is the body's
    /// text.
    pub(crate) fn read(headers: &HeaderMap, message: &str) -> Result<Option<Self>, BadVerdict> {
        let Some(verdict) = headers.get(VERDICT) else {
            return Ok(None);
        };
        let needed = |name: HeaderName| number(headers, &name)?.ok_or(BadVerdict::Lacks(name));
        let limit = || needed(LIMIT).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let after = || needed(AFTER_MS).map(Duration::from_millis);
        let verdict = match verdict.as_bytes() {
            b"not-found" => return Ok(Some(Self::NotFound)),
            b"origin-failed" => Verdict::OriginFailed {
                message: message.to_owned(),
            },
            b"value-too-large" => Verdict::ValueTooLarge {
                len: number(headers, &LEN)?,
                limit: needed(LIMIT)?,
            },
            b"key-too-long" => Verdict::KeyTooLong { limit: limit()? },
            b"deadline" => Verdict::Deadline { after: after()? },
            b"not-kept" => Verdict::NotKept,
            b"shed" => Verdict::Shed {
                limit: limit()?,
                retry_after: after()?,
            },
            _ => return Err(BadVerdict::Unknown),
        };
        Ok(Some(Self::Failed(verdict)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_reads_back_as_it_was_written() {
        let message = "disk on fire".to_owned();
        for report in [
            Reported::NotFound,
            Reported::Failed(Verdict::OriginFailed {
                message: message.clone(),
            }),
            Reported::Failed(Verdict::ValueTooLarge {
                len: Some(9),
                limit: u64::MAX,
            }),
            Reported::Failed(Verdict::ValueTooLarge {
                len: None,
                limit: 0,
            }),
            Reported::Failed(Verdict::KeyTooLong { limit: 1024 }),
            Reported::Failed(Verdict::NotKept),
            Reported::Failed(Verdict::Deadline {
                after: Duration::from_millis(250),
            }),
            Reported::Failed(Verdict::Shed {
                limit: 7,
                retry_after: Duration::from_millis(1_500),
            }),
        ] {
            let mut headers = HeaderMap::new();
            report.write(&mut headers);
            assert_eq!(Reported::read(&headers, &message), Ok(Some(report)));
        }
    }

    #[test]
    fn removals_read_back_as_many_as_are_read() {
        let id = |number| RemovalId {
            issuer: 0xab,
            number,
        };
        let many: Vec<_> = (1..12).map(id).collect();
        let mut headers = HeaderMap::new();
        put_removals(&[], &mut headers);
        assert!(headers.is_empty());
        put_removals(&many[..2], &mut headers);
        assert_eq!(headers[REMOVALS], "00000000000000ab-1 00000000000000ab-2");
        assert_eq!(removals(&headers).unwrap(), many[..2]);
        put_removals(&many, &mut headers);
        assert_eq!(removals(&headers).unwrap(), many[..MAX_CARRIED]);
        for bad in ["1", "00000000000000ab-1,00000000000000ab-2"] {
            headers.insert(REMOVALS, bad.parse().unwrap());
            assert_eq!(removals(&headers), Err(BadRemoval(REMOVALS)), "{bad}");
        }
        assert_eq!(removal(&headers), Ok(None));
        headers.insert(REMOVAL, HeaderValue::from_static("x"));
        assert_eq!(removal(&headers), Err(BadRemoval(REMOVAL)));
    }

    #[test]
    fn a_trace_reads_back_and_what_is_none_is_passed_over() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        put_trace(None, &mut headers);
        assert!(headers.is_empty());
        assert_eq!(trace(&headers), None);
        put_trace(Some(text.parse().unwrap()), &mut headers);
        assert_eq!(headers[TRACEPARENT], text);
        assert_eq!(trace(&headers), Some(text.parse().unwrap()));
        headers.append(TRACEPARENT, headers[TRACEPARENT].clone());
        assert_eq!(trace(&headers), None, "which of them?");
        for bad in [&b""[..], b"00", b"\xff\xff", &[b'0'; 9_000]] {
            headers.insert(TRACEPARENT, HeaderValue::from_bytes(bad).unwrap());
            assert_eq!(trace(&headers), None);
        }
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        let mut headers = HeaderMap::new();
        let retry_after = Duration::from_millis(1_001);
        Reported::Failed(Verdict::Shed {
            limit: 7,
            retry_after,
        })
        .write(&mut headers);
        assert_eq!(headers[RETRY_AFTER], "2");
    }

    #[test]
    fn a_verdict_without_its_numbers_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(Reported::read(&headers, ""), Ok(None));
        headers.insert(VERDICT, HeaderValue::from_static("key-too-long"));
        assert_eq!(Reported::read(&headers, ""), Err(BadVerdict::Lacks(LIMIT)));
        headers.insert(LIMIT, HeaderValue::from_static("+12"));
        assert_eq!(
            Reported::read(&headers, ""),
            Err(BadVerdict::Number(BadNumber(LIMIT)))
        );
        headers.insert(VERDICT, HeaderValue::from_static("bored"));
        assert_eq!(Reported::read(&headers, ""), Err(BadVerdict::Unknown));
    }
}
