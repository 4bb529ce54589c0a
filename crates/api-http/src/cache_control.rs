//! What the front door tells other caches of a value (RFC 9111, section 5.2.2).

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderValue;
use gaggle_group::{Answer, Freshness};

/// The `Cache-Control` of a group's values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheControl {
    /// What is left of the time for which the value may be served: `max-age`, and with it
    /// `stale-while-revalidate` and `stale-if-error` where the value has such windows. Nothing
    /// where it stays fresh without an end, and `no-store` where nobody may keep it.
    Ttl,
    /// This text. Absences have none, and a value that nobody may keep has `no-store`.
    Fixed(HeaderValue),
}

impl CacheControl {
    /// The rule that a word of a configuration names: `ttl`, or the text itself. `None` where it
    /// cannot be a header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            "ttl" => Some(Self::Ttl),
            text => HeaderValue::from_str(text).ok().map(Self::Fixed),
        }
    }

    /// The header of an answer, by the rule of its group if there is one. A value that nobody may
    /// keep, as its origin says, has `no-store` in any case: without a word a cache may keep what
    /// has a date or a tag (RFC 9111, section 4.2.2).
    pub(crate) fn of(rule: Option<&Self>, answer: &Answer) -> Option<HeaderValue> {
        let told = answer.value.is_some() || rule == Some(&Self::Ttl);
        if told && answer.freshness.is_over() {
            return Some(HeaderValue::from_static("no-store"));
        }
        match rule? {
            Self::Fixed(text) => answer.value.is_some().then(|| text.clone()),
            Self::Ttl => left(answer.freshness, answer.metadata.age()),
        }
    }
}

/// What is left of a freshness. A cache subtracts the `Age` that stands beside it.
fn left(freshness: Freshness, age: Option<Duration>) -> Option<HeaderValue> {
    let ttl = freshness.ttl?;
    let age = age.map_or(0, |age| age.as_secs());
    let mut text = format!("max-age={}", ttl.as_secs().saturating_add(age));
    for (name, window) in [
        ("stale-while-revalidate", freshness.revalidate_window()),
        ("stale-if-error", freshness.error_window()),
    ] {
        if window.as_secs() > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {name}={}", window.as_secs());
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_so_that_a_cache_which_subtracts_the_age_gets_it() {
        let secs = Duration::from_secs;
        let ttl = |ms| Freshness::for_ttl(Duration::from_millis(ms));
        for (freshness, age, text) in [
            (Freshness::default(), None, None),
            (ttl(1_999), None, Some("max-age=1")),
            (ttl(60_000), Some(secs(7)), Some("max-age=67")),
            (
                ttl(60_000)
                    .stale_while_revalidate(secs(30))
                    .stale_if_error(secs(600)),
                None,
                Some("max-age=60, stale-while-revalidate=30, stale-if-error=600"),
            ),
            (
                ttl(0).stale_if_error(secs(600)),
                Some(secs(9)),
                Some("max-age=9, stale-if-error=600"),
            ),
        ] {
            let told = left(freshness, age);
            let told = told.as_ref().map(|told| told.to_str().unwrap());
            assert_eq!(told, text, "{freshness:?} {age:?}");
        }
    }

    #[test]
    fn a_rule_is_a_word_or_a_text() {
        assert_eq!(CacheControl::parse("ttl"), Some(CacheControl::Ttl));
        let fixed = CacheControl::Fixed(HeaderValue::from_static("public, max-age=60"));
        assert_eq!(CacheControl::parse("public, max-age=60"), Some(fixed));
        assert_eq!(CacheControl::parse("a\nb"), None);
        assert_eq!(CacheControl::parse(""), None);
    }
}
