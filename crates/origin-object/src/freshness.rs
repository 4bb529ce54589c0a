//! How long an object's `Cache-Control` says that it may be served, as RFC 9111 and RFC 5861
//! require of a shared cache.
//!
//! Reading never fails: a malformed directive is read as the most restrictive that it could mean.
//! A comma inside a quoted string splits like any other, so that no quotation mark hides a
//! directive; at worst the value is kept for a shorter time.

use std::time::Duration;

use gaggle_group::Hint;

/// The value of a number that overflows (RFC 9111, section 1.2.2).
const MAX_SECONDS: u64 = (1 << 31) - 1;

#[derive(Default)]
struct Stated {
    not_kept: bool,
    must_revalidate: bool,
    s_maxage: Option<u64>,
    max_age: Option<u64>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
}

/// The freshness that the attribute states, and nothing else.
pub(crate) fn hint(cache_control: &str) -> Hint {
    let mut stated = Stated::default();
    for directive in cache_control.split(',') {
        stated.add(directive);
    }
    if stated.not_kept {
        return Hint::none();
    }
    // `s-maxage` forbids stale values (RFC 9111, section 5.2.2.10), unless a window is stated as
    // well.
    let window = |window: Option<u64>| match window {
        _ if stated.must_revalidate => Some(Duration::ZERO),
        None if stated.s_maxage.is_some() => Some(Duration::ZERO),
        window => window.map(Duration::from_secs),
    };
    let lifetime = stated.s_maxage.or(stated.max_age).map(Duration::from_secs);
    let mut hint = lifetime.map_or_else(Hint::default, Hint::ttl);
    hint.stale_while_revalidate = window(stated.stale_while_revalidate);
    hint.stale_if_error = window(stated.stale_if_error);
    hint
}

impl Stated {
    /// If a directive appears several times, the smallest number counts.
    fn add(&mut self, directive: &str) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        let number = match name.trim().to_ascii_lowercase().as_str() {
            // A value with `no-cache` could be served only after a revalidation.
            "no-store" | "private" | "no-cache" => {
                self.not_kept = true;
                return;
            }
            "must-revalidate" | "proxy-revalidate" => {
                self.must_revalidate = true;
                return;
            }
            "s-maxage" => &mut self.s_maxage,
            "max-age" => &mut self.max_age,
            "stale-while-revalidate" => &mut self.stale_while_revalidate,
            "stale-if-error" => &mut self.stale_if_error,
            _ => return,
        };
        let seconds = seconds(argument);
        *number = Some(number.map_or(seconds, |before| before.min(seconds)));
    }
}

/// Digits, with or without quotation marks; zero if it is not a number, so that the value is stale
/// (RFC 9111, section 4.2.1).
fn seconds(argument: &str) -> u64 {
    let argument = argument.trim();
    let inner = argument
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let digits = inner.unwrap_or(argument);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    digits.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_shared_lifetime_goes_before_the_other() {
        assert_eq!(hint("max-age=60"), Hint::ttl(secs(60)));
        assert_eq!(hint("public, Max-Age = \"60\""), Hint::ttl(secs(60)));
        let mut shared = Hint::ttl(secs(5));
        shared.stale_while_revalidate = Some(Duration::ZERO);
        shared.stale_if_error = Some(Duration::ZERO);
        assert_eq!(hint("max-age=60, s-maxage=5"), shared);
        assert_eq!(hint("max-age=60, max-age=9"), Hint::ttl(secs(9)));
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        for text in [
            "no-store",
            "max-age=60, Private",
            "no-cache=\"a, b\", max-age=60",
            "x=\"y, no-store",
        ] {
            assert_eq!(hint(text), Hint::none(), "{text}");
        }
    }

    #[test]
    fn windows_are_read_and_closed_by_must_revalidate() {
        let text = "max-age=1, stale-while-revalidate=2, stale-if-error=3";
        let mut expected = Hint::ttl(secs(1));
        expected.stale_while_revalidate = Some(secs(2));
        expected.stale_if_error = Some(secs(3));
        assert_eq!(hint(text), expected);
        expected.stale_while_revalidate = Some(Duration::ZERO);
        expected.stale_if_error = Some(Duration::ZERO);
        assert_eq!(hint(&format!("{text}, must-revalidate")), expected);
    }

    #[test]
    fn what_says_nothing_is_no_hint_and_no_number_is_stale() {
        for text in ["", "public", "immutable, x-max-age=5", ",,=,\""] {
            assert_eq!(hint(text), Hint::default(), "{text}");
        }
        for text in [
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=1h",
        ] {
            assert_eq!(hint(text), Hint::ttl(Duration::ZERO), "{text}");
        }
        assert_eq!(
            hint("max-age=99999999999999999999999"),
            Hint::ttl(secs(MAX_SECONDS))
        );
    }
}
