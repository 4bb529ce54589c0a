//! The messages about removals between nodes.

use std::fmt;
use std::sync::Arc;

use super::log::key_bytes;
use crate::Key;

/// Identifies a removal: the node that issued it, by an identity that is new after each restart,
/// and its number there, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemovalId {
    /// The issuer's identity: random, and a different one after each restart.
    pub issuer: u64,
    /// The issuer's count of removals, this one included.
    pub number: u64,
}

/// A removal, as nodes send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its identity.
    pub id: RemovalId,
    /// What is removed.
    pub scope: Scope,
}

/// What a removal removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// These keys.
    Keys(Arc<[Key]>),
    /// All keys of the group.
    Group,
}

/// A summary of the removals that a node knows: for each issuer the number up to which it knows
/// all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(pub Vec<RemovalId>);

/// The answer to a node that follows another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// Removals that it did not know, each issuer's in order.
    pub notices: Vec<Notice>,
    /// Removals that are no longer listed: for each such issuer, the highest number. A node that
    /// does not know all of them cannot be sure that its entries are valid.
    pub unlisted: Vec<RemovalId>,
    /// Whether there are more to request immediately.
    pub more: bool,
    /// Followers of the answering node that are not members of its ring: they have to be notified
    /// of removals, too.
    pub followers: Vec<Arc<str>>,
}

impl News {
    /// These notices, and no unlisted ones.
    #[must_use]
    pub fn new(notices: Vec<Notice>, unlisted: Vec<RemovalId>, more: bool) -> Self {
        Self {
            notices,
            unlisted,
            more,
            followers: Vec::new(),
        }
    }

    /// Adds the followers of the answering node.
    #[must_use]
    pub fn with_followers(self, followers: Vec<Arc<str>>) -> Self {
        Self { followers, ..self }
    }
}

impl fmt::Display for RemovalId {
    /// As in the header `gaggle-removal`: `0123456789abcdef-42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.issuer, self.number)
    }
}

/// A text is no [`RemovalId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a removal is named by 16 hexadecimal digits, '-' and a number from 1 on")]
pub struct BadRemovalId;

impl std::str::FromStr for RemovalId {
    type Err = BadRemovalId;

    fn from_str(text: &str) -> Result<Self, BadRemovalId> {
        let (issuer, number) = text.split_once('-').ok_or(BadRemovalId)?;
        let digits = |text: &str, hex: bool| {
            let digit = |b: u8| {
                if hex {
                    b.is_ascii_hexdigit()
                } else {
                    b.is_ascii_digit()
                }
            };
            text.bytes().all(digit)
        };
        if issuer.len() != 16 || !digits(issuer, true) || !digits(number, false) {
            return Err(BadRemovalId);
        }
        let issuer = u64::from_str_radix(issuer, 16).map_err(|_| BadRemovalId)?;
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { issuer, number }),
            _ => Err(BadRemovalId),
        }
    }
}

impl Scope {
    /// The approximate number of bytes to keep and to send it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.iter().map(key_bytes).sum(),
            Self::Group => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        for id in [
            RemovalId {
                issuer: 0,
                number: 1,
            },
            RemovalId {
                issuer: u64::MAX,
                number: u64::MAX,
            },
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in [
            "",
            "-1",
            "1-1",
            "00000000000000000-1",
            "0000000000000000-0",
            "0000000000000000-+1",
        ] {
            assert_eq!(bad.parse::<RemovalId>(), Err(BadRemovalId), "{bad}");
        }
    }
}
