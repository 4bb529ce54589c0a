//! The values that a node announces about itself.

/// The longest name that is accepted, in bytes.
pub const MAX_NAME: usize = 256;
/// The longest base URL that is accepted, in bytes.
pub const MAX_ADDRESS: usize = 512;

/// The values that nodes share. A value under another key is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Name,
    Address,
    Member,
    State,
}

impl Key {
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Name, Self::Address, Self::Member, Self::State]
            .into_iter()
            .find(|key| key.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Address => "address",
            Self::Member => "member",
            Self::State => "state",
        }
    }

    /// The longest value that is kept, in bytes.
    pub(crate) fn max_len(self) -> usize {
        match self {
            Self::Name => MAX_NAME,
            Self::Address => MAX_ADDRESS,
            Self::Member | Self::State => 16,
        }
    }
}
