//! Removals as messages, within bounds. Lengths are in bytes.

use gaggle_group::{Key, Known, News, Notice, RemovalId, Scope};

use crate::peer;

/// The longest key in a removal, in bytes.
pub const MAX_KEY: usize = 64 << 10;

/// The most keys in a removal.
pub const MAX_KEYS: usize = 1 << 17;

/// The most removals that travel with a get.
pub const MAX_CARRIED: usize = 8;

/// The most that a removal takes in an answer with several, in bytes.
pub const MAX_TOLD: usize = 1 << 20;

/// The most followers that are read of an answer.
pub const MAX_FOLLOWERS: usize = 256;

/// The longest name of a follower, in bytes.
pub const MAX_FOLLOWER: usize = 256;

/// A message about removals cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNotice {
    /// A removal has more than [`MAX_KEYS`] keys.
    #[error("a removal has at most {MAX_KEYS} keys")]
    TooManyKeys,
    /// A key is longer than [`MAX_KEY`].
    #[error("a key in a removal has at most {MAX_KEY} bytes")]
    KeyTooLong,
    /// A removal has no name, or the number zero, which is no removal's.
    #[error("a removal without a name")]
    NoName,
}

/// The name of a removal.
pub fn put_id(id: RemovalId) -> peer::RemovalId {
    peer::RemovalId {
        issuer: id.issuer,
        number: id.number,
    }
}

/// Reads the name of a removal.
///
/// # Errors
///
/// [`BadNotice::NoName`] where its number is zero: numbers begin with one.
pub fn id(id: peer::RemovalId) -> Result<RemovalId, BadNotice> {
    match id.number {
        0 => Err(BadNotice::NoName),
        number => Ok(RemovalId {
            issuer: id.issuer,
            number,
        }),
    }
}

/// The removals that travel with a get: the first [`MAX_CARRIED`].
pub fn put_carried(ids: &[RemovalId]) -> Vec<peer::RemovalId> {
    let ids = ids.iter().take(MAX_CARRIED);
    ids.map(|id| put_id(*id)).collect()
}

/// The removals that came with a get: the first [`MAX_CARRIED`].
///
/// # Errors
///
/// [`BadNotice::NoName`] where one of them has the number zero.
pub fn carried(ids: Vec<peer::RemovalId>) -> Result<Vec<RemovalId>, BadNotice> {
    ids.into_iter().take(MAX_CARRIED).map(id).collect()
}

/// A removal in at most `most` bytes. If its keys take more, or one of them is too long to be
/// sent, it is sent as a removal of the whole group: the receiver drops more than it has to, and
/// keeps nothing that was removed.
pub fn put_notice(notice: &Notice, most: usize) -> peer::Notice {
    let mut message = peer::Notice {
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

/// Reads a removal.
///
/// # Errors
///
/// If it has no name, more than [`MAX_KEYS`] keys, or a key that is longer than [`MAX_KEY`].
pub fn notice(message: &peer::Notice) -> Result<Notice, BadNotice> {
    let id = id(message.id.ok_or(BadNotice::NoName)?)?;
    if message.all {
        return Ok(Notice {
            id,
            scope: Scope::Group,
        });
    }
    if message.keys.len() > MAX_KEYS {
        return Err(BadNotice::TooManyKeys);
    }
    // Copied: a key is remembered for minutes, and must not hold on to the whole message.
    let keys = message.keys.iter().map(|key| match key.len() {
        0..=MAX_KEY => Ok(Key::copy_from_slice(key)),
        _ => Err(BadNotice::KeyTooLong),
    });
    let scope = Scope::Keys(keys.collect::<Result<_, _>>()?);
    Ok(Notice { id, scope })
}

/// The answer to a node that asks for removals.
pub fn put_news(news: &News) -> peer::NewsResponse {
    let notices = news.notices.iter();
    peer::NewsResponse {
        notices: notices.map(|notice| put_notice(notice, MAX_TOLD)).collect(),
        unlisted: news.unlisted.iter().map(|id| put_id(*id)).collect(),
        more: news.more,
        followers: news.followers.iter().map(ToString::to_string).collect(),
    }
}

/// Reads the answer to a request for removals: at most [`MAX_FOLLOWERS`] followers, and none whose
/// name is longer than [`MAX_FOLLOWER`].
///
/// # Errors
///
/// If one of the removals cannot be read, as in [`notice`].
pub fn news(message: peer::NewsResponse) -> Result<News, BadNotice> {
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

/// Which removals this node knows.
pub fn put_known(known: &Known) -> Vec<peer::RemovalId> {
    known.0.iter().map(|id| put_id(*id)).collect()
}

/// Which removals the asker knows. An issuer of which it knows none has the number zero.
pub fn known(ids: Vec<peer::RemovalId>) -> Known {
    let id = |id: peer::RemovalId| RemovalId {
        issuer: id.issuer,
        number: id.number,
    };
    Known(ids.into_iter().map(id).collect())
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

    #[test]
    fn removals_read_back() {
        let group = Notice {
            id: ID,
            scope: Scope::Group,
        };
        let all = vec![keys([]), keys([vec![], vec![255; MAX_KEY]]), group];
        let told =
            News::new(all, vec![ID], true).with_followers(vec!["http://10.0.0.9:8001".into()]);
        assert_eq!(news(put_news(&told)), Ok(told));
    }

    #[test]
    fn one_that_does_not_fit_is_told_as_one_of_the_group() {
        for from in [
            keys([vec![0; MAX_KEY + 1]]),
            keys((0..17).map(|_| vec![0; MAX_KEY])),
            keys((0..=MAX_KEYS).map(|_| vec![])),
        ] {
            let told = notice(&put_notice(&from, MAX_TOLD)).unwrap();
            assert_eq!((told.id, told.scope), (ID, Scope::Group));
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert_eq!(notice(&peer::Notice::default()), Err(BadNotice::NoName));
        assert_eq!(
            carried(vec![peer::RemovalId::default()]),
            Err(BadNotice::NoName)
        );
        assert_eq!(carried(vec![put_id(ID); 9]).unwrap().len(), MAX_CARRIED);
        let of = |keys| peer::Notice {
            id: Some(put_id(ID)),
            keys,
            all: false,
        };
        let long = of(vec![vec![0; MAX_KEY + 1].into()]);
        assert_eq!(notice(&long), Err(BadNotice::KeyTooLong));
        let many = of(vec![Key::new(); MAX_KEYS + 1]);
        assert_eq!(notice(&many), Err(BadNotice::TooManyKeys));
    }
}
