//! What is asked of one key, beside its value.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Answer, ByteBudget, Group};

use crate::output::{Output, Proto};
use crate::parse::integer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum One {
    StrLen,
    /// From one byte to another, both included; negative ones count from the end.
    Range(i64, i64),
    Ttl,
    Pttl,
    Type,
    Encoding,
    Refcount,
    /// What Redis does not track either, unless it is told to.
    Untracked(&'static str),
}

impl One {
    /// Writes the answer. A part of a value for which there is no room in flight is returned
    /// instead, behind the value.
    #[must_use]
    pub(crate) fn write(
        self,
        group: &Group,
        answer: &Answer,
        proto: Proto,
        out: &mut Output,
    ) -> Option<(Bytes, Bytes)> {
        let value = answer.value.as_ref();
        let len = value.map_or(0, |value| i64::try_from(value.len()).unwrap_or(i64::MAX));
        match (self, value) {
            (Self::StrLen, _) => out.int(len),
            (Self::Range(from, to), value) => {
                let value = value.cloned().unwrap_or_default();
                let part = part(&value, from, to);
                if part.len() < ByteBudget::SMALL {
                    out.bulk(&part);
                } else if let Some(hold) = group.in_flight().try_hold(&value) {
                    // A part keeps all of the value in memory.
                    out.value(part, hold);
                } else {
                    return Some((value, part));
                }
            }
            (Self::Ttl, None) | (Self::Pttl, None) => out.int(-2),
            (Self::Ttl, _) => out.int(left(answer, |ms| ms.saturating_add(500) / 1000)),
            (Self::Pttl, _) => out.int(left(answer, |ms| ms)),
            (Self::Type, None) => out.simple("none"),
            (Self::Type, _) => out.simple("string"),
            (Self::Encoding | Self::Refcount | Self::Untracked(_), None) => out.null(proto),
            (Self::Encoding, Some(value)) => out.bulk(encoding(value).as_bytes()),
            (Self::Refcount, _) => out.int(1),
            (Self::Untracked(why), _) => out.error(why),
        }
        None
    }
}

/// For how long it may be served; -1 where that has no end.
fn left(answer: &Answer, unit: impl Fn(i64) -> i64) -> i64 {
    let ttl: Option<Duration> = answer.freshness.ttl;
    ttl.map_or(-1, |ttl| {
        unit(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
    })
}

/// How Redis would keep such a value.
fn encoding(value: &[u8]) -> &'static str {
    match value.len() {
        0..=20 if integer(value).is_some() => "int",
        0..=44 => "embstr",
        _ => "raw",
    }
}

/// As `GETRANGE` has it.
fn part(value: &Bytes, from: i64, to: i64) -> Bytes {
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if from < 0 && to < 0 && from > to {
        return Bytes::new();
    }
    let absolute = |at: i64| {
        if at < 0 {
            at.saturating_add(len).max(0)
        } else {
            at
        }
    };
    let (from, to) = (absolute(from), absolute(to).min(len - 1));
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to => value.slice(from..=to),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let value = Bytes::from_static(b"0123456789");
        for (from, to, expected) in [
            (0, -1, "0123456789"),
            (2, 4, "234"),
            (-3, -1, "789"),
            (-3, -4, ""),
            (5, 2, ""),
            (-100, 1, "01"),
            (8, 100, "89"),
            (10, 20, ""),
            (i64::MIN, i64::MAX, "0123456789"),
            (i64::MAX, i64::MIN, ""),
            (0, -100, "0"),
        ] {
            assert_eq!(part(&value, from, to), expected, "{from} {to}");
        }
        assert_eq!(part(&Bytes::new(), 0, -1), "");
    }

    #[test]
    fn encodings() {
        let long = [b'x'; 45];
        for (value, expected) in [
            (&b"630"[..], "int"),
            (b"-9223372036854775808", "int"),
            (b"9223372036854775808", "embstr"),
            (b"0630", "embstr"),
            (b"", "embstr"),
            (&long, "raw"),
            (&long[..44], "embstr"),
        ] {
            assert_eq!(encoding(value), expected);
        }
    }
}
