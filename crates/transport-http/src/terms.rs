//! For how long an answer may be served, and its metadata, as headers.

use gaggle_group::{BadMetadata, Freshness, Metadata};
use gaggle_proto::terms::{Terms, of_value};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::escape::{escape, unescape};
use crate::headers::{BadNumber, number};

/// How much longer the value, or the absence, is fresh.
const TTL_MS: HeaderName = HeaderName::from_static("gaggle-ttl-ms");
/// How long after that it may be served while it is loaded again.
const STALE_WHILE_REVALIDATE_MS: HeaderName =
    HeaderName::from_static("gaggle-stale-while-revalidate-ms");
/// How long after that it may be served if loading it again fails.
const STALE_IF_ERROR_MS: HeaderName = HeaderName::from_static("gaggle-stale-if-error-ms");
/// How old the value is.
const AGE_MS: HeaderName = HeaderName::from_static("gaggle-age-ms");
/// The origin's metadata of the value, escaped.
const METADATA: HeaderName = HeaderName::from_static("gaggle-metadata");

/// The terms of a peer's answer are malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTerms {
    #[error(transparent)]
    Number(#[from] BadNumber),
    #[error("its metadata cannot be read")]
    Metadata(#[from] BadMetadata),
}

/// The terms of an absence. An absence that must not be kept has no headers.
pub(crate) fn of_absence(freshness: Freshness, metadata: &Metadata) -> Terms {
    let mut terms = of_value(freshness, metadata);
    if freshness.is_over() {
        terms.ttl_ms = None;
    }
    terms
}

/// Adds the headers of the terms.
pub(crate) fn write(terms: &Terms, headers: &mut HeaderMap) {
    let mut insert = |name, number: Option<u64>| {
        if let Some(number) = number {
            headers.insert(name, number.into());
        }
    };
    let some = |number| Some(number).filter(|number| *number > 0);
    insert(TTL_MS, terms.ttl_ms);
    insert(
        STALE_WHILE_REVALIDATE_MS,
        some(terms.stale_while_revalidate_ms),
    );
    insert(STALE_IF_ERROR_MS, some(terms.stale_if_error_ms));
    insert(AGE_MS, terms.age_ms);
    if terms.metadata.is_empty() {
        return;
    }
    // Escaped text is valid in any header.
    if let Ok(escaped) = HeaderValue::try_from(escape(&terms.metadata).to_string()) {
        headers.insert(METADATA, escaped);
    }
}

/// Reads the terms from the headers of an answer.
pub(crate) fn read(headers: &HeaderMap) -> Result<Terms, BadTerms> {
    let mut terms = Terms {
        ttl_ms: number(headers, &TTL_MS)?,
        age_ms: number(headers, &AGE_MS)?,
        ..Terms::default()
    };
    if terms.ttl_ms.is_some() {
        let window = |name: &HeaderName| number(headers, name).map(Option::unwrap_or_default);
        terms.stale_while_revalidate_ms = window(&STALE_WHILE_REVALIDATE_MS)?;
        terms.stale_if_error_ms = window(&STALE_IF_ERROR_MS)?;
    }
    if let Some(escaped) = headers.get(METADATA) {
        if escaped.len() > 3 * Metadata::MAX_LEN {
            return Err(BadTerms::Metadata(BadMetadata));
        }
        let bytes = unescape(escaped.as_bytes()).map_err(|_| BadMetadata)?;
        terms.metadata = bytes.into();
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gaggle_group::{Entry, Field};
    use gaggle_proto::terms::{absence, value};

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn across(terms: &Terms) -> Terms {
        let mut headers = HeaderMap::new();
        write(terms, &mut headers);
        read(&headers).unwrap()
    }

    #[test]
    fn headers_read_back_as_they_were_written() {
        let fresh = Freshness::for_ttl(ms(5))
            .stale_while_revalidate(ms(6))
            .stale_if_error(ms(7));
        let metadata = Metadata::default()
            .with(Field::ETag, "\"ü 100%\"")
            .with_age(ms(0));
        let entry = Entry::value("630").with_freshness(fresh);
        let entry = entry.with_metadata(metadata.clone());
        let terms = across(&of_value(fresh, &metadata));
        assert_eq!(value("630".into(), &terms).unwrap(), entry);
        let gone = across(&of_absence(fresh, &metadata));
        let absent = Entry::absent().with_freshness(fresh);
        assert_eq!(absence(&gone).unwrap(), absent.with_metadata(metadata));
    }

    #[test]
    fn without_a_ttl_a_value_is_fresh_and_an_absence_is_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(STALE_IF_ERROR_MS, 9_u64.into());
        let terms = read(&headers).unwrap();
        assert_eq!(value("a".into(), &terms).unwrap(), Entry::value("a"));
        assert!(absence(&terms).unwrap().freshness.is_over());

        let none = Metadata::default();
        assert_eq!(of_value(Freshness::default(), &none), Terms::default());
        let over = Freshness::for_ttl(ms(0));
        assert_eq!(of_absence(over, &none), Terms::default());
        assert_eq!(of_value(over, &none).ttl_ms, Some(0), "stale, and told so");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let with = |name: HeaderName, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TTL_MS, 1_u64.into());
            headers.insert(name, text.parse().unwrap());
            read(&headers).and_then(|terms| Ok(value("a".into(), &terms)?))
        };
        for name in [TTL_MS, STALE_WHILE_REVALIDATE_MS, STALE_IF_ERROR_MS, AGE_MS] {
            let bad = BadTerms::Number(BadNumber(name.clone()));
            assert_eq!(with(name, "-1"), Err(bad));
        }
        for bad in ["%0", "%01", &"%00".repeat(1_025), &"a".repeat(4_000)] {
            assert_eq!(
                with(METADATA, bad),
                Err(BadTerms::Metadata(BadMetadata)),
                "{bad}"
            );
        }
    }

    #[test]
    fn times_are_bounded_by_what_can_be_written() {
        let long = Freshness::for_ttl(Duration::MAX).stale_if_error(Duration::MAX);
        let terms = across(&of_value(long, &Metadata::default()));
        assert_eq!(
            (terms.ttl_ms, terms.stale_if_error_ms),
            (Some(u64::MAX), u32::MAX.into())
        );
        assert_eq!(
            value("a".into(), &terms).unwrap().freshness.ttl,
            Some(ms(u64::MAX))
        );
    }
}
