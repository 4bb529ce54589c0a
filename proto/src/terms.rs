//! For how long an answer may be served, and its metadata, as messages. Times are in milliseconds
//! from now.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{BadMetadata, Entry, Fetched, Freshness, Metadata};

use crate::millis;
use crate::peer::{self, NotFound, Value};

/// The fields of an answer beside the value: those of a `NotFound`. A `Value` and an `Entry` have
/// the same ones.
pub type Terms = NotFound;

/// The terms of a value. Without a ttl it is fresh without an end, and the windows after that
/// mean nothing.
pub fn of_value(freshness: Freshness, metadata: &Metadata) -> Terms {
    let window = |window: Duration| freshness.ttl.map_or(0, |_| millis(window));
    Terms {
        ttl_ms: freshness.ttl.map(millis),
        stale_while_revalidate_ms: window(freshness.revalidate_window()),
        stale_if_error_ms: window(freshness.error_window()),
        age_ms: metadata.age().map(millis),
        metadata: metadata.as_bytes().clone(),
    }
}

/// A value, its terms and the rate of its key ([`Served::minute_qps`](gaggle_group::Served)) as a
/// message.
pub fn join(value: Bytes, terms: Terms, minute_qps: Option<f64>) -> Value {
    Value {
        value,
        ttl_ms: terms.ttl_ms,
        stale_while_revalidate_ms: terms.stale_while_revalidate_ms,
        stale_if_error_ms: terms.stale_if_error_ms,
        age_ms: terms.age_ms,
        metadata: terms.metadata,
        minute_qps,
    }
}

/// The value, the terms and the rate of a message. The rate is unchecked: [`Fetched::asked_for`]
/// checks it.
pub fn split(message: Value) -> (Bytes, Terms, Option<f64>) {
    let terms = Terms {
        ttl_ms: message.ttl_ms,
        stale_while_revalidate_ms: message.stale_while_revalidate_ms,
        stale_if_error_ms: message.stale_if_error_ms,
        age_ms: message.age_ms,
        metadata: message.metadata,
    };
    (message.value, terms, message.minute_qps)
}

/// The value of a message, as `own` makes it, and the rate of its key.
///
/// # Errors
///
/// If the metadata cannot be read.
pub fn fetched(message: Value, own: impl FnOnce(Bytes) -> Bytes) -> Result<Fetched, BadMetadata> {
    let (bytes, terms, minute_qps) = split(message);
    Ok(Fetched::from(value(own(bytes), &terms)?).asked_for(minute_qps))
}

/// A value under these terms. Without a ttl it is fresh without an end.
///
/// # Errors
///
/// If the metadata cannot be read.
pub fn value(value: Bytes, terms: &Terms) -> Result<Entry, BadMetadata> {
    let freshness = freshness(terms).unwrap_or_default();
    let entry = Entry::value(value).with_freshness(freshness);
    Ok(entry.with_metadata(metadata(terms)?))
}

/// An absence under these terms. It is of no use beyond this answer if they have no ttl.
///
/// # Errors
///
/// If the metadata cannot be read.
pub fn absence(terms: &Terms) -> Result<Entry, BadMetadata> {
    let gone = Freshness::for_ttl(Duration::ZERO);
    let freshness = freshness(terms).unwrap_or(gone);
    let entry = Entry::absent().with_freshness(freshness);
    Ok(entry.with_metadata(metadata(terms)?))
}

/// A value or an absence to keep, as a message. Unlike in an answer, an absence without a ttl has
/// no end.
pub fn put_entry(entry: &Entry) -> peer::Entry {
    let terms = of_value(entry.freshness, &entry.metadata);
    peer::Entry {
        value: entry.value.clone(),
        ttl_ms: terms.ttl_ms,
        stale_while_revalidate_ms: terms.stale_while_revalidate_ms,
        stale_if_error_ms: terms.stale_if_error_ms,
        age_ms: terms.age_ms,
        metadata: terms.metadata,
    }
}

/// Reads a value to keep, as `own` makes it, or an absence.
///
/// # Errors
///
/// If the metadata cannot be read.
pub fn entry(message: peer::Entry, own: impl FnOnce(Bytes) -> Bytes) -> Result<Entry, BadMetadata> {
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
    let entry = entry.with_freshness(freshness(&terms).unwrap_or_default());
    Ok(entry.with_metadata(metadata(&terms)?))
}

fn freshness(terms: &Terms) -> Option<Freshness> {
    let ms = Duration::from_millis;
    Some(
        Freshness::for_ttl(ms(terms.ttl_ms?))
            .stale_while_revalidate(ms(terms.stale_while_revalidate_ms))
            .stale_if_error(ms(terms.stale_if_error_ms)),
    )
}

fn metadata(terms: &Terms) -> Result<Metadata, BadMetadata> {
    let bytes = &terms.metadata;
    if bytes.len() > Metadata::MAX_LEN {
        return Err(BadMetadata);
    }
    // Copied: a few short facts must not hold on to a receive buffer.
    let metadata = Metadata::from_bytes(Bytes::copy_from_slice(bytes))?;
    Ok(match terms.age_ms {
        Some(age) => metadata.with_age(Duration::from_millis(age)),
        None => metadata,
    })
}

#[cfg(test)]
mod tests {
    use gaggle_group::Field;

    use super::*;

    #[test]
    fn entries_read_back_as_they_were_written() {
        let ms = Duration::from_millis;
        let freshness = Freshness::for_ttl(ms(5))
            .stale_while_revalidate(ms(6))
            .stale_if_error(ms(7));
        let metadata = Metadata::default()
            .with(Field::ETag, "\"1\"")
            .with_age(ms(0));
        for from in [Entry::value("630"), Entry::absent()] {
            let from = from
                .with_freshness(freshness)
                .with_metadata(metadata.clone());
            assert_eq!(entry(put_entry(&from), |value| value), Ok(from.clone()));
            let again = match &from.value {
                Some(it) => value(it.clone(), &of_value(freshness, &metadata)),
                None => absence(&of_value(freshness, &metadata)),
            };
            assert_eq!(again, Ok(from));
        }
    }

    #[test]
    fn a_value_and_its_terms_come_apart_as_they_were_joined() {
        let terms = Terms {
            ttl_ms: Some(u64::MAX),
            stale_while_revalidate_ms: 1,
            stale_if_error_ms: 300,
            age_ms: Some(0),
            metadata: vec![9; 1_024].into(),
        };
        for terms in [Terms::default(), terms] {
            for rate in [None, Some(0.0), Some(1_234.5)] {
                let value = Bytes::from_static(b"630");
                let message = join(value.clone(), terms.clone(), rate);
                assert_eq!(split(message), (value, terms.clone(), rate));
            }
        }
    }

    #[test]
    fn a_rate_is_read_with_the_value_unless_it_cannot_be() {
        for (sent, read) in [
            (None, None),
            (Some(7.5), Some(7.5)),
            (Some(f64::NAN), None),
            (Some(-1.0), None),
        ] {
            let message = join("630".into(), Terms::default(), sent);
            let fetched = fetched(message, |value| value).unwrap();
            assert_eq!(
                (fetched.entry, fetched.minute_qps),
                (Entry::value("630"), read)
            );
        }
    }

    #[test]
    fn without_a_ttl_a_value_is_fresh_and_an_absence_is_not_kept() {
        let terms = Terms {
            stale_if_error_ms: 9,
            ..Terms::default()
        };
        assert!(absence(&terms).unwrap().freshness.is_over());
        assert_eq!(value("".into(), &terms), Ok(Entry::value("")));
    }

    #[test]
    fn metadata_that_cannot_be_read_is_an_error() {
        for bad in [vec![1], vec![0; Metadata::MAX_LEN + 1]] {
            let terms = Terms {
                metadata: bad.into(),
                ..Terms::default()
            };
            assert_eq!(absence(&terms), Err(BadMetadata));
        }
    }
}
