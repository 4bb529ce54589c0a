//! The entity tag of a value: its origin's, or a hash of what is sent.

use axum::body::Bytes;
use axum::http::HeaderValue;
use gaggle_group::{Field, Metadata};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// The tag of a value. A hash is strong: two values with the same one are the same bytes, of the
/// same type and encoding. It is computed with each answer, as it would take more room beside a
/// small value than the value itself, and for values of up to `longest` bytes, as it takes longer
/// for longer ones.
pub(crate) fn of(value: &[u8], metadata: &Metadata, longest: usize) -> Option<HeaderValue> {
    if !metadata.is_empty()
        && let Some(tag) = metadata.get(Field::ETag)
    {
        // Without a copy. One that can be no header, as a peer may send, is none.
        return HeaderValue::from_maybe_shared(metadata.as_bytes().slice_ref(tag)).ok();
    }
    (value.len() <= longest && longest > 0).then(|| hashed(value, metadata))?
}

fn hashed(value: &[u8], metadata: &Metadata) -> Option<HeaderValue> {
    let described = [Field::ContentType, Field::ContentEncoding].map(|field| metadata.get(field));
    let hash = match described {
        [None, None] => xxh3_128(value),
        [kind, encoding] => {
            let text = [kind.unwrap_or_default(), encoding.unwrap_or_default()].join(&b'\n');
            xxh3_128_with_seed(value, xxh3_64(&text))
        }
    };
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&quoted(hash))).ok()
}

/// The digits of a hash in quotes.
fn quoted(hash: u128) -> [u8; 34] {
    let bytes = hash.to_be_bytes();
    // All high digits, and then all low ones: the compiler makes each a few vector instructions.
    let (high, low) = (
        bytes.map(|byte| hex(byte >> 4)),
        bytes.map(|byte| hex(byte & 15)),
    );
    let mut tag = [b'"'; 34];
    for n in 0..bytes.len() {
        (tag[2 * n + 1], tag[2 * n + 2]) = (high[n], low[n]);
    }
    tag
}

fn hex(digit: u8) -> u8 {
    digit + if digit > 9 { b'a' - 10 } else { b'0' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_the_bytes_and_of_what_they_are() {
        let plain = Metadata::default();
        let text = Metadata::default().with(Field::ContentType, "text/plain");
        let zipped = text.clone().with(Field::ContentEncoding, "gzip");
        let mut tags = vec![];
        for metadata in [&plain, &text, &zipped] {
            for value in [&b"630"[..], b"631", b"", &[7; 300]] {
                let tag = of(value, metadata, 300).unwrap();
                assert_eq!(Some(&tag), of(value, metadata, 300).as_ref());
                let tag = tag.to_str().unwrap().to_owned();
                assert!(
                    tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'),
                    "{tag}"
                );
                tags.push(tag);
            }
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 12);
        // The same on every node and in every release: clients keep it.
        assert_eq!(of(b"630", &plain, 3).unwrap(), GOLDEN);
    }

    const GOLDEN: &str = "\"7771fae3242e7b75017d7b547b79cb67\"";

    #[test]
    fn a_long_value_has_its_origins_tag_or_none() {
        let tagged = Metadata::default().with(Field::ETag, "W/\"v1\"");
        assert_eq!(of(b"630", &tagged, 0).unwrap(), "W/\"v1\"");
        assert_eq!(of(b"630", &Metadata::default(), 2), None);
        assert_eq!(of(b"", &Metadata::default(), 0), None);
    }
}
