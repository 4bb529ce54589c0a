//! Verdicts as messages, with the origin's error text on one line of bounded length.

use gaggle_group::Verdict;
use gaggle_proto::peer::Failure;
use gaggle_proto::verdict;

use crate::escape::one_line;

/// The longest text of an origin's failure, in bytes.
const MAX_TEXT: usize = 1 << 10;

/// The verdict on the wire; `None` if this version cannot express its kind.
pub(super) fn write(verdict: Verdict) -> Option<Failure> {
    verdict::put(bounded(verdict))
}

/// The received verdict; `None` if this version does not know its kind.
pub(crate) fn read(failure: Failure) -> Option<Verdict> {
    verdict::read(failure).map(bounded)
}

fn bounded(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::OriginFailed { message } => Verdict::OriginFailed {
            message: one_line(message.as_bytes(), MAX_TEXT),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_line_of_bounded_length_on_both_sides() {
        let failed = |message: String| Verdict::OriginFailed { message };
        let long = failed(format!("disk\non fire{}", "!".repeat(MAX_TEXT)));
        let short = failed(format!("disk on fire{}", "!".repeat(MAX_TEXT - 12)));
        let sent = write(long.clone()).unwrap();
        assert_eq!(Some(sent.clone()), verdict::put(short.clone()));
        assert_eq!(read(sent), Some(short.clone()));
        assert_eq!(read(verdict::put(long).unwrap()), Some(short));
    }

    #[test]
    fn other_verdicts_travel_as_they_are() {
        let verdict = Verdict::KeyTooLong { limit: 1_024 };
        assert_eq!(read(write(verdict.clone()).unwrap()), Some(verdict));
        assert_eq!(write(Verdict::NotKept), None);
        assert_eq!(read(Failure { kind: None }), None);
    }
}
