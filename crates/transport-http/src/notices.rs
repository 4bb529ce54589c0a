//! Removals as messages, within bounds.

use bytes::{Buf, Bytes};
use gaggle_group::{Key, Known, News, Notice, RemovalId, Scope};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use crate::proto;

/// The longest control request beside a value, in bytes.
pub(crate) const MAX_REQUEST: usize = 2 << 20;

/// The most entries in a request that hands over.
pub(crate) const MAX_HANDED: usize = 1 << 10;

/// The longest key in a removal, in bytes.
pub(crate) const MAX_KEY: usize = 64 << 10;

/// The most keys in a removal.
pub(crate) const MAX_KEYS: usize = 1 << 17;

/// The most removals that travel with a get.
pub(crate) const MAX_CARRIED: usize = 8;

/// The most that a removal takes in an answer that tells of several, in bytes.
const MAX_TOLD: usize = 1 << 20;

/// The most bytes of an answer with removals.
pub(crate) const MAX_NEWS: u64 = 4 << 20;

/// The most removals, names of removals, and keys in one message, each by itself.
const MAX_LISTED: usize = 1 << 18;

/// A message about removals cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadNotice {
    #[error(transparent)]
    Message(#[from] DecodeError),
    #[error("more than {0} of a kind in a message")]
    TooMany(usize),
    #[error("a key in a removal has at most {MAX_KEY} bytes")]
    KeyTooLong,
    #[error("a removal without a name")]
    NoName,
}

pub(crate) fn put_id(id: RemovalId) -> proto::RemovalId {
    proto::RemovalId {
        issuer: id.issuer,
        number: id.number,
    }
}

/// The name that came; numbers begin with one.
pub(crate) fn id(id: proto::RemovalId) -> Result<RemovalId, BadNotice> {
    match id.number {
        0 => Err(BadNotice::NoName),
        number => Ok(RemovalId {
            issuer: id.issuer,
            number,
        }),
    }
}

/// The removals that came with a get, as many as are read.
pub(crate) fn carried(ids: Vec<proto::RemovalId>) -> Result<Vec<RemovalId>, BadNotice> {
    ids.into_iter().take(MAX_CARRIED).map(id).collect()
}

/// A removal in at most `most` bytes. Where its keys take more, or one of them is too long to be told, it is told as one of
/// the whole group: whoever reads it drops more than it must, and keeps nothing that it must not.
pub(crate) fn put_notice(notice: &Notice, most: usize) -> proto::Notice {
    let mut message = proto::Notice {
        id: Some(put_id(notice.id)),
        keys: Vec::new(),
        all: true,
    };
    if let Scope::Keys(keys) = &notice.scope {
        // A tag and a length of at most three bytes.
        let len: usize = keys.iter().map(|key| key.len() + 4).sum();
        let fits = len <= most && keys.len() <= MAX_KEYS;
        if fits && keys.iter().all(|key| key.len() <= MAX_KEY) {
            message.keys = keys.to_vec();
            message.all = false;
        }
    }
    message
}

/// The removal that came.
pub(crate) fn notice(message: &proto::Notice) -> Result<Notice, BadNotice> {
    let id = id(message.id.ok_or(BadNotice::NoName)?)?;
    if message.all {
        return Ok(Notice {
            id,
            scope: Scope::Group,
        });
    }
    if message.keys.len() > MAX_KEYS {
        return Err(BadNotice::TooMany(MAX_KEYS));
    }
    // Copied: a key is remembered for minutes, and must not hold on to the whole message.
    let keys = message.keys.iter().map(|key| match key.len() {
        0..=MAX_KEY => Ok(Key::copy_from_slice(key)),
        _ => Err(BadNotice::KeyTooLong),
    });
    let scope = Scope::Keys(keys.collect::<Result<_, _>>()?);
    Ok(Notice { id, scope })
}

/// Followers that are read of an answer, at most.
const MAX_FOLLOWERS: usize = 256;
/// The longest name of a follower, in bytes.
pub(crate) const MAX_FOLLOWER: usize = 256;

/// The answer to one who asks for removals.
pub(crate) fn put_news(news: &News) -> proto::NewsResponse {
    let notices = news.notices.iter();
    proto::NewsResponse {
        notices: notices.map(|notice| put_notice(notice, MAX_TOLD)).collect(),
        unlisted: news.unlisted.iter().map(|id| put_id(*id)).collect(),
        more: news.more,
        followers: news.followers.iter().map(ToString::to_string).collect(),
    }
}

/// The answer that came.
pub(crate) fn read_news(body: Bytes) -> Result<News, BadNotice> {
    for path in [&[1][..], &[1, 2], &[2], &[4]] {
        check_count(&body, path)?;
    }
    let message = proto::NewsResponse::decode(body)?;
    let notices = message.notices.iter().map(notice);
    let unlisted = message.unlisted.into_iter().map(id);
    let followers = message.followers.into_iter().take(MAX_FOLLOWERS);
    let followers = followers.filter(|name| name.len() <= MAX_FOLLOWER);
    let followers = followers.map(Into::into).collect();
    Ok(News::new(
        notices.collect::<Result<_, _>>()?,
        unlisted.collect::<Result<_, _>>()?,
        message.more,
    )
    .with_followers(followers))
}

pub(crate) fn put_known(known: &Known) -> Vec<proto::RemovalId> {
    known.0.iter().map(|id| put_id(*id)).collect()
}

/// What the asker knows. An issuer of whom it knows none has the number zero.
pub(crate) fn known(ids: Vec<proto::RemovalId>) -> Known {
    let id = |id: proto::RemovalId| RemovalId {
        issuer: id.issuer,
        number: id.number,
    };
    Known(ids.into_iter().map(id).collect())
}

/// Counts the elements of a field before they are decoded: an element may take two bytes in a message and many times as
/// many in memory. `path` is the field's number behind those of the messages that it is in.
///
/// # Errors
///
/// If there are too many, or the message cannot be read.
pub(crate) fn check_count(message: &[u8], path: &[u32]) -> Result<(), BadNotice> {
    match count(message, path)? {
        0..=MAX_LISTED => Ok(()),
        _ => Err(BadNotice::TooMany(MAX_LISTED)),
    }
}

/// How often the field is in the message.
pub(crate) fn count(mut message: &[u8], path: &[u32]) -> Result<usize, DecodeError> {
    let Some((&field, inner)) = path.split_first() else {
        return Ok(0);
    };
    let mut found = 0;
    while message.has_remaining() {
        let (number, kind) = decode_key(&mut message)?;
        if number != field || kind != WireType::LengthDelimited {
            skip_field(kind, number, &mut message, DecodeContext::default())?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
        let Some((element, rest)) = message.split_at_checked(len) else {
            // Decoding it says what is wrong.
            return Ok(found);
        };
        message = rest;
        found += if inner.is_empty() {
            1
        } else {
            count(element, inner)?
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RemovalId = RemovalId {
        issuer: u64::MAX,
        number: 7,
    };

    fn keys(keys: impl IntoIterator<Item = Vec<u8>>) -> Notice {
        Notice {
            id: ID,
            scope: Scope::Keys(keys.into_iter().map(Key::from).collect()),
        }
    }

    fn across(from: &Notice) -> Notice {
        notice(&put_notice(from, 1 << 20)).unwrap()
    }

    #[test]
    fn a_removal_reads_back() {
        for from in [
            keys([]),
            keys([vec![]]),
            keys([vec![0], vec![255; MAX_KEY]]),
            Notice {
                id: ID,
                scope: Scope::Group,
            },
        ] {
            assert_eq!(across(&from), from);
        }
    }

    #[test]
    fn one_that_does_not_fit_is_told_as_one_of_the_group() {
        for from in [
            keys([vec![0; MAX_KEY + 1]]),
            keys((0..17).map(|_| vec![0; MAX_KEY])),
            keys((0..=MAX_KEYS).map(|_| vec![])),
        ] {
            let told = across(&from);
            assert_eq!((told.id, told.scope), (ID, Scope::Group));
        }
    }

    #[test]
    fn news_read_back() {
        let news = News::new(vec![keys([vec![1], vec![2]])], vec![ID], true)
            .with_followers(vec!["http://10.0.0.9:8001".into()]);
        let message = put_news(&news).encode_to_vec();
        assert_eq!(read_news(message.into()).unwrap(), news);
        assert_eq!(read_news(Bytes::new()).unwrap(), News::default());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let bad = |message: proto::Notice| notice(&message).unwrap_err().to_string();
        assert_eq!(bad(proto::Notice::default()), "a removal without a name");
        let zero = proto::RemovalId::default();
        assert!(carried(vec![zero; 9]).is_err());
        assert_eq!(carried(vec![put_id(ID); 9]).unwrap().len(), MAX_CARRIED);
        let long = proto::Notice {
            id: Some(put_id(ID)),
            keys: vec![vec![0; MAX_KEY + 1].into()],
            all: false,
        };
        assert!(bad(long).contains("65536 bytes"));
        // Empty notices, and one with very many empty keys.
        let many = b"\x0a\x00".repeat(MAX_LISTED + 1);
        assert!(matches!(read_news(many.into()), Err(BadNotice::TooMany(_))));
        let mut many = b"\x0a\x82\x80\x20".to_vec();
        many.extend(b"\x12\x00".repeat(MAX_LISTED + 1));
        assert!(matches!(read_news(many.into()), Err(BadNotice::TooMany(_))));
        assert!(read_news(Bytes::from_static(b"\x0a\x05\x12")).is_err());
    }

    #[test]
    fn fields_are_counted_where_they_are() {
        // Field 3 with fields 2, 2 and 1 in it; a number in field 1; an empty field 3.
        let message = b"\x1a\x06\x12\x00\x12\x00\x0a\x00\x08\x05\x1a\x00";
        assert_eq!(count(message, &[3]).unwrap(), 2);
        assert_eq!(count(message, &[3, 2]).unwrap(), 2);
        assert_eq!(count(message, &[3, 1]).unwrap(), 1);
        assert_eq!(count(message, &[1]).unwrap(), 0);
        assert!(count(b"\xff", &[1]).is_err());
    }
}
