//! What one node tells another of removals.

use std::fmt;
use std::sync::Arc;

use super::log::key_bytes;
use crate::Key;

/// Names a removal: the node that issued it, by an identity that is new with each start, and its number there, from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemovalId {
    /// The issuer's identity: random, and another one after each start.
    pub issuer: u64,
    /// The issuer's count of removals, this one included.
    pub number: u64,
}

/// A removal, as nodes pass it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its name.
    pub id: RemovalId,
    /// What is removed.
    pub scope: Scope,
}

/// What a removal removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those keys.
    Keys(Arc<[Key]>),
    /// All keys of the group.
    Group,
}

/// The removals that a node knows, in short: for each issuer the number up to which it knows all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(pub Vec<RemovalId>);

/// What a node that follows another is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// Removals that it did not know, each issuer's in order.
    pub notices: Vec<Notice>,
    /// Removals that are no longer listed: for each issuer of which some are not, the number up to which. A node that does
    /// not know all of those cannot vouch for what it holds.
    pub unlisted: Vec<RemovalId>,
    /// Whether there is more to ask for at once.
    pub more: bool,
    /// Nodes that follow the one asked without being members of its ring: they have to be told of removals, too.
    pub followers: Vec<Arc<str>>,
}

impl News {
    /// Those notices, and nothing that is no longer listed.
    #[must_use]
    pub fn new(notices: Vec<Notice>, unlisted: Vec<RemovalId>, more: bool) -> Self {
        Self {
            notices,
            unlisted,
            more,
            followers: Vec::new(),
        }
    }

    /// The same with those who follow the one asked.
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
    /// About how many bytes it takes to keep and to send.
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
