//! For how long an answer may be served, and its metadata, as both headers and messages say it.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Entry, Freshness, Metadata};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::escape::{escape, unescape};
use crate::headers::{BadNumber, millis, number};
use crate::proto::{self, NotFound, Value};

/// What is said of an answer beside the value. As a message these are the fields of a `NotFound`; a `Value` and an `Entry`
/// have the same ones beside the value.
pub(crate) type Terms = NotFound;

/// How much longer the value, or the absence, is fresh.
const TTL_MS: HeaderName = HeaderName::from_static("gaggle-ttl-ms");
/// How long after that it may be served while it is loaded again.
const STALE_WHILE_REVALIDATE_MS: HeaderName =
    HeaderName::from_static("gaggle-stale-while-revalidate-ms");
/// How long after that it may be served if loading it again fails.
const STALE_IF_ERROR_MS: HeaderName = HeaderName::from_static("gaggle-stale-if-error-ms");
/// How old the value is.
const AGE_MS: HeaderName = HeaderName::from_static("gaggle-age-ms");
/// What the origin said of the value, escaped.
const METADATA: HeaderName = HeaderName::from_static("gaggle-metadata");

/// What a peer says of an answer cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTerms {
    #[error(transparent)]
    Number(#[from] BadNumber),
    #[error("its metadata cannot be read")]
    Metadata,
}

/// What is said of an answer with a value.
pub(crate) fn of_value(freshness: Freshness, metadata: &Metadata) -> Terms {
    // Without a ttl the value is fresh without an end, and what would come afterwards means nothing.
    let window = |window: Duration| freshness.ttl.map_or(0, |_| millis(window));
    Terms {
        ttl_ms: freshness.ttl.map(millis),
        stale_while_revalidate_ms: window(freshness.revalidate_window()),
        stale_if_error_ms: window(freshness.error_window()),
        age_ms: metadata.age().map(millis),
        metadata: metadata.as_bytes().clone(),
    }
}

/// What is said of an absence. One that is not to be kept needs no words.
pub(crate) fn of_absence(freshness: Freshness, metadata: &Metadata) -> Terms {
    let mut terms = of_value(freshness, metadata);
    if freshness.is_over() {
        terms.ttl_ms = None;
    }
    terms
}

/// A value under these terms.
pub(crate) fn value(value: Bytes, terms: &Terms) -> Result<Entry, BadTerms> {
    let entry = Entry::value(value);
    Ok(entry
        .with_freshness(freshness(terms).unwrap_or_default())
        .with_metadata(metadata(terms)?))
}

/// An absence under these terms; of no use beyond this answer where they have no ttl.
pub(crate) fn absence(terms: &Terms) -> Result<Entry, BadTerms> {
    let gone = Freshness::for_ttl(Duration::ZERO);
    Ok(Entry::absent()
        .with_freshness(freshness(terms).unwrap_or(gone))
        .with_metadata(metadata(terms)?))
}

fn freshness(terms: &Terms) -> Option<Freshness> {
    let ms = Duration::from_millis;
    Some(
        Freshness::for_ttl(ms(terms.ttl_ms?))
            .stale_while_revalidate(ms(terms.stale_while_revalidate_ms))
            .stale_if_error(ms(terms.stale_if_error_ms)),
    )
}

fn metadata(terms: &Terms) -> Result<Metadata, BadTerms> {
    let bytes = &terms.metadata;
    if bytes.len() > Metadata::MAX_LEN {
        return Err(BadTerms::Metadata);
    }
    // Copied: a few short facts must not hold on to the network's buffer.
    let metadata = Metadata::from_bytes(Bytes::copy_from_slice(bytes));
    let metadata = metadata.map_err(|_| BadTerms::Metadata)?;
    Ok(match terms.age_ms {
        Some(age) => metadata.with_age(Duration::from_millis(age)),
        None => metadata,
    })
}

/// Adds the headers that say so.
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
    // What is escaped can stand in any header.
    if let Ok(escaped) = HeaderValue::try_from(escape(&terms.metadata).to_string()) {
        headers.insert(METADATA, escaped);
    }
}

/// What the headers of an answer say.
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
            return Err(BadTerms::Metadata);
        }
        let bytes = unescape(escaped.as_bytes()).map_err(|_| BadTerms::Metadata)?;
        terms.metadata = bytes.into();
    }
    Ok(terms)
}

/// The value and the terms of a message.
pub(crate) fn split(message: Value) -> (Bytes, Terms) {
    let terms = Terms {
        ttl_ms: message.ttl_ms,
        stale_while_revalidate_ms: message.stale_while_revalidate_ms,
        stale_if_error_ms: message.stale_if_error_ms,
        age_ms: message.age_ms,
        metadata: message.metadata,
    };
    (message.value, terms)
}

/// An entry as a message, without its value. Unlike in an answer, an absence without a ttl is one without an end.
pub(crate) fn entry_head(entry: &Entry) -> proto::Entry {
    let terms = of_value(entry.freshness, &entry.metadata);
    proto::Entry {
        value: None,
        ttl_ms: terms.ttl_ms,
        stale_while_revalidate_ms: terms.stale_while_revalidate_ms,
        stale_if_error_ms: terms.stale_if_error_ms,
        age_ms: terms.age_ms,
        metadata: terms.metadata,
    }
}

/// The entry that a message tells of, with `own` to be made of its value.
pub(crate) fn entry(
    message: proto::Entry,
    own: impl FnOnce(Bytes) -> Bytes,
) -> Result<Entry, BadTerms> {
    let terms = Terms {
        ttl_ms: message.ttl_ms,
        stale_while_revalidate_ms: message.stale_while_revalidate_ms,
        stale_if_error_ms: message.stale_if_error_ms,
        age_ms: message.age_ms,
        metadata: message.metadata,
    };
    let entry = match message.value {
        Some(value) => Entry::value(own(value)),
        None => Entry::absent(),
    };
    Ok(entry
        .with_freshness(freshness(&terms).unwrap_or_default())
        .with_metadata(metadata(&terms)?))
}

#[cfg(test)]
mod tests {
    use gaggle_group::Field;

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
    fn what_cannot_be_read_is_told() {
        let with = |name: HeaderName, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TTL_MS, 1_u64.into());
            headers.insert(name, text.parse().unwrap());
            read(&headers).and_then(|terms| value("a".into(), &terms))
        };
        for name in [TTL_MS, STALE_WHILE_REVALIDATE_MS, STALE_IF_ERROR_MS, AGE_MS] {
            let bad = BadTerms::Number(BadNumber(name.clone()));
            assert_eq!(with(name, "-1"), Err(bad));
        }
        for bad in ["%0", "%01", &"%00".repeat(1_025), &"a".repeat(4_000)] {
            assert_eq!(with(METADATA, bad), Err(BadTerms::Metadata), "{bad}");
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
