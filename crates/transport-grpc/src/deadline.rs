//! Deadlines in gRPC's form.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// The longest deadline that is sent. tonic has no way to write one of more than 11,000 years, and
/// panics.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `deadline`, limited to what can be sent.
pub(crate) fn sendable(deadline: Duration) -> Duration {
    deadline.min(LONGEST)
}

/// The part of the asker's deadline that is left for the work, or `None` if the asker set none.
///
/// An eighth of it, and at most `answer_ahead`, is kept for the way back: if an owner works until
/// the deadline itself, its verdict arrives too late, and the asker loads again from the same slow
/// origin.
pub(crate) fn time_to_work(metadata: &MetadataMap, answer_ahead: Duration) -> Option<Duration> {
    let deadline = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Some(deadline - answer_ahead.min(deadline / 8))
}

/// A `grpc-timeout`: one to eight digits and a unit. Any other text is ignored, as by tonic's own
/// server.
fn parse(text: &str) -> Option<Duration> {
    let (at, unit) = text.char_indices().next_back()?;
    let digits = &text[..at];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(n * 60 * 60)),
        'M' => Some(Duration::from_secs(n * 60)),
        'S' => Some(Duration::from_secs(n)),
        'm' => Some(Duration::from_millis(n)),
        'u' => Some(Duration::from_micros(n)),
        'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nonsense_is_no_deadline() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in [
            "",
            "5",
            "m",
            "5x",
            "-5m",
            "+5m",
            " 5m",
            "5 m",
            "123456789m",
            "5é",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_longest_deadline_can_be_written() {
        let mut request = tonic::Request::new(());
        request.set_timeout(sendable(Duration::MAX));
        assert_eq!(
            time_to_work(request.metadata(), Duration::ZERO),
            Some(LONGEST)
        );
    }

    #[test]
    fn the_owner_answers_before_the_asker_has_gone() {
        let ahead = Duration::from_millis(100);
        let work = |deadline| {
            let mut request = tonic::Request::new(());
            request.set_timeout(deadline);
            time_to_work(request.metadata(), ahead)
        };
        assert_eq!(
            work(Duration::from_secs(5)),
            Some(Duration::from_millis(4_900))
        );
        assert_eq!(
            work(Duration::from_millis(80)),
            Some(Duration::from_millis(70))
        );
        assert_eq!(time_to_work(&MetadataMap::new(), ahead), None);
    }
}
