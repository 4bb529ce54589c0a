//! The bounds of messages about removals.

use bytes::Bytes;
use gaggle_group::News;
use gaggle_proto::peer::NewsResponse;
use gaggle_proto::{MAX_LISTED, count, notices};
use prost::{DecodeError, Message};

/// The longest control request without its value, in bytes.
pub(crate) const MAX_REQUEST: usize = 2 << 20;

/// A message about removals is malformed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadNotice {
    #[error(transparent)]
    Message(#[from] DecodeError),
    #[error("more than {0} of a kind in a message")]
    TooMany(usize),
    #[error(transparent)]
    Notice(#[from] notices::BadNotice),
}

/// Decodes a received answer with removals.
pub(crate) fn read_news(body: Bytes) -> Result<News, BadNotice> {
    for path in [&[1][..], &[1, 2], &[2], &[4]] {
        check_count(&body, path)?;
    }
    Ok(notices::news(NewsResponse::decode(body)?)?)
}

/// Counts the elements of a field before they are decoded. `path` is as in [`count`].
///
/// # Errors
///
/// If there are too many, or the message is malformed.
pub(crate) fn check_count(message: &[u8], path: &[u32]) -> Result<(), BadNotice> {
    match count(message, path)? {
        0..=MAX_LISTED => Ok(()),
        _ => Err(BadNotice::TooMany(MAX_LISTED)),
    }
}

#[cfg(test)]
mod tests {
    use gaggle_group::{Key, Notice, RemovalId, Scope};

    use super::*;

    #[test]
    fn news_read_back() {
        let id = RemovalId {
            issuer: u64::MAX,
            number: 7,
        };
        let scope = Scope::Keys([Key::from_static(b"a"), Key::new()].into());
        let news = News::new(vec![Notice { id, scope }], vec![id], true)
            .with_followers(vec!["http://10.0.0.9:8001".into()]);
        let message = notices::put_news(&news).encode_to_vec();
        assert_eq!(read_news(message.into()).unwrap(), news);
        assert_eq!(read_news(Bytes::new()).unwrap(), News::default());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        // A removal without a name.
        let nameless = read_news(Bytes::from_static(b"\x0a\x00"));
        assert!(matches!(nameless, Err(BadNotice::Notice(_))));
        // Empty notices, and one with very many empty keys.
        let many = b"\x0a\x00".repeat(MAX_LISTED + 1);
        assert!(matches!(read_news(many.into()), Err(BadNotice::TooMany(_))));
        let mut many = b"\x0a\x82\x80\x20".to_vec();
        many.extend(b"\x12\x00".repeat(MAX_LISTED + 1));
        assert!(matches!(read_news(many.into()), Err(BadNotice::TooMany(_))));
        assert!(read_news(Bytes::from_static(b"\x0a\x05\x12")).is_err());
    }
}
