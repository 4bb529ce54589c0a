//! The two rules of placement.

use std::fmt;
use std::str::FromStr;

use crate::RingError;

/// The rule that places keys. Every node of a cluster must use the same one.
///
/// As text: `gaggle`, `groupcache`, or `groupcache:N` for N virtual nodes instead of 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// xxh3 rendezvous over 2²² slots: even, fast, independent of the order of members.
    #[default]
    Gaggle,
    /// golang/groupcache's CRC-32 ring, point for point, for clusters that have such nodes.
    Groupcache {
        /// Virtual nodes for each member, 1 to [`Profile::MAX_REPLICAS`]. groupcache's default,
        /// and that of its descendants, is [`Profile::GROUPCACHE_REPLICAS`].
        replicas: u32,
    },
}

impl Profile {
    /// golang/groupcache's default number of virtual nodes for each member.
    pub const GROUPCACHE_REPLICAS: u32 = 50;

    /// The largest number of virtual nodes for each member.
    pub const MAX_REPLICAS: u32 = 1_000;

    /// golang/groupcache's ring with its default of 50 virtual nodes.
    pub const GROUPCACHE: Self = Self::Groupcache {
        replicas: Self::GROUPCACHE_REPLICAS,
    };

    pub(crate) fn check(self) -> Result<(), RingError> {
        match self {
            Self::Groupcache { replicas } if !(1..=Self::MAX_REPLICAS).contains(&replicas) => {
                Err(RingError::Replicas {
                    got: replicas,
                    max: Self::MAX_REPLICAS,
                })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Gaggle => f.write_str("gaggle"),
            Self::GROUPCACHE => f.write_str("groupcache"),
            Self::Groupcache { replicas } => write!(f, "groupcache:{replicas}"),
        }
    }
}

impl FromStr for Profile {
    type Err = RingError;

    fn from_str(text: &str) -> Result<Self, RingError> {
        let unknown = || RingError::UnknownProfile {
            name: text.to_owned(),
        };
        let profile = match text {
            "gaggle" => Self::Gaggle,
            "groupcache" => Self::GROUPCACHE,
            _ => {
                let replicas = text.strip_prefix("groupcache:").ok_or_else(unknown)?;
                Self::Groupcache {
                    replicas: replicas.parse().map_err(|_| unknown())?,
                }
            }
        };
        profile.check()?;
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["gaggle", "groupcache", "groupcache:3", "groupcache:1000"] {
            assert_eq!(text.parse::<Profile>().unwrap().to_string(), text);
        }
        assert_eq!("groupcache:50".parse(), Ok(Profile::GROUPCACHE));
        assert_eq!(Profile::default(), Profile::Gaggle);
    }

    #[test]
    fn other_text_is_refused_by_name() {
        for text in [
            "",
            "Gaggle",
            "ketama",
            "groupcache:",
            "groupcache:x",
            "groupcache:-1",
        ] {
            assert_eq!(
                text.parse::<Profile>(),
                Err(RingError::UnknownProfile {
                    name: text.to_owned()
                })
            );
        }
        for (text, got) in [("groupcache:0", 0), ("groupcache:1001", 1001)] {
            assert_eq!(
                text.parse::<Profile>(),
                Err(RingError::Replicas { got, max: 1000 })
            );
        }
    }
}
